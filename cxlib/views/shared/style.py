"""The style sheet of the views, in the colours of the theme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxlib.figures.theme import DARK, LIGHT, PRINT, Theme, luminance, theme_named

__all__ = ["page_style"]

_VARIABLES = ("paper", "band", "ink", "muted", "rule", "accent", "finding", "go_on", "lost")
_SHARED = tuple(Path(__file__).parent / name for name in ("page.css", "views.css"))


def page_style(theme: Theme | None = None, *, files: Sequence[Path] = ()) -> str:
    """Return the style sheet of the views, and what a view adds, in the colours of a theme.

    The light theme's follows its reader's browser: it is dark where that is dark, and on paper it
    is the one for printing.
    """
    theme = theme or theme_named()
    rules = "\n".join(file.read_text("utf-8") for file in (*_SHARED, *files))
    if theme is not LIGHT:
        scheme = "dark" if luminance(theme.paper) < 0.5 else "light"
        return f".cx-page-style {{ {_variables(theme)}color-scheme: {scheme}; }}\n{rules}"
    return (
        f".cx-page-style {{ {_variables(LIGHT, DARK)}}}\n{rules}\n"
        f"@media print {{ .cx-page-style {{ {_variables(PRINT)}color-scheme: light; }} }}\n"
    )


def _variables(theme: Theme, dark: Theme | None = None) -> str:
    """Declare the theme's colours; with another theme for those who read white on black."""
    parts = []
    for name in _VARIABLES:
        colour = getattr(theme, name)
        if dark is not None:
            colour = f"light-dark({colour}, {getattr(dark, name)})"
        parts.append(f"--cx-{name.replace('_', '-')}: {colour}; ")
    return "".join(parts)
