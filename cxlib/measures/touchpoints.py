"""The journey map in numbers: every touchpoint by stage and channel, and what comes after it.

Each contact is followed by another contact of the journey (*go on*), by silence longer than the gap
(*silent*), by one of the map's losses (*declined*) or, once the goal is reached, by nothing that
could still be lost (*done*). Recent contacts have not been followed for long enough: they are
*open*, and never counted as lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from cxlib.outcomes import outcome_columns, whole_numbers
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
from cxlib.statistics.competing_risks import CompetingRisks, Timed, time_quantile
from cxlib.statistics.rates import divide, rate, ratio
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    Estimates,
    add_densely,
    dense_counts,
    merge_cells,
)
from cxlib.summary import DONE, LOST, OPEN, SILENT, Selection, Summary

_GO_ON, _SILENT, _DECLINED, _DONE, _OPEN = range(5)
_SUMS = ("contacts", "rating_n", "rating_sum", "dwell_n", "dwell_seconds", "cost_sum")
#: Places worked on at a time: 500 x 32 buckets x 5 sequels x 65 bins are 42 MB.
_CHUNK = 500

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
    """What `measure_touchpoints` returns; ``stages`` and ``channels`` in the order of the map."""

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

    What comes next are competing risks (Putter, Fiocco & Geskus 2007, doi:10.1002/sim.2712). With
    :math:`d_k(t)` contacts followed by cause k after the
    wait t, :math:`Y(t)` still waiting, and :math:`\hat S` the Kaplan-Meier share without any cause,

    .. math:: F_k = \sum_{t \le gap} \hat S(t-) \frac{d_k(t)}{Y(t)}

    so that contacts near the end of the log count for as long as they were observed. Silence is
    known at the gap only, and is what remains there. Intervals: customers in 32 buckets,
    delete-one-bucket jackknife, Wilson at the effective sample size.

    Parameters
    ----------
    where
        Segment, periods (of the contact) and channel to look at; all by default.

    Examples
    --------
    >>> found = measure_touchpoints(summary)
    >>> found.table.select("touchpoint", "channel", "customers", pl.col("go_on").round(2)).row(0)
    ('newsletter', 'email', 37, 0.66)
    """
    chosen = summary.select(where)
    places = chosen.places
    # stages of the log that are no columns of the map ("unmapped") come last
    stages = [*dict.fromkeys([*chosen.stage_names, *places["stage"]])]
    names = {"stage": stages, "channel": list(chosen.channels)}
    cells = {level: (_position(places[level], known), len(known)) for level, known in names.items()}
    cells["all"] = chosen.part_of, chosen.parts
    levels = _levels(chosen, where, cells)
    by_place, whole = levels.pop("place"), levels.pop("all")
    seen = pl.col("contacts") > 0
    by_stage, by_channel = (
        pl.DataFrame({level: known}, schema={level: pl.String}).hstack(levels[level]).filter(seen)
        for level, known in names.items()
    )
    # places are numbered in the order of the journey map
    named = places.select(
        *("place", "stage", "touchpoint", "channel", "owner"),
        _asked=pl.col("initiated_by") == "customer",
    )
    return Touchpoints(
        table=_ranked(named.hstack(by_place).filter(seen)),
        by_stage=by_stage,
        by_channel=by_channel,
        whole=whole,
        stages=tuple(stages),
        channels=chosen.channels,
        customers=int(whole["customers"].sum() or 0),
        journeys=int(chosen.starts["n"].sum()),
        contacts=int(chosen.contacts["contacts"].sum()),
    )


def _position(values: pl.Series, known: list[str]) -> NDArray[np.int64]:
    return values.replace_strict(known, range(len(known)), return_dtype=pl.Int64).to_numpy()


def _ranked(table: pl.DataFrame) -> pl.DataFrame:
    """Rank the touchpoints by the customers that are lost there for sure.

    A mailing that nobody answers has lost nobody: what the company initiated is not ranked.
    """
    known = pl.col("_asked") & (pl.col("customers") >= _FEWEST)
    sure = pl.when(known).then(pl.col("customers") * pl.col("lost_low"))
    return table.with_columns(
        weakest=pl.when(sure > 0).then(sure.rank("ordinal", descending=True)).cast(pl.UInt32)
    ).drop("_asked")


def _levels(
    chosen: Summary,
    where: Selection | None,
    levels: dict[str, tuple[NDArray[np.int64], int]],
) -> dict[str, pl.DataFrame]:
    """Measure every place, and sets of places: at a level each place is in one of so many cells.

    So many places are counted at a time that memory is small; their counts add up.
    """
    places = len(chosen.places)
    waits = Timed.of_rows(chosen.steps["place"].to_numpy(), chosen.steps)
    waits, customers = waits.where((chosen.steps["next"] < DONE).to_numpy()), {}
    for level, cells in {"place": places, **{n: c for n, (_, c) in levels.items()}}.items():
        customers[level] = distinct_customers(chosen, where=where, level=level, cells=cells)
    together: dict[str, _Counted] = {}
    parts = []
    for first in range(0, max(places, 1), _CHUNK):
        some = slice(first, min(first + _CHUNK, places))
        counted = _Counted.of(chosen, some)
        for level, (cell_of, cells) in levels.items():
            merged = counted.merged(cell_of[some], cells)
            together[level] = together[level] + merged if level in together else merged
        inside = waits.where((waits.cell >= some.start) & (waits.cell < some.stop))
        own = replace(inside, cell=inside.cell - first)
        parts.append(counted.measure(customers["place"][some], own, chosen))
    return {"place": pl.concat(parts)} | {
        level: together[level].measure(
            customers[level], replace(waits, cell=cell_of[waits.cell]), chosen
        )
        for level, (cell_of, _) in levels.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What comes next ``[cells, buckets, sequels, bins]``, and `_SUMS` ``[cells, buckets]``."""

    sequels: Counts
    sums: tuple[Counts, ...]

    @classmethod
    def of(cls, chosen: Summary, some: slice) -> _Counted:
        steps, contacts = chosen.steps, chosen.contacts
        if some.stop - some.start < len(chosen.places):
            here = pl.col("place").is_between(some.start, some.stop - 1)
            steps, contacts = steps.filter(here), contacts.filter(here)
        following = steps["next"].to_numpy()
        sequel = np.full(len(steps), _GO_ON, dtype=np.uint8)
        for code, number in ((SILENT, _SILENT), (LOST, _DECLINED), (DONE, _DONE), (OPEN, _OPEN)):
            sequel[following == code] = number
        cells = some.stop - some.start
        axes = {
            "cell": (steps["place"].to_numpy() - some.start, cells),
            "sequel": (sequel, _OPEN + 1),
            "bucket": (steps["bucket"], BUCKETS),
            "bin": (steps["bin"], len(WAIT_EDGES)),
        }
        counts = dense_counts(axes, steps["n"]).swapaxes(1, 2)
        axes = {
            "cell": (contacts["place"].to_numpy() - some.start, cells),
            "bucket": (contacts["bucket"], BUCKETS),
        }
        return cls(counts, tuple(add_densely(axes, *(contacts[name] for name in _SUMS))))

    def merged(self, cell_of: NDArray[np.int64], cells: int) -> _Counted:
        sequels, *sums = (merge_cells(c, cell_of, cells) for c in (self.sequels, *self.sums))
        return _Counted(sequels, tuple(sums))

    def __add__(self, other: _Counted) -> _Counted:
        sums = (a + b for a, b in zip(self.sums, other.sums, strict=True))
        return _Counted(self.sequels + other.sequels, tuple(sums))

    def measure(self, customers: Estimates, waits: Timed, chosen: Summary) -> pl.DataFrame:
        """Measure the cells; ``waits`` are of those that go on."""
        return pl.DataFrame(
            {"customers": numbers(customers).cast(pl.UInt32)}
            | _sequel(CompetingRisks(self.sequels), waits, customers, chosen)
            | _perceived(dict(zip(_SUMS, self.sums, strict=True)), customers, chosen)
        )


def _sequel(
    found: CompetingRisks, waits: Timed, customers: Estimates, chosen: Summary
) -> dict[str, pl.Series]:
    """What comes next: the probabilities with their intervals, the counts, the median wait."""
    # nobody was watched up to the gap: what is left over is not known to have fallen silent
    watched = found.curve(*range(_OPEN))[:, -1] >= 1 - 1e-9
    gap = chosen.gap is not None
    ends = (_SILENT, _DECLINED) if gap else (_DECLINED,)
    lost_known = watched if gap else bool(chosen.places["is_lost"].any())
    chances = {
        "go_on": found.chance(_GO_ON, customers=customers),
        "lost": found.chance(*ends, customers=customers).where(lost_known),
        "silent": found.chance(_SILENT, customers=customers).where(watched & gap),
        "declined": found.chance(_DECLINED, customers=customers),
        "done": found.chance(_DONE, customers=customers),
        "open": found.still_open(customers=customers),
    }
    columns = {"contacts": whole_numbers(found.cases)}
    for name, chance in chances.items():
        columns |= interval_columns(name, chance)
    columns |= outcome_columns(found, ("went_on_n", "silent_n", "declined_n", "done_n", "open_n"))
    median = time_quantile(waits, found.curve(_GO_ON), found.weight)
    return columns | {"next_wait": durations(median)}


def _perceived(
    sums: dict[str, Counts], customers: Estimates, chosen: Summary
) -> dict[str, pl.Series]:
    """Ratings, time in the contact and costs."""
    n = sums["contacts"]
    columns = interval_columns("rating", ratio(sums["rating_sum"], sums["rating_n"]))
    columns["rating_n"] = whole_numbers(sums["rating_n"])
    # two answers about one contact are one contact answered
    answered = np.minimum(sums["rating_n"], n)
    columns |= interval_columns("response", rate(answered, n, customers=customers))
    dwell = ratio(sums["dwell_seconds"], sums["dwell_n"])
    columns |= interval_columns("dwell", dwell, as_duration=True)
    columns["dwell_n"] = whole_numbers(sums["dwell_n"])
    # a log without costs has costs that are not known, not costs of 0
    has_costs = bool((chosen.contacts["cost_sum"] != 0).any())
    cost = np.where(has_costs, sums["cost_sum"].sum(axis=1), np.nan)
    return columns | {
        "cost": numbers(cost),
        "cost_per_contact": numbers(divide(cost, n.sum(axis=1))),
    }
