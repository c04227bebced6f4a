"""The one table: every signal on every handoff, what stands out, and how sure it is.

`measure_fragmentation` judges each transition against like transitions, corrects for everything
that was tested (Benjamini-Hochberg), sets echoes apart and says the result in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.fragmentation.arrivals import Arrivals, read_arrivals
from cxlib.fragmentation.cells import no_cells
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.expectation import MIN_N
from cxlib.fragmentation.filters import count_filters
from cxlib.fragmentation.judged_means import judge_delay, judge_ratings
from cxlib.fragmentation.judged_planned import MIN_LIKE, judge_planned
from cxlib.fragmentation.judged_repeats import (
    judge_repeat_contacts,
    judge_repeated_tasks,
    judge_self_service_leak,
    with_repeat_strata,
)
from cxlib.fragmentation.judged_shares import judge_abandonment, judge_backtracking
from cxlib.fragmentation.later import flags_of
from cxlib.fragmentation.links import check_links
from cxlib.fragmentation.nonresponse import check_responses
from cxlib.fragmentation.open_hours import OPEN_UNIT
from cxlib.fragmentation.returns import judge_ping_pong
from cxlib.fragmentation.sentences import say_finding, show_findings
from cxlib.fragmentation.stability import check_stability, flag_simpson
from cxlib.fragmentation.strata import with_strata
from cxlib.statistics.multiple_testing import false_discovery_rate

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Selection

Q_LIMIT = 0.03
"""Largest q value of a finding."""

LEAST_EFFECT = {
    "abandonment": 0.05,
    "backtracking": 0.05,
    "ping_pong": 0.05,
    "delay": 1.5,
    "perception_dip": 0.06,
    "repeated_task": 0.05,
    "repeat_contact": 0.05,
    "self_service_leak": 0.05,
    "broken_handoff": 0.05,
}
"""Smallest effect worth a finding: shares of arrivals; the ratio of waits; the share of the rating
scale's width."""

UNITS = {
    "abandonment": "share of arrivals",
    "backtracking": "share of those who went on",
    "ping_pong": "share of those who went on",
    "delay": "ratio of medians (observed and expected in hours)",
    "perception_dip": "rating points",
    "repeated_task": "share of arrivals",
    "repeat_contact": "share of arrivals",
    "self_service_leak": "share of arrivals",
    "broken_handoff": "share of contacts at the source",
}

MIN_CUSTOMERS = 200
MIN_SPAN = timedelta(days=7)
_JUDGES = {
    "abandonment": judge_abandonment,
    "backtracking": judge_backtracking,
    "ping_pong": judge_ping_pong,
    "delay": judge_delay,
    "perception_dip": judge_ratings,
    "repeated_task": judge_repeated_tasks,
    "repeat_contact": judge_repeat_contacts,
    "self_service_leak": judge_self_service_leak,
    "broken_handoff": judge_planned,
}
NEEDS_LINKS = ("broken_handoff", "delay", "repeat_contact", "abandonment")
"""Signals that follow a customer across channels: not measurable where links are missing."""
_COLUMNS = (
    "source",
    "target",
    "source_channel",
    "target_channel",
    "stage",
    "owner",
    "handoff",
    "signal",
    "transitions",
    "n",
    "observed",
    "expected",
    "effect",
    "low",
    "high",
    "unit",
    "p",
    "q",
    "customers_affected",
    "finding",
    "stable",
    "simpson",
    "response",
    "weighted",
    "weighted_low",
    "weighted_high",
    "echo_of",
    "sentence",
)
_PLACES = ("source_place", "target_place")


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What `measure_fragmentation` returns.

    Attributes
    ----------
    table
        One row per signal and transition judged, findings first, then by p value: ``source``,
        ``target`` and their channels, ``stage`` and ``owner`` of the target, ``handoff`` (channel
        or owner changes), ``signal``, ``transitions`` (as `cxlib.measures.measure_transitions`
        counts them), ``n`` (those that could be judged), ``observed``, ``expected``, ``effect``
        with ``low`` and ``high`` (95 %, natural differences included) in ``unit``, ``p``
        (one-sided, towards harm), ``q``, ``customers_affected`` (n × the lower end of the excess),
        ``finding``, ``stable`` (same sign at other settings: `cxlib.fragmentation.stability`; null
        where there are none, or nothing to be found), ``simpson`` (the crude comparison points the
        other way; null where there is none), ``response`` (of ratings: given, per arrival) and, of
        those that stand out, ``weighted`` with ``weighted_low`` and ``weighted_high`` (the effect
        if everybody had answered: `cxlib.fragmentation.nonresponse`), ``echo_of`` (the finding this
        one follows from), ``sentence`` (findings only).
    signals
        One row per signal: ``signal``, ``measurable``, ``reason`` (why not, or what is left out),
        ``tested``, ``findings``.
    tests
        Number of tests that the q values allow for.
    arrivals
        What was judged.
    filters
        Why ``n`` is smaller than ``transitions``: ``source_place``, ``target_place``, ``signal``,
        ``filter`` (see `cxlib.fragmentation.filters`) and ``removed``. They add up; of a planned
        handoff, which is judged on all contacts at its source, there are none.
    """

    table: pl.DataFrame
    signals: pl.DataFrame
    tests: int
    arrivals: Arrivals
    filters: pl.DataFrame

    @property
    def found(self) -> pl.DataFrame:
        """The findings alone, those with most customers affected first."""
        return self.table.filter("finding").sort(
            "customers_affected", "source", "target", descending=[True, False, False]
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """The table as plain values, each row with its ``filters``: removed, by name."""
        keys = ("source_place", "target_place", "signal")
        removed: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for *key, name, number in self.filters.iter_rows():
            removed.setdefault(tuple(key), []).append({"filter": name, "removed": number})
        return [
            {**row, "filters": removed.get(tuple(row[k] for k in keys), [])}
            for row in self.table.iter_rows(named=True)
        ]

    def write_csv(self, path: str) -> None:
        """Write the table as CSV."""
        self.table.write_csv(path)

    def write_parquet(self, path: str) -> None:
        """Write the table as Parquet."""
        self.table.write_parquet(path)

    def _repr_html_(self) -> str:
        return show_findings(self.found, self.signals, self.tests)


def measure_fragmentation(
    log: Workspace | Arrivals,
    *,
    where: Selection | None = None,
    q_limit: float = Q_LIMIT,
) -> Findings:
    """Find the handoffs that break.

    Parameters
    ----------
    log
        A workspace, or the arrivals counted from one.
    where
        Part of the log: segment, periods, channel (of either end; all handoffs are judged, those
        with an end in the channel are shown).
    q_limit
        Share of false findings to allow (Benjamini-Hochberg over all tests).

    Returns
    -------
    Findings

    Examples
    --------
    >>> from cxlib.fragmentation import measure_fragmentation  # doctest: +SKIP
    >>> measure_fragmentation(workspace).found["sentence"][0]  # doctest: +SKIP
    'app basket → till loses 1,240 customers more than like handoffs do (95 %: 980 to 1,510)'
    """
    counted = log if isinstance(log, Arrivals) else read_arrivals(log)
    missing = _missing(counted)
    strata = counted if missing.get("*") else with_repeat_strata(with_strata(counted))
    part = strata.select(where)
    frames = []
    for signal, judge in _JUDGES.items():
        if signal not in missing and "*" not in missing:
            frame = judge(part)
            if len(frame):
                frames.append(frame.with_columns(signal=pl.lit(signal)))
    table = _join_names(frames, counted)
    table = _decide(table, part, q_limit)
    channel = None if where is None else where.channel
    if channel is not None:
        table = table.filter(
            (pl.col("source_channel") == channel) | (pl.col("target_channel") == channel)
        )
    tests = sum(len(f) for f in frames)
    transitions, filters = count_filters(part, table)
    table = table.with_columns(transitions=transitions).select(*_COLUMNS, *_PLACES)
    return Findings(table, _signals(table, missing, _left_out(counted)), tests, part, filters)


def _missing(arrivals: Arrivals) -> dict[str, str]:
    """Why signals cannot be measured here; key "*" for all of them."""
    s, places = arrivals.settings, arrivals.places
    everything = ""
    if s.customers < MIN_CUSTOMERS:
        everything = f"the log has {s.customers} customers, fewer than {MIN_CUSTOMERS}"
    elif s.span < MIN_SPAN:
        days = s.span.total_seconds() / 86_400
        everything = (
            f"the log covers {days:.1f} days; at least {MIN_SPAN.days} are needed to see who left"
        )
    elif s.midnight_share > 0.9:
        everything = "times are dates only (midnight), so the order of contacts is not known"
    elif places["channel"].n_unique() < 2:
        everything = (
            f"there is one channel only ({places['channel'][0]!r}), so nothing is handed over"
        )
    if everything:
        return {"*": everything}
    missing = _missing_marks(arrivals)
    if not int(arrivals.arrivals["rating_n"].sum()):
        missing["perception_dip"] = "the log has no ratings"
    stages = places.filter(pl.col("stage_index") < 255)["stage_index"].n_unique()
    if stages < 2:
        missing["backtracking"] = "the touchpoints lie in fewer than two stages"
    apart = check_links(arrivals.links, places, s.unknown_share)
    return missing | (dict.fromkeys(NEEDS_LINKS, apart) if apart else {})


def _missing_marks(arrivals: Arrivals) -> dict[str, str]:
    """Signals for which the journey map does not say what they need to know."""
    places, missing = arrivals.places, {}
    if flags_of(places, "repeatable", default=True).all():
        missing["repeated_task"] = "the map marks no touchpoint `repeatable: false`"
    assisted, alone = flags_of(places, "assisted"), flags_of(places, "self_service")
    if not assisted.any():
        missing["repeat_contact"] = "the map marks no touchpoint `assisted: true`"
        missing["self_service_leak"] = missing["repeat_contact"]
    elif not (alone & ~assisted & ~flags_of(places, "completes")).any():
        missing["self_service_leak"] = (
            "the map marks no touchpoint `self_service: true` that does not itself complete"
        )
    plan = len(arrivals.settings.plan)
    if plan <= MIN_LIKE:
        missing["broken_handoff"] = (
            f"the map plans {plan} handoffs, and more than {MIN_LIKE} are needed to say what is "
            "usual; each is described by itself"
            if plan
            else "the map plans no handoff"
        )
    return missing


def _join_names(frames: list[pl.DataFrame], arrivals: Arrivals) -> pl.DataFrame:
    both = (
        pl.concat(frames)
        if frames
        else no_cells().with_columns(signal=pl.lit("", pl.String)).clear()
    )
    places = arrivals.places
    index = {"source": both["source"], "target": both["target"]}
    named = both.rename({"source": "source_place", "target": "target_place"}).with_columns(
        source=places["touchpoint"].gather(index["source"]),
        target=places["touchpoint"].gather(index["target"]),
        source_channel=places["channel"].gather(index["source"]),
        target_channel=places["channel"].gather(index["target"]),
        stage=places["stage"].gather(index["target"]),
        owner=places["owner"].gather(index["target"]),
        source_owner=places["owner"].gather(index["source"]),
    )
    changes = (pl.col("source_channel") != pl.col("target_channel")) | (
        pl.col("source_owner") != pl.col("owner")
    ).fill_null(False)
    hours = arrivals.settings.open_hours
    is_open = (pl.col("signal") == "delay") & pl.col("target_place").is_in(
        [] if hours is None else hours.timed
    )
    unit = pl.col("signal").replace_strict(UNITS, default="")
    return named.with_columns(
        handoff=changes, unit=pl.when(is_open).then(pl.lit(OPEN_UNIT)).otherwise(unit)
    )


def _decide(table: pl.DataFrame, part: Arrivals, q_limit: float) -> pl.DataFrame:
    """Add q, customers_affected, finding, stable, echo_of and the sentence."""
    q = false_discovery_rate(table["p"].to_numpy()) if len(table) else np.zeros(0)
    judged = table.with_columns(q=pl.Series(q, dtype=pl.Float64), n=pl.col("n").cast(pl.Int64))
    judged = judged.with_columns(
        customers_affected=(pl.col("n") * pl.col("touched")).round().cast(pl.Int64),
        significant=(pl.col("q") <= q_limit) & _large_enough(judged, part),
    )
    keys = ["source_place", "target_place", "signal"]
    for found in (check_stability(judged, part), check_responses(judged, part)):
        judged = judged.join(found, on=keys, how="left", maintain_order="left")
    judged = judged.with_columns(stable=pl.coalesce("stable", "confirmed"))
    decided = choose_findings(judged).with_columns(simpson=flag_simpson(judged))
    sentences = [
        say_finding(row) if row["finding"] else None for row in decided.iter_rows(named=True)
    ]
    return decided.with_columns(sentence=pl.Series(sentences, dtype=pl.String)).sort(
        "finding", "p", "source", "target", "signal", descending=[True] + [False] * 4
    )


def _large_enough(judged: pl.DataFrame, part: Arrivals) -> pl.Expr:
    width = _scale_width(part)
    size = (
        pl.when(pl.col("signal") == "perception_dip")
        .then(-pl.col("effect") / width)
        .otherwise(pl.col("effect"))
    )
    least = pl.col("signal").replace_strict(LEAST_EFFECT, default=0.0, return_dtype=pl.Float64)
    return size >= least


def _scale_width(part: Arrivals) -> float:
    """Width of the rating scale in use: four standard deviations of a rating."""
    table = part.arrivals
    n = float(table["rating_n"].sum())
    if n < 2:
        return 1.0
    mean = float(table["rating_sum"].sum()) / n
    return 4 * max(float(table["rating_sq"].sum()) / n - mean**2, 1e-6) ** 0.5


def _left_out(arrivals: Arrivals) -> dict[str, str]:
    """Why some handoffs are not judged, by signal."""
    hours = arrivals.settings.open_hours
    why = None if hours is None else hours.left_out()
    return {} if why is None else {"delay": why}


def _signals(
    table: pl.DataFrame, missing: Mapping[str, str], left_out: Mapping[str, str]
) -> pl.DataFrame:
    counts = {
        row[0]: row[1:]
        for row in table.group_by("signal").agg(pl.len(), pl.col("finding").sum()).iter_rows()
    }
    rows = []
    for signal in _JUDGES:
        reason = missing.get("*", missing.get(signal))
        tested, found = counts.get(signal, (0, 0))
        if reason is None and tested == 0:
            few = f"no transition has the {MIN_N} arrivals that a judgement needs"
            reason = left_out.get(signal, few)
        said = None if reason is None else f"not measurable, because {reason}"
        if reason is None and signal in left_out:
            said = f"in part not measurable, because {left_out[signal]}"
        rows.append(
            {
                "signal": signal,
                "measurable": reason is None,
                "reason": said,
                "tested": int(tested),
                "findings": int(found),
            }
        )
    return pl.DataFrame(
        rows,
        schema={
            "signal": pl.String,
            "measurable": pl.Boolean,
            "reason": pl.String,
            "tested": pl.Int64,
            "findings": pl.Int64,
        },
    )
