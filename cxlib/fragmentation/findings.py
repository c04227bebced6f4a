"""The one table: every signal on every ground, what stands out, and how sure it is.

`measure_fragmentation` lets each ground judge what it can, corrects for everything that was tested
(Benjamini-Hochberg), folds echoes under their cause and says the result in words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.arrivals.links import check_links
from cxlib.arrivals.open_hours import OPEN_UNIT
from cxlib.errors import UnknownNameError
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.filters import count_filters
from cxlib.fragmentation.nonresponse import check_responses
from cxlib.fragmentation.sentences import say_finding, show_findings
from cxlib.fragmentation.stability import check_stability, flag_simpson
from cxlib.grounds import GROUNDS
from cxlib.grounds.again import with_repeat_strata
from cxlib.grounds.judged import JUDGED
from cxlib.grounds.strata import with_strata
from cxlib.signals import SIGNALS, signal_named
from cxlib.statistics.multiple_testing import false_discovery_rate

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Selection

Q_LIMIT = 0.03
"""Largest q value of a finding."""

MIN_CUSTOMERS = 100
MIN_SPAN = timedelta(days=7)

RELATIVE = 0.5
"""Change of the logit from which on a third of the least effect is enough: of what hardly anybody
does (or nearly everybody), a few points are a multiple."""

LEAST_AFFECTED = 20.0
"""Customers (lower end) whom a date or a group must affect to be worth a finding: of the many that
are looked at, the smallest differ by chance. In small logs 0.2 % of the customers, at least 5."""

_COLUMNS = (
    "unit",
    "source",
    "target",
    "source_channel",
    "target_channel",
    "stage",
    "owner",
    "handoff",
    "signal",
    "ground",
    "compared_with",
    "group",
    "value",
    "since",
    "affected_until",
    "transitions",
    "n",
    "observed",
    "expected",
    "others",
    "effect",
    "low",
    "high",
    "effect_unit",
    "p",
    "q",
    "customers_affected",
    "hours_lost",
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
        One row per signal, ground and unit judged, findings first, then by p value: ``unit``
        (place, transition, stage_step), ``source``, ``target`` (of a place: where nearly all go on
        to, else null; of a step: stages) and their channels, ``stage`` and ``owner`` of the target,
        ``handoff`` (channel or owner changes), ``signal``, ``ground``, ``compared_with`` with
        ``group`` and ``value`` (the column and value it is about; null: everybody), ``since`` and
        ``affected_until`` (first days; null: not known, still so), ``transitions`` (of transitions:
        as `cxlib.measures.measure_transitions` counts them), ``n`` (cases judged), ``observed``,
        ``expected``, ``effect`` with ``low`` and ``high`` (95 %, natural differences included) in
        ``effect_unit``, ``others`` (of groups: what the others show as they are counted), ``p``
        (one-sided, towards harm), ``q``, ``customers_affected`` (arrivals × the lower end of the
        share who would not have met this; waits: all who waited longer),
        ``hours_lost`` (waits: n × the excess, lower end), ``finding``, ``stable`` (same sign at
        other settings: `cxlib.fragmentation.stability`; null where there are none, or nothing to be
        found), ``simpson`` (the crude comparison points the other way), ``response`` (of ratings:
        given, per arrival) and, of those that stand out, ``weighted`` with ``weighted_low`` and
        ``weighted_high`` (the effect if everybody had answered), ``echo_of`` (the finding this one
        follows from), ``sentence`` (findings only).
    signals
        One row per signal: ``signal``, ``measurable``, ``reason`` (why not, or what is left out),
        ``tested``, ``findings``.
    grounds
        One row per ground and signal: ``ground``, ``signal``, ``tested``, ``findings``, ``reason``.
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
    grounds: pl.DataFrame
    tests: int
    arrivals: Arrivals
    filters: pl.DataFrame

    @property
    def found(self) -> pl.DataFrame:
        """The findings alone, those with most customers affected first."""
        return self.table.filter("finding").sort(
            "customers_affected", "source", "target", descending=[True, False, False]
        )

    @property
    def described(self) -> pl.DataFrame:
        """What there is to tell beside findings (`cxlib.fragmentation.standouts`)."""
        from cxlib.fragmentation.standouts import describe_standouts

        return describe_standouts(self)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The table as plain values, each row with its ``filters``: removed, by name."""
        keys = ("source_place", "target_place", "signal")
        removed: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for *key, name, number in self.filters.iter_rows():
            removed.setdefault(tuple(key), []).append({"filter": name, "removed": number})
        return [
            {
                **row,
                "filters": removed.get(tuple(row[k] for k in keys), [])
                if row["ground"] == "like"
                else [],
            }
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
    grounds: Collection[str] | None = None,
    signals: Collection[str] | None = None,
) -> Findings:
    """Find where the experience breaks.

    Parameters
    ----------
    log
        A workspace, or the arrivals counted from one.
    where
        Part of the log: segment, periods, channel (of either end; everything is judged, what has
        an end in the channel is shown).
    q_limit
        Share of false findings to allow (Benjamini-Hochberg over all tests).
    grounds, signals
        Names of those to judge; None: all.

    Returns
    -------
    Findings

    Raises
    ------
    UnknownNameError
        For a ground or signal that there is not.

    Examples
    --------
    >>> from cxlib.fragmentation import measure_fragmentation  # doctest: +SKIP
    >>> measure_fragmentation(workspace).found["sentence"][0]  # doctest: +SKIP
    'app basket → till loses 1,240 customers more than like handoffs do (95 %: 980 to 1,510)'
    """
    for kind, names, known in (("ground", grounds, GROUNDS), ("signal", signals, SIGNALS)):
        for name in names or ():
            if name not in known:
                raise UnknownNameError(kind, name, list(known))
    counted = log if isinstance(log, Arrivals) else read_arrivals(log)
    missing = _missing(counted)
    frames = []
    part = counted
    why_not: dict[str, str] = {}
    if "*" not in missing:
        part = with_repeat_strata(with_strata(counted)).select(where)
        judged = {
            name: signal
            for name, signal in zip(SIGNALS, SIGNALS.values(), strict=True)
            if name not in missing and (signals is None or name in signals)
        }
        for ground in GROUNDS.values():
            if grounds is not None and ground.name not in grounds:
                continue
            why_not[ground.name] = ground.needs(part)
            if not why_not[ground.name]:
                frames += ground.judge(part, judged)
    table = _join_names(frames, counted)
    table = _decide(table, part, q_limit)
    channel = None if where is None else where.channel
    if channel is not None:
        ends = (pl.col("source_channel") == channel) | (pl.col("target_channel") == channel)
        table = table.filter(ends.fill_null(False))
    tests = sum(len(f) for f in frames)
    told = _signals(table, missing, _left_out(counted))
    if signals is not None:
        told = told.filter(pl.col("signal").is_in(list(signals)))
    table = table.with_row_index("at")
    like = table.filter(pl.col("ground") == "like")
    transitions, filters = count_filters(part, like)
    counted_rows = like.select("at", transitions=transitions)
    table = table.join(counted_rows, on="at", how="left", maintain_order="left")
    table = table.select(*_COLUMNS, *_PLACES)
    return Findings(table, told, _grounds(table, why_not), tests, part, filters)


def _missing(arrivals: Arrivals) -> dict[str, str]:
    """Why signals cannot be measured here; key "*" for all of them."""
    s = arrivals.settings
    if s.customers < MIN_CUSTOMERS:
        return {"*": f"the log has {s.customers} customers, fewer than {MIN_CUSTOMERS}"}
    if s.span < MIN_SPAN:
        days = s.span.total_seconds() / 86_400
        few = f"the log covers {days:.1f} days; at least {MIN_SPAN.days} are needed to see who left"
        return {"*": few}
    missing = {n: why for n in SIGNALS if (why := SIGNALS[n].needs(arrivals))}
    apart = check_links(arrivals.links, arrivals.places, s.unknown_share)
    linked = [n for n in SIGNALS if SIGNALS[n].follows_customers] if apart else []
    return missing | dict.fromkeys(linked, apart)


def _join_names(frames: list[pl.DataFrame], arrivals: Arrivals) -> pl.DataFrame:
    nothing = pl.DataFrame(schema=JUDGED | {"signal": pl.String, "ground": pl.String})
    both = pl.concat([nothing, *frames])
    places = arrivals.places

    def look(column: str, place: str) -> pl.Expr:
        index = pl.when(pl.col(place) >= 0).then(pl.col(place))
        return pl.lit(places[column]).gather(index)

    end = pl.when(pl.col("unit") == "place").then("source_place").otherwise("target_place")
    named = both.with_columns(_end=end).with_columns(
        source_channel=look("channel", "source_place"),
        target_channel=look("channel", "target_place"),
        source_owner=look("owner", "source_place"),
        stage=look("stage", "_end"),
        owner=look("owner", "_end"),
    )
    moves = pl.col("unit") == "transition"
    changes = (pl.col("source_channel") != pl.col("target_channel")) | (
        pl.col("source_owner") != pl.col("owner")
    ).fill_null(False)
    hours = arrivals.settings.open_hours
    is_open = pl.col("signal").is_in([n for n in SIGNALS if SIGNALS[n].family == "wait"]) & pl.col(
        "target_place"
    ).is_in([] if hours is None else hours.timed)
    unit = pl.col("signal").replace_strict({n: SIGNALS[n].unit for n in SIGNALS}, default="")
    return named.with_columns(
        handoff=(moves & changes).fill_null(False),
        effect_unit=pl.when(is_open).then(pl.lit(OPEN_UNIT)).otherwise(unit),
    ).drop("_end")


def _decide(table: pl.DataFrame, part: Arrivals, q_limit: float) -> pl.DataFrame:
    """Add q, customers_affected, finding, stable, echo_of and the sentence."""
    q = false_discovery_rate(table["p"].to_numpy()) if len(table) else np.zeros(0)
    judged = table.with_columns(
        q=pl.Series(q, dtype=pl.Float64),
        n=pl.col("n").round().cast(pl.Int64),
        customers_affected=pl.col("affected").round().cast(pl.Int64),
        hours_lost=pl.col("hours"),
    )
    judged = judged.with_columns(
        significant=(pl.col("q") <= q_limit) & _large_enough(judged, part)
    ).with_row_index("row")
    keys = ["source_place", "target_place", "signal"]
    like = judged.filter(pl.col("ground") == "like")
    for found in (check_stability(like, part), check_responses(like, part)):
        like = like.join(found, on=keys, how="left", maintain_order="left")
    added = [c for c in like.columns if c not in judged.columns]
    judged = judged.join(like.select("row", *added), on="row", how="left", maintain_order="left")
    judged = judged.with_columns(stable=pl.coalesce("stable", "confirmed"))
    decided = choose_findings(judged).with_columns(simpson=flag_simpson(judged))
    sentences = [
        say_finding(row) if row["finding"] else None for row in decided.iter_rows(named=True)
    ]
    return (
        decided.with_columns(sentence=pl.Series(sentences, dtype=pl.String))
        .sort(
            "finding", "p", "source", "target", "signal", "ground", "row",
            descending=[True] + [False] * 6,
        )
    )  # fmt: skip


def _large_enough(judged: pl.DataFrame, part: Arrivals) -> pl.Expr:
    width = _scale_width(part)
    family = pl.col("signal").replace_strict(
        {n: SIGNALS[n].family for n in SIGNALS}, default="share", return_dtype=pl.String
    )
    least = pl.col("signal").replace_strict(
        {n: SIGNALS[n].least for n in SIGNALS}, default=0.0, return_dtype=pl.Float64
    )
    effect = pl.when(family == "rating").then(-pl.col("effect") / width).otherwise("effect")
    seen, usual = (pl.col(c).clip(1e-4, 1 - 1e-4) for c in ("observed", "expected"))
    moved = (seen / (1 - seen)).log() - (usual / (1 - usual)).log()
    # of like handoffs it is the points that matter: logits of rare things differ by nature
    elsewhere = (family == "share") & (pl.col("ground") != "like")
    multiple = elsewhere & (moved >= RELATIVE) & (effect >= least / 3)
    large = (effect >= least) | multiple
    # groups differ in where they like to go: of going back, twice as much is asked
    backs = [n for n in SIGNALS if SIGNALS[n].sends_back]
    liking = pl.col("signal").is_in(backs) & (pl.col("ground") == "groups")
    fewest = min(LEAST_AFFECTED, max(5.0, 0.002 * part.settings.customers))
    enough = (pl.col("ground").is_in(["like", "plan"])) | (pl.col("affected") >= fewest)
    return large & enough & ~(liking & (effect < 2 * least))


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
    waits = [n for n in SIGNALS if SIGNALS[n].family == "wait"]
    return {} if why is None else dict.fromkeys(waits, why)


def _signals(
    table: pl.DataFrame, missing: Mapping[str, str], left_out: Mapping[str, str]
) -> pl.DataFrame:
    counts = _counted(table, "signal")
    rows = []
    for name in SIGNALS:
        reason = missing.get("*", missing.get(name))
        tested, found = counts.get((name,), (0, 0))
        if reason is None and tested == 0:
            few = f"nothing has the {signal_named(name).enough} that a judgement needs"
            reason = left_out.get(name, few)
        said = None if reason is None else f"not measurable, because {reason}"
        if reason is None and name in left_out:
            said = f"in part not measurable, because {left_out[name]}"
        rows.append((name, reason is None, said, tested, found))
    schema = {"signal": pl.String, "measurable": pl.Boolean, "reason": pl.String}
    return pl.DataFrame(
        rows, schema=schema | {"tested": pl.Int64, "findings": pl.Int64}, orient="row"
    )


def _counted(table: pl.DataFrame, *keys: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """Tests and findings by the keys."""
    counted = table.group_by(*keys).agg(pl.len(), pl.col("finding").sum())
    return {row[: len(keys)]: (int(row[-2]), int(row[-1])) for row in counted.iter_rows()}


def _grounds(table: pl.DataFrame, why_not: Mapping[str, str]) -> pl.DataFrame:
    counts = _counted(table, "ground", "signal")
    rows: list[tuple[Any, ...]] = [
        (ground, signal, *counts.get((ground, signal), (0, 0)), why or None)
        for ground, why in why_not.items()
        for signal in SIGNALS
        if not why and (ground, signal) in counts
    ]
    rows += [(ground, None, 0, 0, why) for ground, why in why_not.items() if why]
    schema = {"ground": pl.String, "signal": pl.String, "tested": pl.Int64, "findings": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"reason": pl.String}, orient="row")


def headline(findings: Findings) -> str | None:
    """The sentence above a journey map: the finding that affects most, else what is described.

    None where there is nothing to say. Never raw drop-off: who leaves after an ad has not been
    lost by it.
    """
    if not findings.found.is_empty():
        return str(findings.found["sentence"][0])
    described = findings.described
    return None if described.is_empty() else str(described["sentence"][0])
