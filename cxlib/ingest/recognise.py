"""What a row of the log is on the journey map: touchpoint, channel, stage, owner, who began it.

A log of millions of rows has few distinct contents of the columns that decide this. They are
collected once and recognised once; every row then only carries a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import and_
from zlib import crc32

import polars as pl

from cxlib.contracts import INITIATORS, UNKNOWN, UNMAPPED
from cxlib.ingest.cells import tidy
from cxlib.journey_map import JourneyMap, Touchpoint

__all__ = ["KEY", "content_hash", "place_columns", "recognise"]

KEY = "\x00place"
"""Hash of the columns that decide what a row is."""

_ROLES = ("touchpoint", "channel", "stage", "owner", "initiated_by")


def place_columns(journey_map: JourneyMap, roles: Mapping[str, str]) -> list[str]:
    """Return the raw columns that decide what a row is, `keep` included, each once."""
    named = [roles[role] for role in _ROLES if role in roles]
    matched = [column for t in journey_map.touchpoints for column in t.match or ()]
    return list(dict.fromkeys([*named, *matched, *journey_map.keep]))


def content_hash(columns: list[str]) -> pl.Expr:
    """Return a hash of the content of columns (UInt64) that knows neither their order nor empty
    ones.

    A sum of hashes seeded by the column's name: rows of two files of which one lacks an empty
    column are the same row.
    """
    parts = [
        pl.when(pl.col(c).is_not_null()).then(pl.col(c).hash(crc32(c.encode()))).otherwise(0)
        for c in columns
    ]
    return pl.sum_horizontal(parts) if parts else pl.lit(0, pl.UInt64)


def recognise(
    contents: pl.DataFrame, journey_map: JourneyMap, roles: Mapping[str, str]
) -> pl.DataFrame:
    """Return what each distinct content of the deciding columns is.

    Parameters
    ----------
    contents
        `KEY` and the columns of `place_columns`, distinct.

    Returns
    -------
    pl.DataFrame
        `KEY` · ``is_kept`` Bool (passes the map's `keep`) · ``touchpoint`` (null: none) ·
        ``channel`` · ``stage`` · ``owner`` · ``initiated_by`` · ``is_known`` Bool (the map has the
        touchpoint) · ``unknown_stage`` (a stage in the log that the map does not have).
    """
    texts = contents.select(KEY, *(tidy(c).alias(c) for c in contents.columns if c != KEY))
    if journey_map.fold_case:
        texts = texts.with_columns(_folded(journey_map, roles))
    raw = {
        role: pl.col(roles[role]) if role in roles else pl.lit(None, pl.String) for role in _ROLES
    }
    matched = texts.with_columns(_number=_touchpoint_number(journey_map, roles))
    planned = _planned(journey_map.touchpoints)
    joined = matched.join(planned, on="_number", how="left", maintain_order="left")
    stage_known = raw["stage"].is_in(journey_map.stages)
    initiated_by = raw["initiated_by"].str.to_lowercase()
    return joined.select(
        pl.col(KEY),
        is_kept=_matches_all(journey_map.keep) if journey_map.keep else pl.lit(True),
        touchpoint=pl.coalesce("_name", raw["touchpoint"]),
        channel=pl.coalesce(raw["channel"], "_channel", pl.lit(UNKNOWN)),
        stage=pl.when(stage_known)
        .then(raw["stage"])
        .when(raw["stage"].is_null())
        .then(pl.col("_stage").fill_null(UNMAPPED))
        .otherwise(pl.lit(UNMAPPED)),
        owner=pl.coalesce(raw["owner"], "_owner"),
        initiated_by=pl.when(initiated_by.is_in(INITIATORS))
        .then(initiated_by)
        .otherwise(pl.col("_initiated_by").fill_null("customer")),
        is_known=pl.col("_number").is_not_null(),
        unknown_stage=pl.when(~stage_known).then(raw["stage"]),
    )


def _folded(journey_map: JourneyMap, roles: Mapping[str, str]) -> list[pl.Expr]:
    """Give names the case in which the map writes them, and others lower case."""
    lines = journey_map.touchpoints
    written = {
        "touchpoint": [t.name for t in lines],
        "channel": [t.channel for t in lines if t.channel is not None],
        "stage": list(journey_map.stages),
        "owner": [t.owner for t in lines if t.owner is not None],
    }
    folded: dict[str, pl.Expr] = {}
    for role, names in written.items():
        if role in roles and roles[role] not in folded:
            low = pl.col(roles[role]).str.to_lowercase()
            known = {name.lower(): name for name in reversed(names)}
            folded[roles[role]] = low.replace_strict(known, default=low) if known else low
    return [expr.alias(column) for column, expr in folded.items()]


def _matches_all(patterns: Mapping[str, str]) -> pl.Expr:
    """Whether every pattern is found; an empty cell is an empty text."""
    return reduce(
        and_, (pl.col(c).fill_null("").str.contains(pattern) for c, pattern in patterns.items())
    )


def _touchpoint_number(journey_map: JourneyMap, roles: Mapping[str, str]) -> pl.Expr:
    """The first touchpoint, in the order of the map, that matches or, without `match`, is named.

    Of several lines of one touchpoint it is the one of the row's channel, else the first.
    """
    touchpoints = list(enumerate(journey_map.touchpoints))
    found: list[pl.Expr] = []
    for i, t in touchpoints:
        if t.match is not None:
            here = _matches_all(t.match)
            if "channel" in roles and _has_lines(journey_map, t.name):
                logged = pl.col(roles["channel"])
                here &= logged.is_null() | (logged == t.channel)
            found.append(pl.when(here).then(pl.lit(i, pl.UInt32)))
    by_name: dict[str, int] = {}
    by_channel: dict[tuple[str, str | None], int] = {}
    for i, t in touchpoints:
        if t.match is None:
            by_name.setdefault(t.name, i)
            if _has_lines(journey_map, t.name):
                by_channel[t.name, t.channel] = i
    if "touchpoint" in roles and by_name:
        name = pl.col(roles["touchpoint"])
        number = name.replace_strict(by_name, default=None, return_dtype=pl.UInt32)
        if "channel" in roles:
            channel = pl.col(roles["channel"])
            exact = [
                pl.when((name == n) & (channel == c)).then(pl.lit(i, pl.UInt32))
                for (n, c), i in by_channel.items()
            ]
            number = pl.coalesce(*exact, number)
        found.append(number)
    return pl.min_horizontal(found) if found else pl.lit(None, pl.UInt32)


def _has_lines(journey_map: JourneyMap, name: str) -> bool:
    return sum(t.name == name for t in journey_map.touchpoints) > 1


def _planned(touchpoints: tuple[Touchpoint, ...]) -> pl.DataFrame:
    columns = ("name", "stage", "channel", "owner", "initiated_by")
    return pl.DataFrame(
        {f"_{c}": [getattr(t, c) for t in touchpoints] for c in columns},
        schema={f"_{c}": pl.String for c in columns},
    ).with_row_index("_number")
