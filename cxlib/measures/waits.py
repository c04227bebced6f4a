"""Waits as they were seen: the exact median between one contact and the next."""

from __future__ import annotations

import polars as pl

from cxlib.columns import Columns, Count, Customers, Label, Tables, Wait
from cxlib.results import Result, answers, result
from cxlib.sequences import By, name_places, read_contacts
from cxlib.store import Workspace
from cxlib.summary import DONE, Selection

_KEPT = ("wait", "open_wait")


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
    code, pair = pl.lit(pl.Series(name_of, dtype=pl.UInt16)), ["source", "target"]
    ends = dict.fromkeys(pair, pl.UInt16)
    moves = [pl.DataFrame(schema={**ends, "customer": pl.UInt32, **dict.fromkeys(_KEPT, pl.Int64)})]
    contacts = 0
    for rows in read_contacts(workspace, where=where):
        contacts += len(rows)
        followed = rows.filter(pl.col("next") < DONE)
        source, target = (code.gather(pl.col(c).cast(pl.UInt32)) for c in ("place", "next"))
        moves.append(
            followed.select("customer", *_KEPT, source=source, target=target).select(
                moves[0].columns
            )
        )
    # places with hours and places without may share a name: their waits are no one quantity
    known = ~pl.col("open_wait").is_null().any().over(pair)
    called = pl.lit(pl.Series(names, dtype=pl.String))
    table = (
        pl.concat(moves)
        .with_columns(pl.when(known).then("open_wait"))
        .group_by(pair)
        .agg(
            pl.len().cast(pl.UInt32).alias("n"),
            pl.col("customer").n_unique().cast(pl.UInt32).alias("customers"),
            _quantile("wait", 0.5),
            _quantile("open_wait", 0.5),
            _quantile("wait", 0.25).alias("wait_quarter"),
            _quantile("wait", 0.75).alias("wait_three_quarters"),
        )
        .with_columns(called.gather(pl.col(end).cast(pl.UInt32)).alias(end) for end in pair)
        .sort("n", *pair, descending=[True, False, False])
    )
    return Waits(table=table, contacts=contacts)


def _quantile(wait: str, share: float) -> pl.Expr:
    return pl.col(wait).quantile(share, interpolation="linear").round().cast(pl.Duration("us"))
