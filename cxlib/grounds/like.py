"""Ground *like*: the same signal at similar transitions, itself left out (`expectation`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Floats
from cxlib.grounds.cells import BY_DESIGN, NEARLY_ALL, arrivals_by_way
from cxlib.grounds.expectation import MIN_N
from cxlib.grounds.judged import natural_p
from cxlib.grounds.kinds import Counts, Ground, Judged, Signal

MIN_LIKE = 8
"""Transitions that a signal must be able to judge for any of them to be: fewer do not tell how much
transitions differ, and in a short process they differ by much."""

MAIN_WAY = 0.6
"""Share of the arrivals at a target from which on a transition is the way there: where those go who
came, and whether back, is how the target is, and there is nobody to compare them with."""

NOT_ALIKE = 10.0
"""Times as long as expected from which on a wait is of another nature, and not like the others: a
bill that comes a month after the order was not late by a factor of thousands."""

SIBLING_Z = 3.0
"""Distance from which on a transition says what others at its source or target may do as well."""


def judge_like(part: Arrivals, signals: Mapping[str, Signal]) -> list[Judged]:
    """Judge every transition by every signal against similar transitions."""
    found = []
    for signal in signals.values():
        frame = None if signal.judge is None else signal.judge(part)
        if frame is not None and len(frame) >= MIN_LIKE:
            frame = _where_it_counts(part, compare_siblings(frame, signal), signal)
            found.append(name_transitions(part, frame, signal))
    return found


def _where_it_counts(part: Arrivals, frame: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Keep what can be a breakage: between places where the signal occurs, and not by design."""
    counts, fair = signal.counts or Counts(""), np.ones(len(frame), dtype=bool)
    source, target = (frame[end].to_numpy() for end in ("source", "target"))
    for at, test in ((source, counts.sources), (target, counts.places)):
        if test is not None:
            fair &= test(part.places).to_numpy()[at]
    if signal.family == "wait":
        fair &= frame["effect"].to_numpy() < NOT_ALIKE
    if signal.sends_back:
        observed, expected = (frame[c].to_numpy() for c in ("observed", "expected"))
        beyond = (observed - expected) / np.maximum(1 - expected, 1e-6)
        ways = arrivals_by_way(part)
        main = (ways >= MAIN_WAY * ways.sum(0))[source, target]
        fair &= (beyond < BY_DESIGN) & (observed < NEARLY_ALL) & ~main
    return frame.filter(pl.Series(fair))


def compare_siblings(frame: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Expect of a transition what the clearest other one at its source or target shows as well.

    A fault lies on one transition; where two from one source, or to one target, stand out alike,
    the places are like that. Of the excess only what lies above the sibling's lower end remains,
    and where most who come to the target are others and leave less than half of it, only that.
    """
    if signal.family == "wait" or not (frame["z"] >= SIBLING_Z).any():
        return frame
    clear = frame.with_row_index("at").filter(pl.col("z") >= SIBLING_Z).to_dicts()
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


def name_transitions(part: Arrivals, frame: pl.DataFrame, signal: Signal) -> Judged:
    """Name the transitions of a judge's frame, and count the customers affected.

    A rating speaks for all who arrived; of waits all count, where even the lower end is longer.
    """
    told = {name: frame[name].to_numpy() for name in frame.columns}
    source, target, touched = told.pop("source"), told.pop("target"), told.pop("touched")
    names = part.places["touchpoint"].to_numpy()
    everybody = np.maximum(told["n"], arrivals_by_way(part)[source, target])
    if signal.family == "share":  # an adjusted one may lie a little beyond what shares can be
        told |= {"affected": told["n"] * touched, "expected": np.clip(told["expected"], 0.0, 1.0)}
    elif signal.family == "rating":
        told["affected"] = everybody * touched
    else:
        told["affected"] = np.where(told["low"] > 1, everybody, 0.0)
        told["hours"] = everybody * told["observed"] * (1 - 1 / np.maximum(told["low"], 1.0))
    return {
        **told,
        "signal": signal.name,
        "unit": "transition",
        "source_place": source,
        "target_place": target,
        "source": names[source],
        "target": names[target],
        "compared_with": "similar handoffs" if signal.plan is None else "other planned handoffs",
    }


def _needs(part: Arrivals) -> str:
    moves = part.arrivals.select("source", "target").n_unique()
    why = f"the log has {moves} transitions, and {MIN_LIKE} are needed to say what is usual"
    return "" if moves >= MIN_LIKE else why


LIKE = Ground("like", 1, "similar handoffs", judge_like, _needs, says="than similar handoffs do")
