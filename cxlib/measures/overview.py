"""The log in one table: customers, journeys, contacts, and what became of the journeys."""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib import numbers
from cxlib.columns import Columns, Count, Customers, Label, Tables, Value
from cxlib.outcomes import ENDS, count_journeys
from cxlib.results import Result, answers, distinct_customers, result
from cxlib.statistics.rates import ratio
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts
from cxlib.summary import NONE, Selection, Summary

_CHANCES = {
    "goal": ("goal",),
    "lost": ("lost", "silent"),
    "declined": ("lost",),
    "silent": ("silent",),
    "done": ("done",),
}


@result
class Overview(Result):
    """What `measure_overview` returns."""

    customers: int
    journeys: int
    contacts: int

    title = "Overview"
    tables = Tables(
        table=Columns(
            "one row per figure",
            measure=Label(
                '"customers", "journeys", "contacts"; "journeys per customer", "contacts per '
                'journey" (the whole log and segments only); chances that a journey ends with the '
                '"goal", is "lost" ("declined" and "silent" together), or "done" (began beyond the '
                'goal\'s stage), journeys still running allowed for; "open": share of journeys '
                "still running at the end of the log, apart from these chances"
            ),
            value=Value(
                "the figure",
                interval=("low", "high"),
                written={"share": numbers.share, "count": numbers.decimal},
            ),
            unit=Label('"count", "mean" or "share"', detail=True),
        )
    )
    figures = Columns(
        customers=Customers("in the part asked about"),
        journeys=Count("begun there", each="journeys"),
        contacts=Count("there", each="contacts"),
    )


@answers(Overview)
def measure_overview(summary: Summary, *, where: Selection | None = None) -> Overview:
    """Measure how many customers, journeys and contacts there are, and what became of the journeys.

    Parameters
    ----------
    where
        Segment, periods and channel; all by default. Journeys count in the period and channel
        they began in, contacts in their own, so that the means per journey are given for the
        whole log and for segments only.

    Examples
    --------
    >>> measure_overview(summary).table.select("measure", "value").rows()[:3]
    [('customers', 150.0), ('journeys', 249.0), ('contacts', 621.0)]
    """
    chosen = summary.select(where)
    customers = distinct_customers(chosen, where=where, level="all", cells=1)
    starts = chosen.starts
    found = count_journeys(starts, np.zeros(len(starts), dtype=np.int64), 1)
    contacts = dense_counts(
        {"bucket": (chosen.contacts["bucket"], BUCKETS)}, chosen.contacts["contacts"]
    )[None]
    counts = {
        "customers": float(customers[0]),
        "journeys": float(found.cases.sum()),
        "contacts": float(contacts.sum()),
    }
    rows = [{"measure": name, "value": n, "unit": "count"} for name, n in counts.items()]
    means, chances = {}, {}
    if where is None or (where.period is None and where.channel is None):
        means["journeys per customer"] = ratio(found.cases, _customers_by_bucket(chosen))
        means["contacts per journey"] = ratio(contacts, found.cases)
    for name, causes in _CHANCES.items():
        chances[name] = found.chance(*(ENDS.index(cause) for cause in causes))
    chances["open"] = found.still_open()
    for unit, told in {"mean": means, "share": chances}.items():
        for name, one in told.items():
            ends = {"value": one.estimate, "low": one.low, "high": one.high}
            known = {k: float(v[0]) for k, v in ends.items() if np.isfinite(v[0])}
            rows.append({"measure": name, "unit": unit, **known})
    return Overview(
        table=Overview.tables["table"].frame(rows),
        customers=int(counts["customers"]),
        journeys=int(counts["journeys"]),
        contacts=int(counts["contacts"]),
    )


def _customers_by_bucket(chosen: Summary) -> Counts:
    """Distinct customers of the whole log, by bucket."""
    first = (pl.col("level") == "all") & (pl.col("previous_period") == NONE)
    reach = chosen.reach.filter(first)
    return dense_counts({"bucket": (reach["bucket"], BUCKETS)}, reach["customers"])[None]
