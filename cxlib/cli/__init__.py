"""`cx`: the whole path from a raw export to served dashboards, one command for each step.

What a command needs is imported when it runs, so that ``cx --help`` answers at once.
"""

from cxlib.cli.app import app, main

__all__ = ["app", "main"]
