"""One theme for every figure and dashboard: quiet type, few colours, one colour per thing.

Pages are drawn light; every light colour has one twin in the dark theme (`dark_twin`), and the
browser swaps them: only it knows what its reader wants. The channel colours follow Okabe and Ito
(2008, https://jfly.uni-koeln.de/color/) without their vermilion, which is kept for findings, so
ordered that neighbours differ in lightness; scales run in lightness only one way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from cxlib.contracts import UNMAPPED

#: Given to every figure: no upload button, no logo, follow the width of the page.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "displaylogo": False,
    "responsive": True,
    "displayModeBar": False,
}


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one variant; every figure, card and dashboard takes its colours from here."""

    paper: str  #: behind everything
    band: str  #: quiet surface: every other stage, cards
    ink: str  #: text
    muted: str  #: secondary text, axis labels
    rule: str  #: grid and separating lines
    flow: str  #: handoffs that are no finding
    accent: str  #: the one colour for bars and curves that stand for nothing else
    finding: str  #: findings, and nothing else
    go_on: str  #: customers who go on, or reach the goal
    still_open: str  #: customers whose journey is still running
    lost: str  #: customers who are lost
    channels: tuple[str, ...]
    stages: tuple[str, str]  #: the two ends of the ramp of the ordered stages
    scale: tuple[str, ...]  #: little to much
    loss_scale: tuple[str, ...]  #: few lost to many lost


LIGHT = Theme(
    paper="#ffffff",
    band="#f5f6f8",
    ink="#1b2530",
    muted="#566370",
    rule="#e1e5e9",
    flow="#9aa6b2",
    accent="#1f6199",
    finding="#c22f0c",
    go_on="#1f6199",
    still_open="#d3d9df",
    lost="#e2944a",
    channels=(
        *("#0072b2", "#e69f00", "#007a5a", "#56b4e9", "#8c4a8f"),
        *("#c9a0b8", "#5b4a1e", "#9aa31f", "#2c2f7a", "#8a939c"),
    ),
    stages=("#a9c9c4", "#0f4c5c"),
    scale=("#e3ecf4", "#9dc1de", "#4a8abf", "#1f5b93", "#0b2f57"),
    loss_scale=("#f7ecdc", "#efc88f", "#dd9340", "#a9560f", "#5f2a05"),
)

DARK = Theme(
    paper="#12171c",
    band="#1a2127",
    ink="#e9edf0",
    muted="#a5b1bc",
    rule="#2b343c",
    flow="#6d7b88",
    accent="#6db3e8",
    finding="#ff7d5c",
    go_on="#6db3e8",
    still_open="#46525d",
    lost="#d98a3f",
    channels=(
        *("#5aaee6", "#f0b323", "#2fb98d", "#9ad5f5", "#c98bcb"),
        *("#e6c3d6", "#b89b55", "#cdd65a", "#8e92e8", "#b4bdc5"),
    ),
    stages=("#2f6f74", "#c4e6e0"),
    scale=("#24333f", "#2f5f85", "#4b91c4", "#92c5e8", "#e2f1fb"),
    loss_scale=("#3a2f22", "#7a4c1c", "#bb7526", "#eaae63", "#fbe6c8"),
)

PRINT = replace(
    LIGHT,
    band="#ffffff",
    ink="#000000",
    muted="#3d3d3d",
    rule="#cfcfcf",
    flow="#8f8f8f",
    accent="#1a4f7f",
    finding="#a30000",
    go_on="#1a4f7f",
    still_open="#e3e3e3",
    lost="#d98f4a",
)

THEME = LIGHT
"""What figures are drawn in: a page that is dark swaps the colours."""


def channel_colours(channels: Sequence[str]) -> dict[str, str]:
    """Return the colour of every channel: given all in the order of the map, always the same."""
    return {name: THEME.channels[i % len(THEME.channels)] for i, name in enumerate(channels)}


def stage_colours(stages: Sequence[str]) -> dict[str, str]:
    """Return the colour of every stage on the ramp from first to last; "unmapped" is grey."""
    ordered = [stage for stage in stages if stage != UNMAPPED]
    steps = max(len(ordered) - 1, 1)
    colours = {stage: colour_at(THEME.stages, i / steps) for i, stage in enumerate(ordered)}
    return colours | {UNMAPPED: THEME.still_open}


_STEPS = 300
"""Colours of a scale that are told apart: each has its twin in the dark theme."""


def colour_at(scale: Sequence[str], position: float) -> str:
    """Return the colour at `position` in [0, 1] of a scale of evenly spaced colours."""
    at = round(min(max(position, 0.0), 1.0) * _STEPS) / _STEPS * (len(scale) - 1)
    below = min(int(at), len(scale) - 2)
    pairs = zip(_rgb(scale[below]), _rgb(scale[below + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (at - below)):02x}" for a, b in pairs)


def colour_scale(scale: Sequence[str]) -> list[list[float | str]]:
    """Write a scale the way plotly wants it."""
    return [[i / (len(scale) - 1), colour] for i, colour in enumerate(scale)]


def faded(colour: str, alpha: float) -> str:
    """Return a ``#rrggbb`` colour as ``rgba`` with that opacity."""
    red, green, blue = _rgb(colour)
    return f"rgba({red},{green},{blue},{alpha:g})"


def luminance(colour: str) -> float:
    """Relative luminance of a ``#rrggbb`` colour in [0, 1] (WCAG 2.2)."""
    parts = [c / 255 for c in _rgb(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_on(colour: str) -> str:
    """Return black or white, whichever is read more easily on that colour and on its dark twin.

    The four cases are told apart by shades that nobody can tell apart: each ink has its own twin.
    """
    return _INKS[_ink_on(colour), _ink_on(dark_twin(colour))]


def _ink_on(colour: str) -> str:
    return max(("black", "white"), key=lambda ink: contrast(_BLACK_WHITE[ink], colour))


_BLACK_WHITE = {"black": "#111111", "white": "#fefefe"}
_INKS = {
    ("black", "black"): "#111111",
    ("black", "white"): "#121212",
    ("white", "white"): "#fefefe",
    ("white", "black"): "#fdfdfd",
}


@lru_cache
def _twins() -> Mapping[str, str]:
    """Return the dark colour of every colour of the light theme; named ones win over mixed ones."""
    twins: dict[str, str] = {}
    for ramp in ("stages", "scale", "loss_scale"):
        light, dark = getattr(LIGHT, ramp), getattr(DARK, ramp)
        for part in (step / _STEPS for step in range(_STEPS + 1)):
            twins.setdefault(colour_at(light, part), colour_at(dark, part))
    twins |= {_INKS[inks]: _BLACK_WHITE[inks[1]] for inks in _INKS}
    for field in fields(Theme):
        light, dark = getattr(LIGHT, field.name), getattr(DARK, field.name)
        pairs = [(light, dark)] if isinstance(light, str) else zip(light, dark, strict=True)
        twins.update(pairs)
    return twins


def dark_twin(colour: str) -> str:
    """Return what a colour of the light theme is in the dark one; others are their own."""
    return _twins().get(colour, colour)


def dark_twins(text: str) -> dict[str, str]:
    """Return the dark twin of every colour in a text (a figure as JSON) that has another one."""
    named = set(re.findall(r"#[0-9a-f]{6}\b", text))
    for parts in re.findall(r"rgba\((\d+),(\d+),(\d+),", text):
        named.add("#" + "".join(f"{int(part):02x}" for part in parts))
    return {colour: dark_twin(colour) for colour in sorted(named) if dark_twin(colour) != colour}


def light_dark(colour: str) -> str:
    """Write a colour for a style sheet: it follows the reader's browser."""
    dark = dark_twin(colour)
    return colour if dark == colour else f"light-dark({colour}, {dark})"


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
