"""Numbers as people write them, and ratings on their scales.

A cell with two readings (1.500) is read as the cells with one reading are written.
"""

from __future__ import annotations

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.cells import tidied
from cxlib.journey_map import JourneyMap

_CODES = "EUR|USD|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CZK|INR|BRL|Fr|kr|zł"
_MONEY = rf"(?i)R?[€$£¥₹₽₺₩%]|\b(?:{_CODES})\b\.?"
_FORMS = {
    ".": r"^(?:[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}|\d+)?(?:\.\d+)?$",
    ",": r"^(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+)?(?:,\d+)?$",
}


def read_numbers(
    raw: pl.Series,
    *,
    where: str | None = None,
    decimal: str | None = None,
    bounds: tuple[float | None, float | None] = (None, None),
) -> pl.Series:
    """Read a column of numbers; null where there is none. The `decimal` mark, or the `bounds` of a
    scale, decide between two readings: 3.000 on a scale from 1 to 5 is three.
    """
    if raw.dtype.is_numeric():
        return _finite(raw.cast(pl.Float64))
    text = tidied(raw)
    plain = text.cast(pl.Float64, strict=False)
    if not text.str.contains(r"[^\d-]").any():
        return plain
    has_one_reading = not text.str.contains(r"^-?[1-9]\d{0,2}\.\d{3}$").any()
    if decimal != "," and has_one_reading and text.str.contains(r"^-?\d+(?:\.\d+)?$").all():
        return plain
    bare, signs = _bare(text)
    fits = {
        mark: (bare.str.contains(form) & (bare != "")).fill_null(False)
        for mark, form in _FORMS.items()
    }
    read = {}
    for one, other in ((".", ","), (",", ".")):
        plainer = bare.str.replace_all(other, "", literal=True).str.replace(one, ".", literal=True)
        read[one] = plainer.cast(pl.Float64, strict=False) * signs
    differ = (fits["."] & fits[","] & (read["."] != read[","])).fill_null(False)
    # the cells with one reading speak for a mark, else the bounds of the scale
    point, comma = (fits["."] & ~fits[","]).any(), (fits[","] & ~fits["."]).any()
    if point == comma and None not in bounds:
        point, comma = (read[one].filter(differ).is_between(*bounds).all() for one in ".,")
    mark = decimal or (None if point == comma else "." if point else ",")
    if mark is None and where is not None and differ.any():
        at = differ.arg_true()[0]
        raise InputError(
            f"{where}: {text[at]!r} is {read['.'][at]:,g} or {read[','][at]:,g}? Nothing in the "
            'column tells: write into the map reading: {decimal: "."} or reading: {decimal: ","}'
        )
    first, other = (",", ".") if mark == "," else (".", ",")
    values = read[first].set(~fits[first], None)
    if decimal is None:
        values = values.zip_with(fits[first] | ~fits[other], read[other])
    # What only a machine writes: 1e5.
    by_machine = values.is_null() & plain.is_finite().fill_null(False)
    return _finite(plain.zip_with(by_machine, values))


def _finite(values: pl.Series) -> pl.Series:
    return values.set(~values.is_finite().fill_null(True), None)


def _bare(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    shown = text.str.replace_all(_MONEY, "").str.replace_all("−", "-", literal=True)
    shown = shown.str.strip_chars()
    is_negative = shown.str.contains(r"^\(.*\)$|^-|-$").fill_null(False)
    signs = pl.Series([1.0]).new_from_index(0, len(text)).set(is_negative, -1.0)
    bare = shown.str.replace_all(r"^[(+\-]\s*|[)\-]$", "").str.strip_chars()
    # Blanks and apostrophes stand between thousands only.
    grouped = bare.str.contains(r"^\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?$").fill_null(False)
    joined = bare.str.replace_all(r"[ '’]", "")
    return joined.zip_with(grouped, bare), signs


def read_scales(written: pl.Series, journey_map: JourneyMap, *, usual: str | None) -> pl.Series:
    """Return the scale of each rating as the map writes it."""
    first = journey_map.rating_scale
    usual = usual or (first.name if first is not None else None)
    known = {scale.name.strip().lower(): scale.name for scale in journey_map.rating_scales}
    bare = written.str.strip_chars()
    named = bare.str.to_lowercase().replace_strict(known, default=bare) if known else bare
    return named.fill_null(usual) if usual is not None else named


def off_scale(
    numbers: pl.Series, scales: pl.Series | None, journey_map: JourneyMap
) -> dict[str, pl.Series]:
    """Return by reason which ratings lie outside their scale; no `scales`: all are on the first."""
    found = {}
    for scale in journey_map.rating_scales if scales is not None else journey_map.rating_scales[:1]:
        outside = ~numbers.is_between(scale.min, scale.max).fill_null(True)
        if scales is not None:
            outside &= (scales == scale.name).fill_null(False)
        several = f" of {scale.name}" if len(journey_map.rating_scales) > 1 else ""
        found[f"rating is outside {scale.min:g} to {scale.max:g}{several}"] = outside
    return found


def strange_scales(scales: pl.Series, numbers: pl.Series, journey_map: JourneyMap) -> list[str]:
    """Say which scales of ratings the map does not name."""
    known = [scale.name for scale in journey_map.rating_scales]
    if not known:
        return []
    rated = scales.filter(numbers.is_not_null() & ~scales.is_in(known)).drop_nulls()
    counted = rated.value_counts(sort=True)
    return [
        f"{count:,} ratings are on scale {name!r}, which `rating_scales` of the map does not name: "
        f"they are kept apart, in no range; there are: {', '.join(known)}"
        for name, count in counted.head(5).iter_rows()
    ]
