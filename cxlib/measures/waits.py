"""Waits as they were seen: the exact median between one contact and the next."""

from __future__ import annotations

import polars as pl

from cxlib.columns import Columns, Count, Customers, Label, Tables, Wait
from cxlib.results import Result, answers, result
from cxlib.sequences import By, name_places, read_contacts
from cxlib.store import Workspace
from cxlib.summary import DONE, Selection

__all__ = ["Waits", "measure_waits"]


@result
class Waits(Result):
    """What `measure_waits` returns."""

    contacts: int

    title = "Waits"
    tables = Tables(
        table=Columns(
            "one row per pair that occurs, the most frequent first",
            source=Label("what is left"),
            target=Label("what follows it"),
            n=Count("transitions", each="contacts"),
            customers=Customers("distinct"),
            wait=Wait("exact median", of="n", each="contacts"),
            open_wait=Wait(
                "median of the time for which what follows was open meanwhile; unknown where it "
                "has no opening hours",
                of="n",
                each="contacts",
            ),
            wait_quarter=Wait("a quarter of the waits is shorter", of="n", each="contacts"),
            wait_three_quarters=Wait("a quarter is longer", of="n", each="contacts"),
        )
    )
    figures = Columns(
        contacts=Count("in the part asked about, followed by another or not", each="contacts")
    )


@answers(Waits)
def measure_waits(
    workspace: Workspace, *, by: By = "touchpoint", where: Selection | None = None
) -> Waits:
    """Measure the waits between contacts that directly follow one another, exactly as observed.

    This reads the whole store. Waits that had not ended at the end of the log are not in it, so
    that recent periods look quicker than they are:
    `cxlib.measures.transitions.measure_transitions` allows for them, and has intervals.

    Parameters
    ----------
    by
        What a contact is called: its touchpoint, place, channel, stage or owner.
    where
        Segment, periods and channel of the source; all by default.

    Examples
    --------
    >>> found = measure_waits(workspace, by="channel")
    >>> found.table.select("source", "target", "n", "wait").row(0)
    ('web', 'web', 114, datetime.timedelta(days=1, seconds=77250))
    """
    names, name_of = name_places(workspace.places, by)
    code = pl.lit(pl.Series(name_of, dtype=pl.UInt16))
    pair = ["source", "target"]
    contacts, waits, people = 0, [], []
    for rows in read_contacts(workspace, where=where):
        contacts += len(rows)
        moves = rows.filter(pl.col("next") < DONE).select(
            "customer",
            "wait",
            "open_wait",
            source=code.gather(pl.col("place").cast(pl.UInt32)),
            target=code.gather(pl.col("next").cast(pl.UInt32)),
        )
        waits.append(moves.select(*pair, "wait", "open_wait"))
        # buckets share no customer, so that their distinct customers add up
        people.append(moves.group_by(pair).agg(customers=pl.col("customer").n_unique()))
    if not waits:
        empty = {"source": pl.UInt16, "target": pl.UInt16, "wait": pl.Int64, "open_wait": pl.Int64}
        waits = [pl.DataFrame(schema=empty)]
    # places with hours and places without may share a name: their waits are no one quantity
    timed = (
        pl.concat(waits)
        .with_columns(pl.when(~pl.col("open_wait").is_null().any().over(pair)).then("open_wait"))
        .group_by(pair)
        .agg(n=pl.len(), **_quartiles())
    )
    if people:
        counted = pl.concat(people).group_by(pair).agg(pl.col("customers").sum())
        timed = timed.join(counted, on=pair)
    name = pl.lit(pl.Series(names, dtype=pl.String))
    table = timed.select(
        *(name.gather(pl.col(end).cast(pl.UInt32)).alias(end) for end in pair),
        pl.col("n").cast(pl.UInt32),
        pl.col("customers").cast(pl.UInt32),
        "wait",
        "open_wait",
        "wait_quarter",
        "wait_three_quarters",
    )
    return Waits(
        table=table.sort("n", *pair, descending=[True, False, False]),
        contacts=contacts,
    )


def _quartiles() -> dict[str, pl.Expr]:
    shares = {
        "wait": ("wait", 0.5),
        "open_wait": ("open_wait", 0.5),
        "wait_quarter": ("wait", 0.25),
        "wait_three_quarters": ("wait", 0.75),
    }
    return {
        name: pl.col(of).quantile(share, interpolation="linear").round().cast(pl.Duration("us"))
        for name, (of, share) in shares.items()
    }
