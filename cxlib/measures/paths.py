"""The paths that journeys take, from the first contact to the last."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Count, Customers, Label, Share, Tables, Wait
from cxlib.errors import InputError
from cxlib.outcomes import ENDS_COUNTED, OF_ALL_JOURNEYS, whole_numbers
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import OUTCOMES, By, Journeys, name_places, read_journeys
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, dense_counts
from cxlib.store import Workspace
from cxlib.summary import Selection

#: Contacts of a path that are written out; of a longer one the rest is counted.
_WRITTEN = 12
_ARROW = " → "


_NUMBERS = ("contacts", "first", "bucket", "customer", "outcome", "duration", "part")
_NOBODY = pl.DataFrame(schema={"path": pl.UInt64} | dict.fromkeys(_NUMBERS, pl.Int64))


@result
class Paths(Result):
    """What `measure_paths` returns."""

    journeys: int
    paths: int
    others: int
    others_journeys: int

    title = "Most frequent paths"
    tables = Tables(
        table=Columns(
            "one row per path, the most frequent first",
            path=Label("names joined by arrows; of a path longer than twelve the rest is counted"),
            contacts=Count("its length", each="contacts", detail=True),
            journeys=Count("that take it", each="journeys"),
            customers=Customers("who take it"),
            share=OF_ALL_JOURNEYS,
            goal=Share("of its journeys no longer open, reached the goal", interval=True),
            **ENDS_COUNTED,
            duration=Wait(
                "median from the first to the last contact", of="journeys", each="journeys"
            ),
        )
    )
    figures = Columns(
        journeys=Count("in the part asked about", each="journeys"),
        paths=Count("different ones that they take", each="journeys"),
        others=Count("paths that are not in the table", each="journeys"),
        others_journeys=Count("that take them", each="journeys"),
    )

    @property
    def others_share(self) -> float:
        """Share of the journeys that take other paths."""
        return self.others_journeys / max(self.journeys, 1)


@answers(Paths)
def measure_paths(
    workspace: Workspace,
    *,
    by: By = "touchpoint",
    where: Selection | None = None,
    outcome: str | None = None,
    top: int = 20,
) -> Paths:
    """Measure the most frequent paths from the first contact of a journey to its last.

    Contacts of the same name in a row are one. Journeys still running are counted with the path
    taken so far: ``open_n`` says how many.

    Parameters
    ----------
    by
        What a contact is called: its touchpoint, place, channel, stage or owner.
    where
        Segment; periods in which the journey began; channel of its first contact.
    outcome
        Only journeys that ended so: "goal", "declined", "silent", "done" (began beyond the goal) or
        "open".
    top
        Most paths in the table.

    Raises
    ------
    InputError
        For an outcome that does not exist, or a `top` below 1.

    Examples
    --------
    >>> measure_paths(workspace, by="channel", top=2).table.select("path", "journeys").rows()
    [('web', 81), ('store', 24)]
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise InputError(f"there is no outcome {outcome!r}; there are {', '.join(OUTCOMES)}")
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}")
    names, name_of = name_places(workspace.places, by)
    parts, codes_of = [_NOBODY], list[NDArray[np.uint16]]()
    for found in read_journeys(workspace, where=where):
        walks, codes = _walk(found, name_of)
        ended = True if outcome is None else pl.col("outcome") == OUTCOMES.index(outcome)
        part = pl.lit(len(codes_of), pl.Int64).alias("part")
        parts.append(walks.filter(ended).with_columns(part))
        codes_of.append(codes)
    journeys = pl.concat(parts)
    counted = (
        journeys.group_by("path", "contacts")
        .agg(pl.len().alias("journeys"), pl.col("part", "first").first())
        .sort("journeys", "contacts", "path", descending=[True, False, False])
    )
    shown = counted.head(top)
    texts = [
        _written(codes_of[part][first : first + length], names)
        for part, first, length in shown.select("part", "first", "contacts").iter_rows()
    ]
    rest = counted.slice(top)
    return Paths(
        table=_table(shown, journeys, texts),
        journeys=len(journeys),
        paths=len(counted),
        others=len(rest),
        others_journeys=int(rest["journeys"].sum()),
    )


def _walk(found: Journeys, name_of: NDArray[np.int64]) -> tuple[pl.DataFrame, NDArray[np.uint16]]:
    """One row per journey, with a number for its path; and the codes of all contacts."""
    codes, number = name_of.astype(np.uint16)[found.place], found.number
    same = np.concatenate(([False], (codes[1:] == codes[:-1]) & (number[1:] == number[:-1])))
    codes, number = codes[~same], number[~same]
    first = np.flatnonzero(np.diff(number, prepend=-1))
    length = np.diff(first, append=len(codes))
    walks = pl.DataFrame(
        {
            "path": _fingerprints(codes, first, length),
            "contacts": length,
            "first": first,
            "bucket": found.bucket[found.first],
            "customer": found.customer[found.first],
            "outcome": found.outcome,
            "duration": found.at[found.last] - found.at[found.first],
        }
    )
    return walks, codes


def _fingerprints(
    codes: NDArray[np.integer], first: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Give every path a 64-bit number: the sum of its contacts' names mixed with positions.

    Two of ten million different paths share a number with a chance below one in 300,000.
    """
    if not len(codes):
        return np.zeros(0, dtype=np.uint64)
    position = np.arange(len(codes)) - np.repeat(first, length)
    mixed = _mix(codes.astype(np.uint64) + np.uint64(1))
    return np.add.reduceat(_mix(mixed ^ _mix(position.astype(np.uint64) << np.uint64(20))), first)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits of whole numbers (the finaliser of SplitMix64; arithmetic modulo 2**64)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _written(codes: NDArray[np.integer], names: list[str]) -> str:
    text = _ARROW.join(names[c] for c in codes[:_WRITTEN])
    more = len(codes) - _WRITTEN
    return f"{text}{_ARROW}… ({more} more)" if more > 0 else text


def _table(shown: pl.DataFrame, journeys: pl.DataFrame, texts: list[str]) -> pl.DataFrame:
    keys = ["path", "contacts"]
    numbered = shown.select(*keys, number=pl.int_range(pl.len()))
    here = journeys.join(numbered, on=keys, how="inner")
    axes = {
        "path": (here["number"], len(shown)),
        "bucket": (here["bucket"], BUCKETS),
        "outcome": (here["outcome"], len(OUTCOMES)),
    }
    counted = dense_counts(axes, np.ones(len(here)))
    taken, known = counted.sum(axis=2), counted[:, :, :-1].sum(axis=2)
    everyone = dense_counts({"bucket": (journeys["bucket"], BUCKETS)}, np.ones(len(journeys)))
    told = (
        here.group_by("number")
        .agg(customers=pl.col("customer").n_unique(), duration=pl.col("duration").median().round())
        .sort("number")
    )
    return pl.DataFrame(
        {
            "path": pl.Series(texts, dtype=pl.String),
            "contacts": shown["contacts"].cast(pl.UInt32),
            "journeys": shown["journeys"].cast(pl.UInt32),
            "customers": told["customers"].cast(pl.UInt32),
        }
        | interval_columns("share", rate(taken, np.broadcast_to(everyone, taken.shape)))
        | interval_columns("goal", rate(counted[:, :, 0], known))
        | {name: whole_numbers(counted[:, :, k]) for k, name in enumerate(ENDS_COUNTED)}
        | {"duration": told["duration"].cast(pl.Int64).cast(pl.Duration("us"))}
    )
