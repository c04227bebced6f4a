"""Ground *like*: the same signal at similar transitions, itself left out (`expectation`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.grounds.additive import Floats
from cxlib.grounds.cells import BY_DESIGN, NEARLY_ALL
from cxlib.grounds.expectation import MIN_N
from cxlib.grounds.judged import as_judged, natural_p
from cxlib.grounds.kinds import Counts, Ground, Signal

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals

MIN_LIKE = 8
"""Transitions that must be comparable for any of them to be judged."""

MAIN_WAY = 0.6
"""Share of the arrivals at a target from which on a transition is the way there: where those go who
came, and whether back, is how the target is, and there is nobody to compare them with."""

SIBLING_Z = 3.0
"""Distance from which on a transition says what others at its source or target may do as well."""


def judge_like(part: Arrivals, signals: Mapping[str, Signal]) -> list[pl.DataFrame]:
    """Judge every transition by every signal against similar transitions."""
    frames = []
    for signal in signals.values():
        frame = None if signal.judge is None else signal.judge(part)
        if frame is not None and len(frame):
            frame = _where_it_counts(part, compare_siblings(frame, signal), signal)
            frames.append(as_judged(name_transitions(part, frame, signal), signal, "like"))
    return frames


def _where_it_counts(part: Arrivals, frame: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Keep what can be a breakage: between places where the signal occurs, and not by design."""
    counts, places = signal.counts or Counts(""), part.places
    for end, test in (("source", counts.sources), ("target", counts.places)):
        if test is not None:
            frame = frame.filter(pl.lit(test(places)).gather(pl.col(end)))
    if not signal.sends_back:
        return frame
    beyond = (pl.col("observed") - pl.col("expected")) / (1 - pl.col("expected")).clip(1e-6)
    fair = (beyond < BY_DESIGN) & (pl.col("observed") < NEARLY_ALL)
    n = pl.col("n")
    ways = part.arrivals.group_by("source", "target").agg(n.sum())
    main = ways.filter(n >= MAIN_WAY * n.sum().over("target")).select("source", "target")
    typed = main.cast({c: frame.schema[c] for c in main.columns})
    return frame.filter(fair).join(typed, on=main.columns, how="anti", maintain_order="left")


def compare_siblings(frame: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Expect of a transition what the clearest other one at its source or target shows as well.

    A fault lies on one transition; where two from one source, or to one target, stand out alike,
    the places are like that. Of the excess only what lies above the sibling's lower end remains,
    and where most who come to the target are others and leave less than half of it, only that.
    """
    clear = frame.with_row_index("at").filter(pl.col("z") >= SIBLING_Z).to_dicts()
    if signal.family == "wait" or not clear:
        return frame
    alone = signal.compares_alone or signal.family != "share"
    crude = np.full(len(frame), -np.inf) if alone else _others_at_target(frame)
    sign = signal.harm
    shift, share = np.zeros(len(frame)), np.ones(len(frame))
    for row in clear:
        least = [
            other["low"] if sign > 0 else -other["high"]
            for other in clear
            if other is not row
            and (other["source"] == row["source"]) != (other["target"] == row["target"])
        ]
        beyond = float(crude[row["at"]]) - row["expected"]
        if beyond > row["effect"] / 2:
            least.append(beyond)
        known = min(max([0.0, *least]), sign * row["effect"])
        shift[row["at"]] = sign * known
        share[row["at"]] = 1 - known / max(sign * row["effect"], 1e-9)
    moved = pl.Series(shift)
    z = frame["z"] * pl.Series(share)
    return frame.with_columns(
        pl.col("effect", "low", "high") - moved,
        expected=pl.col("expected") + moved,
        touched=(pl.col("touched") - moved.abs()).clip(0.0),
        z=z,
        p=pl.max_horizontal("p", pl.Series(natural_p(z.to_numpy()))),
    )


def _others_at_target(frame: pl.DataFrame) -> Floats:
    """Share of all others at the target of each transition, as counted, where they are most."""
    n, cases = pl.col("n"), pl.col("n") * pl.col("observed")
    others = n.sum().over("target") - n
    share = (cases.sum().over("target") - cases) / others
    told = frame.select(pl.when((others >= MIN_N) & (others >= 2 * n)).then(share)).to_series()
    return told.fill_null(-np.inf).to_numpy()


def name_transitions(part: Arrivals, frame: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Name the transitions of a judge's frame, and count the customers affected.

    A rating speaks for all who arrived; of waits all count, where even the lower end is longer.
    """
    names = part.places["touchpoint"]
    arrived = (
        part.arrivals.group_by("source", "target")
        .agg(arrived=pl.col("n").sum())
        .cast({"source": pl.Int64, "target": pl.Int64})
    )
    both = frame.join(arrived, on=["source", "target"], how="left", maintain_order="left")
    n = pl.max_horizontal("n", pl.col("arrived").fill_null(0))
    affected = {
        "share": pl.col("n") * pl.col("touched"),
        "rating": n * pl.col("touched"),
        "wait": pl.when(pl.col("low") > 1).then(n).otherwise(0.0),
    }[signal.family]
    lost = n * pl.col("observed") * (1 - 1 / pl.col("low").clip(1.0))
    return both.select(
        unit=pl.lit("transition"),
        source_place="source",
        target_place="target",
        source=pl.lit(names).gather(pl.col("source")),
        target=pl.lit(names).gather(pl.col("target")),
        compared_with=pl.lit(
            "similar handoffs" if signal.plan is None else "other planned handoffs"
        ),
        n="n",
        observed="observed",
        expected="expected",
        effect="effect",
        low="low",
        high="high",
        z="z",
        p="p",
        affected=affected,
        hours=lost if signal.family == "wait" else pl.lit(None, pl.Float64),
    )


def _needs(part: Arrivals) -> str:
    moves = part.arrivals.select("source", "target").n_unique()
    if moves >= MIN_LIKE:
        return ""
    return f"the log has {moves} transitions, and {MIN_LIKE} are needed to say what is usual"


LIKE = Ground("like", 1, "similar handoffs", judge_like, _needs, says="than similar handoffs do")
