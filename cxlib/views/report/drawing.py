"""Where the lines and circles of the report's pictures lie; its template draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxlib.figures.map_labels import Bends, Circle, Mark, bends, circle_sizes
from cxlib.figures.map_layout import (
    COLUMN_PX,
    FEELING_AT,
    MapLayout,
    Place,
    felt,
    lane_name,
    ribbon,
)
from cxlib.figures.touchpoints import map_positions, most_used
from cxlib.numbers import people, rating, share
from cxlib.views.report import words

if TYPE_CHECKING:
    from cxlib.measures.experience import ExperienceCurve
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

GUTTER = 104
MOST_PLACES, MOST_MOVES = 24, 30
_SMALLEST = 5.0
_PAPER = (680, 484)
"""Pixels that the map may take on paper, across and down: one of its own is ``unit`` of these."""
Row = Mapping[str, Any]
Ends = tuple[Place, Place | None]
Ranks = Mapping[Ends, int]


def draw_map(
    result: Touchpoints,
    moves: Transitions | None,
    found: Sequence[Row],
    feeling: ExperienceCurve | None = None,
) -> dict[str, Any]:
    """Lay out the map: stages as columns, channels as lanes, the moves of findings on top."""
    rows = result.table.to_dicts()
    place = {row["place"]: Place.of(row) for row in rows}
    ranks = {
        (place[row["source_place"]], place.get(row["target_place"])): row["rank"]
        for row in reversed(found)
        if row["source_place"] in place
    }
    ends = {end for pair in ranks for end in pair}
    layout = map_positions(result, keep=ends, feeling=feeling is not None, most=MOST_PLACES)
    shown = {p: r for r in rows if (p := Place.of(r)) in layout.spots and r["customers"]}
    circles = [
        Circle(p, r["customers"], None, people(r["customers"]), "") for p, r in shown.items()
    ]
    sizes = circle_sizes(circles, layout, _SMALLEST)
    ways = bends(circles, layout, [Mark(source, "", target) for source, target in ranks])
    rarer = [row for row in rows if Place.of(row) not in layout.spots]
    part = sum(r["contacts"] or 0 for r in rarer) / max(sum(r["contacts"] or 0 for r in rows), 1)
    customers = dict(result.by_stage.select("stage", "customers").iter_rows())
    rated = [] if feeling is None else feeling.table.filter(scale=most_used(feeling)).to_dicts()
    width = GUTTER + COLUMN_PX * len(layout.stages)
    return {
        "width": width,
        "height": layout.height,
        "unit": max(width / _PAPER[0], layout.height / _PAPER[1]),
        "gutter": GUTTER,
        "column": COLUMN_PX,
        "stages": [(stage, people(customers.get(stage))) for stage in layout.stages],
        "lanes": [
            {"name": lane_name(lane.channel), "top": lane.top, "bottom": lane.bottom}
            for lane in layout.lanes
        ],
        "circles": [
            {
                "x": GUTTER + layout.spots[p][0] * COLUMN_PX,
                "y": layout.spots[p][1],
                "r": sizes[p] / 2,
                "label": layout.labels[p],
                "customers": people(row["customers"]),
                "found": p in ends,
                "rank": ranks.get((p, None)),
                "ours": row["weakest"] is None,
            }
            for p, row in shown.items()
        ],
        "bands": _bands(moves, ranks, ways, layout, shown),
        "feeling": [
            {"x": GUTTER + p.x * COLUMN_PX, "y": p.y, "low": p.low, "high": p.high}
            | {"text": rating(p.row["mean"]), "label_y": p.label_y}
            for p in felt(layout, rated)
        ],
        "feeling_at": FEELING_AT,
        "rest": words.MAP_RARER.format(n=len(rarer), part=share(part)) if rarer else "",
    }


def _bands(
    moves: Transitions | None,
    ranks: Ranks,
    ways: Bends,
    layout: MapLayout,
    shown: Mapping[Place, Row],
) -> list[dict[str, Any]]:
    """Outlines of the widest moves, then of those of the findings."""
    rows = [] if moves is None else moves.table.drop_nulls("n").to_dicts()
    drawn: dict[Ends, int] = {
        (Place.of(r, "source_"), Place.of(r, "target_")): r["n"] for r in rows
    }
    drawn = {pair: n for pair, n in drawn.items() if pair[0] != pair[1] and {*pair} <= shown.keys()}
    most = max(drawn.values(), default=1)
    widest = sorted((pair for pair in drawn if pair not in ranks), key=lambda p: (-drawn[p], p))
    found = [pair for pair in ranks if pair[0] != pair[1] and {*pair} <= shown.keys()]
    bands = []
    for pair in [*reversed(widest[:MOST_MOVES]), *found]:
        width = max(9.0 * math.sqrt(drawn.get(pair, 0) / most), 2.0 if pair in ranks else 0.8)
        source, target = (layout.spots[end] for end in pair if end is not None)
        x, y, (mx, my, _) = ribbon(source, target, width, bend=ways.get(pair, 0.0))
        points = (f"{GUTTER + a * COLUMN_PX:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        middle = {"x": GUTTER + mx * COLUMN_PX, "y": my}
        bands.append({"points": " ".join(points), "rank": ranks.get(pair), **middle})
    return bands


def draw_bars(row: Row, texts: tuple[str, str]) -> list[dict[str, Any]]:
    """Bars of what was observed and what was expected, on one scale."""
    values = [abs(row["observed"]), abs(row["expected"])]
    looks = ((words.FOUND, "found"), (words.USUAL, "usual"))
    return [
        {"name": name, "css": css, "part": value / (max(values) or 1.0), "text": text}
        for (name, css), value, text in zip(looks, values, texts, strict=True)
    ]


def draw_curve(
    rows: Sequence[Row], names: Sequence[str], *, write: Callable[[float], str] = share
) -> dict[str, Any] | None:
    """Lay out observed, expected and an interval (low, high) step by step; None: too few steps."""
    values = [
        v for r in rows for n in ("observed", "expected", "low", "high") if (v := r[n]) is not None
    ]
    if len(rows) < 2:
        return None
    width, height, left = 620, 140, 74
    least, most = min(0.0, *values), max(values)

    def points(name: str, some: Sequence[Row]) -> list[str]:
        at = {id(r): left + (width - left - 20) * i / (len(rows) - 1) for i, r in enumerate(rows)}
        scale = (height - 40) / ((most - least) or 1.0)
        return [
            f"{at[id(r)]:.1f},{height - 28 - scale * (r[name] - least):.1f}"
            for r in some
            if r[name] is not None
        ]

    whole = [r for r in rows if None not in (r["low"], r["high"])]
    every = max(1, math.ceil(len(rows) / 6))
    return {
        "width": width,
        "height": height,
        "left": left,
        "lines": {name: " ".join(points(name, rows)) for name in ("expected", "observed")},
        "band": " ".join([*points("low", whole), *points("high", whole[::-1])]),
        "x": [
            {"at": left + (width - left - 20) * i / (len(rows) - 1), "text": name}
            for i, name in enumerate(names)
            if i % every == 0
        ],
        "y": [{"at": height - 28, "text": write(least)}, {"at": 12, "text": write(most)}],
    }
