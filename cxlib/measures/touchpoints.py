"""The journey map in numbers: every touchpoint by stage and channel, what comes after it, how it
is.

Each contact is followed by another contact of the journey (*go on*), by silence longer than the gap
(*silent*), by one of the map's losses (*declined*) or, once the goal is reached, by nothing that
could still be lost (*done*). Recent contacts have not been followed for long enough: they are
*open*, and never counted as lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import (
    Column,
    Columns,
    Count,
    Customers,
    Label,
    Money,
    Rank,
    Rating,
    Share,
    Tables,
    Wait,
)
from cxlib.results import (
    WAIT_EDGES,
    Result,
    answers,
    distinct_customers,
    durations,
    interval_columns,
    numbers,
    result,
)
from cxlib.statistics.competing_risks import (
    cumulative_incidence,
    incidence_interval,
    incidence_of_some,
    risks,
)
from cxlib.statistics.rates import Interval, divide, rate, ratio
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    dense_counts,
)
from cxlib.statistics.timed import Timed, time_quantile
from cxlib.summary import DONE, LOST, OPEN, SILENT, Selection, Summary

__all__ = ["Touchpoints", "measure_touchpoints"]

_BINS = len(WAIT_EDGES)
_GO_ON, _SILENT, _DECLINED, _DONE, _OPEN = range(5)
_SUMS = ("contacts", "rating_n", "rating_sum", "dwell_n", "dwell_seconds", "cost_sum")
#: Places worked on at a time: 500 x 32 buckets x 5 sequels x 65 bins are 42 MB.
_CHUNK = 500
Cells = NDArray[np.float64]

#: Fewest customers of a touchpoint that is called weak.
_FEWEST = 30


def _chance(about: str, *cases: str, **more: Any) -> Share:
    """Of what comes after a contact, where some contacts are still open."""
    return Share(about, of="contacts", cases=cases, open="open_n", interval=True, **more)


_SEQUEL: dict[str, Column] = {
    "customers": Customers("distinct, exact"),
    "contacts": Count("all of them", each="contacts"),
    "go_on": _chance("chance that another contact follows; go_on + lost + done = 1", "went_on_n"),
    "lost": _chance(
        "silent and declined together; null where no contact was followed up to the gap",
        *("silent_n", "declined_n"),
        settled="silent_n",
    ),
    "silent": _chance(
        "chance of silence for longer than the gap; null without a gap",
        "silent_n",
        settled="silent_n",
        detail=True,
    ),
    "declined": _chance("chance of a loss of the map", "declined_n", detail=True),
    "done": _chance(
        "chance that the journey ends at the goal or after it", "done_n", heading="goal had"
    ),
    "open": Share(
        "whose sequel is not known yet, apart from these chances",
        of="contacts",
        cases=("open_n",),
        interval=True,
    ),
    "went_on_n": Count("went on, as counted", each="contacts", detail=True),
    "silent_n": Count("fell silent", each="contacts", detail=True),
    "declined_n": Count("met a loss", each="contacts", detail=True),
    "done_n": Count("had nothing left to lose", each="contacts", detail=True),
    "open_n": Count("not known yet", each="contacts", detail=True),
    "next_wait": Wait(
        "median of those who go on", heading="next after", of="went_on_n", each="contacts"
    ),
    "rating": Rating("mean, on the map's scale", of="rating_n", each="ratings", interval=True),
    "rating_n": Count("ratings given", each="ratings", detail=True),
    "response": Share(
        "ratings per contact", heading="rated", of="contacts", cases=("rating_n",), interval=True
    ),
    "dwell": Wait(
        "mean time in the contact", of="dwell_n", each="dwell_seconds", interval=True, detail=True
    ),
    "dwell_n": Count("whose length is known", each="dwells", detail=True),
    "cost": Money("sum; null in a log without costs", each="cost", detail=True),
    "cost_per_contact": Money("mean", of="contacts", each="contacts", detail=True),
}


@result
class Touchpoints(Result):
    """What `measure_touchpoints` returns.

    Attributes
    ----------
    stages, channels
        Names in the order of the journey map.
    """

    by_stage: pl.DataFrame
    by_channel: pl.DataFrame
    whole: pl.DataFrame
    stages: tuple[str, ...]
    channels: tuple[str, ...]
    customers: int
    journeys: int
    contacts: int

    title = "Touchpoints"
    tables = Tables(
        table=Columns(
            "one row per touchpoint, channel and stage with any contact, in the order of the map",
            place=Label("number in the summary", detail=True),
            stage=Label("of the journey map"),
            touchpoint=Label("its name"),
            channel=Label("by which medium"),
            owner=Label("who answers for it", detail=True),
            **_SEQUEL,
            weakest=Rank(
                "by customers lost, 1 the most, judged by the lower end of lost; null below 30 "
                "customers, where lost is not known, and for contacts that the company initiated "
                "(a mailing that nobody answers has lost nobody)",
                of="lost",
            ),
        ),
        by_stage=Columns("the same by stage", stage=Label("of the map"), **_SEQUEL),
        by_channel=Columns("the same by channel", channel=Label("its name"), **_SEQUEL),
        whole=Columns("the same for all contacts together, in one row", **_SEQUEL),
    )
    figures = Columns(
        customers=Customers("in the part asked about"),
        journeys=Count("begun there", each="journeys"),
        contacts=Count("there", each="contacts"),
    )


@answers(Touchpoints)
def measure_touchpoints(summary: Summary, *, where: Selection | None = None) -> Touchpoints:
    r"""Measure every touchpoint by stage and channel: how many, what comes next, how it is
    perceived.

    What comes next are competing risks. With :math:`d_k(t)` contacts followed by cause k after the
    wait t, :math:`Y(t)` still waiting, and :math:`\hat S` the Kaplan-Meier share without any cause,

    .. math:: F_k = \sum_{t \le gap} \hat S(t-) \frac{d_k(t)}{Y(t)}

    so that contacts near the end of the log count for as long as they were observed. Silence is
    known at the gap only, and is what remains there. Intervals: customers in 32 buckets,
    delete-one-bucket jackknife, Wilson at the effective sample size.

    Parameters
    ----------
    summary
        The journey summary.
    where
        Segment, periods (of the contact) and channel to look at; all by default.

    Returns
    -------
    Touchpoints

    References
    ----------
    Putter, Fiocco & Geskus (2007), Tutorial in biostatistics: competing risks. doi:10.1002/sim.2712

    Examples
    --------
    >>> found = measure_touchpoints(summary)
    >>> found.table.select("touchpoint", "channel", "customers", pl.col("go_on").round(2)).row(0)
    ('newsletter', 'email', 37, 0.66)
    """
    chosen = summary.select(where)
    places = chosen.places
    stage_names = [*chosen.stage_names, *_further_stages(places, chosen.stage_names)]
    stage_of = places["stage"].replace_strict(
        stage_names, range(len(stage_names)), return_dtype=pl.Int64
    )
    channels = list(chosen.channels)
    channel_of = places["channel"].replace_strict(
        channels, range(len(channels)), return_dtype=pl.Int64
    )
    asked = _Asked(chosen, where)
    levels = {
        "stage": _Counted.empty(stage_of.to_numpy(), len(stage_names)),
        "channel": _Counted.empty(channel_of.to_numpy(), len(channels)),
        "all": _Counted.empty(chosen.part_of, chosen.parts),
    }
    parts = []
    for counted in _count_places(chosen):
        parts.append(asked.answer(counted, level="place"))
        for together in levels.values():
            together.add(counted)
    by_place = pl.concat(parts)
    by_stage, by_channel, whole = (asked.answer(c, level=k) for k, c in levels.items())
    # places are numbered in the order of the journey map
    named = places.select(
        "place",
        "stage",
        "touchpoint",
        "channel",
        "owner",
        _asked=pl.col("initiated_by") == "customer",
    ).hstack(by_place)
    seen = whole["customers"].sum()
    return Touchpoints(
        table=_ranked(named.filter(pl.col("contacts") > 0)),
        by_stage=_with_name("stage", stage_names, by_stage),
        by_channel=_with_name("channel", channels, by_channel),
        whole=whole,
        stages=tuple(stage_names),
        channels=tuple(channels),
        customers=int(seen or 0),
        journeys=int(chosen.starts["n"].sum()),
        contacts=int(chosen.contacts["contacts"].sum()),
        observed_until=chosen.observed_until,
        where=where,
    )


def _further_stages(places: pl.DataFrame, known: tuple[str, ...]) -> list[str]:
    """Stages of the log that are not columns of the map ("unmapped"), last."""
    return (
        places.filter(~pl.col("stage").is_in(known))["stage"].unique(maintain_order=True).to_list()
    )


def _with_name(column: str, names: list[str], table: pl.DataFrame) -> pl.DataFrame:
    named = pl.DataFrame({column: names}, schema={column: pl.String}).hstack(table)
    return named.filter(pl.col("contacts") > 0)


def _ranked(table: pl.DataFrame) -> pl.DataFrame:
    """Rank the touchpoints by the customers that are lost there for sure.

    A mailing that nobody answers has lost nobody: what the company initiated is not ranked.
    """
    known = pl.col("_asked") & (pl.col("customers") >= _FEWEST)
    sure = pl.when(known).then(pl.col("customers") * pl.col("lost_low"))
    return table.with_columns(
        weakest=pl.when(sure > 0).then(sure.rank("ordinal", descending=True)).cast(pl.UInt32)
    ).drop("_asked")


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """Counts of some cells: sets of places.

    Attributes
    ----------
    first
        Number of the first cell.
    cell_of
        The cell of every place.
    followed
        Contacts by cell, bucket, sequel (four causes, and open) and bin of the wait.
    sums
        The sums of the contacts table, by cell and bucket.
    """

    first: int
    cell_of: NDArray[np.int64]
    followed: Counts
    sums: dict[str, Counts]

    @classmethod
    def empty(cls, cell_of: NDArray[np.int64], cells: int) -> _Counted:
        followed = np.zeros((cells, BUCKETS, 5, _BINS))
        return cls(0, cell_of, followed, {name: np.zeros((cells, BUCKETS)) for name in _SUMS})

    def add(self, places: _Counted) -> None:
        """Add the counts of single places to those of the cells they are in."""
        cells = self.cell_of[places.first : places.first + len(places.followed)]
        for cell in np.unique(cells):
            here = cells == cell
            self.followed[cell] += places.followed[here].sum(axis=0)
            for name in _SUMS:
                self.sums[name][cell] += places.sums[name][here].sum(axis=0)


def _count_places(chosen: Summary) -> Iterator[_Counted]:
    """Count the contacts of every place, so many places at a time that memory stays small."""
    places = len(chosen.places)
    for first in range(0, max(places, 1), _CHUNK):
        cells = min(_CHUNK, places - first)
        steps, contacts = chosen.steps, chosen.contacts
        if places > _CHUNK:
            here = pl.col("place").is_between(first, first + cells - 1)
            steps, contacts = steps.filter(here), contacts.filter(here)
        axes: dict[str, tuple[pl.Series | NDArray[np.int64], int]] = {
            "cell": (contacts["place"].to_numpy().astype(np.int64) - first, cells),
            "bucket": (contacts["bucket"], BUCKETS),
        }
        sums = {name: dense_counts(axes, contacts[name]) for name in _SUMS}
        yield _Counted(first, np.arange(places), _followed(steps, first, cells), sums)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The part of the summary asked about, and how its counts are turned into answers."""

    chosen: Summary
    where: Selection | None

    def answer(self, counted: _Counted, *, level: str) -> pl.DataFrame:
        """Measure every cell of one level."""
        end = counted.first + len(counted.followed)
        customers = distinct_customers(self.chosen, where=self.where, level=level, cells=end)
        customers = customers[counted.first :]
        columns: dict[str, pl.Series] = {
            "customers": numbers(customers).cast(pl.UInt32),
            "contacts": _whole_numbers(counted.sums["contacts"]),
        }
        columns |= _sequel(
            counted.followed[:, :, :_OPEN],
            counted.followed[:, :, _OPEN],
            customers,
            gap=self.chosen.gap is not None,
            has_losses=bool(self.chosen.places["is_lost"].any()),
        )
        columns["next_wait"] = self._next_wait(counted)
        has_costs = bool((self.chosen.contacts["cost_sum"] != 0).any())
        columns |= _perceived(counted.sums, customers, has_costs=has_costs)
        return pl.DataFrame(columns)

    def _next_wait(self, counted: _Counted) -> pl.Series:
        """Median time to the next contact, open ones allowed for."""
        steps, cells = self.chosen.steps, len(counted.followed)
        went_on = steps.filter(pl.col("next") < DONE)
        cell = counted.cell_of[went_on["place"].to_numpy()] - counted.first
        columns = ("bucket", "bin", "n", "least", "most")
        rows = Timed.of(cell, *(went_on[c].to_numpy() for c in columns))
        all_buckets = counted.followed.sum(axis=1)
        events = all_buckets[:, :_OPEN]
        risk = risks(events.sum(axis=1), all_buckets[:, _OPEN])
        curve = incidence_of_some(events[:, _GO_ON], risk)
        return durations(time_quantile(rows.where((cell >= 0) & (cell < cells)), curve, risk))


def _whole_numbers(per_bucket: Counts) -> pl.Series:
    return pl.Series(per_bucket.sum(axis=1)).cast(pl.UInt32)


def _followed(steps: pl.DataFrame, first: int, cells: int) -> Counts:
    """Contacts by place, bucket, sequel and bin of the wait."""
    following = steps["next"].to_numpy()
    sequel = np.full(len(steps), _GO_ON)
    for code, number in ((SILENT, _SILENT), (LOST, _DECLINED), (DONE, _DONE), (OPEN, _OPEN)):
        sequel[following == code] = number
    return dense_counts(
        {
            "cell": (steps["place"].to_numpy().astype(np.int64) - first, cells),
            "bucket": (steps["bucket"], BUCKETS),
            "sequel": (sequel, 5),
            "bin": (steps["bin"].to_numpy(), _BINS),
        },
        steps["n"],
    )


def _sequel(
    events: Counts, censored: Counts, customers: Cells, *, gap: bool, has_losses: bool
) -> dict[str, pl.Series]:
    """What comes next: the probabilities with their intervals, and the counts."""
    found = incidence_interval(events, censored, edges=WAIT_EDGES, customers=customers)
    whole = cumulative_incidence(events.sum(axis=1), censored.sum(axis=1))
    # nobody was watched up to the gap: what is left over is not known to have fallen silent
    unknown = (whole[..., -1].sum(axis=-1) < 1 - 1e-9) | (not gap)
    lost = _lost(events, censored, customers) if gap else _only(found, _DECLINED)
    lost_unknown = unknown if gap else np.full(len(unknown), not has_losses)
    contacts = events.sum(axis=(-1, -2)) + censored.sum(axis=-1)
    columns = interval_columns("go_on", found, cause=_GO_ON)
    columns |= interval_columns("lost", _known(lost, ~lost_unknown))
    columns |= interval_columns("silent", _known(_only(found, _SILENT), ~unknown))
    columns |= interval_columns("declined", found, cause=_DECLINED)
    columns |= interval_columns("done", found, cause=_DONE)
    columns |= interval_columns("open", rate(censored.sum(axis=-1), contacts, customers=customers))
    counted = [*np.moveaxis(events.sum(axis=-1), 2, 0), censored.sum(axis=-1)]
    names = ("went_on_n", "silent_n", "declined_n", "done_n", "open_n")
    columns |= {n: _whole_numbers(c).alias(n) for n, c in zip(names, counted, strict=True)}
    return columns


def _only(found: Interval, cause: int) -> Interval:
    return Interval(*(v[:, cause] for v in (found.estimate, found.low, found.high, found.se)))


def _known(found: Interval, known: NDArray[np.bool_]) -> Interval:
    """Take the estimates of some cells back."""
    parts = (found.estimate, found.low, found.high, found.se)
    return Interval(*(np.where(known, v, np.nan) for v in parts))


def _lost(events: Counts, censored: Counts, customers: Cells) -> Interval:
    """Silence and losses together, with an interval of their own."""
    ended = events[:, :, _SILENT] + events[:, :, _DECLINED]
    rest = events[:, :, _GO_ON] + events[:, :, _DONE]
    both = np.stack([ended, rest], axis=2)
    return _only(incidence_interval(both, censored, edges=WAIT_EDGES, customers=customers), cause=0)


def _perceived(
    counted: dict[str, Counts], customers: Cells, *, has_costs: bool
) -> dict[str, pl.Series]:
    contacts = counted["contacts"]
    columns = interval_columns("rating", ratio(counted["rating_sum"], counted["rating_n"]))
    columns["rating_n"] = _whole_numbers(counted["rating_n"])
    # two answers about one contact are one contact answered
    answered = np.minimum(counted["rating_n"], contacts)
    columns |= interval_columns("response", rate(answered, contacts, customers=customers))
    dwell = ratio(counted["dwell_seconds"], counted["dwell_n"])
    columns |= interval_columns("dwell", dwell, as_duration=True)
    columns["dwell_n"] = _whole_numbers(counted["dwell_n"])
    # a log without costs has costs that are not known, not costs of 0
    cost = np.where(has_costs, counted["cost_sum"].sum(axis=1), np.nan)
    columns["cost"] = numbers(cost)
    columns["cost_per_contact"] = numbers(divide(cost, contacts.sum(axis=1)))
    return columns
