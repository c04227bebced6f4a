"""Times as exports write them, read as instants in UTC.

What has one reading is recognised, also several writings in one column: ISO 8601 in all its
spellings, months in words, names of clocks such as CEST, epochs of any unit. Whether day or month
comes first, all values of the column decide together; where they cannot (05/01/2024), the question
is asked, and `time_format` in the journey map answers it. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.cells import tidied
from cxlib.ingest.clocks import (
    DAY_FIRST,
    EPOCHS,
    EXCEL,
    INSTANT,
    MONTH_FIRST,
    NAIVE,
    OTHERS,
    REST,
    YEAR_FIRST,
    from_pattern,
    is_number,
    read_epochs,
    read_numbers,
    read_parts,
)

__all__ = ["Instants", "guess_time_format", "read_instants"]

_AWARE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
)
_NAIVE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
_COULD_HAVE_OFFSET = r":\d.*(?:[zZ]|[+\-]\d{2}(?::?\d{2})?)\s*$"
_TWO_WAYS = re.compile(
    r"\s*(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})"
    r"(?:([ T,]+)(\d{1,2}:\d{2})(:\d{2})?(\.\d+)?(\s?[AaPp]\.?\s?[Mm]\.?)?)?"
    r"\s*([+-]\d{2}:?\d{2}|Z)?\s*"
)
_NUMERIC_DATE = r"^\s*(\d{1,2})([./\- ])\s?(\d{1,2})[./\- ]\s?(\d{4}|\d{2})(?:\D|$)"


@dataclass(frozen=True, slots=True)
class Instants:
    """What `read_instants` returns.

    Parameters
    ----------
    values
        The instants (Datetime us, UTC), null where there was none or it could not be read.
    unread
        Whether a value was there but could not be read.
    without_offset
        How many carried no offset and were taken to be in the map's time zone.
    moved
        How many fell into the hour that a change to summer time leaves out; they were moved an hour
        on.
    twice
        How many fell into the hour that occurs twice in autumn; the first of the two was taken.
    hints
        How times were read where a reader may want to know, and what is asked.
    """

    values: pl.Series
    unread: pl.Series
    without_offset: int = 0
    moved: int = 0
    twice: int = 0
    hints: tuple[str, ...] = ()


class _Local(NamedTuple):
    values: pl.Series
    moved: int
    twice: int


@dataclass(slots=True)
class _Column:
    """A column that is being read: walls without offset, instants with one, and what is left."""

    text: pl.Series
    zone: str | None
    aware: pl.Series
    naive: pl.Series
    hints: list[str] = field(default_factory=list)

    @property
    def left(self) -> pl.Series:
        return self.aware.is_null() & self.naive.is_null() & self.text.is_not_null()

    def take(self, at: pl.Series, *found: pl.Series) -> None:
        """Fill in what was read of the values at some places; walls are those without a zone."""
        for values in found:
            if values.null_count() == len(values):
                continue
            if getattr(values.dtype, "time_zone", None) is not None:
                self.aware = self.aware.scatter(at, values.cast(INSTANT))
            else:
                self.naive = self.naive.scatter(at, values.cast(NAIVE))

    def read(self, writing: str, among: pl.Series | None = None) -> pl.DataFrame | None:
        """Read what is left, or some of it, in one writing; returns what was read, if anything."""
        left = self.left if among is None else self.left & among
        if not left.any():
            return None
        left = (left & self.text.str.contains(writing)).fill_null(False)
        if not left.any():
            return None
        at = left.arg_true()
        parts = read_parts(self.text.gather(at), writing, self.zone)
        if parts["wall"].null_count() == len(parts):
            return None
        utc = pl.col("wall").dt.replace_time_zone("UTC") - pl.duration(minutes="offset")
        has_offset = pl.col("offset").is_not_null()
        found = parts.select(pl.when(has_offset).then(utc), walls=pl.when(~has_offset).then("wall"))
        self.take(at, *found)
        return parts.drop_nulls("wall")


def read_instants(
    raw: pl.Series,
    *,
    where: str,
    time_zone: str | None = None,
    time_format: str | Sequence[str] | None = None,
    refuse: bool = True,
) -> Instants:
    """Read a column of times.

    Parameters
    ----------
    raw
        Text, numbers, dates or times.
    where
        File and column, for messages.
    time_zone
        Of times without an offset; None: UTC.
    time_format
        strftime pattern, ``"epoch_s"`` (``_ms``, ``_us``, ``_ns``), ``"excel"`` (day numbers) or
        ``"iso"``, or several of them, tried in turn; None: detected.
    refuse
        Whether to raise where more than half of the values cannot be read.

    Raises
    ------
    InputError
        Where most values cannot be read, with what to write into the journey map.
    """
    if raw.dtype == pl.Date:
        raw = raw.cast(NAIVE)
    if isinstance(raw.dtype, pl.Datetime):
        aware = raw.dt.cast_time_unit("us")
        unread = pl.repeat(False, len(raw), eager=True)
        if raw.dtype.time_zone is not None:
            return Instants(aware.dt.convert_time_zone("UTC"), unread)
        local = _localise(aware, time_zone)
        there = len(raw) - raw.null_count()
        return Instants(local.values, unread, there, local.moved, local.twice)
    text = raw.cast(pl.String) if raw.dtype != pl.String else raw
    column = _Column(text, time_zone, _none(text).cast(INSTANT), _none(text))
    formats = (time_format,) if isinstance(time_format, str) else tuple(time_format or ())
    for one in formats:
        _read_given(column, one)
    if not formats:
        _detect(column, where)
    instants = _instants(column, time_zone)
    count = int(instants.unread.sum())
    if count and refuse:
        left = text.filter(instants.unread)
        said = _other_reading(text, left, where, formats)
        if count > (len(raw) - raw.null_count()) / 2:
            raise InputError(said or _refusal(left, where, formats))
        if said is not None:
            column.hints.append(said)
    return replace(instants, hints=tuple(column.hints))


def guess_time_format(texts: pl.Series | Sequence[str]) -> tuple[str, bool] | None:
    """Return the pattern of day-month-year or month-day-year times, and whether only one is
    possible.

    Examples
    --------
    >>> guess_time_format(["05/01/2024 10:00", "25/01/2024 11:30"])
    ('%d/%m/%Y %H:%M', True)
    >>> guess_time_format(["05/01/2024"])
    ('%d/%m/%Y', False)
    """
    matches = [m for m in map(_TWO_WAYS.fullmatch, texts) if m]
    if not matches or len(matches) < len(texts) / 2:
        return None
    firsts, seconds_ = [int(m[1]) for m in matches], [int(m[3]) for m in matches]
    order = _order(pl.Series(firsts), pl.Series(seconds_), [m[4] for m in matches])
    longest = max(matches, key=lambda m: len(m[0]))
    _, sep, _, year, gap, clock, seconds, fraction, half, offset = longest.groups()[0:10]
    day = f"%m{sep}%d{sep}" if order == "month" else f"%d{sep}%m{sep}"
    pattern = day + ("%Y" if len(year) == 4 else "%y")
    if clock:
        pattern += gap + ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "")
        blank = " " if half and half[0].isspace() else ""
        pattern += ("%.f" if fraction else "") + (f"{blank}%p" if half else "")
    if offset:
        pattern += "%z"
    return pattern, order is not None


def _order(first: pl.Series, second: pl.Series, years: Sequence[str] | pl.Series) -> str | None:
    """Say whether "day" or "month" comes first, None where the values do not tell.

    One value in a hundred that speaks against all others is a slip and does not decide.
    """
    day = int(((first > 12) & (first <= 31) & (second <= 12)).sum())
    month = int(((second > 12) & (second <= 31) & (first <= 12)).sum())
    if day == month == 0 or (min(day, month) > 0.01 * max(day, month)):
        return None
    # Two digits for the year might be the day: only where they repeat and the days do not.
    short = pl.Series(years, dtype=pl.String)
    if (short.str.len_chars() == 2).any():
        days = first if day > month else second
        if days.n_unique() < 3 * short.n_unique() and short.cast(pl.Int64).max() <= 31:  # type: ignore[operator]
            return None
    return "day" if day > month else "month"


def _detect(column: _Column, where: str) -> None:
    """Read whatever has one reading; the usual spellings first, they are fast."""
    _read_usual(column)
    if not column.left.any():
        return
    column.text = tidied(column.text)
    there = len(column.text) - column.text.null_count()
    if column.left.any():
        numbers = column.left & is_number(column.text)
        if 2 * int(numbers.sum()) >= there:
            at = numbers.arg_true()
            found, how = read_numbers(column.text.gather(at))
            column.take(at, *found.values())
            column.hints += [f"{where}: {said}" for said in how]
        _read_numeric_dates(column, where)
        _read_worded(column, where, among=~is_number(column.text))


def _read_usual(column: _Column) -> None:
    """Read ISO 8601 as it is mostly written; with an offset only what could have one."""
    could = column.text.str.contains(_COULD_HAVE_OFFSET)
    for formats, among in ((_AWARE_FORMATS, could), (_NAIVE_FORMATS, True)):
        at = (column.left & among).fill_null(False).arg_true()
        if len(at):
            column.take(at, _parse(column.text.gather(at), formats))


def _read_worded(column: _Column, where: str, among: pl.Series | None = None) -> None:
    """Read what is left in the writings that have one reading; say what names of clocks mean."""
    found = [column.read(writing, among) for writing in (YEAR_FIRST, *OTHERS)]
    _say_zones(column, where, [parts for parts in found if parts is not None])


def _say_zones(column: _Column, where: str, found: list[pl.DataFrame]) -> None:
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
        column.hints.append(f"{where}: names of clocks are read: {', '.join(shown)}")


def _read_numeric_dates(column: _Column, where: str) -> None:
    """Read 13.01.2024 or 01/13/2024 where the values of one separator tell which is the day."""
    left = column.left
    if not left.any():
        return
    parts = column.text.str.extract_groups(_NUMERIC_DATE).struct.unnest()
    first, sep, second, year = (parts[c] for c in parts.columns)
    for mark in sep.filter(left).drop_nulls().unique().sort():
        here = (left & (sep == mark)).fill_null(False)
        days, months = (s.filter(here).cast(pl.Int64) for s in (first, second))
        order = _order(days, months, year.filter(here))
        if order is None:
            continue
        _read_alike(column, here, order)
        read = column.read(DAY_FIRST if order == "day" else MONTH_FIRST, here)
        proof = column.text.filter(here).filter((days if order == "day" else months) > 12)[0]
        said = f"{where}: the {order} comes first: {proof!r} has one reading only"
        if read is not None:
            _say_zones(column, where, [read])
            without = len(read) - int(read["has_clock"].sum())
            if 0 < without < len(days):
                said += f"; {without:,} have no time of day and are read as 00:00"
        column.hints.append(said)


def _read_alike(column: _Column, here: pl.Series, order: str) -> None:
    """Read the times that are written as most are, with a day and a month in the order given."""
    at = here.arg_true()
    texts = column.text.gather(at)
    guess = guess_time_format(texts.gather_every(max(len(texts) // 500, 1)).to_list())
    if guess is None:
        return
    pattern = guess[0]
    if pattern.index("%d") > pattern.index("%m") if order == "day" else pattern.startswith("%d"):
        pattern = pattern.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
    read = _to_datetime(texts, pattern)
    # %Y takes two digits for a year of the first century.
    read = read.set((read.dt.year() < 1900).fill_null(False), None)
    column.take(at, read)


def _read_given(column: _Column, one: str) -> None:
    """Read what is left as the map says."""
    if not column.left.any():
        return
    if one == "iso":
        _read_usual(column)
        _read_worded(column, "times", among=~is_number(column.text))
        return
    at = column.left.arg_true()
    if one in EPOCHS or one == EXCEL:
        column.take(at, read_epochs(tidied(column.text.gather(at)), one))
        return
    if "%Z" not in one:
        column.take(at, _to_datetime(column.text.gather(at), one))
    if not column.left.any():
        return
    column.text = tidied(column.text)
    writings = [from_pattern(one)]
    if date := re.match(r".*%[-_]?[YydmbBjeF](?=[^%]*(?:%[-_]?[HIkl]|$))", one):
        # A spreadsheet leaves the time of day out at midnight, and a date pattern may meet one.
        bare = from_pattern(date[0])
        writings += [bare, bare.removesuffix(r"\s*$") + REST if bare is not None else None]
    for writing in writings:
        if writing is not None and (read_ := column.read(writing)) is not None:
            _say_zones(column, "times", [read_])


def _instants(column: _Column, time_zone: str | None) -> Instants:
    text, naive = column.text, column.naive.set(column.aware.is_not_null(), None)
    values, local = column.aware, _Local(text[:0], 0, 0)
    there = len(naive) - naive.null_count()
    if there:
        local = _localise(naive, time_zone)
        values = values.zip_with(values.is_not_null(), local.values)
    unread = values.is_null() & text.is_not_null() & (text.str.strip_chars() != "")
    return Instants(values, unread, there, local.moved, local.twice)


def _none(text: pl.Series) -> pl.Series:
    return pl.repeat(None, len(text), dtype=NAIVE, eager=True)


def _parse(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Try formats in turn, each on what the earlier ones left: one pass if all are alike."""
    values = _to_datetime(text, formats[0])
    for pattern in formats[1:]:
        left = values.is_null() & text.is_not_null()
        if not left.any():
            break
        found = _to_datetime(text.filter(left), pattern)
        if found.null_count() < len(found):
            values = values.scatter(left.arg_true(), found)
    return values


def _to_datetime(text: pl.Series, pattern: str) -> pl.Series:
    try:
        return text.str.to_datetime(pattern, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return _none(text)


def _localise(naive: pl.Series, time_zone: str | None) -> _Local:
    if time_zone in (None, "UTC"):
        return _Local(naive.dt.replace_time_zone("UTC"), 0, 0)
    first = naive.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    last = naive.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
    twice = int((first != last).sum())
    left_out = first.is_null() & naive.is_not_null()
    moved = int(left_out.sum())
    if moved:
        # The hour before the gap exists; an hour later is what a clock put forward shows.
        before = naive.dt.offset_by("-1h").dt.replace_time_zone(
            time_zone, ambiguous="earliest", non_existent="null"
        )
        first = first.zip_with(~left_out, before.dt.offset_by("1h"))
    return _Local(first.dt.convert_time_zone("UTC"), moved, twice)


def _other_reading(
    text: pl.Series, unread: pl.Series, where: str, formats: tuple[str, ...]
) -> str | None:
    """Say that what cannot be read has another reading, or two of them."""
    everything = text.drop_nulls().unique().to_list()
    left = unread.unique().to_list()
    guess = guess_time_format(left)
    if guess is None or sum(_TWO_WAYS.fullmatch(t) is not None for t in left) < len(left):
        return None
    pattern, certain = guess
    other = pattern.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
    shown = f"{len(unread):,} time(s) cannot be read, first {unread[0]!r}"
    whole = guess_time_format(everything)
    if formats and certain:
        said = " or ".join(repr(f) for f in formats)
        all_fit = whole is not None and whole[1] and whole[0] == pattern
        which = f"all {len(text):,} values fit" if all_fit else "all of these fit"
        return (
            f'{where}: {shown}: {which} "{pattern}"; mend `time_format` in the map, '
            f"which says {said}"
        )
    if formats:
        return None
    if certain:
        return f'{where}: {shown}; write into the map: time_format: "{pattern}"'
    return (
        f"{where}: {shown}: day or month first? Write into the map time_format: "
        f'"{pattern}" or time_format: "{other}"'
    )


def _refusal(unread: pl.Series, where: str, formats: tuple[str, ...]) -> str:
    shown = f"{len(unread):,} time(s) cannot be read, first {unread[0]!r}"
    if formats:
        said = " or ".join(repr(f) for f in formats)
        return (
            f"{where}: {shown}; mend `time_format` in the map, which says {said}; several "
            'writings are a list, such as ["%d.%m.%Y %H:%M", iso]'
        )
    numbers = is_number(tidied(unread))
    if 2 * int(numbers.sum()) > len(unread):
        return (
            f"{where}: {shown}: a number; write into the map time_format: excel where these are "
            "days of a spreadsheet, epoch_s, epoch_ms, epoch_us or epoch_ns where they count from "
            '1970, or a pattern such as "%Y%m%d"'
        )
    return (
        f"{where}: {shown}; write its pattern into the map, such as time_format: "
        '"%d.%m.%Y" or "%m/%d/%Y %I:%M %p"'
    )
