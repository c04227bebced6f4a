"""Rows that are set aside: each as it stands in its file, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cxlib.contracts import QUARANTINE
from cxlib.ingest.masking import mask_comments
from cxlib.ingest.raw import REASON
from cxlib.ingest.tables import LINE, RawTable, as_json

__all__ = ["first_reasons", "set_aside"]


def first_reasons(faults: Mapping[str, pl.Series]) -> pl.Series | None:
    """Give each row the first of its faults, null where it has none; None where no row has one."""
    broken = {reason: fault for reason, fault in faults.items() if fault.any()}
    if not broken:
        return None
    frame = pl.DataFrame(list(broken.values()), schema=list(broken))
    whens = [pl.when(pl.col(reason)).then(pl.lit(reason)) for reason in broken]
    return frame.select(pl.coalesce(whens).alias(REASON)).to_series()


def set_aside(
    table: RawTable, lines: pl.Series, reasons: pl.Series | None, roles: Mapping[str, str]
) -> pl.DataFrame:
    """Return malformed rows and those with a reason, as they stand in the file.

    Of a file with comments, personal data is masked here as in what is kept; of malformed rows, in
    which nobody knows where the comment stands, in all that was written.

    Parameters
    ----------
    table
        The file.
    lines, reasons
        `LINE` of rows, and why they are set aside; None: none is.
    roles
        Which column is the customer, the time, the touchpoint, the comment.

    Returns
    -------
    pl.DataFrame
        QUARANTINE.
    """
    malformed, comment = table.malformed.rename({LINE: "line"}), roles.get("comment")
    if comment is not None and len(malformed):
        malformed = malformed.with_columns(mask_comments(malformed["raw"])[0])
    parts = [malformed]
    if reasons is not None:
        bad = pl.DataFrame({LINE: lines, REASON: reasons}).drop_nulls(REASON)
        raw = table.collect(lines=bad[LINE])
        raw = raw.join(bad, on=LINE, how="left").sort(LINE)
        if comment in raw.columns:
            raw = raw.with_columns(mask_comments(raw[comment].cast(pl.String))[0])
        written = {
            name: raw[roles[name]].cast(pl.String) if name in roles else pl.lit(None, pl.String)
            for name in ("customer", "occurred_at", "touchpoint")
        }
        parts.append(
            raw.select(
                pl.col(REASON).alias("reason"),
                (pl.col(LINE) // table.per_line).alias("line"),
                **written,
                raw=as_json(raw.select(table.columns)),
            )
        )
    joined = pl.concat([QUARANTINE.empty().drop("file"), *parts], how="diagonal")
    return joined.with_columns(file=pl.lit(str(table.source))).select(QUARANTINE.schema.names())
