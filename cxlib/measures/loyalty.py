"""Loyalty: who comes back and who reaches the goal again, by when, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Count, Customers, Label, Money, Points, Share, Tables
from cxlib.errors import InputError, NotMeasurableError
from cxlib.journeys import NO_STAGE
from cxlib.numbers import decimal, money, plural, points, share
from cxlib.results import Result, answers, result
from cxlib.segments import DIMENSION
from cxlib.sequences import choose_contacts, meets_finding
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import Interval, difference_of_rates, divide, rate_interval
from cxlib.statistics.recurrence import EventCurve, event_curve, mean_cumulative
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.surveys import CLASSES, rating_class, scale_ends

__all__ = ["DAYS", "Loyalty", "measure_loyalty"]

DAYS = (7, 30, 90, 180, 365, 730)
"""Days after the first journey, or the first goal, that are asked about where nothing is said."""

RETURN, REPEAT_GOAL, FINDING = "return", "repeat_goal", "finding"

_DAY = 86_400e6
_FEWEST_ALIKE = 5
_TOLD_FROM = 30
"""Customers a group needs for its difference to be put into words."""

_VERBS = {RETURN: "came back after their first journey", REPEAT_GOAL: "reached the goal again"}


@result
class Loyalty(Result):
    """What `measure_loyalty` returns."""

    title = "Who comes back"
    tables = Tables(
        table=Columns(
            "one row per outcome, group and number of days; the group of all customers first",
            outcome=Label("return, or repeat_goal"),
            by=Label(
                "all, touchpoint or channel of the first contact, segment.NAME, rating.SCALE, or "
                "finding"
            ),
            group=Label("low, middle, high of a rating; met or none of findings"),
            days=Count("after the first journey, or the first goal"),
            n=Customers("followed from then on"),
            events=Customers("with the outcome by these days"),
            at_risk=Customers("followed so long without it", detail=True),
            share=Share("with the outcome by then; null: none was followed so long", interval=True),
            difference=Points(
                "to all other customers told apart in this way; of findings: to their like",
                interval=True,
            ),
            alike=Customers("of n with their like in the other group", detail=True, optional=True),
            value=Money("mean amount in later journeys by then", interval=True, optional=True),
            value_difference=Money("of these to those others", interval=True, optional=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say how many come back, and which groups clearly do so more or less often."""
        said = []
        for outcome in self.table["outcome"].unique(maintain_order=True):
            rows = self.table.filter(pl.col("outcome") == outcome)
            whole = rows.filter((pl.col("by") == "all") & pl.col("share").is_not_null())
            if whole.is_empty():
                continue
            longest = whole.filter(pl.col("at_risk") >= 0.1 * pl.col("n")).tail(1)
            row = (longest if len(longest) else whole.head(1)).row(0, named=True)
            worth = "" if row.get("value") is None else f", worth {_worth(row)} each"
            said.append(
                f"{share(row['share'], row['share_low'], row['share_high'])} of "
                f"{plural(row['n'], 'customer')} {_VERBS[outcome]} within {row['days']} days{worth}"
            )
            said += _clear_differences(rows.filter(pl.col("days") == row["days"]))
        return said


def _worth(row: dict[str, Any]) -> str:
    return money(row["value"], row["value_low"], row["value_high"])


def _clear_differences(rows: pl.DataFrame) -> list[str]:
    """Say the strongest differences between groups that stand among so many tests."""
    tested = rows.filter(pl.col("difference").is_not_null() & (pl.col("n") >= _TOLD_FROM))
    if tested.is_empty():
        return []
    apart, low, high = (
        tested[c].to_numpy() for c in ("difference", "difference_low", "difference_high")
    )
    # the interval is not symmetric: what counts is its end towards none
    half = np.where(apart > 0, apart - low, high - apart)
    q = false_discovery_rate(p_values(apart, half / 1.96))
    clear = tested.filter(pl.Series(np.nan_to_num(q, nan=1.0) <= 0.05)).sort(
        pl.col("difference").abs(), descending=True
    )
    return [
        f"{row['by'].removeprefix(DIMENSION)} {row['group']}: "
        f"{share(row['share'], row['share_low'], row['share_high'])} "
        f"(n = {decimal(row['n'])}), {points(row['difference'])} to "
        f"{'their like' if row['by'] == FINDING else 'the others'} "
        "(goes with it; no cause is shown)"
        for row in clear.unique("by", keep="first", maintain_order=True).head(4).to_dicts()
    ]


@answers(Loyalty)
def measure_loyalty(
    workspace: Workspace,
    *,
    days: Sequence[int] | None = None,
    findings: pl.DataFrame | None = None,
    where: Selection | None = None,
) -> Loyalty:
    r"""Measure who comes back, who reaches the goal again, and what that is worth.

    ``return``: time from the last contact of a customer's first journey to his second journey.
    ``repeat_goal``: time from the first goal to the first goal of a later journey. Shares are one
    minus Kaplan-Meier, the customer being the unit; who has not come back is followed to the end
    of observation. A loss of the map keeps nobody from coming back, so nothing competes.

    Groups are what is known when the time begins to run. For ratings that is the last answer up to
    then; of who answered about that journey later, before coming back, time runs from the first
    such answer: nobody is counted as rated while he still had to come back to be so. `value` is
    the mean amount of the contacts in later journeys.

    Who met a finding (came to its place, when and in the group that it is about) is compared with
    his like: within strata of the furthest stage, the number of contacts (doubling) and the
    segment, each weighted by n₁ n₀ / (n₁ + n₀). Where fewer than half have their like in the other
    group, no difference is told.

    Parameters
    ----------
    workspace
        The workspace.
    days
        Numbers of days; None: `DAYS`, without 730 where the log is shorter.
    findings
        Findings that customers may have met by then: ``cx.find_breaks(workspace).found``.
    where
        Segment of the customer; periods in which his first journey began, and channel of its first
        contact.

    Returns
    -------
    Loyalty

    Raises
    ------
    InputError
        A number of days is below 1.

    References
    ----------
    Kaplan & Meier (1958), doi:10.1080/01621459.1958.10501452; Newcombe (1998),
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I (differences); Lawless &
    Nadeau (1995), doi:10.1080/00401706.1995.10484300 (amounts).
    """
    if days is not None and (not days or min(days) < 1):
        raise InputError("days must be whole numbers from 1 on, such as 30")
    log = _Log.read(workspace, where, findings)
    asked = sorted(set(days)) if days is not None else [d for d in DAYS if d < 730 or log.days >= d]
    rows = [
        row
        for outcome, first in ((RETURN, log.firsts()), (REPEAT_GOAL, log.first_goals()))
        if len(first)
        for row in _Outcome(log, outcome, first, np.array(asked)).rows()
    ]
    if not rows:
        raise NotMeasurableError("the log has no customer who could come back")
    return Loyalty(
        table=Loyalty.tables["table"].frame(rows),
        observed_until=workspace.observed_until,
        where=where,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """Journeys, one row each, sorted by customer and time; instants in microseconds."""

    workspace: Workspace
    journeys: pl.DataFrame
    until: int
    findings: pl.DataFrame | None

    @classmethod
    def read(
        cls, workspace: Workspace, where: Selection | None, findings: pl.DataFrame | None
    ) -> _Log:
        goals = workspace.places.filter("is_goal")["place"].implode()
        at = pl.col("occurred_at").to_physical()
        journeys = (
            workspace.store()
            .group_by("customer", "journey")
            .agg(
                pl.col("segment", "place", "period").first(),
                began=at.min(),
                last=at.max(),
                goal=at.filter(pl.col("place").is_in(goals)).min(),
            )
            .sort("journey")
            .collect()
        )
        begun = journeys.unique("customer", keep="first", maintain_order=True)
        chosen = choose_contacts(workspace, begun, where).select("customer")
        journeys = journeys.join(chosen, on="customer", how="semi", maintain_order="left")
        until = pl.select(pl.lit(workspace.observed_until).dt.timestamp("us")).item()
        return cls(workspace, journeys, until, findings)

    @property
    def days(self) -> float:
        """Length of the log."""
        began = self.journeys["began"].min()
        return 0.0 if began is None else float(self.until - began) / _DAY  # type: ignore[operator]

    def firsts(self) -> pl.DataFrame:
        """Per customer the first journey, its end (``origin``) and the next journey (``event``)."""
        return self._begun().select(
            "customer", "journey", "segment", "place", origin="last", event="next"
        )

    def first_goals(self) -> pl.DataFrame:
        """Per customer who reached it the first goal, and the first goal of a later journey."""
        begun = self._begun().select("customer", "segment", "place")
        reached = self.journeys.filter(pl.col("goal").is_not_null()).group_by(
            "customer", maintain_order=True
        )
        goals = reached.agg(
            pl.col("journey").first(),
            origin=pl.col("goal").first(),
            event=pl.col("goal").get(1, null_on_oob=True),
        )
        return goals.join(begun, on="customer", how="left", maintain_order="left")

    def _begun(self) -> pl.DataFrame:
        return self.journeys.group_by("customer", maintain_order=True).agg(
            pl.col("journey", "segment", "place", "last").first(),
            next=pl.col("began").get(1, null_on_oob=True),
        )

    def amounts(self) -> pl.DataFrame | None:
        """Contacts with an amount; None where the log has none."""
        if "amount" not in self.workspace.store().collect_schema().names():
            return None
        at = pl.col("occurred_at").to_physical()
        kept = self.workspace.store().select("customer", "amount", later="journey", at=at)
        return kept.drop_nulls("amount").collect()


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """One outcome: per customer when the time begins to run (``origin``) and ends (``event``)."""

    log: _Log
    name: str
    first: pl.DataFrame
    days: NDArray[np.int64]

    def rows(self) -> Iterator[dict[str, Any]]:
        amounts = self.log.amounts()
        for by, names, followed in self._groupings():
            table = _Followed.of(followed, self.log.until, amounts, self.days)
            for code, group in enumerate(names):
                head = {"outcome": self.name, "by": by, "group": group}
                yield from ({**head, **row} for row in table.rows(code))

    def _groupings(self) -> Iterator[tuple[str, list[str], pl.DataFrame]]:
        """Ways to tell customers apart, names of the groups, and customers with their ``group``."""
        places, segments = self.log.workspace.places, self.log.workspace.segments
        yield "all", ["all"], self.first.with_columns(group=pl.lit(0, pl.UInt32))
        ways = [(c, places[c], "place") for c in ("touchpoint", "channel")]
        ways += [(c, segments[c], "segment") for c in segments.columns if c.startswith(DIMENSION)]
        for by, labels, key in ways:
            numbers = self.first[key].cast(pl.UInt32)
            present = labels.gather(numbers.unique().sort())
            names = present.unique(maintain_order=True).to_list()
            code = labels.gather(numbers).replace_strict(
                names, range(len(names)), return_dtype=pl.UInt32
            )
            yield by, names, self.first.with_columns(group=code)
        yield from self._by_rating()
        if self.log.findings is not None and len(self.log.findings):
            yield FINDING, ["none", "met"], self._by_finding(self.log.findings)

    def _by_finding(self, findings: pl.DataFrame) -> pl.DataFrame:
        """Customers by whether they had met a finding, with those whose like they are."""
        workspace = self.log.workspace
        stage = workspace.places["stage_index"].cast(pl.Int64)
        at = pl.col("occurred_at").to_physical()
        met = workspace.store().select("customer", "place", at=at).collect()
        met = met.with_columns(met=meets_finding(workspace, findings))
        known = pl.lit(stage.replace(NO_STAGE, -1)).gather(pl.col("place").cast(pl.UInt32))
        by_then = met.join(self.first.select("customer", "origin", "segment"), on="customer")
        told = (
            by_then.filter(pl.col("at") <= pl.col("origin"))
            .group_by("customer")
            .agg(
                pl.col("segment").first(),
                stage=known.max(),
                contacts=pl.len().log(2).floor(),
                group=pl.col("met").any().cast(pl.Int64),
            )
            .with_columns(stratum=pl.struct("segment", "stage", "contacts").rank("dense") - 1)
        )
        return self.first.join(
            told.select("customer", "group", "stratum"), on="customer", maintain_order="left"
        )

    def _by_rating(self) -> Iterator[tuple[str, list[str], pl.DataFrame]]:
        workspace = self.log.workspace
        said = (
            workspace.ratings()
            .filter("is_counted")
            .select(
                "customer", "scale", "rating", about="journey", at=pl.col("rated_at").to_physical()
            )
            .collect()
        )
        for scale in said["scale"].unique().sort():
            given = said.filter(pl.col("scale") == scale)
            low, high = scale_ends(workspace, scale, given["rating"].to_numpy())
            known = given.join(self.first, on="customer").filter(
                (pl.col("at") <= pl.col("origin"))
                | (
                    (pl.col("about") == pl.col("journey"))
                    & (pl.col("at") < pl.col("event").fill_null(self.log.until + 1))
                )
            )
            late = pl.col("at") > pl.col("origin")
            order = pl.when(late).then(pl.col("at")).otherwise(-pl.col("at"))
            one = (
                known.sort("customer", late, order, "rating", maintain_order=True)
                .unique("customer", keep="first", maintain_order=True)
                .with_columns(origin=pl.max_horizontal("origin", "at"))
            )
            if len(one):
                code = rating_class(one["rating"].to_numpy(), low=low, high=high)
                yield f"rating.{scale}", [*CLASSES], one.with_columns(group=pl.Series(code))


_Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class _Followed:
    """Customers followed from an instant on, told apart by group."""

    group: NDArray[np.int64]
    stratum: NDArray[np.int64]
    time: NDArray[np.float64]
    happened: NDArray[np.bool_]
    follow_up: NDArray[np.float64]
    spent: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]] | None
    days: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        followed: pl.DataFrame,
        until: int,
        amounts: pl.DataFrame | None,
        days: NDArray[np.int64],
    ) -> _Followed:
        # an event at or after the end of observation has not been observed
        happened = (followed["event"] <= until).fill_null(False).to_numpy()
        ends = followed["event"].fill_null(until).clip(None, until)
        origin = followed["origin"].to_numpy().astype(np.float64)
        spent = None
        if amounts is not None:
            own = followed.select("customer", "journey", "origin").with_row_index("who")
            later = amounts.join(own, on="customer").filter(
                (pl.col("later") > pl.col("journey")) & (pl.col("at") >= pl.col("origin"))
            )
            spent = (
                (later["at"] - later["origin"]).to_numpy() / _DAY,
                later["who"].to_numpy().astype(np.int64),
                later["amount"].to_numpy(),
            )
        if "stratum" not in followed.columns:
            followed = followed.with_columns(stratum=pl.lit(0))
        return cls(
            followed["group"].to_numpy().astype(np.int64),
            followed["stratum"].to_numpy().astype(np.int64),
            np.maximum(ends.to_numpy() - origin, 0.0) / _DAY,
            happened,
            np.maximum(until - origin, 0.0) / _DAY,
            spent,
            days,
        )

    def rows(self, code: int) -> Iterator[dict[str, Any]]:
        """One row per number of days of a group; none where it is empty."""
        mine = self.group == code
        if not mine.any():
            return
        curve = self._curve(mine)
        share = curve.share
        columns: dict[str, Any] = _interval("share", share.estimate, share.low, share.high)
        pairs = self._alike(mine)
        columns |= self._difference(pairs)
        if self.spent is not None:
            value = self._value(mine)
            columns |= _interval("value", value.estimate, value.low, value.high)
            columns |= self._value_difference(pairs)
        if self.stratum.any():
            columns["alike"] = np.full(len(self.days), sum(int(a.sum()) for a, _ in pairs))
        counts = {"days": self.days, "events": curve.events, "at_risk": curve.at_risk}
        for i in range(len(self.days)):
            row: dict[str, Any] = {name: int(values[i]) for name, values in counts.items()}
            row |= {name: _plain(values[i]) for name, values in columns.items()}
            yield {**row, "n": int(mine.sum())}

    def _alike(self, mine: NDArray[np.bool_]) -> list[_Pair]:
        """Customers of the group and all others, by stratum; none if few are alike."""
        if not self.stratum.any():
            return [(mine, ~mine)]
        strata = (self.stratum == s for s in np.unique(self.stratum[mine]))
        pairs = [(mine & here, ~mine & here) for here in strata]
        pairs = [pair for pair in pairs if min(p.sum() for p in pair) >= _FEWEST_ALIKE]
        return pairs if 2 * sum(a.sum() for a, _ in pairs) >= mine.sum() else []

    def _weights(self, pairs: list[_Pair], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Weight of each stratum at each time: n₁ n₀ / (n₁ + n₀) of those followed so long."""
        n = np.array([[p.sum() for p in pair] for pair in pairs], dtype=np.float64)
        weight = divide(n.prod(axis=1), n.sum(axis=1))[:, None] * known
        return divide(weight, weight.sum(axis=0))

    def _difference(self, pairs: list[_Pair]) -> dict[str, NDArray[np.float64]]:
        curves = [[self._curve(part) for part in pair] for pair in pairs]
        if not curves:
            return _interval("difference", *np.full((3, len(self.days)), np.nan))
        share, se, contacts, units = (
            np.array([[of(c) for c in pair] for pair in curves])
            for of in (
                lambda c: c.share.estimate,
                lambda c: c.share.se,
                lambda c: np.maximum(c.events + c.at_risk, 1),
                lambda c: np.where(c.share.estimate >= 1, c.events, c.at_risk),
            )
        )
        known = ~np.isnan(share).any(axis=1)
        weight = self._weights(pairs, known)[:, None]
        there = np.where(known.any(axis=0), 1.0, np.nan)
        p = np.nansum(weight * share, axis=0) * there
        spread = np.sqrt(np.nansum((weight * se) ** 2, axis=0)) * there
        low, high = rate_interval(
            p, spread, contacts=contacts.sum(axis=0), customers=units.sum(axis=0)
        )
        first, second = zip(p, low, high, strict=True)
        return _interval("difference", *difference_of_rates(first, second))

    def _value_difference(self, pairs: list[_Pair]) -> dict[str, NDArray[np.float64]]:
        if not pairs or not all(part.any() for pair in pairs for part in pair):
            return _interval("value_difference", *np.full((3, len(self.days)), np.nan))
        values = [[self._value(part) for part in pair] for pair in pairs]
        apart = np.array([a.estimate - b.estimate for a, b in values])
        se = np.array([np.hypot(a.se, b.se) for a, b in values])
        known = ~np.isnan(apart)
        weight = self._weights(pairs, known)
        there = np.where(known.any(axis=0), 1.0, np.nan)
        estimate = np.nansum(weight * apart, axis=0) * there
        half = 1.96 * np.sqrt(np.nansum((weight * se) ** 2, axis=0))
        return _interval("value_difference", estimate, estimate - half, estimate + half)

    def _curve(self, part: NDArray[np.bool_]) -> EventCurve:
        return event_curve(self.time[part], self.happened[part], self.days)

    def _value(self, part: NDArray[np.bool_]) -> Interval:
        assert self.spent is not None
        when, who, amount = self.spent
        its, place = part[who], np.cumsum(part) - 1
        return mean_cumulative(
            when[its], place[who[its]], amount[its], self.follow_up[part], self.days
        )


def _interval(name: str, *three: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), three, strict=True))


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
