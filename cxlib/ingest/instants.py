"""Times as exports write them, read as instants in UTC.

ISO 8601 in its usual spellings is recognised, also several of them in one column, with and without
offset; whole columns of epoch seconds or milliseconds too. What could be read in two ways
(05/01/2024) is refused with the question answered by `time_format` in the journey map; nothing is
guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from cxlib.errors import InputError

__all__ = ["Instants", "guess_time_format", "read_instants"]

INSTANT = pl.Datetime("us", "UTC")
_NAIVE = pl.Datetime("us")

_AWARE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y/%m/%d %H:%M:%S%.f%#z",
    "%Y%m%dT%H%M%S%#z",
)
_NAIVE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%dT%H%M%S",
)
_EPOCHS = {
    "epoch_s": (r"^\d{9,10}(?:\.\d+)?$", 1_000_000),
    "epoch_ms": (r"^\d{13}(?:\.\d+)?$", 1_000),
}
_TWO_WAYS = re.compile(
    r"\s*(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})"
    r"(?:([ T,]+)(\d{1,2}:\d{2})(:\d{2})?(\.\d+)?(\s?[AaPp][Mm])?)?\s*([+-]\d{2}:?\d{2}|Z)?\s*"
)


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
    """

    values: pl.Series
    unread: pl.Series
    without_offset: int = 0
    moved: int = 0
    twice: int = 0


class _Local(NamedTuple):
    values: pl.Series
    moved: int
    twice: int


def read_instants(
    raw: pl.Series,
    *,
    where: str,
    time_zone: str | None = None,
    time_format: str | None = None,
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
        strftime pattern, ``"epoch_s"`` or ``"epoch_ms"``; None: detected.
    refuse
        Whether to raise where more than half of the values cannot be read.

    Raises
    ------
    InputError
        Where most values cannot be read, with what to write into the journey map.
    """
    if raw.dtype == pl.Date:
        raw = raw.cast(_NAIVE)
    if isinstance(raw.dtype, pl.Datetime):
        if raw.dtype.time_zone is not None:
            values = raw.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
            return Instants(values, pl.repeat(False, len(raw), eager=True))
        local = _localise(raw.dt.cast_time_unit("us"), time_zone)
        there = len(raw) - raw.null_count()
        unread = pl.repeat(False, len(raw), eager=True)
        return Instants(local.values, unread, there, local.moved, local.twice)
    text = raw.cast(pl.String) if raw.dtype != pl.String else raw
    instants = _read_text(text, time_zone, time_format or _epoch(text))
    if refuse and int(instants.unread.sum()) > (len(raw) - raw.null_count()) / 2:
        raise InputError(_refusal(text.filter(instants.unread), where, time_format))
    return instants


def guess_time_format(texts: list[str]) -> tuple[str, bool] | None:
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
    first, second = max(int(m[1]) for m in matches), max(int(m[3]) for m in matches)
    month_first = second > 12 and first <= 12
    _, sep, _, year, gap, clock, seconds, fraction, half, offset = matches[0].groups()[0:10]
    day = f"%m{sep}%d{sep}" if month_first else f"%d{sep}%m{sep}"
    pattern = day + ("%Y" if len(year) == 4 else "%y")
    if clock:
        pattern += gap + ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "")
        pattern += ("%.f" if fraction else "") + (half[:-2] + "%p" if half else "")
    if offset:
        pattern += "%z"
    return pattern, (first > 12) != (second > 12)


def _read_text(text: pl.Series, time_zone: str | None, time_format: str | None) -> Instants:
    if time_format in _EPOCHS:
        per_unit = _EPOCHS[time_format][1]
        values = (
            (text.cast(pl.Float64, strict=False) * per_unit).round().cast(pl.Int64, strict=False)
        )
        return _instants(
            text, values.cast(_NAIVE).dt.replace_time_zone("UTC"), _Local(text[:0], 0, 0)
        )
    aware, naive = _none(text), _none(text)
    if time_format is not None and "z" in time_format:
        aware = _parse(text, (time_format,))
    elif time_format is not None:
        naive = _parse(text, (time_format,))
    else:
        aware, naive = _detect(text)
    if naive.null_count() == len(naive):
        return _instants(text, aware.cast(INSTANT), _Local(text[:0], 0, 0))
    local = _localise(naive.cast(_NAIVE), time_zone)
    values = aware.cast(INSTANT).zip_with(aware.is_not_null(), local.values)
    return _instants(text, values, local, without_offset=len(naive) - naive.null_count())


def _detect(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Read times with an offset, and times without; what is left, once more respelled."""
    aware = _parse(text, _AWARE_FORMATS).cast(INSTANT)
    if aware.null_count() == text.null_count():
        return aware, _none(text)
    left = aware.is_null() & text.is_not_null()
    at = left.arg_true()
    naive = _none(text).scatter(at, _parse(text.filter(left), _NAIVE_FORMATS).cast(_NAIVE))
    left &= naive.is_null()
    if left.any():
        at, spelled = left.arg_true(), _respelled(text.filter(left))
        aware = aware.scatter(at, _parse(spelled, _AWARE_FORMATS).cast(INSTANT))
        naive = naive.scatter(at, _parse(spelled, _NAIVE_FORMATS).cast(_NAIVE))
        # An offset decides where both readings are possible.
        naive = naive.set(aware.is_not_null(), None)
    return aware, naive


def _instants(
    text: pl.Series, values: pl.Series, local: _Local, without_offset: int = 0
) -> Instants:
    unread = values.is_null() & text.is_not_null() & (text.str.strip_chars() != "")
    return Instants(values, unread, without_offset, local.moved, local.twice)


def _none(text: pl.Series) -> pl.Series:
    return pl.repeat(None, len(text), dtype=_NAIVE, eager=True)


def _parse(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Try formats in turn, each on what the earlier ones left: one pass if all are alike."""
    values: pl.Series | None = None
    for pattern in formats:
        if values is None:
            values = _to_datetime(text, pattern)
            continue
        left = values.is_null() & text.is_not_null()
        if not left.any():
            break
        found = _to_datetime(text.filter(left), pattern)
        if found.null_count() < len(found):
            values = values.scatter(left.arg_true(), found)
    assert values is not None
    return values


def _to_datetime(text: pl.Series, pattern: str) -> pl.Series:
    return text.str.to_datetime(pattern, strict=False, time_unit="us")


def _respelled(text: pl.Series) -> pl.Series:
    """Bring rarer spellings to the usual one: ``10:00:00,5``, ``10:00 +0100``, ``10:00 UTC``."""
    return (
        text.str.strip_chars()
        .str.replace(r"\s*(?:UTC|GMT)$", "Z")
        .str.replace(r"(:\d{2}),(\d+)", "$1.$2")
        .str.replace(r"\s+([+-]\d{2}:?\d{2})$", "$1")
    )


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


def _epoch(text: pl.Series) -> str | None:
    """Return the unit where every value is an epoch time between 1990 and 2100, else None."""
    head = text.drop_nulls().head(100)
    for unit, (pattern, _) in _EPOCHS.items():
        if len(head) and head.str.contains(pattern).all():
            present = text.drop_nulls()
            if present.str.contains(pattern).all():
                return unit
    return None


def _refusal(unread: pl.Series, where: str, time_format: str | None) -> str:
    first = unread.head(1000).to_list()
    shown = f"{len(unread):,} time(s) cannot be read, first {first[0]!r}"
    if time_format is not None:
        return f"{where}: {shown}; mend `time_format` in the map, which says {time_format!r}"
    guess = guess_time_format(first)
    if guess is None:
        return f'{where}: {shown}; write its pattern into the map, such as time_format: "%d.%m.%Y"'
    pattern, certain = guess
    other = pattern.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
    if certain:
        return f'{where}: {shown}; write into the map: time_format: "{pattern}"'
    return (
        f"{where}: {shown}: day or month first? Write into the map time_format: "
        f'"{pattern}" or time_format: "{other}"'
    )
