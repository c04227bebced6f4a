"""Single cells: texts as the eye sees them, ids that stay ids."""

from __future__ import annotations

import polars as pl

from cxlib.errors import InputError

_INVISIBLE = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{180e}\x{200b}\x{200e}\x{200f}"
    r"\x{202a}-\x{202e}\x{2060}-\x{2064}\x{2066}-\x{2069}\x{feff}]"
)
_SPACES = r"[\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"

_EXACT = 2**53
"""Whole numbers above this are not all representable in floating point: ids there are damaged."""


_DAMAGED = {
    r"^\d+\.0$": "ids end in '.0', such as {}: a tool turned them into floating point; export them "
    "as text, or they will not match other tables",
    r"^\d(?:[.,]\d+)?[eE]\+?\d+$": "ids such as {} were shortened by a spreadsheet and are damaged",
    r"^[1-9]\d{14}0{2,}$": "ids such as {} end after fifteen digits: a spreadsheet cut them",
}
"""What ids look like that a tool has damaged, and what to do."""


_PLACEHOLDER = (
    r"^(?:\(?(?:null|none|nil|nan|undefined|unknown|not set|not provided|other|empty|missing)\)?"
    r"|false|anonymous|anonym|guest|#?n/a|<na>|#value!|-{1,3}|\?+|blank|no id|unbekannt|inconnu"
    r"|desconocido|sconosciuto|onbekend|00000000-0000-0000-0000-000000000000)$"
)
_ZEROS = r"^(?:0+|-1|9{5,}|1234567890?|[0-]{8,})$"
"""Numbers that stand for none, where they hold many times the rows of an id."""


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
