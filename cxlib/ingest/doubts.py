"""What is odd about a log that was read, each with what to do; nothing is mended here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import polars as pl

from cxlib.contracts import MAX_PLACES, UNKNOWN
from cxlib.errors import did_you_mean
from cxlib.ingest.cells import reads_like_none
from cxlib.ingest.columns import KEY
from cxlib.ingest.evidence import SETTLED, rank_labels, share_of_main
from cxlib.ingest.instants import read_instants
from cxlib.ingest.nobody import CALLED_TESTS
from cxlib.ingest.report import FileReport, OutsideHours
from cxlib.journey_map import JourneyMap
from cxlib.map_model import format_duration
from cxlib.opening_hours import MISFIT

SHEETS = (1_048_575, 65_535)  # rows below a header at which spreadsheets cut a table off
MUCH = 0.2  # share of all contacts from which on one customer is odd
OFTEN = 0.3  # share of ties, of times at midnight from which on to ask
JUMP = 0.03  # least change of the share of rows set aside between files or days that is told
WORTH_A_LOOK = 0.05  # share of contacts outside the opening hours above which to ask
FEW = 3  # so many rows at an end may stand apart, or a two-hundredth of them where that is more
LEAST = timedelta(days=1)  # shorter distances at an end are not told of


@dataclass(frozen=True, eq=False)
class Seen:
    """A log that was read, and what is counted of it when it is asked for."""

    contacts: pl.DataFrame
    places: pl.DataFrame
    quarantine: pl.DataFrame
    files: tuple[FileReport, ...]
    journey_map: JourneyMap

    @cached_property
    def span(self) -> tuple[datetime, datetime, float]:
        """The first and the last contact, and the share of them at exactly midnight."""
        at = pl.col("occurred_at")
        wall = at.dt.convert_time_zone(self.zone).dt.replace_time_zone(None)
        midnight = (wall.dt.truncate("1d") == wall).mean()
        facts = self.contacts.lazy().select(first=at.min(), last=at.max(), midnight=midnight)
        return facts.collect(engine="streaming").row(0)

    @cached_property
    def outside(self) -> tuple[OutsideHours, ...]:
        """Contacts outside the opening hours of their touchpoint, most of them first."""
        calendar = self.journey_map.calendar(self.places["touchpoint"], self.places["channel"])
        if calendar is None or self.span[2] > 0.9:
            return ()
        named = self.places.select(KEY, "touchpoint", "channel").with_row_index("place")
        timed = named.filter(pl.Series([hours is not None for hours in calendar.hours]))
        rows = self.contacts.select(KEY, "occurred_at").join(timed, on=KEY)
        closed = ~calendar.is_open(rows["place"], rows["occurred_at"])
        groups = rows.with_columns(closed=closed).group_by("touchpoint", "channel")
        counted = groups.agg(contacts=pl.len(), outside=pl.col("closed").sum())
        ordered = counted.sort("outside", "touchpoint", "channel", descending=[True, False, False])
        return tuple(OutsideHours(**row) for row in ordered.iter_rows(named=True))

    @cached_property
    def customers(self) -> pl.DataFrame:
        """By customer: ``contacts``, ``first`` and ``last``."""
        at = pl.col("occurred_at")
        counted = self.contacts.lazy().group_by("customer")
        found = counted.agg(contacts=pl.len(), first=at.min(), last=at.max())
        return found.collect(engine="streaming")

    @cached_property
    def placeholders(self) -> pl.DataFrame:
        """Customers whose id reads like none; numbers where they hold many times the rows."""
        found = self.customers.filter(reads_like_none("customer", "contacts"))
        return found.sort("contacts", "customer", descending=[True, False])

    @cached_property
    def counted(self) -> pl.DataFrame:
        """By place: ``len``, its contacts, and what it is."""
        return self.contacts.group_by(KEY).len().join(self.places, on=KEY, how="left")

    @property
    def zone(self) -> str:
        """The map's time zone."""
        return self.journey_map.time_zone or "UTC"

    def distinct(self, *columns: str) -> int:
        """Return the number of different contacts by some columns.

        They are told apart by one hash of 64 bits: of ten million contacts two would share one in
        one log of 300,000.
        """
        hashed = (pl.col(c).hash(seed) for seed, c in enumerate(columns))
        return int(self.contacts.select(pl.sum_horizontal(hashed).n_unique()).item())


def find_doubts(seen: Seen) -> list[str]:
    """Say what is odd about a log, and what to do about it."""
    return [doubt for ask in QUESTIONS for doubt in ask(seen)]


def _hours(seen: Seen) -> Iterator[str]:
    if seen.span[2] > 0.9:
        yield "almost all times are at midnight: the log has dates only; waits mean little"
        return
    for found in sorted(seen.outside, key=lambda found: -found.share):
        if found.share > WORTH_A_LOOK:
            yield (
                f"{found.share:.0%} of the contacts at {found.touchpoint!r} lie outside its "
                "opening hours; mend `opening_hours`, `closed_dates` or `time_zone` in the map"
                + ("; until then no wait for it is judged" if found.share > MISFIT else "")
            )
    channels = seen.places["channel"].drop_nulls().unique().sort().to_list()
    for name in (name for name in seen.journey_map.opening_hours if name not in channels):
        nearest, hint = did_you_mean(name, channels), "which no contact has"
        yield f"`opening_hours` names the channel {name!r}, {hint}{nearest and f'.{nearest}'}"


def _ids(seen: Seen) -> Iterator[str]:
    for name, rows in seen.placeholders.select("customer", "contacts").iter_rows():
        yield (
            f"customer {name!r} reads like a placeholder and holds {rows:,} of "
            f"{seen.contacts.height:,} rows; if it is none, write into the map: "
            f"not_a_customer: [{name!r}]"
        )
    # ids such as 003X2pGL are written in both cases at random: the case tells them apart
    written = pl.col("customer").str.contains(r"^[A-Za-z\d]*[a-z][A-Za-z\d]*[A-Z][A-Za-z\d]*$")
    is_coded = (written & pl.col("customer").str.contains(r"\d")).mean()
    ids = seen.customers.select(pl.col("customer"), pl.col("contacts").alias("len"))
    if seen.customers.select(is_coded).item() < 0.3 and (twins := _twins(ids)):
        names, rows = twins[0]
        count = sum(len(names) for names, _ in twins)
        yield (
            f"{count:,} customers differ from another by case only, such as "
            f"{' and '.join(map(repr, names[:2]))} ({sum(rows for _, rows in twins):,} rows); if "
            "they are one, write into the map: fold_case: true"
        )
    for role in ("touchpoint", "channel", "stage", "owner"):
        counted = seen.counted.drop_nulls(role).group_by(role).agg(pl.col("len").sum())
        if twins := sorted(_twins(counted), key=lambda twin: twin[0][0].lower()):
            shown = ", ".join(" and ".join(map(repr, names)) for names, _ in twins[:3])
            yield (
                f"{role}s that differ by case only: {shown} "
                f"({sum(rows for _, rows in twins):,} contacts); if they are one, write into the "
                "map: fold_case: true"
            )


def _odd_ids(seen: Seen) -> Iterator[str]:
    """Of customers whose ids say that they are none: extensions among phone numbers, tests."""
    name, column = pl.col("customer"), seen.journey_map.columns.get("customer", "customer")
    digits = name.str.replace_all(r"^sip:|@.*$|[^\d]", "").str.len_chars()
    is_phone = name.str.contains(r"^(?:sip:)?[+(]?\d[\d ()/.-]*(?:@.*)?$")
    are_phones = seen.customers.select((is_phone & (digits >= 9)).mean() > 0.6).item()
    extension = r"^(?:sip:)?\d{2,5}(?:@.*)?$"
    kinds = {"are called tests or robots": CALLED_TESTS}
    kinds |= {"are extensions, where others are whole numbers": extension} if are_phones else {}
    for what, pattern in kinds.items():
        found = seen.customers.filter(name.str.contains(pattern)).sort("contacts", "customer")
        if 0 < found.height < MUCH * seen.customers.height:
            yield (
                f"{found.height:,} customers {what}, such as {found['customer'][-1]!r}, with "
                f"{found['contacts'].sum():,} contacts; if they are own people and no customers, "
                f"write into the map: not_a_customer: [{{{column}: '{pattern}'}}]"
            )


def _twins(names: pl.DataFrame) -> list[tuple[list[str], int]]:
    """Return the names that differ from another by case only, with what they hold together."""
    name = pl.col(names.columns[0])
    low = name.str.to_lowercase().alias("low")
    twins = names.group_by(low).agg(name.sort(), pl.col("len").sum())
    twins = twins.filter(name.list.len() > 1).sort("len", "low", descending=[True, False])
    return list(twins.drop("low").iter_rows())


def _gap(seen: Seen) -> Iterator[str]:
    gap = seen.journey_map.journey.gap
    span = seen.span[1] - seen.span[0]
    if gap is not None and gap > span / 3:
        yield (
            f"the gap of {format_duration(gap)} is longer than a third of the log, which spans "
            f"{_long(span)}: a silence this long can hardly be seen in it, and who was lost is not "
            f"known; write a gap of at most {_long(span / 3)}, or take a longer log"
        )


def _owners(seen: Seen) -> Iterator[str]:
    named = dict(seen.journey_map.columns)
    column = named.pop("owner", None)
    if column is None or column in named.values():
        return
    places = seen.counted.with_columns(place=pl.struct("touchpoint", "channel", "stage"))
    ranked = rank_labels(places, "place", "owner").unnest("place")
    if (main := share_of_main(ranked)) < SETTLED:
        worst = ranked.sort("others", "touchpoint", descending=[True, False]).row(0, named=True)
        most = zip(worst["owner"][:3], worst["len"][:3], strict=True)
        shown = ", ".join(f"{owner} {n:,}" for owner, n in most)
        yield (
            f"{1 - main:.0%} of the contacts have another {column!r} than most at their "
            f"touchpoint (at {worst['touchpoint']!r}: {shown}): the most frequent one counts as "
            f"its owner; to compare them, write {column!r} under environment, too, or under "
            "segments where each customer has one"
        )


def _customers(seen: Seen) -> Iterator[str]:
    rows, customers = seen.contacts.height, seen.customers.height
    column = seen.journey_map.columns.get("customer", "customer")
    if customers == rows and rows > 1:
        yield (
            f"every contact has a customer of its own: is {column!r} the customer, and not the "
            "contact, the order or the visit? As it is nobody has a second contact; name another "
            "column, or the shape of the table (`unpivot`, `one_per`, `join`)"
        )
    elif customers < 5:
        what = f"is {column!r} the customer, and not a group of them?"
        yield f"there are only {customers:,} customers: {what}"
    top = seen.customers.sort("contacts", "customer", descending=[True, False]).row(0, named=True)
    told = top["customer"] in seen.placeholders["customer"]
    if customers >= 5 and not told and top["contacts"] > max(MUCH * rows, 20):
        yield (
            f"one customer, {top['customer']!r}, has {top['contacts']:,} of {rows:,} contacts "
            f"({top['contacts'] / rows:.0%}): is it a placeholder for many strangers, or a "
            f"machine? Every rate moves with it; if so, write not_a_customer: [{top['customer']!r}]"
        )


def _times(seen: Seen) -> Iterator[str]:
    rows = seen.contacts.height
    tied = rows - seen.distinct("customer", "occurred_at")
    ordered = seen.contacts["sequence"].n_unique() > 1
    if rows and tied > OFTEN * rows and not ordered:
        yield (
            f"{tied:,} of {rows:,} contacts ({tied / rows:.0%}) are at the same instant as another "
            "of their customer, and nothing gives their order; name a column under `sequence`, or "
            "write ties_as_listed: true where the map lists the steps in their order"
        )
    if OFTEN < seen.span[2] <= 0.9:
        yield (
            f"{seen.span[2]:.0%} of the times are at exactly midnight: these are dates without a "
            "time, and waits of a day or less mean nothing for them; export the time too"
        )


def _goal(seen: Seen) -> Iterator[str]:
    goals = seen.journey_map.journey.goal
    keys = seen.places.filter(pl.col("touchpoint").is_in(goals))[KEY]
    reached = seen.contacts.filter(pl.col(KEY).is_in(keys.implode()))
    named = f"the goal ({', '.join(goals)})"
    if not reached.height:
        where = "is it spelled as in the log, and in the files that were read?"
        yield from [f"nobody reaches {named}: {where}"] if goals else []
        return
    joined = reached.select("customer", "occurred_at").join(seen.customers, on="customer")
    # where all of a customer's contacts share an instant nobody knows which came first
    at = pl.col("occurred_at")
    first = joined.select(((at == pl.col("first")) & (at < pl.col("last"))).mean()).item()
    if first > 0.5:
        yield (
            f"{first:.0%} of the contacts at {named} are the first of their customer: that is how "
            "journeys begin, not what they are for; name another goal"
        )


def _constants(seen: Seen) -> Iterator[str]:
    touchpoints, channels = (seen.counted[c].unique() for c in ("touchpoint", "channel"))
    if len(touchpoints) == 1 and seen.contacts.height > 1:
        yield (
            f"all contacts are at one touchpoint, {touchpoints[0]!r}: nothing can follow "
            "anything; is another column the contact?"
        )
    places = seen.counted.select("touchpoint", "channel", "stage").n_unique()
    if places > MAX_PLACES:
        yield (
            f"{places:,} different combinations of touchpoint, channel and stage: at most "
            f"{MAX_PLACES:,} can be told apart, and `cx ingest` will refuse; group touchpoints by "
            "`match` rules, or name a column of fewer values"
        )
    named = "channel" in seen.journey_map.columns
    if named and len(channels) == 1 and channels[0] != UNKNOWN:
        yield (
            f"the channel is {channels[0]!r} throughout: the column says nothing; name another, or "
            "give each touchpoint its channel in the map"
        )


def _duplicates(seen: Seen) -> Iterator[str]:
    keys, rows = ("customer", "occurred_at", KEY, "row"), seen.contacts.height
    again = rows - seen.distinct(*keys)
    if again < max(2, 0.001 * rows):
        return
    is_aside = rows - seen.distinct(*keys, "sequence") == again
    what = "they are set aside" if is_aside else "the file gives them an order, so they are kept"
    grain = "; was something exported twice?"
    if again > 0.2 * rows:
        what += "; so many mean that a row of this table is not a contact"
        grain = ": what else does a row stand for?"
    share = f"{again:,} of {rows:,} rows ({again / rows:.1%})"
    yield f"{share} are exact duplicates of another: {what}{grain}"


def _sheets(seen: Seen) -> Iterator[str]:
    for file in (file for file in seen.files if file.rows in SHEETS):
        yield (
            f"{file.name} has exactly {file.rows:,} rows, as many as a spreadsheet holds: the rest "
            "was cut off; export it without the spreadsheet"
        )


def _set_aside(seen: Seen) -> Iterator[str]:
    """Rows set aside in one file, or from one day on, say that something broke there."""
    for (reason,), rows in sorted(seen.quarantine.group_by("reason"), key=lambda g: -len(g[1])):
        if len(rows) >= 10:
            yield from (*_by_file(seen, str(reason), rows), *_by_day(seen, str(reason), rows))


def _by_file(seen: Seen, reason: str, rows: pl.DataFrame) -> Iterator[str]:
    of = {file.name: file.rows for file in seen.files}
    if len(of) < 2:
        return
    name, count = max(rows["file"].value_counts().iter_rows(), key=lambda found: found[1])
    here = of.get(name, 0)
    share = count / max(here, 1)
    rest = (len(rows) - count) / max(sum(of.values()) - here, 1)
    if share - rest > JUMP and share > 3 * rest:
        which = f"all {count:,}" if count == len(rows) else f"{count:,} of {len(rows):,}"
        yield (
            f"{reason}: {which} rows are in {name}, {share:.1%} of its rows "
            f"(others {rest:.1%}): was a column renamed or emptied there? Ask who exports it"
        )


def _by_day(seen: Seen, reason: str, rows: pl.DataFrame) -> Iterator[str]:
    texts = rows["occurred_at"].drop_nulls()
    if not len(texts) or reason.startswith(("time", "implausible")):
        return
    zone, formats = seen.journey_map.time_zone, seen.journey_map.time_format
    read = read_instants(texts, where="", time_zone=zone, time_format=formats, refuse=False).values
    day = pl.col("occurred_at").dt.convert_time_zone(seen.zone).dt.date()
    at = read.alias("occurred_at").to_frame().drop_nulls()
    aside = at.group_by(day=day).agg(aside=pl.len())
    kept = seen.contacts.lazy().group_by(day=day).agg(kept=pl.len())
    days = kept.collect().join(aside, on="day", how="full", coalesce=True).fill_null(0).sort("day")
    bad, of = pl.col("aside"), pl.col("aside") + pl.col("kept")
    rest = of.sum() - of.cum_sum()
    was, now = bad.cum_sum() / of.cum_sum(), (bad.sum() - bad.cum_sum()) / rest
    split = days.with_columns(was=was, now=now, of_before=of.cum_sum(), of_after=rest)
    split = split.filter(pl.min_horizontal("of_before", "of_after") >= 20)
    if split.is_empty():
        return
    # where the log before and after differs most, beyond chance: the usual normal score
    share = days.select(bad.sum() / of.sum()).item()
    spread = (1 / pl.col("of_before") + 1 / pl.col("of_after")).sqrt()
    score = (pl.col("now") - pl.col("was")).abs() / spread / ((share * (1 - share)) ** 0.5 or 1.0)
    best = split.with_columns(score=score).sort("score", descending=True).row(0, named=True)
    low, high = sorted((best["was"], best["now"]))
    if best["score"] > 5 and high - low > JUMP and high > 3 * low:
        since = days.filter(pl.col("day") > best["day"])["day"][0]
        word = "rose" if best["now"] > best["was"] else "fell"
        yield (
            f"{reason}: the share of such rows {word} from {best['was']:.1%} to {best['now']:.1%} "
            f"on {since}: tracking broke or was mended there; compare periods across this day with "
            "care"
        )


def _ends(seen: Seen) -> Iterator[str]:
    """Which few first or last contacts stand far from the others: a wrong clock decides for all.

    Contacts that come at random, m silences in the middle of them, keep f times the longest of
    these with probability m!·f!/(m+f)!: below 0.1 % with f = 3 from m = 17 on, else f = 10.
    """
    contacts, journey_map, zone = seen.contacts, seen.journey_map, seen.zone
    rows, hour = len(contacts), pl.col("occurred_at").dt.truncate("1h").alias("at")
    few = min(max(FEW, rows // 200), rows // 4)
    counted = contacts.lazy().group_by(hour).agg(rows=pl.len()).sort("at")
    at, before = pl.col("at"), pl.col("rows").cum_sum() - pl.col("rows")
    hours = counted.with_columns(
        before=before, after=rows - before, silence=at.diff(), previous=at.shift(1)
    ).collect(engine="streaming")
    in_middle = (pl.col("before") > few) & (pl.col("after") > few)
    middle = hours.filter(in_middle)["silence"].drop_nulls()
    if len(middle) < 3:
        return
    longest: timedelta = middle.max()  # type: ignore[assignment]
    far = max((3 if len(middle) >= 17 else 10) * longest, LEAST)
    apart = hours.filter(pl.col("silence") > far)
    last = apart.filter(pl.col("after") <= few).head(1)
    first = apart.filter(pl.col("before") <= few).tail(1)
    end = journey_map.observed_until
    if len(last) and end is None:
        row = last.row(0, named=True)
        yield (
            f"{_told(row['after'], rows, 'last')} {_days(row['silence'])} after all others, from "
            f"{_day(row['at'], zone)} on: the end of observation rests on them, so that customers "
            "who were silent in between count as lost. If their clock is wrong, write into the map "
            f"`observed_until: {_day(row['previous'], zone)}`, and they are set aside"
        )
    if len(first) and journey_map.earliest is None:
        row = first.row(0, named=True)
        yield (
            f"{_told(row['before'], rows, 'first')} {_days(row['silence'])} before all others, up "
            f"to {_day(row['previous'], zone)}: the log begins with them. If their clock is wrong, "
            f"write into the map `earliest: {_day(row['at'], zone)}`, and they are set aside"
        )
    newest: datetime = hours["at"][-1]
    if end is not None and end - newest > far:
        stated = _day(end - timedelta(microseconds=1), zone)  # a date alone is the end of that day
        yield (
            f"the last contact is {_days(end - newest)} before the stated observed_until ({stated})"
            ": whoever came last then counts as silent since; say until when the log is complete"
        )


def _told(few: int, rows: int, which: str) -> str:
    stand = f"{few:,} contacts (of {rows:,}) stand" if few > 1 else f"contact (of {rows:,}) stands"
    return f"the {which} {stand}"


def _day(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d}"


def _days(length: timedelta) -> str:
    return f"{length.days:,} day{'' if length.days == 1 else 's'}"


def _long(span: timedelta) -> str:
    seconds, units = span.total_seconds(), ((86_400, "d"), (3_600, "h"), (60, "m"), (0, "s"))
    size, unit = next((size, unit) for size, unit in units if seconds >= size)
    return f"{seconds // (size or 1):.0f}{unit}"


QUESTIONS: tuple[Callable[[Seen], Iterator[str]], ...] = (
    _ids, _odd_ids, _hours, _owners, _customers, _constants, _gap, _goal, _times, _duplicates,
    _set_aside, _sheets, _ends,
)  # fmt: skip
"""What is asked of every log, in the order of the report."""
