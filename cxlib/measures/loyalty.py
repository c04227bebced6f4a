"""Loyalty: who comes back and who reaches the goal again, by when, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Customers, Label, Level, Money, Points, Share, Tables
from cxlib.contracts import DIMENSION
from cxlib.errors import InputError, NotMeasurableError
from cxlib.journeys import NO_STAGE
from cxlib.numbers import decimal, money, plural, points, share
from cxlib.results import Result, answers, interval_row, result
from cxlib.sequences import choose_contacts, meets_finding, own_places
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import Interval, difference_of_rates, divide, rate_interval
from cxlib.statistics.recurrence import EventCurve, event_curve, mean_cumulative
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.surveys import CLASSES, rating_class, scale_ends

DAYS = (7, 30, 90, 180, 365, 730)
"""Days after the first journey, or the first goal, that are asked about where nothing is said."""

RETURN, REPEAT_GOAL, FINDING, EVERYBODY = "return", "repeat_goal", "finding", "all"

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
            days=Level("after the first journey, or the first goal"),
            n=Customers("followed from then on"),
            events=Customers("with the outcome by these days"),
            at_risk=Customers("followed so long without it", detail=True),
            share=Share(
                "with the outcome by then; null: none was followed so long",
                of="at_risk",
                interval=True,
            ),
            smaller=Customers("at risk in the group or of the others: the fewer", detail=True),
            difference=Points(
                "to all other customers told apart in this way; of findings: to their like",
                of="smaller",
                interval=True,
            ),
            alike=Customers("of n with their like in the other group", detail=True, optional=True),
            value=Money("mean amount in later journeys by then", interval=True, optional=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say how many come back, and which groups clearly do so more or less often."""
        said = []
        for outcome in self.table["outcome"].unique(maintain_order=True):
            rows = self.table.filter(pl.col("outcome") == outcome)
            whole = rows.filter((pl.col("by") == EVERYBODY) & pl.col("share").is_not_null())
            if whole.is_empty():
                continue
            longest = whole.filter(pl.col("at_risk") >= 0.1 * pl.col("n")).tail(1)
            row = (longest if len(longest) else whole.head(1)).row(0, named=True)
            worth = ""
            if row.get("value") is not None:
                each = money(row["value"], row["value_low"], row["value_high"])
                worth = f", worth {each} each"
            said.append(
                f"{share(row['share'], row['share_low'], row['share_high'])} of "
                f"{plural(row['n'], 'customer')} {_VERBS[outcome]} within {row['days']} days{worth}"
            )
            said += _clear_differences(rows.filter(pl.col("days") == row["days"]))
        return said


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

    ``return``: time from the last contact of a customer's first journey to his first contact of a
    later one that is his own act: what the company begins, and a delivery, brings nobody back.
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
    days
        Numbers of days; None: `DAYS`, without 730 where the log is shorter.
    findings
        Findings that customers may have met by then: ``cx.find_breaks(workspace).found``.
    where
        Segment of the customer; periods in which his first journey began, and channel of its first
        contact.

    Raises
    ------
    InputError, NotMeasurableError
        A number of days is below 1; nobody can come back.
    """
    if days is not None and (not days or min(days) < 1):
        raise InputError("days must be whole numbers from 1 on, such as 30")
    rule = workspace.journey_map.journey
    if rule.gap is None and not rule.restart:
        raise NotMeasurableError(
            "every customer of this log is one journey (`restart: false`, no gap), so nobody can "
            "come back; where another column says whose journeys these are, name it in the map "
            "under columns: {customer: …}, and give a gap"
        )
    journeys = _read_journeys(workspace, where)
    until = pl.select(pl.lit(workspace.observed_until).dt.timestamp("us")).item()
    length = 0.0 if journeys.is_empty() else (until - journeys["began"].min()) / _DAY
    asked = sorted(set(days)) if days is not None else [d for d in DAYS if d < 730 or length >= d]
    amounts = _read_amounts(workspace)
    rows = []
    for outcome, first in _outcomes(journeys).items():
        if first.is_empty():
            continue
        for by, names, grouped in _groupings(workspace, first, findings, until):
            followed = _Followed(grouped, until, amounts, np.array(asked))
            for code, group in enumerate(names):
                head = {"outcome": outcome, "by": by, "group": group}
                rows += [head | row for row in followed.rows(code)]
    if not rows:
        raise NotMeasurableError("the log has no customer who could come back")
    table = Loyalty.tables["table"].frame(rows)
    return Loyalty(table=table.with_columns(pl.col("days").cast(pl.UInt32)))


def _read_journeys(workspace: Workspace, where: Selection | None) -> pl.DataFrame:
    """Journeys of the chosen customers, by customer and time; instants in microseconds."""
    goals = workspace.places.filter("is_goal")["place"].implode()
    at = pl.col("occurred_at").to_physical()
    journeys = (
        workspace.store()
        .group_by("customer", "journey")
        .agg(
            pl.col("segment", "place", "period").first(),
            began=at.min(),
            came=at.filter(own_places(workspace)).min(),
            last=at.max(),
            goal=at.filter(pl.col("place").is_in(goals)).min(),
        )
        .sort("journey")
        .collect()
    )
    begun = journeys.unique("customer", keep="first", maintain_order=True)
    chosen = choose_contacts(workspace, begun, where).select("customer")
    return journeys.join(chosen, on="customer", how="semi", maintain_order="left")


def _read_amounts(workspace: Workspace) -> pl.DataFrame | None:
    """Contacts with an amount; None where the log has none."""
    if "amount" not in workspace.store().collect_schema().names():
        return None
    at = pl.col("occurred_at").to_physical()
    kept = workspace.store().select("customer", "amount", later="journey", at=at)
    return kept.drop_nulls("amount").collect()


def _outcomes(journeys: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Per customer when the time to an outcome begins to run (``origin``) and ends (``event``)."""
    begun = journeys.group_by("customer", maintain_order=True).agg(
        pl.col("journey", "segment", "place").first(),
        origin=pl.col("last").first(),
        event=pl.col("came").slice(1).min(),
    )
    reached = journeys.drop_nulls("goal").group_by("customer", maintain_order=True)
    goals = reached.agg(
        pl.col("journey").first(),
        origin=pl.col("goal").first(),
        event=pl.col("goal").get(1, null_on_oob=True),
    )
    known = begun.select("customer", "segment", "place")
    goals = goals.join(known, on="customer", how="left", maintain_order="left")
    return {RETURN: begun, REPEAT_GOAL: goals}


def _groupings(
    workspace: Workspace, first: pl.DataFrame, findings: pl.DataFrame | None, until: int
) -> Iterator[tuple[str, list[str], pl.DataFrame]]:
    """Ways to tell customers apart, names of the groups, and customers with their ``group``."""
    places, segments = workspace.places, workspace.segments
    yield EVERYBODY, [EVERYBODY], first.with_columns(group=pl.lit(0, pl.UInt32))
    ways = [(c, places[c], "place") for c in ("touchpoint", "channel")]
    ways += [(c, segments[c], "segment") for c in segments.columns if c.startswith(DIMENSION)]
    for by, labels, key in ways:
        number = first[key].cast(pl.UInt32)
        names = labels.gather(number.unique().sort()).unique(maintain_order=True).to_list()
        code = {name: i for i, name in enumerate(names)}
        group = labels.gather(number).replace_strict(code, return_dtype=pl.UInt32)
        yield by, names, first.with_columns(group=group)
    yield from _by_rating(workspace, first, until)
    if findings is not None and len(findings):
        yield FINDING, ["none", "met"], _by_finding(workspace, first, findings)


def _by_finding(workspace: Workspace, first: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
    """Customers by whether they had met a finding, with those whose like they are."""
    stage = workspace.places["stage_index"].cast(pl.Int64).replace(NO_STAGE, -1)
    at = pl.col("occurred_at").to_physical()
    met = workspace.store().select("customer", "place", at=at).collect()
    met = met.with_columns(met=meets_finding(workspace, findings))
    by_then = met.join(first.select("customer", "origin", "segment"), on="customer")
    told = (
        by_then.filter(pl.col("at") <= pl.col("origin"))
        .group_by("customer")
        .agg(
            pl.col("segment").first(),
            stage=pl.lit(stage).gather(pl.col("place").cast(pl.UInt32)).max(),
            contacts=pl.len().log(2).floor(),
            group=pl.col("met").any().cast(pl.Int64),
        )
        .with_columns(stratum=pl.struct("segment", "stage", "contacts").rank("dense") - 1)
    )
    return first.join(
        told.select("customer", "group", "stratum"), on="customer", maintain_order="left"
    )


def _by_rating(
    workspace: Workspace, first: pl.DataFrame, until: int
) -> Iterator[tuple[str, list[str], pl.DataFrame]]:
    """The last answer up to the origin; else the first about that journey before the event."""
    at = pl.col("rated_at").to_physical()
    ratings = workspace.ratings().filter("is_counted")
    said = ratings.select("customer", "scale", "rating", about="journey", at=at).collect()
    late = pl.col("at") > pl.col("origin")
    order = pl.when(late).then(pl.col("at")).otherwise(-pl.col("at"))
    in_time = pl.col("at") < pl.col("event").fill_null(until + 1)
    for scale in said["scale"].unique().sort():
        given = said.filter(pl.col("scale") == scale)
        low, high = scale_ends(workspace, scale, given["rating"].to_numpy())
        one = (
            given.join(first, on="customer")
            .filter(~late | ((pl.col("about") == pl.col("journey")) & in_time))
            .sort("customer", late, order, "rating", maintain_order=True)
            .unique("customer", keep="first", maintain_order=True)
            .with_columns(origin=pl.max_horizontal("origin", "at"))
        )
        if len(one):
            code = rating_class(one["rating"].to_numpy(), low=low, high=high)
            yield f"rating.{scale}", [*CLASSES], one.with_columns(group=pl.Series(code))


Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


class _Followed:
    """Customers followed from an instant on, told apart by group; times in days."""

    def __init__(
        self,
        followed: pl.DataFrame,
        until: int,
        amounts: pl.DataFrame | None,
        days: NDArray[np.int64],
    ) -> None:
        self.days = days
        self.group = followed["group"].to_numpy().astype(np.int64)
        self.stratum = followed["stratum"].to_numpy() if "stratum" in followed.columns else None
        # an event at or after the end of observation has not been observed
        self.happened = (followed["event"] <= until).fill_null(False).to_numpy()
        ends = followed["event"].fill_null(until).clip(None, until).to_numpy()
        origin = followed["origin"].to_numpy().astype(np.float64)
        self.time = np.maximum(ends - origin, 0.0) / _DAY
        self.follow_up = np.maximum(until - origin, 0.0) / _DAY
        self.at_risk = self._curve(np.ones(len(followed), dtype=bool)).at_risk
        self.spent = None
        if amounts is not None:
            own = followed.select("customer", "journey", "origin").with_row_index("who")
            later = amounts.join(own, on="customer").filter(
                (pl.col("later") > pl.col("journey")) & (pl.col("at") >= pl.col("origin"))
            )
            self.spent = later.with_columns(when=(pl.col("at") - pl.col("origin")) / _DAY)

    def rows(self, code: int) -> Iterator[dict[str, Any]]:
        """One row per number of days of a group; none where it is empty."""
        mine = self.group == code
        if not mine.any():
            return
        curve, pairs = self._curve(mine), self._alike(mine)
        found = {"share": curve.share, "difference": self._difference(pairs)}
        if self.spent is not None:
            found["value"] = self._value(self.spent, mine)
        for i, days in enumerate(self.days):
            row = {"days": int(days), "n": int(mine.sum())}
            row |= {"events": int(curve.events[i]), "at_risk": int(curve.at_risk[i])}
            row["smaller"] = min(row["at_risk"], int(self.at_risk[i]) - row["at_risk"])
            if self.stratum is not None:
                row["alike"] = sum(int(a.sum()) for a, _ in pairs)
            told: dict[str, float] = {}
            for name, interval in found.items():
                told |= interval_row(name, interval, i)
            yield row | {name: None if np.isnan(v) else v for name, v in told.items()}

    def _alike(self, mine: Flags) -> list[tuple[Flags, Flags]]:
        """Customers of the group and all others, by stratum; none if few are alike."""
        if self.stratum is None:
            return [(mine, ~mine)]
        strata = (self.stratum == s for s in np.unique(self.stratum[mine]))
        pairs = [(mine & here, ~mine & here) for here in strata]
        pairs = [pair for pair in pairs if min(p.sum() for p in pair) >= _FEWEST_ALIKE]
        return pairs if 2 * sum(a.sum() for a, _ in pairs) >= mine.sum() else []

    def _difference(self, pairs: list[tuple[Flags, Flags]]) -> Interval:
        if not pairs:
            return Interval(*np.full((4, len(self.days)), np.nan))
        curves = [[self._curve(part) for part in pair] for pair in pairs]
        share, se, contacts, units = (
            np.array([[of(c) for c in pair] for pair in curves])
            for of in (
                lambda c: c.share.estimate,
                lambda c: c.share.se,
                lambda c: np.maximum(c.events + c.at_risk, 1),
                lambda c: np.where(c.share.estimate >= 1, c.events, c.at_risk),
            )
        )
        p, spread = _standardised(pairs, share, se)
        n, customers = contacts.sum(axis=0), units.sum(axis=0)
        low, high = rate_interval(p, spread, contacts=n, customers=customers)
        first, second = zip(p, low, high, strict=True)
        return Interval(*difference_of_rates(first, second), np.hypot(*spread))

    def _curve(self, part: Flags) -> EventCurve:
        return event_curve(self.time[part], self.happened[part], self.days)

    def _value(self, spent: pl.DataFrame, part: Flags) -> Interval:
        its, place = spent.filter(part[spent["who"].to_numpy()]), np.cumsum(part) - 1
        when, who, amount = (its[c].to_numpy() for c in ("when", "who", "amount"))
        return mean_cumulative(when, place[who], amount, self.follow_up[part], self.days)


def _standardised(
    pairs: list[tuple[Flags, Flags]], values: Values, se: Values
) -> tuple[Values, Values]:
    """Mean over strata ``[strata, kinds, days]``, each weighing n₁ n₀ / (n₁ + n₀), and its error.

    Of those that are known at a time; NaN where none is.
    """
    n = np.array([[part.sum() for part in pair] for pair in pairs], dtype=np.float64)
    known = ~np.isnan(values).any(axis=1)
    weight = divide(n.prod(axis=1), n.sum(axis=1))[:, None] * known
    weight = divide(weight, weight.sum(axis=0))[:, None]
    there = np.where(known.any(axis=0), 1.0, np.nan)
    mean = np.nansum(weight * values, axis=0) * there
    return mean, np.sqrt(np.nansum((weight * se) ** 2, axis=0)) * there
