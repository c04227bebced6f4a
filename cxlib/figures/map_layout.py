"""Where every touchpoint stands on the journey map, and how a handoff runs between two of them.

Places do not depend on the figures shown: a filter changes sizes and colours. Heights are in
pixels, so that labels cannot overlap; horizontal positions in columns, so that the map fills its
width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxlib.contracts import UNMAPPED
from cxlib.figures.canvas import shortened, wrapped

Outline = NDArray[np.float64]

COLUMN_PX = 255
"""Width of one of four columns, in pixels, on which the curves are based."""
NARROWEST_COLUMN_PX = 168
"""The same on the narrowest page that still shows the map: what labels have to fit into."""
_HEADER_PX = 68
_FEELING_PX = 92  # of the row of the rating curve
FEELING_AT = _HEADER_PX + _FEELING_PX / 2
_LANE_PADDING_PX = 6
CHARACTER_PX = 7.4  # of 12 px DejaVu Sans, the widest of the fonts in the theme
LINE_PX = 15
_LANE_CHARACTERS = 12
_COUNT_CHARACTERS = 7  # of the number of customers that follows the name


class Place(NamedTuple):
    """One touchpoint on one channel in one stage: what the map gives a circle to."""

    touchpoint: str
    channel: str
    stage: str

    @classmethod
    def of(cls, row: Mapping[str, Any], end: str = "") -> Place:
        """Return the place of a row; with ``source_`` or ``target_`` that end of a move."""
        return cls(*(row[end + name] for name in cls._fields))


class Felt(NamedTuple):
    """A rated touchpoint on the curve of how it feels: x in columns, heights in pixels."""

    x: float
    y: float
    low: float
    high: float
    row: Mapping[str, Any]

    @property
    def label_y(self) -> float:
        """Foot of what is written above it: above its interval, not in it."""
        return min(self.high, self.y - 4)


class Lane(NamedTuple):
    """The band of one channel, from `top` to `bottom` in pixels below the upper edge."""

    channel: str
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class MapLayout:
    """Positions of everything on the map."""

    stages: tuple[str, ...]  #: the columns, from left to right; "unmapped" last, where needed
    lanes: tuple[Lane, ...]  #: the channels, from top to bottom
    spots: dict[Place, tuple[float, float]]  #: x in columns, y in pixels below the upper edge
    labels: dict[Place, tuple[str, ...]]  #: names in lines that fit, with room for the count
    row: float  #: height of a row with a label of one line, pixels
    height: float  #: of the plot area, pixels
    feeling: bool = False  #: whether the rating curve has a row above the lanes

    @property
    def largest_circle(self) -> float:
        """Diameter of the largest circle, pixels: what a row leaves beside its label."""
        return self.row - 19


def lay_out(
    places: Iterable[Place],
    *,
    stages: Sequence[str],
    channels: Sequence[str],
    feeling: bool = False,
) -> MapLayout:
    """Give every place its position; places come in the order in which they stand in a cell.

    A stage without any place keeps its column; a channel without any has no lane. The column
    "unmapped" is added where a place needs it.
    """
    places = list(dict.fromkeys(places))
    columns = [stage for stage in stages if stage != UNMAPPED]
    columns = list(dict.fromkeys([*columns, *(p.stage for p in places)]))
    used = [p.channel for p in places]
    order = list(dict.fromkeys([*(c for c in channels if c in used), *used]))

    cells: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        cells.setdefault((place.stage, place.channel), []).append(place)

    rows = {c: max(len(v) for k, v in cells.items() if k[1] == c) for c in order}
    row = _row_height(sum(rows.values()))
    limit = int(column_px(len(columns)) / CHARACTER_PX)
    labels = {p: _label(p.touchpoint, limit) for cell in cells.values() for p in cell}
    lanes, spots, top = [], {}, float(_HEADER_PX + _FEELING_PX * feeling)
    for channel in order:
        lines = max(len(lines) for p, lines in labels.items() if p.channel == channel)
        pitch = row + (lines - 1) * LINE_PX
        bottom = top + rows[channel] * pitch + 2 * _LANE_PADDING_PX
        lanes.append(Lane(channel, top, bottom))
        for index, stage in enumerate(columns):
            cell = cells.get((stage, channel), [])
            first = (top + bottom - len(cell) * pitch) / 2
            for i, place in enumerate(cell):
                # The circle stands in the upper part of its row, the label below it.
                spots[place] = (index + _sway(i, len(cell)), first + i * pitch + (row - 17) / 2)
        top = bottom
    return MapLayout(tuple(columns), tuple(lanes), spots, labels, row, top, feeling)


def felt(layout: MapLayout, rows: Iterable[Mapping[str, Any]]) -> list[Felt]:
    """Place rated touchpoints of one scale along their stages."""
    rated = [r for r in rows if r["mean"] is not None and r["stage"] in layout.stages]
    if not rated or not layout.feeling:
        return []
    ends = [r[end] for r in rated for end in ("mean", "mean_low", "mean_high")]
    known = [end for end in ends if end is not None]
    low, high = min(known), max(known)
    top, bottom = _HEADER_PX + 20, _HEADER_PX + _FEELING_PX - 8

    def level(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / ((high - low) or 1.0)

    found = []
    for index, stage in enumerate(layout.stages):
        here = [row for row in rated if row["stage"] == stage]
        for i, row in enumerate(here):
            y, least, most = (
                level(row["mean"] if row[end] is None else row[end])
                for end in ("mean", "mean_low", "mean_high")
            )
            found.append(Felt(index + (i + 0.5) / len(here), y, least, most, row))
    return found


def column_px(stages: int) -> float:
    """Width of a column on the narrowest page that shows the map, pixels."""
    return NARROWEST_COLUMN_PX * 4 / max(stages, 4)


def _label(name: str, limit: int) -> tuple[str, ...]:
    """Break a name into at most two lines, with room for the count; shorten what is longer."""
    if len(name) + _COUNT_CHARACTERS <= limit:
        return (name,)
    lines = wrapped(name, limit)
    if len(lines) == 1:
        return (shortened(name, limit), "")
    rest = " ".join(lines[1:])
    return (shortened(lines[0], limit), shortened(rest, limit - _COUNT_CHARACTERS))


def lane_name(channel: str) -> list[str]:
    """Break the name of a channel into at most two lines that fit beside its lane."""
    first, *rest = wrapped(channel, _LANE_CHARACTERS)
    lines = [first, " ".join(rest)] if rest else [first]
    return [shortened(line, _LANE_CHARACTERS) for line in lines]


def ribbon(
    source: tuple[float, float],
    target: tuple[float, float],
    width: float,
    *,
    steps: int = 20,
    at: float = 0.5,
    bend: float = 0.0,
) -> tuple[Outline, Outline, tuple[float, float, float]]:
    """Return the outline of a handoff as a band of constant width along a smooth curve.

    Of two places (x in columns, y in pixels) and a width in pixels: x and y of the closed outline,
    always in the same sense of rotation, so that bands that overlap in one path do not cut holes
    into each other; and where an arrow head stands, `at` a part of the way: x, y, and the
    direction there in degrees clockwise from upwards. `bend` shifts its middle, pixels.
    """
    points = curve(source, target, steps, bend)
    along = np.vstack([points[1:], points[-1:]]) - np.vstack([points[:1], points[:-1]])
    length = np.hypot(along[:, :1], along[:, 1:])
    across = np.column_stack([-along[:, 1], along[:, 0]])
    shift = across / np.where(length == 0, 1.0, length) * width / 2
    outline = np.vstack([points + shift, (points - shift)[::-1], (points + shift)[:1]])
    half = min(max(round(at * steps), 1), steps - 1)
    dx, dy = points[half + 1] - points[half - 1]
    x, y = points[half]
    head = (float(x) / COLUMN_PX, float(y), math.degrees(math.atan2(dx, -dy)))
    return outline[:, 0] / COLUMN_PX, outline[:, 1], head


def curve(
    source: tuple[float, float], target: tuple[float, float], steps: int = 20, bend: float = 0.0
) -> Outline:
    """Sample the cubic Bézier curve of a handoff, in pixels at the reference width."""
    (x0, y0), (x1, y1) = source, target
    x0, x1 = x0 * COLUMN_PX, x1 * COLUMN_PX
    if abs(x1 - x0) < COLUMN_PX * 0.5:
        # Within a stage: an arc, on the right downwards, on the left upwards.
        side = 1 if y1 > y0 else -1
        reach = side * (26 + min(abs(y1 - y0) * 0.28, COLUMN_PX * 0.34)) + bend
        handles = ((x0 + reach, y0), (x1 + reach, y1))
    else:
        # Backwards runs below, so that both ways between two places can be told apart.
        sag = bend + (0.0 if x1 > x0 else 26.0)
        handles = ((x0 + (x1 - x0) * 0.45, y0 + sag), (x1 - (x1 - x0) * 0.45, y1 + sag))
    t = np.linspace(0, 1, steps + 1)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3])
    return weights @ np.array([(x0, y0), *handles, (x1, y1)])


def _row_height(rows: int) -> float:
    """Height of a row: generous while the map is small, never below what a label needs."""
    return 58.0 if rows <= 8 else 48.0 if rows <= 14 else 44.0 if rows <= 20 else 41.0


def _sway(index: int, count: int) -> float:
    """Position in the column: neighbours in a full cell step aside, so that their arcs show."""
    return 0.5 if count < 3 else 0.5 + (0.045 if index % 2 else -0.045)
