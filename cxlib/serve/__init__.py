"""Serving dashboards: Voila, closed to everything a visitor could send but the filters of the page.

`serve_dashboards` is the way in. Nothing heavy is loaded before it is called.
"""

from __future__ import annotations

from cxlib.lazy import make_callable
from cxlib.serve.launch import ServeError, serve_dashboards

__all__ = ["ServeError", "serve_dashboards"]

make_callable(__name__, "cxlib.front.sharing")
