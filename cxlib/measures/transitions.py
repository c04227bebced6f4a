"""Transitions and handoffs: what directly follows what, how often, and after how long.

A transition is one contact directly followed by another of the same journey; a handoff is a
transition that changes the channel or the owner. Shares and waits allow for contacts whose sequel
is not known yet: short waits are seen first, so that a plain median of the waits seen is too
short.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Column, Columns, Count, Label, Share, Tables, Wait
from cxlib.results import WAIT_EDGES, Result, answers, interval_columns, result
from cxlib.statistics.competing_risks import (
    Risks,
    incidence_of_some,
    risks,
)
from cxlib.statistics.rates import Interval, rate_interval
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    dense_counts,
    effective_buckets,
    jackknife_se,
    leave_one_out,
)
from cxlib.statistics.timed import Timed, time_interval
from cxlib.summary import DONE, OPEN, Selection, Summary

__all__ = ["Handoffs", "Transitions", "measure_handoffs", "measure_transitions"]

_BINS = len(WAIT_EDGES)
#: Pairs worked on at a time: 1000 x 32 buckets x 65 bins are 17 MB.
_CHUNK = 1_000


def _ends(about: tuple[str, ...], *, optional: bool) -> dict[str, Column]:
    """Columns that describe the places at both ends of a pair."""
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
            **_ends(("touchpoint", "channel", "stage"), optional=True),
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
            **_ends(("touchpoint", "channel", "stage", "owner"), optional=False),
            change=Label('"channel", "owner" or "channel and owner"'),
            **_MEASURED,
        )
    )
    figures = Columns(
        transitions=Count("of any kind, of which the handoffs are a part", each="contacts")
    )


@answers(Transitions)
def measure_transitions(
    summary: Summary,
    *,
    by: Literal["touchpoint", "place", "channel", "stage", "owner"] = "touchpoint",
    where: Selection | None = None,
) -> Transitions:
    r"""Measure which contact directly follows which, how often, and after how long.

    The share of a source's contacts that go on to a target is the cumulative incidence of that
    target up to the gap, competing with all other sequels,

    .. math:: F_{ab} = \sum_{t \le gap} \hat S_a(t-) \frac{d_{ab}(t)}{Y_a(t)}

    and the wait is the time at which :math:`F_{ab}(t)` has come half of its way. Intervals:
    customers in 32 buckets, delete-one-bucket jackknife; of the median by inversion.

    Parameters
    ----------
    summary
        The journey summary.
    by
        What a contact is called: its touchpoint, its place (touchpoint, channel and stage), its
        channel, its stage, or its owner ("none" where the map names none).
    where
        Segment, periods and channel of the source; all by default.

    Returns
    -------
    Transitions

    References
    ----------
    Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712; Brookmeyer & Crowley (1982),
    doi:10.2307/2530286

    Examples
    --------
    >>> found = measure_transitions(summary, by="channel")
    >>> found.table.select("source", "target", "n").rows()[:2]
    [('web', 'web', 114), ('phone', 'web', 45)]
    """
    chosen = summary.select(where)
    places = chosen.places
    names, group_of = _groups(places, by)
    pairs = _measure_pairs(chosen.steps, group_of, len(names))
    table = pairs.with_columns(
        _named(names, "source").alias("source"), _named(names, "target").alias("target")
    )
    order = ["source", "target"]
    if by == "place":
        table = pairs.select(
            "source",
            "target",
            *_describe(places, "source", ("touchpoint", "channel", "stage")),
            *_describe(places, "target", ("touchpoint", "channel", "stage")),
            pl.exclude("source", "target"),
        )
    return Transitions(
        table=table.sort("n", *order, descending=[True, False, False]),
        contacts=int(chosen.steps["n"].sum()),
        observed_until=chosen.observed_until,
        where=where,
    )


@answers(Handoffs)
def measure_handoffs(summary: Summary, *, where: Selection | None = None) -> Handoffs:
    """Measure the transitions that change the channel or the owner.

    Parameters
    ----------
    summary
        The journey summary.
    where
        Segment, periods and channel of the source; all by default.

    Returns
    -------
    Handoffs
        An owner that the map does not name is no change of owner.

    References
    ----------
    Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712

    Examples
    --------
    >>> found = measure_handoffs(summary)
    >>> found.table.select("source_touchpoint", "target_touchpoint", "change", "n").row(0)
    ('page', 'support', 'channel and owner', 8)
    """
    chosen = summary.select(where)
    places = chosen.places
    pairs = _measure_pairs(chosen.steps, np.arange(len(places)), len(places))
    about = ("touchpoint", "channel", "stage", "owner")
    described = pairs.select(
        "source",
        "target",
        *_describe(places, "source", about),
        *_describe(places, "target", about),
        pl.exclude("source", "target"),
    )
    channel = pl.col("source_channel") != pl.col("target_channel")
    owner = (pl.col("source_owner") != pl.col("target_owner")).fill_null(False)
    change = (
        pl.when(channel & owner)
        .then(pl.lit("channel and owner"))
        .when(channel)
        .then(pl.lit("channel"))
        .otherwise(pl.lit("owner"))
    )
    table = (
        described.filter(channel | owner)
        .with_columns(change=change)
        .sort("n", "source", "target", descending=[True, False, False])
    )
    return Handoffs(
        table=table.select(*described.columns[:10], "change", *described.columns[10:]),
        transitions=int(pairs["n"].sum()),
        observed_until=chosen.observed_until,
        where=where,
    )


def _groups(places: pl.DataFrame, by: str) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the groups in map order, and the group of every place."""
    if by == "place":
        return [str(p) for p in places["place"]], np.arange(len(places))
    named = places[by].fill_null("none")
    names = named.unique(maintain_order=True).to_list()
    index = named.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return names, index.to_numpy()


def _named(names: list[str], column: str) -> pl.Expr:
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(column).cast(pl.UInt32))


def _describe(places: pl.DataFrame, end: str, about: tuple[str, ...]) -> Iterator[pl.Expr]:
    number = pl.col(end).cast(pl.UInt32)
    return (pl.lit(places[name]).gather(number).alias(f"{end}_{name}") for name in about)


def _measure_pairs(steps: pl.DataFrame, group_of: NDArray[np.int64], groups: int) -> pl.DataFrame:
    """Count and time every pair of groups that occurs."""
    source = group_of[steps["place"].to_numpy()]
    following = steps["next"].to_numpy()
    went_on = following < DONE
    bins = steps["bin"].to_numpy()
    sources = _count_sources(steps, source, bins, groups)
    whole = risks(*(c.sum(axis=1) for c in sources))
    without = risks(*(leave_one_out(c) for c in sources))
    pairs, index = _number_pairs(source[went_on], group_of[following[went_on]], groups)
    some = steps.filter(pl.lit(pl.Series(went_on))) if len(steps) else steps
    parts = []
    for first in range(0, len(pairs), _CHUNK):
        part = pairs.slice(first, _CHUNK)
        rows = (index >= first) & (index < first + len(part))
        counted = dense_counts(
            {
                "pair": (index[rows] - first, len(part)),
                "bucket": (some["bucket"].to_numpy()[rows], BUCKETS),
                "bin": (bins[went_on][rows], _BINS),
            },
            some["n"].to_numpy()[rows],
        )
        at = part["source"].to_numpy()
        chosen = some.filter(pl.lit(pl.Series(rows)))
        timed = Timed.of(
            index[rows] - first,
            *(chosen[c].to_numpy() for c in ("bucket", "bin", "n", "least", "most")),
        )
        parts.append(part.hstack(_estimate(counted, timed, sources, at, whole, without)))
    if not parts:
        nobody, none = np.zeros((0, BUCKETS, _BINS)), np.zeros(0, dtype=np.int64)
        timed = Timed.of(*(none,) * 6)
        return pairs.hstack(_estimate(nobody, timed, sources, none, whole, without))
    return pl.concat(parts)


def _number_pairs(
    source: NDArray[np.int64], target: NDArray[np.int64], groups: int
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Number the pairs that occur, and give the number of every row's pair.

    A flag per possible pair is several times faster than a join; 4,000 places have 16 million.
    """
    code = source * groups + target
    occurs = np.zeros(groups * groups, dtype=bool)
    occurs[code] = True
    number = np.cumsum(occurs) - 1
    codes = np.flatnonzero(occurs)
    return pl.DataFrame({"source": codes // groups, "target": codes % groups}), number[code]


def _count_sources(
    steps: pl.DataFrame, source: NDArray[np.int64], bins: NDArray[np.int64], groups: int
) -> tuple[Counts, Counts]:
    """Sequels of any kind, and censorings, by source, bucket and bin."""
    counted = dense_counts(
        {
            "censored": (steps["next"].to_numpy() == OPEN, 2),
            "source": (source, groups),
            "bucket": (steps["bucket"], BUCKETS),
            "bin": (bins, _BINS),
        },
        steps["n"],
    )
    return counted[0], counted[1]


def _estimate(
    counted: Counts,
    timed: Timed,
    sources: tuple[Counts, Counts],
    at: NDArray[np.int64],
    whole: Risks,
    without: Risks,
) -> pl.DataFrame:
    """Share and median wait of some pairs, each from the risks of its source."""
    risk, risks_without = _rows(whole, at), _rows(without, at)
    curve = incidence_of_some(counted.sum(axis=1), risk)
    curves = incidence_of_some(leave_one_out(counted), risks_without)
    contacts = (sources[0] + sources[1]).sum(axis=-1)[at]
    share, loo = curve[:, -1], curves[..., -1]
    # a source whose contacts are all in one bucket: without it nothing is left
    loo = np.where(contacts.sum(axis=1, keepdims=True) - contacts > 0, loo, np.nan)
    se = jackknife_se(share, loo)
    low, high = rate_interval(
        share, se, contacts=contacts.sum(axis=1), buckets=effective_buckets(contacts)
    )
    wait = time_interval(
        timed,
        curve,
        risk,
        curves=curves,
        risks_without=risks_without,
        happened=counted.sum(axis=-1),
    )
    n = pl.Series("n", counted.sum(axis=(1, 2))).cast(pl.UInt32)
    return pl.DataFrame(
        {"n": n}
        | interval_columns("share", Interval(share, low, high, se))
        | interval_columns("wait", wait, as_duration=True)
    )


def _rows(of: Risks, at: NDArray[np.int64]) -> Risks:
    return Risks(of.at_risk[at], of.survival[at], of.weight[at])
