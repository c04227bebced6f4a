"""Backtracking: customers who go back to an earlier stage."""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Floats
from cxlib.grounds.cells import Grid, counted_rows, judge_share, no_cells
from cxlib.grounds.faults import SENT_BACK, Fault, Site, redirect, row_before
from cxlib.grounds.kinds import Counts, Signal
from cxlib.grounds.ways import find_habit, judge_shorter, of_customers, ways_on
from cxlib.journeys import NO_STAGE


def judge_backtracking(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go back a stage after a handoff, among those who went on."""
    stage = pl.lit(arrivals.places["stage_index"]).gather(pl.col("target").cast(pl.UInt32))
    table = counted_rows(arrivals.arrivals, "fresh", "back", "back").filter(
        stage.is_between(1, NO_STAGE - 1)
    )
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    habit = _habit_of_going_back(arrivals, grid)
    return judge_share(arrivals, table, "fresh", "back", "back", ("fresh", "back"), habit)


def _habit_of_going_back(arrivals: Arrivals, grid: Grid) -> Floats:
    """What a habit of returning to the channel before adds to backtracking, in logits: where that
    channel lies in earlier stages, customers go back a stage without anything being broken.
    """
    ways = ways_on(arrivals)
    m = find_habit(arrivals)
    if m < 0.005:
        return np.zeros(len(grid))
    onward = ways.sum(0)
    stage = arrivals.places["stage_index"].to_numpy().astype(np.int64)
    lower = onward * (stage[None, :] < stage[:, None])
    member = (grid.channels[:, None] == grid.channels[None, :]).astype(np.float64)
    in_channel, back_in_channel = (
        x[grid.target, grid.source] for x in (onward @ member.T, lower @ member.T)
    )
    back = lower.sum(1) / np.maximum(onward.sum(1), 1)
    base = np.clip(back[grid.target], 0.005, 0.995)
    there = back_in_channel / np.maximum(in_channel, 1)
    with_habit = np.clip(base + m * (there - base), 0.005, 0.995)
    logits = np.log(with_habit / (1 - with_habit)) - np.log(base / (1 - base))
    return np.where(in_channel > 0, logits, 0.0)


def _needs(part: Arrivals) -> str:
    stages = part.places.filter(pl.col("stage_index") < NO_STAGE)["stage_index"].n_unique()
    return "" if stages >= 2 else "the touchpoints lie in fewer than two stages"


def send_back_a_stage(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let the next contact of a share of those who went on be in an earlier stage: in another
    channel than the source's, if there is one (going back a stage, not to where they came from).
    """
    places = site.places
    stage, channel = (places[c].to_list() for c in ("stage_index", "channel"))
    ways = [
        place
        for place, own in zip(places["place"], places["initiated_by"], strict=True)
        if own == "customer" and stage[place] < stage[site.target] and stage[place] != NO_STAGE
    ]
    ways = [p for p in ways if channel[p] != channel[site.source]] or ways
    if not ways:
        return rows
    # another digit of the same dice says where to
    number = (pl.col("_dice") * 1e6).cast(pl.Int64) % len(ways)
    there = pl.lit(pl.Series(ways, dtype=pl.Int64)).gather(row_before(number).fill_null(0))
    return redirect(rows, site, there)


BACKTRACKING = Signal(
    name="backtracking",
    number=7,
    title="sent back a stage",
    unit="share of those who went on",
    needs=_needs,
    counts=Counts(
        "histories",
        "fresh",
        "back",
        around="environments",
        places=lambda p: p["stage_index"].is_between(1, NO_STAGE - 1) & of_customers(p),
        sources=of_customers,
    ),
    judge=judge_backtracking,
    settings=lambda part: judge_shorter(part, judge_backtracking, "fresh", "back"),
    says="sends {} more back a stage",
    advice="Ask {owner} what customers have to do again, and carry it over.",
    tells="sent back a stage",
    fault=Fault(SENT_BACK, send_back_a_stage, highest=1 - 2 * SENT_BACK),
    sends_back=True,
    draws="next",
    filters=("not_followed", "nothing_after", "itself_a_return"),
)
