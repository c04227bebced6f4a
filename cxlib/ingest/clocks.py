"""Times in words and numbers: writings with named parts, and epochs of any unit."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl

INSTANT = pl.Datetime("us", "UTC")
NAIVE = pl.Datetime("us")

ZONES = {
    "UTC": 0, "GMT": 0, "Z": 0, "UT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120,
    "MEZ": 60, "MESZ": 120, "EET": 120, "EEST": 180, "MSK": 180, "TRT": 180, "SAST": 120,
    "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480,
    "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600, "AST": -240, "ADT": -180, "BRT": -180,
    "ART": -180, "JST": 540, "KST": 540, "SGT": 480, "HKT": 480, "AWST": 480, "AEST": 600,
    "AEDT": 660, "NZST": 720, "NZDT": 780, "PKT": 300, "WIB": 420,
}  # fmt: skip
"""Minutes east of Greenwich by the usual name of a clock."""

EPOCHS = {
    "epoch_s": ("seconds", 1_000_000.0),
    "epoch_ms": ("milliseconds", 1_000.0),
    "epoch_us": ("microseconds", 1.0),
    "epoch_ns": ("nanoseconds", 0.001),
}
"""Units of numbers that count from 1970, and their microseconds."""

EXCEL = "excel"  # days since 1899-12-30, as spreadsheets count them

_FROM, _TO = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100

_CLOCK = (
    r"(?:(?:\s*[Tt,:]\s*|\s+(?:um\s+|at\s+|à\s+|a las\s+|alle\s+|om\s+|às\s+)?)"
    r"(?P<hour>\d{1,2})(?:(?:\s?[:.hH]\s?)(?P<minute>\d{2})(?:[:.](?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d*))?)?|(?P<clock>\d{2}(?:\d{2})?))?"
    r"(?:\s*(?:Uhr|h))?"
    r"(?:\s*(?P<half>[AaPp]\.?\s?[Mm]\.?))?)"
)
_OFFSET = r"(?:UTC|GMT|[zZ])?\s?[+\-−]\d{1,2}(?::?\d{2})?(?::\d{2})?"
_ZONE = rf"(?:\s*(?P<zone>{_OFFSET}|[A-Za-z]{{1,5}}))?"
_TAIL = r"\s*(?:\[[\w/+\-]+\]|\([^)]*\))?\s*$"
_WEEKDAY = r"^\s*(?:[^\W\d]{2,12}\.?,?\s+)?"
_YEAR = r"(?P<year>\d{4}|'?\d{2})"
_WORD = r"(?P<word>[^\W\d_]{3,12})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|º|°|ª)?"

REST = rf"(?:{_CLOCK}{_ZONE})?{_TAIL}"

_ISO_DAY = r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
YEAR_FIRST = rf"^\s*{_ISO_DAY}{REST}"
_NUMBERS = r"(?P<day>\d{1,2})[./\- ]\s?(?P<month>\d{1,2})[./\- ]\s?"
DAY_FIRST = rf"{_WEEKDAY}{_NUMBERS}{_YEAR}{REST}"
MONTH_FIRST = (
    DAY_FIRST.replace("<day>", "<x>").replace("<month>", "<day>").replace("<x>", "<month>")
)
_COMPACT = r"^\s*(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
OTHERS = (
    rf"{_COMPACT}(?:[Tt ]?(?P<hour>\d{{2}})(?P<clock>\d{{2}}(?:\d{{2}})?)"
    rf"(?:[.,](?P<fraction>\d*))?)?{_ZONE}{_TAIL}",
    rf"{_COMPACT}{_CLOCK}{_ZONE}{_TAIL}",
    rf"^\s*(?P<year>\d{{4}})-?[Ww](?P<week>\d{{2}})-?(?P<weekday>[1-7]){REST}",
    rf"^\s*(?P<year>\d{{4}})-(?P<ordinal>\d{{3}}){REST}",
    rf"{_WEEKDAY}{_DAY}[ \-/.]*(?:de |of )?{_WORD}[ \-/.,]*(?:de |del |of )?{_YEAR}{REST}",
    rf"{_WEEKDAY}{_WORD}[ \-/.]*{_DAY}[ \-/.,]+{_YEAR}{REST}",
    rf"{_WEEKDAY}{_WORD}\s+{_DAY}{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}}){_TAIL}",
    rf"^\s*(?P<year>\d{{4}})[ \-/.]{_WORD}[ \-/.]{_DAY}{REST}",
    r"^\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    rf"(?:\s?(?P<half>[AaPp]\.?[Mm]\.?))?{_ZONE},?\s+{_ISO_DAY}\s*$",
)
"""Writings that have one reading: compact, weeks, days of the year, months in words."""


def from_pattern(pattern: str) -> str | None:
    """Return a strftime pattern as a writing; None where it holds what has no part here."""
    parts = {
        "Y": r"(?P<year>\d{4})", "y": r"(?P<year>\d{2})", "m": r"(?P<month>\d{1,2})",
        "d": r"(?P<day>\d{1,2})", "e": r"\s?(?P<day>\d{1,2})", "b": _WORD, "B": _WORD, "h": _WORD,
        "H": r"(?P<hour>\d{1,2})", "I": r"(?P<hour>\d{1,2})", "k": r"\s?(?P<hour>\d{1,2})",
        "l": r"\s?(?P<hour>\d{1,2})", "M": r"(?P<minute>\d{1,2})", "S": r"(?P<second>\d{1,2})",
        "f": r"(?P<fraction>\d+)", ".f": r"(?:[.,](?P<fraction>\d*))?", "j": r"(?P<ordinal>\d{3})",
        "p": r"(?P<half>[AaPp]\.?\s?[Mm]\.?)", "P": r"(?P<half>[AaPp]\.?\s?[Mm]\.?)",
        "z": _ZONE, "#z": _ZONE, ":z": _ZONE, "Z": _ZONE, "a": r"[^\W\d]+\.?", "A": r"[^\W\d]+\.?",
        "T": r"(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2})", "%": "%",
        "R": r"(?P<hour>\d{1,2}):(?P<minute>\d{2})",
        "F": r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
        "D": r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{2})",
    }  # fmt: skip
    written = ""
    for literal, code in re.findall(r"([^%]+)|%[-_0]?(\.f|#z|:z|.)", pattern):
        if literal:
            written += re.sub(r"(?:\\\s|\s)+", r"\\s+", re.escape(literal))
        elif code in parts:
            written += parts[code]
        else:
            return None
    names = re.findall(r"\?P<(\w+)>", written)
    return rf"^\s*{written}\s*$" if len(names) == len(set(names)) else None


def read_parts(text: pl.Series, writing: str, time_zone: str | None = None) -> pl.DataFrame:
    """Read times in one writing: ``wall`` (as written, null where in another writing), ``offset``
    (minutes east of Greenwich), ``zone`` (as written), ``has_clock``.
    """
    groups = text.str.extract_groups(writing).struct.unnest()

    def part(name: str) -> pl.Expr:
        return pl.col(name) if name in groups.columns else pl.lit(None, pl.String)

    def whole(name: str) -> pl.Expr:
        return part(name).cast(pl.Int64, strict=False)

    digits, zone, half = part("year").str.strip_chars_start("'"), part("zone"), part("half")
    year, clock = digits.cast(pl.Int64, strict=False), part("clock")
    century = pl.when(digits.str.len_chars() > 2).then(0).when(year < 70).then(2000).otherwise(1900)
    named, hours = part("word").str.to_lowercase(), whole("hour")
    word = named.replace_strict(_months(), default=None, return_dtype=pl.Int64)
    read = groups.select(
        *(part(name) for name in ("day", "week", "weekday", "ordinal") if name in groups.columns),
        year=year + century,
        month=pl.coalesce(whole("month"), word),
        written=hours,
        half=half,
        hour=pl.when(half.str.contains("^[Pp]"))
        .then(hours % 12 + 12)
        .when(half.is_not_null())
        .then(hours % 12)
        .otherwise(hours.fill_null(0)),
        minute=pl.coalesce(whole("minute"), clock.str.slice(0, 2).cast(pl.Int64, strict=False), 0),
        second=pl.coalesce(whole("second"), clock.str.slice(2, 2).cast(pl.Int64, strict=False), 0),
        fraction=part("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False),
        zone=zone.str.strip_chars(),
        offset=_offset(zone.str.strip_chars(), time_zone),
    )
    hour, minute, second = pl.col("hour"), pl.col("minute"), pl.col("second")
    fits = (
        ((hour < 24) | ((hour == 24) & (minute == 0) & (second == 0)))
        & ((minute < 60) & (second < 61))
        & (pl.col("half").is_null() | pl.col("written").is_between(1, 12))
        & (pl.col("offset").is_not_null() | pl.col("zone").is_null())
    )
    micros = pl.col("fraction").fill_null(0) + (hour * 3600 + minute * 60 + second) * 1_000_000
    wall = _date(groups.columns).cast(NAIVE) + pl.duration(microseconds=micros)
    read = read.with_columns(wall=pl.when(fits).then(wall), has_clock=pl.col("written") >= 0)
    there = pl.col("wall").is_not_null()
    return read.select("wall", *(pl.when(there).then(c) for c in ("offset", "zone", "has_clock")))


def _date(parts: list[str]) -> pl.Expr:
    year = pl.col("year").cast(pl.String).str.zfill(4)
    if "week" in parts:
        written = pl.concat_str(year, pl.lit("-W"), "week", pl.lit("-"), "weekday")
        return written.str.to_date("%G-W%V-%u", strict=False)
    if "ordinal" in parts:
        return pl.concat_str(year, pl.lit("-"), "ordinal").str.to_date("%Y-%j", strict=False)
    month = pl.col("month").cast(pl.String).str.zfill(2)
    written = pl.concat_str(year, month, pl.col("day").str.zfill(2), separator="-")
    return written.str.to_date("%Y-%m-%d", strict=False)


def _offset(zone: pl.Expr, time_zone: str | None) -> pl.Expr:
    names = {**ZONES, **_own_names(time_zone)}
    bare = zone.str.to_uppercase()
    named = bare.replace_strict(names, default=None, return_dtype=pl.Int64)
    parts = bare.str.replace("−", "-").str.extract_groups(r"^[A-Z]*\s?([+\-])(\d{1,2}):?(\d{2})?")
    hours = parts.struct[1].cast(pl.Int64, strict=False)
    minutes = parts.struct[2].cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(parts.struct[0] == "-").then(-1).otherwise(1)
    number = pl.when((hours <= 15) & (minutes < 60)).then(sign * (hours * 60 + minutes))
    return pl.coalesce(number, named)


@cache
def _own_names(time_zone: str | None) -> dict[str, int]:
    """Names of the clocks of a zone: IST is Irish in Dublin and Indian in Kolkata."""
    if time_zone is None:
        return {}
    clocks = [datetime(2024, month, 1, tzinfo=ZoneInfo(time_zone)) for month in (1, 7)]
    return {
        str(clock.tzname()).upper(): int(offset.total_seconds() // 60)
        for clock in clocks
        if (offset := clock.utcoffset()) is not None and str(clock.tzname()).isalpha()
    }


@cache
def _months() -> dict[str, int]:
    from babel import Locale

    found: dict[str, int] = {"sept": 9, "mrz": 3, "mär": 3}
    for language in ("en", "de", "fr", "es", "it", "pt", "nl"):
        months = Locale(language).months
        for use in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in months[use][width].items():
                    found.setdefault(name.lower().rstrip("."), number)
    return found


def is_number(text: pl.Series) -> pl.Series:
    """Whether a text is a plain number."""
    return text.str.contains(r"^\d+(?:[.,]\d*)?$").fill_null(False)


def read_epochs(text: pl.Series, unit: str) -> pl.Series:
    """Read numbers in a unit of `EPOCHS` as instants, or as days of a spreadsheet (`EXCEL`)."""
    plain = text.str.replace(",", ".", literal=True)
    number = plain.cast(pl.Float64, strict=False)
    if unit == EXCEL:
        exact = (plain.str.extract(r"\.(\d*)$").str.len_chars().fill_null(0) > 8).fill_null(False)
        seconds = (number - 25_569) * 86_400
        rounded = seconds.round().zip_with(~exact, seconds.round(3))
        fits = number.is_between(1, 2_958_466).fill_null(False)
        micros = (rounded * 1_000_000).round().cast(pl.Int64, strict=False)
        return micros.set(~fits, None).cast(NAIVE)
    whole = text.str.extract(r"^\s*([+-]?\d+)\s*$").cast(pl.Int64, strict=False)
    scale = EPOCHS[unit][1]
    exactly = whole // 1000 if unit == "epoch_ns" else whole * int(scale)
    micros = (number * scale).round().cast(pl.Int64, strict=False)
    # beyond the range of times a whole number would wrap around
    return exactly.zip_with(whole.is_not_null() & micros.is_not_null(), micros).cast(INSTANT)


def read_numbers(text: pl.Series) -> tuple[tuple[pl.Series, pl.Series], list[str]]:
    """Read numbers whose digits tell the unit, as instants and as wall times, and say how: epochs
    between 1990 and 2100, dates, days of a spreadsheet where half of them have a fraction.
    """
    naive, how = pl.repeat(None, len(text), dtype=NAIVE, eager=True), []
    aware = naive.cast(INSTANT)
    for digits in (14, 12, 10, 8):
        alike = text.str.contains(rf"^(?:19|20)\d{{{digits - 2}}}$").fill_null(False)
        if alike.any():
            # what is left out of the clock is nought
            padded = text.filter(alike).str.pad_end(14, "0")
            dates = padded.str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us")
            if dates.null_count() == 0:
                naive = naive.scatter(alike.arg_true(), dates)
    for unit, (name, _) in EPOCHS.items():
        found = read_epochs(text, unit)
        micros = found.cast(pl.Int64)
        fits = micros.is_between(_FROM, _TO).fill_null(False) & aware.is_null() & naive.is_null()
        if fits.any():
            aware = found.zip_with(fits, aware)
            how.append(f"{int(fits.sum()):,} times are {name} since 1970")
    left = aware.is_null() & naive.is_null()
    days = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    serial = left & days.is_between(32_874, 73_050).fill_null(False)
    if serial.any() and 2 * int((days.filter(serial) % 1 != 0).sum()) >= int(serial.sum()):
        at = serial.arg_true()
        naive = naive.scatter(at, read_epochs(text.gather(at), EXCEL))
        how.append(f"{len(at):,} times are day numbers of a spreadsheet (days since 1899-12-30)")
    return (aware, naive), how if len(how) > 1 or serial.any() else []
