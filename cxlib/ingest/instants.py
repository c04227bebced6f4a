"""Times as exports write them, read as instants in UTC; nothing is guessed.

What has one reading is recognised, also several writings in one column. Whether day or month comes
first, all values of the column decide together; where they cannot, the question is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest import clocks
from cxlib.ingest.cells import plain_digits, tidied

_NAIVE_FORMATS = tuple(
    f"%Y-%m-%d{mark}{clock}" for clock in ("%H:%M:%S%.f", "%H:%M") for mark in "T "
)
_AWARE_FORMATS = tuple(f"{naive}%#z" for naive in _NAIVE_FORMATS)
_COULD_HAVE_OFFSET = r":\d.*(?:[zZ]|[+\-]\d{2}(?::?\d{2})?)\s*$"
_TWO_WAYS = re.compile(
    r"\s*(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})"
    r"(?:([ T,]+)(\d{1,2}:\d{2})(:\d{2})?(\.\d+)?(\s?[AaPp]\.?\s?[Mm]\.?)?)?"
    r"\s*([+-]\d{2}:?\d{2}|Z)?\s*"
)
_NUMERIC_DATE = r"^\s*(\d{1,2})([./\- ])\s?(\d{1,2})[./\- ]\s?(\d{4}|\d{2})(?:\D|$)"


@dataclass(frozen=True, slots=True)
class Instants:
    """Instants in UTC, null where there was none or `unread`; how many carried no offset, and of
    those how many fell into the hour that summer time leaves out (moved an hour on) or into the one
    that occurs twice (the first was taken); and how they were read.
    """

    values: pl.Series
    unread: pl.Series
    without_offset: int = 0
    moved: int = 0
    twice: int = 0
    hints: tuple[str, ...] = ()


def read_instants(
    raw: pl.Series,
    *,
    where: str,
    time_zone: str | None = None,
    time_format: str | Sequence[str] | None = None,
    refuse: bool = True,
) -> Instants:
    """Read a column of times; `time_zone` is that of times without an offset (None: UTC),
    `time_format` one or several to be tried in turn (None: detected); `refuse`: raise where more
    than half of the values cannot be read.
    """
    if raw.dtype == pl.Date or isinstance(raw.dtype, pl.Datetime):
        zone = getattr(raw.dtype, "time_zone", None)
        at, unread = raw.cast(pl.Datetime("us", zone)), pl.repeat(False, len(raw), eager=True)
        if zone is not None:
            return Instants(at.dt.convert_time_zone("UTC"), unread)
        values, moved, twice = _localise(at, time_zone)
        return Instants(values, unread, len(raw) - raw.null_count(), moved, twice)
    column = _Column(raw.cast(pl.String), where, time_zone)
    formats = (time_format,) if isinstance(time_format, str) else tuple(time_format or ())
    for one in formats:
        column.read_given(one)
    if not formats:
        column.detect()
    naive = column.naive.set(column.aware.is_not_null(), None)
    local, moved, twice = _localise(naive, time_zone)
    values = column.aware.zip_with(column.aware.is_not_null(), local)
    unread = values.is_null() & (column.text.str.strip_chars() != "").fill_null(False)
    count = int(unread.sum())
    if count and refuse:
        text = raw.cast(pl.String)
        said = _other_reading(text, text.filter(unread), where, formats)
        if count > (len(raw) - raw.null_count()) / 2:
            raise InputError(said or _refusal(text.filter(unread), where, formats))
        column.hints += [said] if said is not None else []
    there = len(naive) - naive.null_count()
    return Instants(values, unread, there, moved, twice, tuple(column.hints))


def guess_time_format(texts: pl.Series | Sequence[str]) -> tuple[str, bool] | None:
    """Return the pattern of times that begin with day and month, and whether only one is possible.

    Examples
    --------
    >>> guess_time_format(["05/01/2024 10:00", "25/01/2024 11:30"])
    ('%d/%m/%Y %H:%M', True)
    """
    matches = [m for m in map(_TWO_WAYS.fullmatch, texts) if m]
    if not matches or len(matches) < len(texts) / 2:
        return None
    first, second = (pl.Series([int(m[part]) for m in matches]) for part in (1, 3))
    order = _order(first, second, pl.Series([m[4] for m in matches]))
    longest = max(matches, key=lambda m: len(m[0]))
    _, sep, _, year, gap, clock, seconds, fraction, half, offset = longest.groups()
    pattern = f"%m{sep}%d{sep}" if order == "month" else f"%d{sep}%m{sep}"
    pattern += "%Y" if len(year) == 4 else "%y"
    if clock:
        pattern += gap + ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "")
        blank = " " if half and half[0].isspace() else ""
        pattern += ("%.f" if fraction else "") + (f"{blank}%p" if half else "")
    return pattern + ("%z" if offset else ""), order is not None


def swap_day_and_month(pattern: str) -> str:
    """Return the other reading of a pattern."""
    return pattern.translate(str.maketrans("dm", "md"))


def _order(first: pl.Series, second: pl.Series, years: pl.Series) -> str | None:
    """Say whether "day" or "month" comes first, None where the values do not tell."""
    day = int((first.is_between(13, 31) & (second <= 12)).sum())
    month = int((second.is_between(13, 31) & (first <= 12)).sum())
    if day == month == 0 or (min(day, month) > 0.01 * max(day, month)):
        return None
    # Two digits for the year might be the day: only where they repeat and the days do not.
    if (years.str.len_chars() == 2).any():
        days = first if day > month else second
        if days.n_unique() < 3 * years.n_unique() and years.cast(pl.Int64).max() <= 31:  # type: ignore[operator]
            return None
    return "day" if day > month else "month"


@dataclass(slots=True)
class _Column:
    """A column that is being read: instants with an offset, walls without one, and what is left."""

    text: pl.Series
    where: str
    zone: str | None
    aware: pl.Series = field(init=False)
    naive: pl.Series = field(init=False)
    hints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.naive = pl.repeat(None, len(self.text), dtype=clocks.NAIVE, eager=True)
        self.aware = self.naive.cast(clocks.INSTANT)

    def left(self, among: pl.Series | None = None) -> pl.Series:
        left = self.aware.is_null() & self.naive.is_null() & self.text.is_not_null()
        return (left if among is None else (left & among).fill_null(False)).arg_true()

    def take(self, at: pl.Series, *found: pl.Series) -> None:
        """Fill in what was read of the values at some places; walls are those without a zone."""
        for values in found:
            if values.null_count() < len(values):
                if getattr(values.dtype, "time_zone", None) is not None:
                    self.aware = self.aware.scatter(at, values.cast(clocks.INSTANT))
                else:
                    self.naive = self.naive.scatter(at, values.cast(clocks.NAIVE))

    def parse(self, pattern: str, among: pl.Series | None = None, *, usual: bool = False) -> None:
        """Read what is left in a pattern of Polars', which is fast; a `usual` one, which a writing
        knows as well, only where a look over all of them finds it.
        """
        at = self.left(among)
        try:
            few = self.text.gather(at.gather_every(len(at) // 200 + 1))
            if usual and few.str.to_datetime(pattern, strict=False).null_count() == len(few):
                return
            read = self.text.gather(at).str.to_datetime(pattern, strict=False, time_unit="us")
        except pl.exceptions.PolarsError:
            return
        # %Y takes two digits for a year of the first century
        self.take(at, read.set((read.dt.year() < 1000).fill_null(False), None))

    def read(self, writing: str, among: pl.Series | None = None) -> pl.DataFrame | None:
        """Read what is left in one writing; say what names of clocks mean; return what was read."""
        at = self.left(among)
        at = at.filter(self.text.gather(at).str.contains(writing)) if len(at) else at
        parts = clocks.read_parts(self.text.gather(at), writing, self.zone) if len(at) else None
        if parts is None or parts["wall"].null_count() == len(parts):
            return None
        utc = pl.col("wall").dt.replace_time_zone("UTC") - pl.duration(minutes="offset")
        has_offset = pl.col("offset").is_not_null()
        found = parts.select(pl.when(has_offset).then(utc), walls=pl.when(~has_offset).then("wall"))
        self.take(at, *found)
        return parts.drop_nulls("wall")

    def detect(self) -> None:
        """Read whatever has one reading; the usual spellings first, they are fast."""
        self.read_usual()
        if not len(self.left()):
            return
        self.text = plain_digits(tidied(self.text))
        at = self.left(clocks.is_number(self.text))
        if 2 * len(at) >= len(self.text) - self.text.null_count():
            found, how = clocks.read_numbers(self.text.gather(at))
            self.take(at, *found)
            self.hints += [f"{self.where}: {said}" for said in how]
        self.read_numeric_dates()
        self.read_worded()

    def read_usual(self) -> None:
        """Read ISO 8601 as it is mostly written; with an offset only what could have one."""
        could = self.text.str.contains(_COULD_HAVE_OFFSET)
        for pattern in _AWARE_FORMATS:
            self.parse(pattern, could, usual=True)
        for pattern in (*_NAIVE_FORMATS, "%Y-%m-%d"):
            self.parse(pattern, usual=True)

    def read_worded(self) -> None:
        among = ~clocks.is_number(self.text)
        found = [self.read(writing, among) for writing in (clocks.YEAR_FIRST, *clocks.OTHERS)]
        self.say_zones([parts for parts in found if parts is not None])

    def read_numeric_dates(self) -> None:
        """Read 13.01.2024 or 01/13/2024 where the values of one separator tell which is the day."""
        at = self.left()
        parts = self.text.gather(at).str.extract_groups(_NUMERIC_DATE).struct.unnest()
        parts.columns = ["first", "mark", "second", "year"]
        parts = parts.with_columns(pl.col("first", "second").cast(pl.Int64), at=at)
        for _, here in sorted(parts.drop_nulls().group_by("mark"), key=lambda g: str(g[0])):
            order = _order(here["first"], here["second"], here["year"])
            if order is None:
                continue
            among = pl.repeat(False, len(self.text), eager=True).scatter(here["at"], True)
            texts = self.text.gather(here["at"])
            read = self.read(clocks.DAY_FIRST if order == "day" else clocks.MONTH_FIRST, among)
            proof = texts.filter((here["first"] if order == "day" else here["second"]) > 12)[0]
            said = f"{self.where}: the {order} comes first: {proof!r} has one reading only"
            if read is not None:
                self.say_zones([read])
                without = len(read) - int(read["has_clock"].sum())
                if 0 < without < len(here):
                    said += f"; {without:,} have no time of day and are read as 00:00"
            self.hints.append(said)

    def read_given(self, one: str) -> None:
        at = self.left()
        if one == "iso":
            self.read_usual()
            self.read_worded()
        elif one in clocks.EPOCHS or one == clocks.EXCEL:
            self.take(at, clocks.read_epochs(tidied(self.text.gather(at)), one))
        elif len(at):
            if "%Z" not in one:
                self.parse(one)
            self.text = plain_digits(tidied(self.text))
            writings = [clocks.from_pattern(one)]
            # A spreadsheet leaves the time of day out at midnight; a date pattern may meet one.
            date = re.match(r".*%[-_]?[YydmbBjeF](?=[^%]*(?:%[-_]?[HIkl]|$))", one)
            if date and (bare := clocks.from_pattern(date[0])) is not None:
                writings += [bare, bare.removesuffix(r"\s*$") + clocks.REST]
            found = [self.read(writing) for writing in writings if writing is not None]
            self.say_zones([parts for parts in found if parts is not None])

    def say_zones(self, found: list[pl.DataFrame]) -> None:
        named = [p.filter(pl.col("zone").str.contains(r"^[A-Za-z]{2,}$")) for p in found]
        if not named:
            return
        clock = pl.col("zone").str.to_uppercase()
        counted = pl.concat(named).group_by(clock, "offset").len().sort("zone")
        shown = [
            f"{zone} as {'-' if east < 0 else '+'}{abs(east) // 60:02}:{abs(east) % 60:02} ({n:,})"
            for zone, east, n in counted.iter_rows()
            if zone not in ("UTC", "GMT")
        ]
        if shown:
            self.hints.append(f"{self.where}: names of clocks are read: {', '.join(shown)}")


def _localise(naive: pl.Series, time_zone: str | None) -> tuple[pl.Series, int, int]:
    """Return walls as instants, and how many stood in no hour and in a double one."""
    if time_zone in (None, "UTC"):
        return naive.dt.replace_time_zone("UTC"), 0, 0
    first = naive.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    last = naive.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
    left_out = first.is_null() & naive.is_not_null()
    if moved := int(left_out.sum()):
        # The hour before the gap exists; an hour later is what a clock put forward shows.
        before = naive.dt.offset_by("-1h").dt.replace_time_zone(
            time_zone, ambiguous="earliest", non_existent="null"
        )
        first = first.zip_with(~left_out, before.dt.offset_by("1h"))
    return first.dt.convert_time_zone("UTC"), moved, int((first != last).sum())


def _other_reading(
    text: pl.Series, unread: pl.Series, where: str, formats: tuple[str, ...]
) -> str | None:
    """Say that what cannot be read has another reading, or two of them."""
    left = unread.unique().to_list()
    guess = guess_time_format(left)
    if guess is None or not all(map(_TWO_WAYS.fullmatch, left)):
        return None
    pattern, certain = guess
    shown = f"{where}: {len(unread):,} time(s) cannot be read, first {unread[0]!r}"
    if not formats:
        if certain:
            return f'{shown}; write into the map: time_format: "{pattern}"'
        return (
            f'{shown}: day or month first? Write into the map time_format: "{pattern}" or '
            f'time_format: "{swap_day_and_month(pattern)}"'
        )
    if not certain:
        return None
    all_fit = guess_time_format(text.drop_nulls().unique().to_list()) == guess
    which = f"all {len(text):,} values fit" if all_fit else "all of these fit"
    said = " or ".join(map(repr, formats))
    return f'{shown}: {which} "{pattern}"; mend `time_format` in the map, which says {said}'


def _refusal(unread: pl.Series, where: str, formats: tuple[str, ...]) -> str:
    shown = f"{where}: {len(unread):,} time(s) cannot be read, first {unread[0]!r}"
    if formats:
        return (
            f"{shown}; mend `time_format` in the map, which says {' or '.join(map(repr, formats))};"
            ' several writings are a list, such as ["%d.%m.%Y %H:%M", iso]'
        )
    if 2 * int(clocks.is_number(tidied(unread)).sum()) > len(unread):
        return (
            f"{shown}: a number; write into the map time_format: excel where these are days of a "
            "spreadsheet, epoch_s, epoch_ms, epoch_us or epoch_ns where they count from 1970, or a "
            'pattern such as "%Y%m%d"'
        )
    return (
        f"{shown}; write its pattern into the map, such as time_format: "
        '"%d.%m.%Y" or "%m/%d/%Y %I:%M %p"'
    )
