"""Transitions and handoffs: what directly follows what, how often, and after how long.

A transition is one contact directly followed by another of the same journey; a handoff is a
transition that changes the channel or the owner. Shares and waits allow for contacts whose sequel
is not known yet: short waits are seen first, so that a plain median is too short.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Column, Columns, Count, Label, Share, Tables, Wait
from cxlib.results import WAIT_EDGES, Result, answers, interval_columns, result
from cxlib.sequences import By, name_places
from cxlib.statistics.competing_risks import CompetingRisks, Timed, incidence, time_interval
from cxlib.statistics.rates import Interval, jackknife_rate
from cxlib.statistics.resampling import BUCKETS, Estimates, dense_counts
from cxlib.summary import DONE, OPEN, Selection, Summary

_CHUNK = 100
"""Pairs worked on at a time: by bucket and bin, so many stay in the cache of a processor."""

_ABOUT = ("touchpoint", "channel", "stage")
"""What describes the places at both ends of a pair; of a handoff the owner as well."""


def _ends(about: tuple[str, ...], *, optional: bool) -> dict[str, Column]:
    return {
        f"{end}_{name}": Label(f"{name} of the {end}", optional=optional)
        for end in ("source", "target")
        for name in about
    }


_MEASURED: dict[str, Column] = {
    "n": Count("transitions counted", each="contacts"),
    "share": Share(
        "of the source's contacts, open ones allowed for",
        of="n",
        each="contacts",
        total="total",
        open="open_n",
        interval=True,
    ),
    "wait": Wait(
        "median wait, open ones allowed for; an end of the interval is null where the log is too "
        "short to say",
        of="n",
        each="contacts",
        interval=True,
    ),
}


@result
class Transitions(Result):
    """What `measure_transitions` returns."""

    contacts: int

    title = "Transitions"
    tables = Tables(
        table=Columns(
            "one row per pair that occurs, the most frequent first",
            source=Label("what is left; by place a number, described in the columns that follow"),
            target=Label("what follows it"),
            **_ends(_ABOUT, optional=True),
            **_MEASURED,
        )
    )
    figures = Columns(
        contacts=Count("in the part asked about, followed by another or not", each="contacts")
    )


@result
class Handoffs(Result):
    """What `measure_handoffs` returns."""

    transitions: int

    title = "Handoffs"
    tables = Tables(
        table=Columns(
            "one row per pair of places, the most frequent first",
            source=Label("number of the place that is left", detail=True),
            target=Label("number of the place that follows", detail=True),
            **_ends((*_ABOUT, "owner"), optional=False),
            change=Label('"channel", "owner" or "channel and owner"'),
            **_MEASURED,
        )
    )
    figures = Columns(
        transitions=Count("of any kind, of which the handoffs are a part", each="contacts")
    )


@answers(Transitions)
def measure_transitions(
    summary: Summary, *, by: By = "touchpoint", where: Selection | None = None
) -> Transitions:
    r"""Measure which contact directly follows which, how often, and after how long.

    The share of a source's contacts that go on to a target is the cumulative incidence of that
    target up to the gap, competing with all other sequels (Putter, Fiocco & Geskus 2007,
    doi:10.1002/sim.2712),

    .. math:: F_{ab} = \sum_{t \le gap} \hat S_a(t-) \frac{d_{ab}(t)}{Y_a(t)}

    and the wait is the time at which :math:`F_{ab}(t)` has come half of its way. Intervals:
    customers in 32 buckets, delete-one-bucket jackknife; of the median by inversion.

    Parameters
    ----------
    by
        What a contact is called: its touchpoint, its place (touchpoint, channel and stage), its
        channel, its stage, or its owner ("none" where the map names none).
    where
        Segment, periods and channel of the source; all by default.

    Examples
    --------
    >>> found = measure_transitions(summary, by="channel")
    >>> found.table.select("source", "target", "n").rows()[:2]
    [('web', 'web', 114), ('phone', 'web', 45)]
    """
    chosen = summary.select(where)
    if by == "place":
        group_of = np.arange(len(chosen.places))
        table = _described(_measure_pairs(chosen.steps, group_of), chosen.places, _ABOUT)
    else:
        names, group_of = name_places(chosen.places, by)
        called = pl.lit(pl.Series(names, dtype=pl.String))
        table = _measure_pairs(chosen.steps, group_of).with_columns(
            called.gather(pl.col(end).cast(pl.UInt32)).alias(end) for end in ("source", "target")
        )
    return Transitions(
        table=_sorted(table),
        contacts=int(chosen.steps["n"].sum()),
    )


@answers(Handoffs)
def measure_handoffs(summary: Summary, *, where: Selection | None = None) -> Handoffs:
    """Measure the transitions that change the channel or the owner, as `measure_transitions` does.

    Parameters
    ----------
    where
        Segment, periods and channel of the source; all by default.

    Returns
    -------
    Handoffs
        An owner that the map does not name is no change of owner.

    Examples
    --------
    >>> found = measure_handoffs(summary)
    >>> found.table.select("source_touchpoint", "target_touchpoint", "change", "n").row(0)
    ('page', 'support', 'channel and owner', 8)
    """
    chosen = summary.select(where)
    pairs = _measure_pairs(chosen.steps, np.arange(len(chosen.places)))
    changed = [
        pl.when(pl.col(f"source_{name}") != pl.col(f"target_{name}")).then(pl.lit(name))
        for name in ("channel", "owner")
    ]
    change = pl.concat_str(changed, separator=" and ", ignore_nulls=True)
    table = _described(pairs, chosen.places, (*_ABOUT, "owner")).with_columns(change=change)
    return Handoffs(
        table=_sorted(table.filter(pl.col("change") != "")).select(Handoffs.tables["table"].names),
        transitions=int(pairs["n"].sum()),
    )


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("n", "source", "target", descending=[True, False, False])


def _described(pairs: pl.DataFrame, places: pl.DataFrame, about: tuple[str, ...]) -> pl.DataFrame:
    """Say after the numbers of two places what they are."""
    return pairs.select(
        *("source", "target"),
        *(
            pl.lit(places[name]).gather(pl.col(end).cast(pl.UInt32)).alias(f"{end}_{name}")
            for end in ("source", "target")
            for name in about
        ),
        pl.exclude("source", "target"),
    )


def _measure_pairs(steps: pl.DataFrame, group_of: NDArray[np.int64]) -> pl.DataFrame:
    """Count and time every pair of groups that occurs, each from the risks of its source."""
    groups = int(group_of.max(initial=-1)) + 1
    source, following = group_of[steps["place"].to_numpy()], steps["next"].to_numpy()
    axes = {
        "source": (source, groups),
        "censored": ((following == OPEN).view(np.uint8), 2),
        "bucket": (steps["bucket"], BUCKETS),
        "bin": (steps["bin"], len(WAIT_EDGES)),
    }
    counts = dense_counts(axes, steps["n"]).swapaxes(1, 2)
    sources = CompetingRisks(counts)
    went_on = np.flatnonzero(following < DONE)
    code = source[went_on] * groups + group_of[following[went_on]]
    # a flag per possible pair is several times faster than sorting; 4,000 places have 16 million
    occurs = np.zeros(groups * groups, dtype=bool)
    occurs[code] = True
    index, codes = (np.cumsum(occurs) - 1)[code], np.flatnonzero(occurs)
    order = np.argsort(index, kind="stable")
    rows = replace(Timed.of_rows(following, steps).where(went_on[order]), cell=index[order])
    parts = [
        _measure_some(rows, slice(first, first + _CHUNK), codes // groups, sources)
        for first in range(0, len(codes), _CHUNK)
    ]
    n, shares, waits = zip(*parts, strict=True) if parts else ((), (), ())
    pair = {"source": codes // groups, "target": codes % groups}
    return pl.DataFrame(
        pair
        | {"n": pl.Series(np.concatenate([*n, []])).cast(pl.UInt32)}
        | interval_columns("share", Interval.below(shares))
        | interval_columns("wait", Interval.below(waits), as_duration=True)
    )


def _measure_some(
    rows: Timed, some: slice, source: NDArray[np.int64], all_of: CompetingRisks
) -> tuple[Estimates, Interval, Interval]:
    """Count, share and median wait of some pairs; ``rows`` are in the order of pairs."""
    source = source[some]
    first, last = np.searchsorted(rows.cell, (some.start, some.start + len(source)))
    rows = rows.where(slice(first, last))
    rows = replace(rows, cell=rows.cell - some.start)
    axes = {
        "pair": (rows.cell, len(source)),
        "bucket": (rows.bucket, BUCKETS),
        "bin": (rows.bin, len(WAIT_EDGES)),
    }
    counted = dense_counts(axes, rows.n)
    weight, without = all_of.weight[source], all_of.weight_without[source]
    chance = incidence(counted, weight, without)
    share = jackknife_rate(*chance, all_of.cases[source])
    wait = time_interval(rows, counted, weight, without, end=chance)
    return counted.sum(axis=(1, 2)), share, wait
