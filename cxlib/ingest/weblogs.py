"""Access logs of web servers in the Common and the Combined Log Format: a request a line."""

from __future__ import annotations

import polars as pl

from cxlib.ingest.raw import LINE, SHOWN, RawTable
from cxlib.ingest.sources import Source
from cxlib.ingest.text import Text

NO_REQUEST = "malformed row: no request of a web server"
_QUOTED = r'(?P<{}>(?:[^"\\]|\\.)*)"'
_REQUEST = (
    r'"(?:(?P<method>[A-Z]{3,9}) (?P<path>[^ "?]*)(?:\?(?P<query>[^ "]*))? (?P<protocol>[^ "]*)"'
    rf"|{_QUOTED.format('request')})"
)
_FORM = (
    r"^(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>\d+/\w+/\d+:[^\]]+)\] "
    rf"{_REQUEST} (?P<status>\d{{3}}|-) (?P<size>\d+|-)"
    rf'(?: "{_QUOTED.format("referer")} "{_QUOTED.format("user_agent")})?'
)


def is_weblog(lines: pl.Series) -> bool:
    """Whether lines from the whole file are mostly requests as web servers write them."""
    few = lines.gather_every(len(lines) // 100 + 1)
    return bool(few.str.contains(_FORM).mean() > 0.5) if len(few) else False  # type: ignore[operator]


def read_weblog(source: Source, text: Text, lines: pl.Series) -> RawTable:
    """Read requests; what the server writes as ``-`` is empty."""
    rows = lines.str.extract_groups(_FORM).struct.unnest().with_row_index(LINE, 1)
    cell = pl.exclude(LINE)
    rows = rows.with_columns(
        pl.col(LINE).cast(pl.Int64), pl.when(~cell.is_in(["-", ""])).then(cell)
    )
    is_read, is_blank = rows["host"].is_not_null(), lines.str.strip_chars() == ""
    aside = rows.select(LINE).with_columns(raw=lines.str.slice(0, SHOWN))
    aside = aside.filter(~is_read & ~is_blank)
    malformed = aside.select(pl.lit(NO_REQUEST).alias("reason"), LINE, "raw")
    named = rows.filter(is_read)
    used = [c for c in named.columns if named[c].null_count() < named.height]
    return RawTable(
        source, named.select(used).lazy(), malformed, text.encoding, None, lines=len(lines)
    )
