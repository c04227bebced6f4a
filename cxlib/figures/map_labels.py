"""What is written on the journey map: names below circles, and marks where they cover nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from cxlib.figures.canvas import Trace, scatter
from cxlib.figures.map_layout import (
    CHARACTER_PX,
    COLUMN_PX,
    LINE_PX,
    MapLayout,
    Outline,
    Place,
    column_px,
    curve,
    ribbon,
)
from cxlib.figures.theme import THEME
from cxlib.markup import plotly_bold, plotly_lines, plotly_span, plotly_text

_MARK_CHARACTER_PX = 8.2  # of 12 px bold
_ALONG = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)
"""Where along a band its mark may stand, the best first."""

_ABOVE, _STEEP = 14.0, 0.6
"""Of a mark above the middle of its band, pixels; a band as steep as that has it at its side."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the narrowest page that shows the map."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A touchpoint: `customers` gives the area, `value` in [0, 1] the colour (None: not known).

    What is not ranked, though customers are lost there for sure, is hatched.
    """

    place: Place
    customers: float | None
    value: float | None
    note: str
    hover: str
    ranked: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding on the map: at a touchpoint, or with `target` on the move between two.

    Where its label has no room, what stands before the first `` · `` (a number) is written.
    """

    place: Place
    label: str
    target: Place | None = None


Bends = Mapping[tuple[Place, Place | None], float]
"""By how much the bands of findings leave their usual way, so that they cross no name."""

_BENDS = (0.0, 34.0, -34.0, 68.0, -68.0, 102.0, -102.0)


def place_key(place: Place) -> str:
    """Return the text that stands for a place in a figure's ``customdata``."""
    return "\x1f".join(place)


def place_of(key: str) -> Place:
    """Return the place that `place_key` wrote."""
    return Place(*key.split("\x1f"))


def circle_sizes(circles: Sequence[Circle], layout: MapLayout, least: float) -> dict[Place, float]:
    """Diameters in pixels: areas in proportion to customers."""
    largest = max((c.customers or 0.0 for c in circles), default=0.0) or 1.0
    return {
        c.place: max(least, layout.largest_circle * math.sqrt((c.customers or 0.0) / largest))
        for c in circles
    }


def bends(circles: Sequence[Circle], layout: MapLayout, marks: Sequence[Mark]) -> Bends:
    """Bend the band of each finding so that it crosses as few names as can be."""
    named = [c for c in circles if c.place in layout.spots]
    boxes = [b for c in named for b in list(_boxes(c, 0.0, layout))[1:]]
    width = _page(layout)[2]

    def crossed(source: Place, target: Place, bend: float) -> int:
        way = _way(source, target, bend, layout)
        outside = (way[:, 0] < 0) | (way[:, 0] > width)
        return _crossed(way, boxes) + 100 * int(outside.sum())

    return {
        (source, target): min(_BENDS, key=lambda bend: crossed(source, target, bend))
        for source, target in ((m.place, m.target) for m in marks)
        if target is not None and {source, target} <= layout.spots.keys()
    }


def names_above(circles: Sequence[Circle], layout: MapLayout, ways: Bends) -> Set[Place]:
    """Where a name stands above its circle: bands of findings cross it less there, and it fits."""
    points = [_way(*ends, bend, layout) for ends, bend in ways.items() if ends[1] is not None]
    above: set[Place] = set()
    for circle in sorted(circles, key=lambda c: layout.spots[c.place][1]) if points else ():
        under, over = (list(_boxes(circle, 0.0, layout, up))[1:] for up in ((), {circle.place}))
        others = [c for c in circles if c is not circle]
        taken = [b for c in others for b in _boxes(c, layout.largest_circle, layout, above)]
        less = _crossed(np.vstack(points), over) < _crossed(np.vstack(points), under)
        if less and all(_free(box, taken, _page(layout)) for box in over):
            above.add(circle.place)
    return above


def _way(source: Place, target: Place | None, bend: float, layout: MapLayout) -> Outline:
    """Sample a band between its ends, in pixels of the narrowest page."""
    ends = layout.spots[source], layout.spots[target or source]
    return curve(*ends, 40, bend)[1:-1] * (column_px(len(layout.stages)) / COLUMN_PX, 1.0)


def _crossed(points: Outline, boxes: Sequence[Box]) -> int:
    left, top, right, bottom = np.array(boxes or [(0.0,) * 4]).T
    x, y = points[:, :1], points[:, 1:]
    return int(((left < x) & (x < right) & (top < y) & (y < bottom)).sum())


def name_labels(circles: Sequence[Circle], layout: MapLayout, above: Set[Place]) -> Trace:
    """Names below the circles, or above: always as far from the row, so that they line up."""
    drop = layout.largest_circle / 2 + 1
    return scatter(
        name="labels",
        x=[layout.spots[c.place][0] for c in circles],
        y=[layout.spots[c.place][1] + (-drop if c.place in above else drop) for c in circles],
        text=[_label(layout.labels[c.place], c.note) for c in circles],
        mode="text",
        textposition=[f"{'top' if c.place in above else 'bottom'} center" for c in circles],
        textfont={
            "size": 12,
            "color": [THEME.muted if c.customers is None else THEME.ink for c in circles],
            "shadow": _halo(),
        },
        customdata=[place_key(c.place) for c in circles],
    )


def mark_labels(
    circles: Sequence[Circle],
    sizes: Mapping[Place, float],
    layout: MapLayout,
    marks: Sequence[Mark],
    ways: Bends,
    above: Set[Place],
) -> Trace:
    """Write each mark where it covers no name, no circle and no other mark, and is not cut off."""
    taken = [box for c in circles for box in _boxes(c, sizes[c.place], layout, above)]
    page = _page(layout)
    placed = []
    for mark in marks:
        if mark.place not in sizes or (mark.target is not None and mark.target not in layout.spots):
            continue
        texts = dict.fromkeys((mark.label, mark.label.split(" · ")[0]))
        could = [w for text in texts for w in _ways(text, mark, sizes, layout, ways)]
        best = next((w for w in could if _free(w[-1], taken, page)), could[-1])
        taken.append(best[-1])
        placed.append((mark.place, *best))
    marks_trace = scatter(
        name="marks",
        x=[x for _, x, *_ in placed],
        y=[y for _, _, y, *_ in placed],
        text=[text for _, _, _, text, *_ in placed],
        customdata=[place_key(place) for place, *_ in placed],
        mode="text",
        textposition=[position for *_, position, _ in placed],
        textfont={"size": 12, "color": THEME.finding, "shadow": _halo()},
    )
    return marks_trace | {"hoverinfo": "none"}  # a click leads on; the label says it all


def _ways(
    text: str, mark: Mark, sizes: Mapping[Place, float], layout: MapLayout, ways: Bends
) -> Iterator[tuple[float, float, str, str, Box]]:
    """Where a mark could stand: x, y, text and position for plotly, and the room it takes."""
    width, bold = len(text) * _MARK_CHARACTER_PX, plotly_bold(text)
    column = column_px(len(layout.stages))
    x, y = layout.spots[mark.place]
    if mark.target is not None:
        bend = ways.get((mark.place, mark.target), 0.0)
        ends = (x, y), layout.spots[mark.target]
        for part in _ALONG:
            _, _, (at, height, turned) = ribbon(*ends, 1, at=part, bend=bend)
            if abs(math.cos(math.radians(turned))) > _STEEP:
                yield from _beside(at, height, bold, 3, column, width)
            height -= _ABOVE
            yield at, height, bold, "middle center", _around(at * column, height, width)
        return
    # Clear of its ring.
    yield from _beside(x, y, bold, 2 + round(sizes[mark.place] / 8), column, width)
    above = y - sizes[mark.place] / 2 - 12
    yield x, above, bold, "middle center", _around(x * column, above, width)


def _beside(
    x: float, y: float, bold: str, blanks: int, column: float, width: float
) -> Iterator[tuple[float, float, str, str, Box]]:
    """Where a text stands at the right or left of a point, so many blanks away."""
    space, away = "\N{NO-BREAK SPACE}" * blanks, blanks * 4 + width / 2
    yield x, y, space + bold, "middle right", _around(x * column + away, y, width)
    yield x, y, bold + space, "middle left", _around(x * column - away, y, width)


def _page(layout: MapLayout) -> Box:
    return (0.0, 0.0, len(layout.stages) * column_px(len(layout.stages)), layout.height)


def _boxes(
    circle: Circle, size: float, layout: MapLayout, above: Collection[Place] = ()
) -> Iterator[Box]:
    """The room that a circle and its name take."""
    x, y = layout.spots[circle.place]
    x *= column_px(len(layout.stages))
    yield (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    lines = [*layout.labels[circle.place]]
    lines[-1] += f"  {circle.note}"
    drop = layout.largest_circle / 2 + 1
    top = y - drop - len(lines) * LINE_PX if circle.place in above else y + drop
    for number, line in enumerate(lines):
        middle = top + (number + 0.5) * LINE_PX
        yield _around(x, middle, len(line) * CHARACTER_PX)


def _around(x: float, y: float, width: float) -> Box:
    return (x - width / 2, y - LINE_PX / 2, x + width / 2, y + LINE_PX / 2)


def _free(box: Box, taken: Sequence[Box], page: Box) -> bool:
    left, top, right, bottom = box
    inside = left >= page[0] and right <= page[2] and top >= page[1] and bottom <= page[3]
    return inside and not any(
        left < to and right > start and top < under and bottom > over
        for start, over, to, under in taken
    )


def _label(lines: Sequence[str], note: str) -> str:
    name = plotly_lines(*map(plotly_text, lines))
    if not note:
        return name
    gap = "" if name.endswith("<br>") else "  "
    return f"{name}{gap}{plotly_span(note, THEME.muted)}"


def _halo() -> str:
    """Moves may run behind a name; a halo in the paper's colour keeps it readable."""
    return ", ".join([f"0 0 2px {THEME.paper}"] * 4 + [f"0 0 4px {THEME.paper}"] * 3)
