"""One theme for every figure and dashboard: quiet type, few colours, one colour per thing.

Three variants: ``light``, ``dark`` and ``print`` (white, black type, made to survive a greyscale
printer). Nothing changes at import: a figure is drawn in the theme in force, and `use_theme`
switches it.

What a page is to show, light or dark, only its reader's browser knows. So pages are drawn light,
every light colour has one twin in the dark theme (`dark_twin`), and the browser swaps them.

The channel colours follow Okabe and Ito [1]_ without their vermilion, which is kept for findings,
ordered so that neighbours differ in lightness as well as in hue. The scales run in lightness only
one way, so that they can be read without colour.

References
----------
.. [1] Okabe, M., Ito, K. (2008). Color Universal Design. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from cxlib.errors import UnknownNameError
from cxlib.markup import plotly_text

#: Given to every figure: no upload button, no logo, follow the width of the page.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "displaylogo": False,
    "responsive": True,
    "displayModeBar": False,
}

FONT = (
    "Inter, 'Source Sans 3', 'Segoe UI', Roboto, 'Helvetica Neue', Arial, "
    "'Liberation Sans', 'DejaVu Sans', sans-serif"
)

UNMAPPED = "unmapped"


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one variant; every figure, card and dashboard takes its colours from here."""

    name: str
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
    name="light",
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
        "#0072b2",
        "#e69f00",
        "#007a5a",
        "#56b4e9",
        "#8c4a8f",
        "#c9a0b8",
        "#5b4a1e",
        "#9aa31f",
        "#2c2f7a",
        "#8a939c",
    ),
    stages=("#a9c9c4", "#0f4c5c"),
    scale=("#e3ecf4", "#9dc1de", "#4a8abf", "#1f5b93", "#0b2f57"),
    loss_scale=("#f7ecdc", "#efc88f", "#dd9340", "#a9560f", "#5f2a05"),
)

DARK = Theme(
    name="dark",
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
        "#5aaee6",
        "#f0b323",
        "#2fb98d",
        "#9ad5f5",
        "#c98bcb",
        "#e6c3d6",
        "#b89b55",
        "#cdd65a",
        "#8e92e8",
        "#b4bdc5",
    ),
    stages=("#2f6f74", "#c4e6e0"),
    scale=("#24333f", "#2f5f85", "#4b91c4", "#92c5e8", "#e2f1fb"),
    loss_scale=("#3a2f22", "#7a4c1c", "#bb7526", "#eaae63", "#fbe6c8"),
)

PRINT = Theme(
    name="print",
    paper="#ffffff",
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
    channels=LIGHT.channels,
    stages=LIGHT.stages,
    scale=LIGHT.scale,
    loss_scale=LIGHT.loss_scale,
)

THEMES: Mapping[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK, PRINT)}

_in_force = {"theme": LIGHT}


def theme_named(name: str | Theme | None = None) -> Theme:
    """Return the theme of that name, or the one in force where none is given.

    Raises
    ------
    UnknownNameError
        If there is no such theme.
    """
    if name is None:
        return _in_force["theme"]
    if isinstance(name, Theme):
        return name
    if name not in THEMES:
        raise UnknownNameError("theme", name, THEMES)
    return THEMES[name]


def use_theme(name: str = "light") -> Theme:
    """Put a theme in force for the figures drawn from now on, and return it.

    It also gives figures that are shown in a notebook the package's `CONFIG`, so that no figure
    offers to upload itself.

    Parameters
    ----------
    name
        ``light``, ``dark`` or ``print``.

    Raises
    ------
    UnknownNameError
        If there is no such theme.
    """
    _in_force["theme"] = theme = theme_named(name)
    import plotly.io as pio

    for renderer in ("plotly_mimetype", "notebook", "png", "svg"):
        if renderer in pio.renderers and hasattr(pio.renderers[renderer], "config"):
            pio.renderers[renderer].config = dict(CONFIG)
    return theme


@lru_cache
def template(theme: Theme) -> go.layout.Template:
    """Build the plotly template of a theme."""
    axis = {
        "gridcolor": theme.rule,
        "linecolor": theme.rule,
        "zerolinecolor": theme.rule,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"color": theme.muted, "size": 12},
        "title": {"font": {"color": theme.muted, "size": 12}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": theme.ink},
            "paper_bgcolor": theme.paper,
            "plot_bgcolor": theme.paper,
            "colorway": list(theme.channels),
            "title": {
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "pad": {"l": 16, "t": 14},
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "font": {"size": 17, "color": theme.ink, "weight": 600},
                "subtitle": {"font": {"size": 13, "color": theme.muted}},
            },
            "margin": {"l": 16, "r": 16, "t": 76, "b": 40, "pad": 4},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": theme.paper,
                "bordercolor": theme.muted,
                "font": {"family": FONT, "size": 13, "color": theme.ink},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "font": {"color": theme.muted, "size": 12},
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "hovermode": "closest",
            "dragmode": False,
            "bargap": 0.35,
        }
    )


def new_figure(
    *, theme: Theme, title: str, subtitle: str = "", alt: str = "", height: int = 420
) -> go.Figure:
    """Start a figure in a theme, with its title, what it rests on, and its text alternative.

    The text alternative travels in ``figure.layout.meta["alt"]``, where widgets read it.
    """
    figure = go.Figure()
    lay_out(figure, template=template(theme), height=height, meta={"alt": alt or title})
    if not title:
        return lay_out(figure, margin={"t": 10})
    heading = wrap(plotly_text(title), 88)
    below = wrap(plotly_text(subtitle), 120) if subtitle else ""
    lines = heading.count("<br>")
    return lay_out(
        figure,
        # plotly centres a title of several lines on its first one.
        title={"text": heading, "subtitle": {"text": below}, "pad": {"t": 16 + 10 * lines}},
        margin={"t": 36 + 22 * (lines + 1) + (18 * (below.count("<br>") + 1) if below else 0)},
    )


def lay_out(figure: go.Figure, **parts: Any) -> go.Figure:
    """Set parts of the layout, each as a whole, and return the figure.

    ``figure.update_layout`` merges what is there with what is given, entry by entry; a figure of a
    dashboard is drawn at every filter, and that took half of the time.
    """
    for name, part in parts.items():
        figure.layout[name] = part
    return figure


def wrap(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters; plotly does not wrap titles."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "<br>".join([*lines, line])


def channel_colours(channels: Sequence[str], theme: Theme) -> dict[str, str]:
    """Assign every channel its colour by its place in the journey map, the same in every figure.

    Parameters
    ----------
    channels
        All channels in the order of the journey map (not only those a figure happens to show).
    """
    return {name: theme.channels[i % len(theme.channels)] for i, name in enumerate(channels)}


def stage_colours(stages: Sequence[str], theme: Theme) -> dict[str, str]:
    """Assign every stage its colour on the ramp from first to last; "unmapped" is grey."""
    ordered = [stage for stage in stages if stage != UNMAPPED]
    first, last = theme.stages
    steps = max(len(ordered) - 1, 1)
    colours = {stage: mix(first, last, i / steps) for i, stage in enumerate(ordered)}
    return colours | {UNMAPPED: theme.still_open}


def colour_at(scale: Sequence[str], position: float) -> str:
    """Return the colour at `position` in [0, 1] of a scale of evenly spaced colours."""
    position = min(max(position, 0.0), 1.0) * (len(scale) - 1)
    below = min(int(position), len(scale) - 2)
    return mix(scale[below], scale[below + 1], position - below)


def colour_scale(scale: Sequence[str]) -> list[list[float | str]]:
    """Write a scale the way plotly wants it."""
    return [[i / (len(scale) - 1), colour] for i, colour in enumerate(scale)]


def mix(first: str, second: str, part: float) -> str:
    """Mix two ``#rrggbb`` colours; `part` is the share of the second."""
    pairs = zip(_rgb(first), _rgb(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


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
    """Return black or white, whichever is read more easily on that colour.

    What is read on a light colour may need the other ink on its dark twin: the four cases are told
    apart by shades that nobody can tell apart, so that each ink has a twin of its own.
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
_RAMPS = ("stages", "scale", "loss_scale")
_NEAR = 2.0
"""Steps of 255 by which a colour may lie beside a ramp: mixed colours are rounded."""


@lru_cache
def _twins() -> Mapping[str, str]:
    """Return the dark colour of every colour that the light theme names."""
    twins = {_INKS[inks]: _BLACK_WHITE[inks[1]] for inks in _INKS}
    for field in fields(Theme):
        light, dark = getattr(LIGHT, field.name), getattr(DARK, field.name)
        pairs = [(light, dark)] if isinstance(light, str) else zip(light, dark, strict=True)
        twins.update(pairs)
    return twins


@lru_cache(maxsize=4096)
def dark_twin(colour: str) -> str:
    """Return what a ``#rrggbb`` colour of the light theme is in the dark one.

    Colours between two of a ramp have their twin at the same place of the dark ramp; colours that
    are not the theme's are their own.

    Examples
    --------
    >>> dark_twin(LIGHT.paper) == DARK.paper, dark_twin("#123456")
    (True, '#123456')
    """
    if colour in _twins():
        return _twins()[colour]
    for name in _RAMPS:
        ramps = zip(pairwise(getattr(LIGHT, name)), pairwise(getattr(DARK, name)), strict=True)
        for (first, last), (dark_first, dark_last) in ramps:
            part, away = _place_between(first, last, colour)
            if away <= _NEAR:
                return mix(dark_first, dark_last, part)
    return colour


def dark_twins(text: str) -> dict[str, str]:
    """Return the dark twin of every colour in a text (a figure as JSON) that has another one."""
    named = set(re.findall(r"#[0-9a-f]{6}\b", text))
    for red, green, blue in re.findall(r"rgba\((\d+),(\d+),(\d+),", text):
        named.add(f"#{int(red):02x}{int(green):02x}{int(blue):02x}")
    return {colour: dark_twin(colour) for colour in sorted(named) if dark_twin(colour) != colour}


def light_dark(colour: str) -> str:
    """Write a colour of the theme in force for a style sheet: it follows the reader's browser."""
    if theme_named() is not LIGHT or dark_twin(colour) == colour:
        return colour
    return f"light-dark({colour}, {dark_twin(colour)})"


def _place_between(first: str, last: str, colour: str) -> tuple[float, float]:
    """Return where between two colours a third lies, in [0, 1], and how far away from there."""
    start, end, point = _rgb(first), _rgb(last), _rgb(colour)
    way = [b - a for a, b in zip(start, end, strict=True)]
    steps = sum(w * (p - a) for w, p, a in zip(way, point, start, strict=True))
    part = min(max(steps / sum(w * w for w in way), 0.0), 1.0)
    away = max(abs(a + part * w - p) for a, w, p in zip(start, way, point, strict=True))
    return part, away


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
