"""Tables as they stand: CSV, TSV, JSON lines and Parquet as frames in which an id stays an id.

Text files are read as text in every column, so that no id becomes a number, no leading zero is lost
and a customer called NA stays a customer. Only an empty cell is null.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.sources import Source, read_bytes
from cxlib.ingest.text import LOST, Text, detect_separator, read_text

__all__ = ["LINE", "POSITION", "RawTable", "read_table"]

LINE = "\x00line"
"""Number of the row in its file, from 1; a name that no export can have."""

POSITION = "\x00position"
"""Order of the row within its customer, where the format itself has one (XES)."""

_EXTRA = "\x00extra"


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file as a frame.

    Parameters
    ----------
    source
        The file.
    frame
        Its rows, lazily: the raw columns, `LINE`, and `POSITION` for XES.
    malformed
        Rows that are no rows: ``reason``, `LINE` and ``raw``.
    encoding, separator
        Of a text file.
    per_line
        How many values of `LINE` a line of the file has: more than one where a recipe of the map
        makes several contacts of a row.
    note
        What such a recipe did, in words.
    """

    source: Source
    frame: pl.LazyFrame
    malformed: pl.DataFrame
    encoding: str | None = None
    separator: str | None = None
    per_line: int = 1
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Names of the raw columns."""
        return [c for c in self.frame.collect_schema().names() if c not in (LINE, POSITION)]

    def collect(self, *exprs: pl.Expr, lines: pl.Series | None = None) -> pl.DataFrame:
        """Read the rows, or those on some lines; all columns, or what is asked for.

        Raises
        ------
        InputError
            Where the file turns out to be damaged only now.
        """
        frame = (
            self.frame if lines is None else self.frame.filter(pl.col(LINE).is_in(lines.implode()))
        )
        try:
            return (frame.select(exprs) if exprs else frame).collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise _damaged(self.source, error) from None


NONE_MALFORMED = pl.DataFrame(schema={"reason": pl.String, LINE: pl.Int64, "raw": pl.String})


def read_table(
    source: Source, *, separator: str | None = None, encoding: str | None = None
) -> RawTable:
    """Read a CSV, TSV, JSON lines or Parquet file; Parquet stays on disk until it is collected.

    Raises
    ------
    InputError
        Where the file has no header or no rows, or is not of its kind.
    """
    if source.format == "parquet":
        return _read_parquet(source)
    text = read_text(read_bytes(source), name=str(source), encoding=encoding)
    if not text.data.strip():
        raise InputError(f"{source}: the file is empty; export it again")
    if b"\n" not in text.data[:1_000_000] and b"\r" in text.data:
        text = replace(text, data=text.data.replace(b"\r", b"\n"))
    if source.format == "jsonl":
        return _read_json_lines(source, text)
    if source.format == "tsv" and separator is None:
        separator = "\t"
    return _read_csv(source, text, separator)


def _read_parquet(source: Source) -> RawTable:
    try:
        data = io.BytesIO(read_bytes(source)) if source.gzipped else source.path
        schema = pl.read_parquet_schema(data)
        if isinstance(data, io.BytesIO):
            data.seek(0)
        frame = pl.scan_parquet(data, row_index_name=LINE, row_index_offset=1, glob=False)
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(source, error) from None
    if not rows:
        raise InputError(f"{source}: the file has columns but no rows; export it again")
    flat = [name for name, dtype in schema.items() if not dtype.is_nested()]
    return RawTable(source, frame.select(*flat, pl.col(LINE).cast(pl.Int64)), NONE_MALFORMED)


def _damaged(source: Source, error: BaseException) -> InputError:
    why = (str(error).splitlines() or ["unreadable"])[0]
    return InputError(f"{source}: this is no whole Parquet file ({why}); fetch it again")


def _read_csv(source: Source, text: Text, separator: str | None) -> RawTable:
    if told := re.match(r"sep=(.)\r?\n", text.data[:8].decode("ascii", "ignore")):
        # Excel's own way to say it, in a first line that is no header.
        separator = separator or told[1]
        text = replace(text, data=_after_lines(text.data, 1))
    used = detect_separator(text, name=str(source), separator=separator)
    reader = csv.reader(io.StringIO(text.sample, newline=""), delimiter=used)
    try:
        header = next(row for row in reader if any(cell.strip() for cell in row))
    except (StopIteration, csv.Error):
        raise InputError(f"{source}: there is no header in the first rows; add one") from None
    columns = _header(source, header)
    body = _after_lines(text.data, reader.line_num)
    frame, is_wide = _parse_csv(source, body, columns, used)
    is_blank = pl.all_horizontal(pl.exclude(LINE).is_null())
    rows = frame.filter(~is_blank)
    if not rows.height:
        raise InputError(f"{source}: the file has a header but no rows; export it again")
    counts = None
    if is_wide or rows.select(pl.col(columns[-1]).is_null().any()).item():
        # A row that ends in nulls may be short of fields, and a wide one lose some: ask the text.
        counts = _fields_per_record(body, used)
        counts = counts.gather(rows[LINE] - 1) if len(counts) == frame.height else None
    faulty = _csv_faults(rows, counts, fields=len(columns), has_lost=bool(text.bad_bytes))
    good = rows.drop(_EXTRA)
    if faulty.height:
        good = good.join(faulty.select(LINE), on=LINE, how="anti", maintain_order="left")
    return RawTable(source, good.lazy(), faulty, text.encoding, used)


def _header(source: Source, cells: list[str]) -> list[str]:
    names = [cell.strip() or f"column {i}" for i, cell in enumerate(cells, 1)]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise InputError(f"{source}: column {twice[0]!r} stands twice in the header; rename one")
    return names


def _parse_csv(
    source: Source, body: bytes, columns: list[str], separator: str
) -> tuple[pl.DataFrame, bool]:
    """Return the rows with one further field, and whether some row has more fields than that."""
    if not body.strip():
        raise InputError(f"{source}: the file has a header but no rows; export it again")

    def parse(extra_columns: Literal["ignore", "raise"]) -> pl.DataFrame:
        return pl.read_csv(
            body,
            has_header=False,
            separator=separator,
            schema=dict.fromkeys([*columns, _EXTRA], pl.String),
            extra_columns=extra_columns,
            missing_columns="insert",
            row_index_name=LINE,
            row_index_offset=1,
        ).with_columns(pl.col(LINE).cast(pl.Int64))

    try:
        return parse("raise"), False
    except pl.exceptions.PolarsError:
        pass
    try:
        return parse("ignore"), True
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0][:80]
        why = "a quotation mark is opened and never closed" if "escaped" in str(error) else first
        raise InputError(f"{source}: {why}; mend the file, or export it again") from None


def _csv_faults(
    rows: pl.DataFrame, counts: pl.Series | None, *, fields: int, has_lost: bool
) -> pl.DataFrame:
    """Return the rows with too many or too few fields, or with bytes that are no characters.

    One empty field too many, a separator at the end of the line, is no fault.
    """
    too_many, too_few, lost = pl.col(_EXTRA).is_not_null(), pl.lit(False), pl.lit(False)
    if counts is not None:
        too_few = pl.lit(counts < fields)
        too_many |= pl.lit(counts > fields + 1)
    if has_lost:
        lost = pl.any_horizontal(pl.exclude(LINE).str.contains(LOST, literal=True).fill_null(False))
    reason = (
        pl.when(too_many)
        .then(pl.lit("malformed row: too many fields"))
        .when(too_few)
        .then(pl.lit("malformed row: too few fields"))
        .when(lost)
        .then(pl.lit("bytes that are no characters"))
    )
    marked = rows.with_columns(reason.alias("reason")).filter(pl.col("reason").is_not_null())
    cells = marked.drop("reason", LINE).rename({_EXTRA: "(further field)"})
    return marked.select("reason", LINE, raw=as_json(cells))


def _fields_per_record(body: bytes, separator: str) -> pl.Series:
    lines = pl.read_lines(body).to_series()
    if b'"' in body:
        # Separators within quotes do not count, and quotes that span lines need a real reader.
        bare = lines.str.replace_all(r'"(?:[^"]|"")*"', "")
        if bare.str.contains('"', literal=True).any():
            records = csv.reader(io.StringIO(body.decode("utf-8"), newline=""), delimiter=separator)
            return pl.Series([len(record) for record in records], dtype=pl.UInt32)
        lines = bare
    return lines.str.count_matches(separator, literal=True) + 1


def as_json(cells: pl.DataFrame) -> pl.Series:
    """Return each row of a frame as JSON text, without its nulls."""
    texts = [
        json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False, default=str)
        for row in cells.iter_rows(named=True)
    ]
    return pl.Series("raw", texts, dtype=pl.String)


def _after_lines(data: bytes, lines: int) -> bytes:
    at = 0
    for _ in range(lines):
        end = data.find(b"\n", at)
        if end < 0:
            return b""
        at = end + 1
    return data[at:]


def _read_json_lines(source: Source, text: Text) -> RawTable:
    if text.data.lstrip()[:1] == b"[":
        raise InputError(f"{source}: this is one JSON list; write one object per line instead")
    lines = pl.read_lines(text.data).to_series().str.strip_chars()
    lines = lines.filter(lines != "")
    keys = _json_keys(lines)
    if not keys:
        raise InputError(f"{source}: no line is a JSON object with keys; write one object per line")
    frame, malformed = _parse_json(text.data, keys), NONE_MALFORMED
    if frame is None or text.bad_bytes:
        rows = pl.DataFrame({"raw": lines}).with_row_index(LINE, 1).cast({LINE: pl.Int64})
        is_object = rows["raw"].str.starts_with("{") & (
            rows["raw"].str.json_path_match("$").is_not_null()
        )
        lost = rows["raw"].str.contains(LOST, literal=True)
        reason = (
            pl.when(~is_object)
            .then(pl.lit("malformed row: no JSON object"))
            .when(lost)
            .then(pl.lit("bytes that are no characters"))
        )
        marked = rows.with_columns(reason.alias("reason"))
        malformed = marked.filter(pl.col("reason").is_not_null()).select("reason", LINE, "raw")
        good = marked.filter(pl.col("reason").is_null())
        frame = _parse_json("\n".join(good["raw"].to_list()).encode(), keys)
        if frame is None:
            raise InputError(
                f"{source}: the lines cannot be read as JSON objects; export them again"
            )
        frame = frame.with_columns(good[LINE])
    else:
        frame = frame.with_row_index(LINE, 1).cast({LINE: pl.Int64})
    # JSON has a null of its own beside the empty text; both are an empty cell.
    texts = [pl.when(pl.col(k) != "").then(pl.col(k)) for k in keys]
    return RawTable(source, frame.lazy().with_columns(texts), malformed, text.encoding)


def _parse_json(data: bytes, keys: list[str]) -> pl.DataFrame | None:
    try:
        return pl.read_ndjson(data, schema=dict.fromkeys(keys, pl.String))
    except pl.exceptions.PolarsError:
        return None


def _json_keys(lines: pl.Series) -> list[str]:
    """Return the keys of the first five thousand objects, in their order."""
    keys: dict[str, None] = {}
    for line in islice(lines, 5000):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # the latter: brackets within brackets by the thousand
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(row))
    return list(keys)
