"""What is odd about a log that was read, each with what to do: counts alone mislead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import polars as pl

from cxlib.contracts import UNKNOWN
from cxlib.ingest.instants import read_instants
from cxlib.ingest.recognise import KEY
from cxlib.ingest.report import FileReport
from cxlib.ingest.suspects import hints_on_ids
from cxlib.journey_map import JourneyMap
from cxlib.map_model import format_duration

__all__ = ["doubts_about"]

SHEETS = (1_048_575, 65_535)
"""Rows below a header at which spreadsheets cut a table off."""

MUCH = 0.2
"""Share of all contacts from which on one customer is odd."""

OFTEN = 0.3
"""Share of ties, of times at midnight, of goals that are a first contact, from which on to ask."""

JUMP = 0.03
"""Least change of the share of rows set aside between files or days that is told."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the questions are put to."""

    contacts: pl.DataFrame
    places: pl.DataFrame
    quarantine: pl.DataFrame
    files: tuple[FileReport, ...]
    journey_map: JourneyMap

    @cached_property
    def customers(self) -> pl.DataFrame:
        """By customer: ``contacts``, ``first`` and ``last``."""
        at = pl.col("occurred_at")
        counted = self.contacts.lazy().group_by("customer")
        return counted.agg(contacts=pl.len(), first=at.min(), last=at.max()).collect(
            engine="streaming"
        )

    @property
    def zone(self) -> str:
        return self.journey_map.time_zone or "UTC"

    def day(self, at: pl.Expr) -> pl.Expr:
        """The local day of an instant."""
        return at.dt.convert_time_zone(self.zone).dt.date()


def doubts_about(
    contacts: pl.DataFrame,
    places: pl.DataFrame,
    quarantine: pl.DataFrame,
    *,
    files: tuple[FileReport, ...],
    journey_map: JourneyMap,
) -> list[str]:
    """Say what is odd about a log, and what to do about it.

    Parameters
    ----------
    contacts
        ``customer``, ``occurred_at``, ``sequence``, ``row`` and `KEY`.
    places
        What the keys mean.
    quarantine
        The rows set aside.
    files
        What was read.
    journey_map
        Gives gap, goal and time zone.
    """
    seen = _Seen(contacts, places, quarantine, files, journey_map)
    return [doubt for ask in QUESTIONS for doubt in ask(seen)]


def _gap(seen: _Seen) -> Iterator[str]:
    gap = seen.journey_map.journey.gap
    first, last = seen.customers["first"].min(), seen.customers["last"].max()
    span: timedelta = last - first  # type: ignore[operator,assignment]
    if gap is not None and gap > span / 3:
        yield (
            f"the gap of {format_duration(gap)} is longer than a third of the log, which spans "
            f"{_long(span)}: a silence this long can hardly be seen in it, and who was lost is not "
            f"known; write a gap of at most {_long(span / 3)}, or take a longer log"
        )


def _customers(seen: _Seen) -> Iterator[str]:
    rows, customers = seen.contacts.height, seen.customers.height
    column = seen.journey_map.columns.get("customer", "customer")
    if customers == rows and rows > 1:
        yield (
            f"every contact has a customer of its own: is {column!r} the customer, and not the "
            "contact, the order or the visit? As it is nobody has a second contact; name another "
            "column, or the shape of the table (`unpivot`, `one_per`, `join`)"
        )
    elif customers < 5:
        yield (
            f"there are only {customers:,} customers: is {column!r} the customer, and not a "
            "group of them?"
        )
    top = seen.customers.sort("contacts", "customer", descending=[True, False]).row(0, named=True)
    told = "not_a_customer" in " ".join(hints_on_ids(pl.Series([top["customer"]])))
    if customers >= 5 and not told and top["contacts"] > max(MUCH * rows, 20):
        yield (
            f"one customer, {top['customer']!r}, has {top['contacts']:,} of {rows:,} contacts "
            f"({top['contacts'] / rows:.0%}): is it a placeholder for many strangers, or a "
            "machine? "
            f"Every rate moves with it; if so, write not_a_customer: [{top['customer']!r}]"
        )


def _times(seen: _Seen) -> Iterator[str]:
    rows = seen.contacts.height
    keys = ["customer", "occurred_at"]
    tied = rows - seen.contacts.lazy().select(keys).unique().select(pl.len()).collect().item()
    ordered = seen.contacts["sequence"].n_unique() > 1
    if rows and tied > OFTEN * rows and not ordered:
        yield (
            f"{tied:,} of {rows:,} contacts ({tied / rows:.0%}) are at the same instant as "
            "another of their customer, and nothing gives their order; name a column under "
            "`sequence`, or write ties_as_listed: true where the map lists the steps in their order"
        )
    zone = seen.zone
    wall = pl.col("occurred_at").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    midnight = float(seen.contacts.select((wall.dt.truncate("1d") == wall).mean()).item())
    if OFTEN < midnight <= 0.9:
        yield (
            f"{midnight:.0%} of the times are at exactly midnight: these are dates without a time, "
            "and waits of a day or less mean nothing for them; export the time too"
        )


def _goal(seen: _Seen) -> Iterator[str]:
    goals = seen.journey_map.journey.goal
    keys = seen.places.filter(pl.col("touchpoint").is_in(goals))[KEY]
    reached = seen.contacts.filter(pl.col(KEY).is_in(keys.implode()))
    if goals and not reached.height:
        yield (
            f"nobody reaches the goal ({', '.join(goals)}): is it spelled as in the log, and "
            "in the files that were read?"
        )
    if not reached.height:
        return
    joined = reached.select("customer", "occurred_at").join(seen.customers, on="customer")
    # where all of a customer's contacts share an instant nobody knows which came first
    at = pl.col("occurred_at")
    is_first = (at == pl.col("first")) & (at < pl.col("last"))
    first = float(joined.select(is_first.mean()).item())
    if first > 0.5:
        yield (
            f"{first:.0%} of the contacts at the goal ({', '.join(goals)}) are the first of their "
            "customer: that is how journeys begin, not what they are for; name another goal"
        )


def _constants(seen: _Seen) -> Iterator[str]:
    counted = seen.contacts.group_by(KEY).len().join(seen.places, on=KEY, how="left")
    touchpoints, channels = counted["touchpoint"].unique(), counted["channel"].unique()
    if len(touchpoints) == 1 and seen.contacts.height > 1:
        yield (
            f"all contacts are at one touchpoint, {touchpoints[0]!r}: nothing can follow "
            "anything; is another column the contact?"
        )
    named = "channel" in seen.journey_map.columns
    if named and len(channels) == 1 and channels[0] != UNKNOWN:
        yield (
            f"the channel is {channels[0]!r} throughout: the column says nothing; name another, or "
            "give each touchpoint its channel in the map"
        )


def _duplicates(seen: _Seen) -> Iterator[str]:
    keys = ["customer", "occurred_at", KEY, "row"]
    rows = seen.contacts.height
    distinct = seen.contacts.lazy().select(keys).unique().select(pl.len()).collect().item()
    again = rows - distinct
    if again < max(2, 0.001 * rows):
        return
    kept = (
        rows
        - seen.contacts.lazy().select(*keys, "sequence").unique().select(pl.len()).collect().item()
    )
    what = (
        "they are set aside" if kept == again else "the file gives them an order, so they are kept"
    )
    grain = (
        "; so many mean that a row of this table is not a contact: what else does a row stand for?"
        if again > 0.2 * rows
        else "; was something exported twice?"
    )
    share = f"{again:,} of {rows:,} rows ({again / rows:.1%})"
    yield f"{share} are exact duplicates of another: {what}{grain}"


def _sheets(seen: _Seen) -> Iterator[str]:
    for file in seen.files:
        if file.rows in SHEETS:
            yield (
                f"{file.name} has exactly {file.rows:,} rows, as many as a spreadsheet holds: "
                "the rest was cut off; export it without the spreadsheet"
            )


def _set_aside(seen: _Seen) -> Iterator[str]:
    """Rows set aside in one file, or from one day on, say that something broke there."""
    if seen.quarantine.is_empty():
        return
    for (reason,), rows in sorted(seen.quarantine.group_by("reason"), key=lambda g: -len(g[1])):
        if len(rows) < 10:
            continue
        told = list(_by_file(seen, str(reason), rows)) + list(_by_day(seen, str(reason), rows))
        yield from told[:2]


def _by_file(seen: _Seen, reason: str, rows: pl.DataFrame) -> Iterator[str]:
    if len(seen.files) < 2:
        return
    of = {file.name: file.rows for file in seen.files}
    here = dict(rows["file"].value_counts().iter_rows())
    for name, count in sorted(here.items(), key=lambda item: -item[1])[:1]:
        others = sum(of.values()) - of.get(name, 0)
        share, rest = count / max(of.get(name, 0), 1), (len(rows) - count) / max(others, 1)
        if share - rest > JUMP and share > 3 * rest:
            which = "all" if count == len(rows) else f"{count:,} of {len(rows):,}"
            yield (
                f"{reason}: {which} {len(rows):,} rows are in {name}, {share:.1%} of its rows "
                f"(others {rest:.1%}): was a column renamed or emptied there? Ask who exports it"
            ).replace(f"{count:,} of {len(rows):,} {len(rows):,}", f"{count:,} of {len(rows):,}")


def _by_day(seen: _Seen, reason: str, rows: pl.DataFrame) -> Iterator[str]:
    texts = rows["occurred_at"].drop_nulls()
    if not len(texts) or reason.startswith(("time", "implausible")):
        return
    read = read_instants(
        texts,
        where="",
        time_zone=seen.journey_map.time_zone,
        time_format=seen.journey_map.time_format,
        refuse=False,
    ).values
    day = seen.day(pl.col("at"))
    aside = read.alias("at").to_frame().drop_nulls().group_by(day=day).agg(aside=pl.len())
    kept = seen.contacts.lazy().group_by(day=seen.day(pl.col("occurred_at"))).agg(kept=pl.len())
    days = kept.collect().join(aside, on="day", how="full", coalesce=True).fill_null(0).sort("day")
    if days.height < 2:
        return
    total = (pl.col("aside") + pl.col("kept")).cum_sum()
    split = days.with_columns(
        before=pl.col("aside").cum_sum(), of_before=total
    ).with_columns(
        after=pl.col("aside").sum() - pl.col("before"),
        of_after=(pl.col("aside") + pl.col("kept")).sum() - pl.col("of_before"),
    )  # fmt: skip
    split = split.filter((pl.col("of_before") >= 20) & (pl.col("of_after") >= 20)).with_columns(
        was=pl.col("before") / pl.col("of_before"), now=pl.col("after") / pl.col("of_after")
    )
    if split.is_empty():
        return
    # where the log before and after differs most, beyond chance: the usual normal score
    share = pl.col("aside").sum() / (pl.col("aside") + pl.col("kept")).sum()
    spread = days.select((share * (1 - share)).sqrt()).item() or 1.0
    score = (pl.col("now") - pl.col("was")).abs() / (
        spread * (1 / pl.col("of_before") + 1 / pl.col("of_after")).sqrt()
    )
    best = split.with_columns(score=score).sort("score", descending=True).row(0, named=True)
    low, high = sorted((best["was"], best["now"]))
    if best["score"] > 5 and high - low > JUMP and high > 3 * low:
        since = days.filter(pl.col("day") > best["day"]).row(0, named=True)["day"]
        word = "rose" if best["now"] > best["was"] else "fell"
        yield (
            f"{reason}: the share of such rows {word} from {best['was']:.1%} to "
            f"{best['now']:.1%} on "
            f"{since}: tracking broke or was mended there; compare periods across this day "
            "with care"
        )


def _long(span: timedelta) -> str:
    """Write a duration in its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if span.total_seconds() >= size:
            return f"{span.total_seconds() // size:.0f}{unit}"
    return f"{span.total_seconds():.0f}s"


QUESTIONS: tuple[Callable[[_Seen], Iterator[str]], ...] = (
    _customers, _constants, _gap, _goal, _times, _duplicates, _set_aside, _sheets,
)  # fmt: skip
"""What is asked of every log, in the order of the report."""
