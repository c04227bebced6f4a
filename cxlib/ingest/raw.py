"""One file as a frame: what every format is read into, and the rows that are set aside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from cxlib.contracts import QUARANTINE
from cxlib.errors import InputError
from cxlib.ingest.cells import tidied
from cxlib.ingest.masking import mask_comments
from cxlib.ingest.sources import Source

SHOWN = 10_000  # characters of a row set aside that are kept

LINE = "\x00line"  # number of the row in its file, from 1; a name that no export can have
POSITION = "\x00position"  # order of the row within its customer, where the format has one (XES)
Row = dict[str, str | None]
NONE_MALFORMED = pl.DataFrame(schema={"reason": pl.String, LINE: pl.Int64, "raw": pl.String})


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file as a frame: lazily its raw columns, `LINE` and, for XES, `POSITION`; of a text file
    how it is written and its lines; and the rows that are none.

    `per_line`: how many values of `LINE` a row has, more than one where a recipe of the map makes
    several contacts of it; `note` says what it did.
    """

    source: Source
    frame: pl.LazyFrame
    malformed: pl.DataFrame = field(default_factory=NONE_MALFORMED.clone)
    encoding: str | None = None
    separator: str | None = None
    lines: int | None = None
    hints: tuple[str, ...] = ()
    per_line: int = 1
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Names of the raw columns."""
        return [c for c in self.frame.collect_schema().names() if c not in (LINE, POSITION)]

    def collect(self, *exprs: pl.Expr, lines: pl.Series | None = None) -> pl.DataFrame:
        """Read the rows, or those on some lines; all columns, or what is asked for."""
        frame = self.frame.select(exprs) if exprs else self.frame
        if lines is not None:
            frame = frame.filter(pl.col(LINE).is_in(lines.implode()))
        try:
            return frame.collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise damaged(self.source, error) from None


def damaged(source: Source, error: BaseException) -> InputError:
    """Return the error for a file that breaks off."""
    why = (str(error).splitlines() or ["unreadable"])[0]
    return InputError(f"{source}: this is no whole Parquet file ({why}); fetch it again")


def as_json(cells: pl.DataFrame) -> pl.Series:
    """Return each row of a frame as JSON text, without its nulls."""
    texts = [
        json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False, default=str)
        for row in cells.iter_rows(named=True)
    ]
    return pl.Series("raw", texts, dtype=pl.String)


def flat_row(value: dict[str, Any], prefix: str = "") -> Row:
    """Return what an object holds by dotted paths; lists as text."""
    flat: Row = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            flat |= {k: v for k, v in flat_row(inner, f"{prefix}{key}.").items() if k not in flat}
        else:
            flat[f"{prefix}{key}"] = json_text(inner)
    return flat


def json_text(value: Any) -> str | None:
    """Return a value of JSON as text, null as null."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def named_columns(cells: list[str], *, name: str, wanted: Collection[str] = ()) -> list[str]:
    """Return the names of columns: no blanks around them, none empty, none twice."""
    names: dict[str, None] = {}
    seen: Counter[str] = Counter()
    for number, cell in enumerate(tidied(pl.Series(cells, dtype=pl.String)), 1):
        bare = plain = cell or f"column {number}"
        if bare in names and bare in wanted:
            raise InputError(f"{name}: column {bare!r} stands twice in the header; rename one")
        while bare in names:
            seen[plain] += 1
            bare = f"{cell or ''} ({seen[plain] + 1})"
        names[bare] = None
    return list(names)


def first_reasons(faults: Mapping[str, pl.Series]) -> pl.Series:
    """Give each row the first of its faults, null where it has none."""
    frame = pl.DataFrame(list(faults.values()), schema=list(faults))
    whens = [pl.when(pl.col(reason)).then(pl.lit(reason)) for reason in faults]
    return frame.select(reason=pl.coalesce(whens)).to_series()


def set_aside(
    table: RawTable, lines: pl.Series, reasons: pl.Series, roles: Mapping[str, str]
) -> pl.DataFrame:
    """Return malformed rows and those with a reason as they stand in the file (QUARANTINE)."""
    malformed, comment = table.malformed.rename({LINE: "line"}), roles.get("comment")
    if comment is not None:
        malformed = malformed.with_columns(mask_comments(malformed["raw"])[0])
    parts = [QUARANTINE.empty().drop("file"), malformed]
    bad = pl.DataFrame({LINE: lines, "\x00reason": reasons}).drop_nulls()
    if bad.height:
        raw = table.collect(lines=bad[LINE]).join(bad, on=LINE, how="left").sort(LINE)
        if comment in raw.columns:
            raw = raw.with_columns(mask_comments(raw[comment].cast(pl.String))[0])
        written = {
            name: raw[roles[name]].cast(pl.String)
            for name in ("customer", "occurred_at", "touchpoint")
            if name in roles
        }
        shown = raw.select(
            pl.col("\x00reason").alias("reason"),
            (pl.col(LINE) // table.per_line).alias("line"),
            **written,
            raw=as_json(raw.select(table.columns)).str.slice(0, SHOWN),
        )
        parts.append(shown)
    joined = pl.concat(parts, how="diagonal")
    return joined.with_columns(file=pl.lit(str(table.source))).select(QUARANTINE.schema.names())
