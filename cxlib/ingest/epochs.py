"""Times that are numbers: since 1970 in any unit, days of a spreadsheet, dates without marks."""

from __future__ import annotations

import polars as pl

__all__ = ["EPOCHS", "EXCEL", "is_number", "read_epochs", "read_numbers"]

EPOCHS = {"epoch_s": 1_000_000.0, "epoch_ms": 1_000.0, "epoch_us": 1.0, "epoch_ns": 0.001}
"""Microseconds of a unit."""

EXCEL = "excel"
"""Days since 1899-12-30, as spreadsheets count them."""

_INSTANT = pl.Datetime("us", "UTC")
_NAIVE = pl.Datetime("us")
_UNITS = {"epoch_s": "seconds", "epoch_ms": "milliseconds", "epoch_us": "microseconds"}
_FROM, _TO = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100
_NUMBER = r"^\d+(?:[.,]\d*)?$"


def is_number(text: pl.Series) -> pl.Series:
    """Whether a text is a plain number."""
    return text.str.contains(_NUMBER).fill_null(False)


def read_epochs(text: pl.Series, unit: str) -> pl.Series:
    """Read numbers in a unit of `EPOCHS` as instants, or as days of a spreadsheet (`EXCEL`).

    Days are wall times, to the second where they have at most eight digits behind the mark.
    """
    plain = text.str.replace(",", ".", literal=True)
    number = plain.cast(pl.Float64, strict=False)
    if unit == EXCEL:
        exact = (plain.str.extract(r"\.(\d*)$").str.len_chars().fill_null(0) > 8).fill_null(False)
        seconds = (number - 25_569) * 86_400
        rounded = seconds.round().zip_with(~exact, seconds.round(3))
        fits = number.is_between(1, 2_958_466).fill_null(False)
        micros = (rounded * 1_000_000).round().cast(pl.Int64, strict=False)
        return micros.set(~fits, None).cast(_NAIVE)
    whole = text.str.extract(r"^\s*([+-]?\d+)\s*$").cast(pl.Int64, strict=False)
    scale = EPOCHS[unit]
    exactly = whole // 1000 if unit == "epoch_ns" else whole * int(scale)
    micros = (number * scale).round().cast(pl.Int64, strict=False)
    return exactly.zip_with(whole.is_not_null(), micros).cast(_INSTANT)


def read_numbers(text: pl.Series) -> tuple[dict[str, pl.Series], list[str]]:
    """Read numbers whose unit cannot be in doubt, each by its own digits.

    Of a number between 1990 and 2100 the digits tell the unit: ten are seconds, thirteen
    milliseconds, sixteen microseconds, nineteen nanoseconds. Eight, twelve and fourteen digits that
    are a date are one. Numbers with a fraction between 32,874 and 73,050 are days of a spreadsheet
    where at least half of the column are such.

    Returns
    -------
    dict of str to pl.Series
        ``aware``, instants, and ``naive``, wall times.
    list of str
        How they were read.
    """
    aware = pl.repeat(None, len(text), dtype=_INSTANT, eager=True)
    naive = pl.repeat(None, len(text), dtype=_NAIVE, eager=True)
    how: list[str] = []
    for pattern, shown in (
        ("%Y%m%d%H%M%S", r"^(?:19|20)\d{12}$"),
        ("%Y%m%d%H%M", r"^(?:19|20)\d{10}$"),
        ("%Y%m%d%H", r"^(?:19|20)\d{8}$"),
        ("%Y%m%d", r"^(?:19|20)\d{6}$"),
    ):
        alike = text.str.contains(shown).fill_null(False)
        if alike.any():
            padded = pl.Series("t", text.filter(alike)) + "00" * (pattern == "%Y%m%d%H")
            full = pattern + "%M" * (pattern == "%Y%m%d%H")
            if pattern == "%Y%m%d":
                dates = padded.str.to_date(full, strict=False).cast(_NAIVE)
            else:
                dates = padded.str.to_datetime(full, strict=False, time_unit="us")
            if dates.null_count() == 0:
                naive = naive.scatter(alike.arg_true(), dates)
    for unit in EPOCHS:
        found = read_epochs(text, unit)
        micros = found.cast(pl.Int64)
        fits = micros.is_between(_FROM, _TO).fill_null(False) & aware.is_null() & naive.is_null()
        if fits.any():
            aware = found.zip_with(fits, aware)
            name = _UNITS.get(unit, "nanoseconds")
            how.append(f"{int(fits.sum()):,} times are {name} since 1970")
    left = aware.is_null() & naive.is_null()
    days = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    serial = left & days.is_between(32_874, 73_050).fill_null(False)
    if serial.any() and 2 * int((days.filter(serial) % 1 != 0).sum()) >= int(serial.sum()):
        at = serial.arg_true()
        naive = naive.scatter(at, read_epochs(text.gather(at), EXCEL))
        how.append(f"{len(at):,} times are day numbers of a spreadsheet (days since 1899-12-30)")
    return {"aware": aware, "naive": naive}, how if len(how) > 1 or serial.any() else []
