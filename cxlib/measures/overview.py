"""The log in one table: customers, journeys, contacts, and what became of the journeys."""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib import numbers
from cxlib.columns import Columns, Count, Customers, Label, Tables, Value
from cxlib.results import Result, answers, distinct_customers, interval_columns, result
from cxlib.statistics.competing_risks import incidence_interval
from cxlib.statistics.rates import Interval, rate, ratio
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts
from cxlib.summary import BIN_EDGES, NONE, Selection, Summary

__all__ = ["Overview", "measure_overview"]

_OUTCOMES = ("goal", "lost", "silent", "done", "open")
_OPEN = 4


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
    summary
        The journey summary.
    where
        Segment, periods and channel; all by default. Journeys count in the period and channel
        they began in, contacts in their own, so that the means per journey are given for the
        whole log and for segments only.

    Returns
    -------
    Overview

    References
    ----------
    Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712

    Examples
    --------
    >>> measure_overview(summary).table.select("measure", "value").rows()[:3]
    [('customers', 150.0), ('journeys', 249.0), ('contacts', 621.0)]
    """
    chosen = summary.select(where)
    customers = distinct_customers(chosen, where=where, level="all", cells=1)
    starts = chosen.starts
    names = starts["outcome"].cast(pl.String)
    outcome = names.replace_strict(_OUTCOMES, range(len(_OUTCOMES)), return_dtype=pl.Int64)
    counted = dense_counts(
        {
            "bucket": (starts["bucket"], BUCKETS),
            "outcome": (outcome, len(_OUTCOMES)),
            "bin": (starts["bin"], len(BIN_EDGES)),
        },
        starts["n"],
    )[None]
    contacts = dense_counts(
        {"bucket": (chosen.contacts["bucket"], BUCKETS)}, chosen.contacts["contacts"]
    )
    journeys = counted.sum(axis=(2, 3))
    counts = {
        "customers": customers[0],
        "journeys": journeys.sum(),
        "contacts": contacts.sum(),
    }
    rows = [_count(name, value) for name, value in counts.items()]
    if where is None or (where.period is None and where.channel is None):
        people = _customers_by_bucket(chosen)
        rows.append(_row("journeys per customer", ratio(journeys, people), "mean"))
        rows.append(_row("contacts per journey", ratio(contacts[None], journeys), "mean"))
    rows += _ends(counted)
    return Overview(
        table=pl.concat(rows),
        **{name: int(value) for name, value in counts.items()},
        observed_until=chosen.observed_until,
        where=where,
    )


def _customers_by_bucket(chosen: Summary) -> Counts:
    """Distinct customers of the whole log, by bucket."""
    first = (pl.col("level") == "all") & (pl.col("previous_period") == NONE)
    reach = chosen.reach.filter(first)
    return dense_counts({"bucket": (reach["bucket"], BUCKETS)}, reach["customers"])[None]


def _ends(counted: Counts) -> list[pl.DataFrame]:
    """Chances of the ends of a journey, and the share still running."""
    events, censored = counted[:, :, :_OPEN], counted[:, :, _OPEN]
    single = incidence_interval(events, censored, edges=BIN_EDGES)
    lost = events[:, :, 1:3].sum(axis=2)
    others = events[:, :, 0] + events[:, :, 3]
    together = incidence_interval(np.stack([lost, others], axis=2), censored, edges=BIN_EDGES)
    told = {"goal": (single, 0), "lost": (together, 0), "declined": (single, 1)}
    told |= {"silent": (single, 2), "done": (single, 3)}
    rows = [_row(name, _only(found, cause), "share") for name, (found, cause) in told.items()]
    running = rate(censored.sum(axis=-1), counted.sum(axis=(2, 3)))
    return [*rows, _row("open", running, "share")]


def _only(found: Interval, cause: int) -> Interval:
    parts = (found.estimate, found.low, found.high, found.se)
    return Interval(*(part[:, cause] for part in parts))


def _count(name: str, value: float) -> pl.DataFrame:
    exact = np.array([float(value)])
    unknown = np.array([np.nan])
    return _row(name, Interval(exact, unknown, unknown, unknown), "count")


def _row(name: str, found: Interval, unit: str) -> pl.DataFrame:
    columns = interval_columns("value", found)
    return pl.DataFrame(
        {
            "measure": [name],
            "value": columns["value"],
            "low": columns["value_low"],
            "high": columns["value_high"],
            "unit": [unit],
        }
    )
