"""Single cells: texts as the eye sees them, ids that stay ids, numbers as people write them.

A number with two readings (1.500) is read as the cells with one reading are written.
"""

from __future__ import annotations

import re

import polars as pl

from cxlib.errors import InputError
from cxlib.journey_map import JourneyMap

_INVISIBLE = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{180e}\x{200b}\x{200e}\x{200f}"
    r"\x{202a}-\x{202e}\x{2060}-\x{2064}\x{2066}-\x{2069}\x{feff}]"
)
_SPACES = r"[\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
_EXACT = 2**53  # whole numbers above this are damaged in floating point
_DAMAGED = {
    r"^\d+\.0$": "ids end in '.0', such as {}: a tool turned them into floating point; export them "
    "as text, or they will not match other tables",
    r"^\d(?:[.,]\d+)?[eE]\+?\d+$": "ids such as {} were shortened by a spreadsheet and are damaged",
    r"^[1-9]\d{14}0{2,}$": "ids such as {} end after fifteen digits: a spreadsheet cut them",
}
"""What ids look like that a tool has damaged, and what to do."""


_PLACEHOLDER = (
    r"^(?:\(?(?:null|none|nil|nan|undefined|unknown|not set|not provided|other|empty|missing)\)?"
    r"|false|anonymous|anonym|guest|#?n/a|<na>|#value!|-{1,3}|\?+|blank|no id"
    r"|unbekannt|inconnu|anonyme|anónimo|brak|keine?|aucun"
    r"|desconocido|sconosciuto|onbekend|oculto|hidden|withheld|restricted|unterdrückt|masqué"
    r"|verborgen|00000000-0000-0000-0000-000000000000)$"
)
_ZEROS = r"^(?:(?:[a-z]{1,4}[-_ ]?)?0+|-1|9{5,}|1234567890?|[0-]{8,})$"
"""Placeholders where they have many times an id's rows."""


def reads_like_none(name: str, rows: str) -> pl.Expr:
    """Whether ids, each with its number of rows, read like a placeholder for those without one."""
    low, count = pl.col(name).str.to_lowercase(), pl.col(rows).cast(pl.Int64)
    others = (count.sum() - count) / (pl.len() - 1).clip(1)
    zeros = low.str.contains(_ZEROS) & (count > 5 * others) & (count > 5)
    return low.str.contains(_PLACEHOLDER) | zeros


def text_of(column: str | pl.Expr) -> pl.Expr:
    """Return a column as text without blanks around it; null where nothing is left."""
    expr = pl.col(column) if isinstance(column, str) else column
    stripped = expr.cast(pl.String).str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def tidy(column: str | pl.Expr) -> pl.Expr:
    """Return a text as the eye sees it, composed (NFC), without invisible characters."""
    expr = (pl.col(column) if isinstance(column, str) else column).cast(pl.String)
    seen = expr.str.normalize("NFC").str.replace_all(_INVISIBLE, "").str.replace_all(_SPACES, " ")
    return text_of(seen)


def tidied(values: pl.Series) -> pl.Series:
    """Return texts as `tidy` does, at no cost where all of it is plain."""
    frame = values.cast(pl.String).to_frame("x")
    plain = (pl.col("x").str.len_bytes() == pl.col("x").str.len_chars()).all()
    odd = pl.col("x").str.contains(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").any()
    is_plain, is_odd = frame.select(plain.alias("a"), odd.alias("b")).row(0)
    return frame.select(text_of("x") if is_plain and not is_odd else tidy("x")).to_series()


def plain_digits(values: pl.Series) -> pl.Series:
    """Return texts with the digits and marks of Arabic, Persian and Indian numbers as ASCII."""
    if not values.str.contains(r"[\p{Nd}&&[^0-9]]").any():
        return values
    others = {chr(start + i): str(i) for start in (0x660, 0x6F0, 0x966, 0xFF10) for i in range(10)}
    return values.str.replace_many({**others, "٫": ".", "٬": ","})


def as_pattern(text: str) -> str:
    """Return the regular expression of a text as it stands."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)


def read_ids(
    raw: pl.Series, *, where: str, fold: bool = False
) -> tuple[pl.Series, tuple[str, ...]]:
    """Return ids as text: ``007`` and ``NA`` stay what they are, only an empty cell is null."""
    hints: tuple[str, ...] = ()
    if raw.dtype.is_float():
        present = raw.drop_nulls()
        damaged = present.filter((present != present.floor()) | (present.abs() > _EXACT))
        if len(damaged):
            raise InputError(
                f"{where}: ids are floating point numbers, first {damaged[0]!r}, and digits may be "
                "lost; export the column as text"
            )
        raw = raw.cast(pl.Int64)
        hints = (f"{where}: ids were floating point numbers, read as whole ones; export as text",)
    written = raw.to_frame("id").select(text_of("id")).to_series()
    values = tidied(written)
    if changed := int((written != values).sum()):
        hints += (f"{where}: {changed:,} ids hold invisible characters, which were taken out",)
    for pattern, what in _DAMAGED.items():
        damaged = values.str.contains(pattern).fill_null(False)
        if count := int(damaged.sum()):
            hints += (f"{where}: {count:,} {what.format(repr(values.filter(damaged)[0]))}",)
    return values.str.to_lowercase() if fold else values, hints


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
    text = plain_digits(tidied(raw))
    plain = text.cast(pl.Float64, strict=False)
    if not text.str.contains(r"[^\d-]").any():
        return plain
    has_one_reading = not text.str.contains(r"^-?[1-9]\d{0,2}\.\d{3}$").any()
    if decimal != "," and has_one_reading and text.str.contains(r"^-?\d+(?:\.\d+)?$").all():
        return plain
    bare, signs = _bare(text)
    fits, read = {}, {}
    for one, other in ((".", ","), (",", ".")):
        fits[one] = (bare.str.contains(_FORMS[one]) & (bare != "")).fill_null(False)
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
