"""Where the lines and circles of the brief's pictures lie; its template draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.figures.map_layout import COLUMN_PX, Place, lane_name, lay_out, ribbon
from cxlib.numbers import people, rating, share

if TYPE_CHECKING:
    from cxlib.map_model import RatingScale
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions


GUTTER = 104
MOST_PLACES, MOST_MOVES = 24, 30
SHOWN = 0.95
"""Share of the contacts whose touchpoints are drawn, `MOST_PLACES` at most."""


def draw_map(
    result: Touchpoints, moves: Transitions | None, found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Lay out the map: stages as columns, channels as lanes, the moves of findings on top."""
    every = result.table.filter(pl.col("customers").fill_null(0) > 0)
    ends = {row[end] for row in found for end in ("source_place", "target_place") if row[end] >= 0}
    alone = {row["source_place"]: row["rank"] for row in reversed(found) if row["of"] == "place"}
    common = every.sort("contacts", descending=True, nulls_last=True).with_columns(
        before=pl.col("contacts").fill_null(0).cum_sum() - pl.col("contacts").fill_null(0)
    )
    total = max(int(common["contacts"].sum() or 0), 1)
    shown = (pl.col("before") < SHOWN * total) | pl.col("place").is_in(list(ends))
    kept = common.filter(shown).head(MOST_PLACES)
    rows = every.filter(pl.col("place").is_in(kept["place"].implode())).to_dicts()
    place = {r["place"]: Place(r["touchpoint"], r["channel"], r["stage"]) for r in rows}
    layout = lay_out(place.values(), stages=result.stages, channels=result.channels)
    spots = {n: layout.spots[p] for n, p in place.items() if p in layout.spots}
    most = max((r["customers"] for r in rows), default=1)
    circles = [
        {
            "x": GUTTER + spots[r["place"]][0] * COLUMN_PX,
            "y": spots[r["place"]][1],
            "r": max(layout.largest_circle / 2 * math.sqrt(r["customers"] / most), 2.5),
            "label": layout.labels[place[r["place"]]],
            "customers": people(r["customers"]),
            "found": r["place"] in ends,
            "rank": alone.get(r["place"]),
            "ours": r["weakest"] is None,
        }
        for r in rows
        if r["place"] in spots
    ]
    left_out = len(every) - len(circles)
    by_stage = dict(result.by_stage.select("stage", "customers").iter_rows())
    seen = int(every.filter(pl.col("place").is_in(list(spots)))["contacts"].sum() or 0)
    return {
        "width": GUTTER + COLUMN_PX * len(layout.stages),
        "height": layout.height,
        "gutter": GUTTER,
        "column": COLUMN_PX,
        "stages": [
            {"name": stage, "customers": people(by_stage.get(stage))} for stage in layout.stages
        ],
        "lanes": [
            {"name": lane_name(lane.channel), "top": lane.top, "bottom": lane.bottom}
            for lane in layout.lanes
        ],
        "circles": circles,
        "bands": _bands(moves, found, spots),
        "rest": f"and {left_out} rarer, with {share(1 - seen / total)} of the contacts"
        if left_out
        else "",
    }


def _bands(
    moves: Transitions | None,
    found: Sequence[Mapping[str, Any]],
    spots: Mapping[int, tuple[float, float]],
) -> list[dict[str, Any]]:
    """Outlines of the widest moves, then of those of the findings."""
    rows = [] if moves is None else moves.table.drop_nulls("n").to_dicts()
    drawn = {(r["source"], r["target"]): r["n"] for r in rows if r["source"] != r["target"]}
    drawn = {pair: n for pair, n in drawn.items() if spots.keys() >= set(pair)}
    most = max(drawn.values(), default=1)
    ranked = {}
    for row in reversed([r for r in found if r["of"] == "transition"]):
        ranked[row["source_place"], row["target_place"]] = row["rank"]
    widest = sorted((p for p in drawn if p not in ranked), key=lambda p: (-drawn[p], p))
    pairs = [*reversed(widest[:MOST_MOVES]), *(p for p in ranked if spots.keys() >= set(p))]
    bands = []
    for pair in pairs:
        width = max(9.0 * math.sqrt(drawn.get(pair, 0) / most), 2.0 if pair in ranked else 0.8)
        x, y, (mx, my, _) = ribbon(spots[pair[0]], spots[pair[1]], width)
        points = " ".join(
            f"{GUTTER + a * COLUMN_PX:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)
        )
        middle = {"x": GUTTER + mx * COLUMN_PX, "y": my}
        bands.append({"points": points, "rank": ranked.get(pair), **middle})
    return bands


def draw_bars(row: Mapping[str, Any], texts: tuple[str, str]) -> list[dict[str, Any]]:
    """Bars of what was observed and what was expected, on one scale."""
    values = [abs(row["observed"]), abs(row["expected"])]
    longest = max(values) or 1.0
    names = (("observed", "found"), ("expected", "usual"))
    return [
        {"name": name, "css": css, "part": value / longest, "text": text}
        for (name, css), value, text in zip(names, values, texts, strict=True)
    ]


def draw_feeling(result: Touchpoints, scale: RatingScale | None) -> dict[str, Any] | None:
    """Mean rating by stage as a curve with intervals; None where nobody rates."""
    rated = result.by_stage.drop_nulls("rating")
    if scale is None or rated.is_empty():
        return None
    width, height, left, top = 760, 150, 60, 14

    def level(value: float) -> float:
        return top + (height - top - 34) * (1 - (value - scale.min) / (scale.max - scale.min))

    step = (width - left) / len(result.stages)
    points = []
    for row in rated.to_dicts():
        low, high = row["rating_low"], row["rating_high"]
        known = low is not None and high is not None
        points.append(
            {
                "x": left + step * (list(result.stages).index(row["stage"]) + 0.5),
                "y": level(row["rating"]),
                "low": level(low) if known else None,
                "high": level(high) if known else None,
                "stage": row["stage"],
                "text": rating(row["rating"], low, high),
                "response": share(row["response"]),
            }
        )
    marks = [{"y": level(v), "text": f"{v:g}"} for v in (scale.min, scale.max)]
    return {
        "width": width,
        "height": height,
        "left": left,
        "points": points,
        "marks": marks,
        "scale": scale.name,
    }
