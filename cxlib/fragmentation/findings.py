"""The one table: every signal on every ground, what stands out, and how sure it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.arrivals.links import check_links
from cxlib.arrivals.open_hours import OPEN_UNIT
from cxlib.columns import (
    Amount,
    Chance,
    Columns,
    Count,
    Customers,
    Day,
    Flag,
    Label,
    Share,
    Tables,
    Text,
)
from cxlib.errors import UnknownNameError
from cxlib.fragmentation.by_period import count_filters
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.sentences import say_finding, say_reasons
from cxlib.fragmentation.stability import check_responses, check_stability, flag_simpson
from cxlib.grounds import GROUNDS
from cxlib.grounds.cells import MOST, with_repeat_strata
from cxlib.grounds.judged import Z95, judged_frame
from cxlib.grounds.kinds import Judged
from cxlib.grounds.like import MIN_LIKE
from cxlib.grounds.strata import with_strata
from cxlib.numbers import decimal
from cxlib.results import Result, answers, result
from cxlib.signals import SIGNALS
from cxlib.statistics.multiple_testing import selected_families
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.tables import as_records

Q_LIMIT = 0.02
"""Largest q value of a finding."""

MIN_CUSTOMERS = 100
MIN_SPAN = timedelta(days=7)

RELATIVE = 0.5
"""Change of the logit from which on a third of the least effect is enough: of what hardly anybody
does (or nearly everybody), a few points are a multiple."""

_NO_LIKING = 3 * RELATIVE
"""The same from which on going back is no matter of where a group likes to go."""

_LARGE, _CLEAR, _HOPELESS = 4.0, 4.0, 0.1
"""Multiple of the least effect that a test should see, at so many standard errors, to weigh fully;
and what it weighs where it cannot."""

LEAST_WAITED = 1 / 120
"""Hours by which a wait must be longer: of a click nobody is kept waiting by some seconds. Twice as
much against similar handoffs, which differ by seconds by nature."""

LEAST_AFFECTED = 10.0
"""Customers (lower end) whom a date or a group must affect to be worth a finding: of the many that
are looked at, the smallest differ by chance. In small logs 0.1 % of the customers, at least 5."""

_ENDS = ("low", "high")

ROW = Columns(
    "one row per signal, ground and unit judged; findings first, then by p value",
    unit=Label("place, transition or stage_step"),
    source=Label("touchpoint (of a step: stage) where it is, or that is left"),
    target=Label("what is reached; of a place where nearly all go on to, else null"),
    source_channel=Label("its channel"),
    target_channel=Label("its channel"),
    stage=Label("stage of what is judged"),
    owner=Label("who answers for it"),
    handoff=Flag("whether channel or owner changes"),
    signal=Label("what went wrong"),
    ground=Label("with what it is compared: like, past, groups, plan"),
    compared_with=Label("in words"),
    group=Label("column of the group it is about; null: everybody"),
    value=Label("value of that column"),
    since=Day("first day; null: always, or not known"),
    affected_until=Day("day from which on it was mended; null: still so"),
    transitions=Count("of transitions: as `measure_transitions` counts them", each="contacts"),
    n=Count("cases judged", each="contacts"),
    observed=Amount("share, hours or rating"),
    expected=Amount("the same on the ground compared with"),
    others=Amount("of groups and past: what they are compared with, as counted", detail=True),
    effect=Amount("natural differences included", interval=_ENDS),
    effect_unit=Label("unit of the effect"),
    p=Chance("one-sided, towards harm"),
    q=Chance("share of false findings if this and all clearer ones were found"),
    customers_affected=Customers(
        "arrivals × lower end of the share who would not have met this; of waits all of them"
    ),
    hours_lost=Amount("waits: n × the excess, lower end"),
    finding=Flag("whether it is a finding"),
    stable=Flag("same sign at other settings; null: there are none, or nothing was found"),
    simpson=Flag("whether the crude comparison points the other way"),
    response=Share("ratings given, per arrival"),
    weighted=Amount("effect on ratings if everybody had answered", interval=True),
    echo_of=Label("the finding this one follows from"),
    sentence=Text("in words; findings only"),
    source_place=Label("number of the place of the source; −1: a stage", detail=True),
    target_place=Label("number of the place of the target; −1: none", detail=True),
)
"""What is told of everything judged."""

COUNTED = {"tested": Count("units judged"), "findings": Count("of these")}


@result
class Findings(Result):
    """What `measure_fragmentation` returns: ``found``, the findings, and ``table``, all judged.

    Attributes
    ----------
    tests
        Number of tests that the q values allow for.
    arrivals
        What was judged.
    """

    title: ClassVar[str] = "What breaks"
    tables: ClassVar[Tables] = Tables(
        table=ROW,
        signals=Columns(
            "one row per signal",
            signal=Label("its name"),
            measurable=Flag("whether it could be judged"),
            reason=Text("why not, or what is left out"),
            **COUNTED,
        ),
        grounds=Columns(
            "one row per ground and signal",
            ground=Label("its name"),
            signal=Label("null: the ground could not be judged"),
            **COUNTED,
            reason=Text("why not"),
        ),
        filters=Columns(
            "why n is smaller than transitions: transitions − removed = n; none of the plan",
            source_place=ROW["source_place"],
            target_place=ROW["target_place"],
            signal=ROW["signal"],
            filter=Label("see `cxlib.fragmentation.by_period`"),
            removed=Count("transitions that it took away", each="contacts"),
        ),
    )

    signals: pl.DataFrame
    grounds: pl.DataFrame
    filters: pl.DataFrame
    tests: int
    arrivals: Arrivals

    @property
    def found(self) -> pl.DataFrame:
        """The findings alone, those with most customers affected first."""
        return rank_findings(self.table)

    @property
    def described(self) -> pl.DataFrame:
        """What there is to tell beside findings (`cxlib.fragmentation.described`)."""
        from cxlib.fragmentation.described import describe_standouts

        return describe_standouts(self)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The table as plain values, each row with its ``filters``: removed, by name."""
        removed: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for *key, name, number in self.filters.iter_rows():
            removed.setdefault(("like", *key), []).append({"filter": name, "removed": number})
        keys = ("ground", "source_place", "target_place", "signal")
        return [
            row | {"filters": removed.get(tuple(row[k] for k in keys), [])}
            for row in as_records(self.table)
        ]

    def _repr_html_(self) -> str:
        shown = self.found.select("sentence", "ground", "n", "q", "customers_affected")
        tested = f"{decimal(self.tests)} tests, corrected for their number (Benjamini-Hochberg)"
        above = [] if len(shown) else ["Nothing stands out from what it is compared with."]
        above += [f"{line}." for line in say_reasons(self.signals)]
        return self.columns.written(shown).to_html(caption=f"{self.title} ({tested})", above=above)


def rank_findings(table: pl.DataFrame) -> pl.DataFrame:
    """The findings of a table alone, those with most customers affected first."""
    return table.filter("finding").sort(
        "customers_affected", "source", "target", descending=[True, False, False], nulls_last=True
    )


@answers(Findings)
def measure_fragmentation(
    log: Workspace | Arrivals,
    *,
    where: Selection | None = None,
    q_limit: float = Q_LIMIT,
    grounds: Collection[str] | None = None,
    signals: Collection[str] | None = None,
) -> Findings:
    """Find where journeys break: what is worse than it would be without a fault, and for sure.

    Everything that can be judged is judged, and the false-discovery rate is controlled over all of
    it (Benjamini-Hochberg); `docs/signals` says how each signal is defined.

    Parameters
    ----------
    workspace
        The workspace, or the arrivals counted from one.
    where
        Part of the log: segment, periods, channel (of either end; everything is judged, what has
        an end in the channel is shown).
    q_limit
        Share of false findings to allow (within each ground; families of tests at one touchpoint).
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
    'app basket → till loses 1,240 customers more than similar handoffs do (95 %: 980 to 1,510)'
    """
    for kind, names, known in (("ground", grounds, GROUNDS), ("signal", signals, SIGNALS)):
        for name in names or ():
            if name not in known:
                raise UnknownNameError(kind, name, list(known))
    if not isinstance(log, Arrivals):  # backlog, views and snapshots ask for the same
        arrivals = read_arrivals(log)
        asked: dict[str, Any] = {"where": where, "q_limit": q_limit}
        asked |= {"grounds": grounds, "signals": signals}
        file = log.log_folder / "arrivals" / "arrivals.json"
        return log.keep(f"findings {asked}", file, lambda: measure_fragmentation(arrivals, **asked))
    missing, part = _missing(log), log
    judged: list[Judged] = []
    why_not: dict[str, str] = {}
    if "*" not in missing:
        part = with_repeat_strata(with_strata(log)).select(where)
        names = [n for n in SIGNALS if n not in missing and (signals is None or n in signals)]
        for ground in GROUNDS.values():
            if grounds is None or ground.name in grounds:
                why_not[ground.name] = ground.needs(part)
                if not why_not[ground.name]:
                    found = ground.judge(part, {name: SIGNALS[name] for name in names})
                    judged += [{**rows, "ground": ground.name} for rows in found]
    table = _decide(_join_names(judged_frame(judged), log), part, q_limit)
    tests = len(table)
    if where is not None and where.channel is not None:
        ends = pl.any_horizontal(
            (pl.col(f"{end}_channel") == where.channel).fill_null(False)
            for end in ("source", "target")
        )
        table = table.filter(ends)
    alone = grounds is not None and set(grounds) == {"like"}
    told = _signals(table, missing, log, f"fewer than {MIN_LIKE} transitions have" if alone else "")
    if signals is not None:
        told = told.filter(pl.col("signal").is_in(list(signals)))
    table = table.with_row_index("at")
    like = table.filter(pl.col("ground") == "like")
    transitions, filters = count_filters(part, like)
    counted = like.select("at", transitions=transitions)
    return Findings(
        table=table.join(counted, on="at", how="left", maintain_order="left").select(ROW.names),
        signals=told,
        grounds=_grounds(table, why_not),
        filters=filters,
        tests=tests,
        arrivals=part,
        observed_until=part.settings.observed_until,
        where=where,
    )


def _missing(arrivals: Arrivals) -> dict[str, str]:
    """Why signals cannot be measured here; key "*" for all of them."""
    s = arrivals.settings
    if s.customers < MIN_CUSTOMERS:
        return {"*": f"the log has fewer than {MIN_CUSTOMERS} customers"}
    if s.span < MIN_SPAN:
        few = f"the log covers {s.span / timedelta(days=1):.1f} days; at least {MIN_SPAN.days}"
        return {"*": f"{few} are needed to see who left"}
    missing = {n: why for n in SIGNALS if (why := SIGNALS[n].needs(arrivals))}
    apart = check_links(arrivals.links, arrivals.places, s.unknown_share)
    linked = [n for n in SIGNALS if SIGNALS[n].follows_customers] if apart else []
    return missing | dict.fromkeys(linked, apart)


def _join_names(judged: pl.DataFrame, arrivals: Arrivals) -> pl.DataFrame:
    places = arrivals.places

    def look(column: str, place: str) -> pl.Expr:
        index = pl.when(pl.col(place) >= 0).then(pl.col(place))
        return pl.lit(places[column]).gather(index)

    end = pl.when(pl.col("unit") == "place").then("source_place").otherwise("target_place")
    named = judged.with_columns(_end=end).with_columns(
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
    timed = [] if hours is None else hours.timed
    is_open = (pl.col("family") == "wait") & pl.col("target_place").is_in(timed)
    kinds = pl.DataFrame(
        [(s.name, s.unit, *(getattr(s, name) for name in _OF_SIGNAL)) for s in SIGNALS.values()],
        schema={"signal": pl.String, "effect_unit": pl.String, **_OF_SIGNAL},
        orient="row",
    )
    return named.join(kinds, on="signal", how="left", maintain_order="left").with_columns(
        handoff=(moves & changes).fill_null(False),
        effect_unit=pl.when(is_open).then(pl.lit(OPEN_UNIT)).otherwise("effect_unit"),
    )


_OF_SIGNAL = {
    "family": pl.String,
    "least": pl.Float64,
    "sends_back": pl.Boolean,
    "compares_alone": pl.Boolean,
}
"""What deciding needs to know of a row's signal."""


def _decide(table: pl.DataFrame, part: Arrivals, q_limit: float) -> pl.DataFrame:
    """Add q, customers_affected, finding, stable, echo_of and the sentence."""
    judged = table.with_columns(
        q=_correct(table, part),
        n=pl.col("n").round().cast(pl.Int64),
        customers_affected=pl.col("affected").round().cast(pl.Int64),
        hours_lost="hours",
    )
    large = _large_enough(part)
    judged = judged.with_columns(significant=(pl.col("q") <= q_limit) & large)
    judged = judged.with_row_index("row")
    keys = ["source_place", "target_place", "signal"]
    like = judged.filter(pl.col("ground") == "like")
    for found in (check_stability(like, part), check_responses(like, part)):
        like = like.join(found, on=keys, how="left", maintain_order="left")
    added = [c for c in like.columns if c not in judged.columns]
    judged = judged.join(like.select("row", *added), on="row", how="left", maintain_order="left")
    judged = judged.with_columns(stable=pl.coalesce("stable", "confirmed"))
    decided = choose_findings(judged).with_columns(simpson=flag_simpson(judged))
    found = decided.filter("finding")
    said = [say_finding(row) for row in found.iter_rows(named=True)]
    told = decided["row"].replace_strict(
        found["row"], pl.Series(said, dtype=pl.String), default=None, return_dtype=pl.String
    )
    return decided.with_columns(sentence=told).sort(
        *("finding", "p", "source", "target", "signal", "ground", "row"),
        descending=[True] + [False] * 6,
    )


def _correct(table: pl.DataFrame, part: Arrivals) -> pl.Series:
    """Q values by ground, of families (`docs/decisions/0013-each-ground-its-own-tests.md`)."""
    from scipy.special import ndtr

    q = np.ones(len(table))
    low, high, least = (table[c].to_numpy() for c in (*_ENDS, "least"))
    waits, ratings = ((table["family"] == f).to_numpy() for f in ("wait", "rating"))
    reach = np.where(waits, np.log(np.maximum(high, 1e-9) / np.maximum(low, 1e-9)), high - low)
    least = np.where(waits, np.log(least), least * np.where(ratings, _scale_width(part), 1.0))
    weight = ndtr(_LARGE * least / np.maximum(reach / (2 * Z95), 1e-9) - _CLEAR) + _HOPELESS
    at = pl.when(pl.col("unit") == "place").then("source").otherwise("target")
    family = table.select(at.fill_null("").rank("dense")).to_series().to_numpy()
    pool = table.select(pl.struct("ground", pl.col("group").is_null())).to_series().rank("dense")
    for number in pool.unique():
        mine = (pool == number).to_numpy()
        p = table["p"].to_numpy()[mine] * weight[mine].mean() / weight[mine]
        q[mine] = selected_families(np.minimum(p, 1.0), family[mine])
    return pl.Series(q, dtype=pl.Float64)


def _large_enough(part: Arrivals) -> pl.Expr:
    width, family, least = _scale_width(part), pl.col("family"), pl.col("least")
    effect = pl.when(family == "rating").then(-pl.col("effect") / width).otherwise("effect")
    seen, usual = (pl.col(c).clip(1e-4, 1 - 1e-4) for c in ("observed", "expected"))
    moved = (seen / (1 - seen)).log() - (usual / (1 - usual)).log()
    # of similar handoffs it is the points that matter: logits of rare things differ by nature
    elsewhere = (family == "share") & (pl.col("ground") != "like")
    multiple = elsewhere & (moved >= RELATIVE) & (effect >= least / 3)
    waited = LEAST_WAITED * pl.when(pl.col("ground") == "like").then(2).otherwise(1)
    soon = (family == "wait") & (pl.col("observed") - pl.col("expected") < waited)
    large = ((effect >= least) | multiple) & ~soon
    # groups differ in where they like to go: of going back, twice as much is asked
    liking = pl.col("sends_back") & (pl.col("ground") == "groups")
    liking &= (effect < least) | ((effect < 2 * least) & (moved < _NO_LIKING))
    by_design = pl.col("sends_back") & (pl.col("expected") >= MOST)
    fewest = min(LEAST_AFFECTED, max(5.0, 0.001 * part.settings.customers))
    enough = (pl.col("ground").is_in(["like", "plan"])) | (pl.col("affected") >= fewest)
    return large & enough & ~liking & ~by_design


def _scale_width(part: Arrivals) -> float:
    """Width of the rating scale in use: four standard deviations of a rating."""
    table = part.arrivals
    n = float(table["rating_n"].sum())
    if n < 2:
        return 1.0
    mean = float(table["rating_sum"].sum()) / n
    return 4 * max(float(table["rating_sq"].sum()) / n - mean**2, 1e-6) ** 0.5


def _signals(
    table: pl.DataFrame, missing: Mapping[str, str], log: Arrivals, few: str
) -> pl.DataFrame:
    counts, rows = _counted(table, "signal"), []
    hours = log.settings.open_hours
    left_out = None if hours is None else hours.left_out()
    for name, signal in SIGNALS.items():
        reason = missing.get("*", missing.get(name))
        partly = left_out if signal.family == "wait" else None
        if reason is None and (name,) not in counts:
            reason = partly or f"{few or 'nothing has'} the {signal.enough} that a judgement needs"
        why, part = (partly, "in part ") if reason is None else (reason, "")
        said = None if why is None else f"{part}not measurable, because {why}"
        told = {"signal": name, "measurable": reason is None, "reason": said}
        rows.append(told | counts.get((name,), _NONE))
    return Findings.tables["signals"].frame(rows)


_NONE = {"tested": 0, "findings": 0}


def _counted(table: pl.DataFrame, *keys: str) -> dict[tuple[str, ...], dict[str, int]]:
    """Tests and findings by the keys."""
    counted = table.group_by(*keys).agg(tested=pl.len(), findings=pl.col("finding").sum())
    return {tuple(row.pop(k) for k in keys): row for row in counted.to_dicts()}


def _grounds(table: pl.DataFrame, why_not: Mapping[str, str]) -> pl.DataFrame:
    counts = _counted(table, "ground", "signal")
    order = [(ground, signal) for ground in why_not for signal in SIGNALS]
    rows: list[dict[str, Any]] = [
        {"ground": key[0], "signal": key[1], **counts[key]} for key in order if key in counts
    ]
    rows += [{"ground": name, "reason": why, **_NONE} for name, why in why_not.items() if why]
    return Findings.tables["grounds"].frame(rows)
