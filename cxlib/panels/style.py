"""The style sheets of the panels, on top of the one that cards and figures bring along."""

from __future__ import annotations

from pathlib import Path

__all__ = ["panel_style"]


def panel_style(*names: str) -> str:
    """Return the style all panels share, and those of the panels named."""
    folder = Path(__file__).parent
    return "\n".join((folder / f"{n}.css").read_text("utf-8") for n in ("panels", *names))
