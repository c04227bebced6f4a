"""`cx`: the whole path from a raw export to served dashboards, one command for each step.

``app`` binds the commands and turns errors into one sentence; ``making`` makes workspaces,
``asking`` prints answers, ``judging`` findings, ``publishing`` and ``showing`` publish and serve,
``lab`` opens JupyterLab; ``selecting`` reads what the options name, ``terminal`` writes. What a
command needs is imported when it runs, so that ``cx --help`` answers at once.
"""

from cxlib.cli.app import app, main

__all__ = ["app", "main"]
