"""A small shop whose log can be written in any format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cxlib.journey_map import JourneyMap, parse_journey_map

MAP = """\
version: 1
name: Shop
columns: {customer: client, occurred_at: when, touchpoint: contact, channel: via}
stages: [exploration, conversion]
touchpoints:
  - {name: visit, stage: exploration, channel: web, owner: marketing}
  - {name: payment, stage: conversion, channel: till}
"""

ROWS: list[dict[str, str | None]] = [
    {"client": "007", "when": "2026-01-02T10:00:00Z", "contact": "visit", "via": "app"},
    {"client": "NA", "when": "2026-01-01T10:00:00+01:00", "contact": "payment", "via": None},
    {"client": "Zoë", "when": "2026-01-01 10:00:00", "contact": " visit ", "via": "web"},
    {"client": "9440000000000000001", "when": "2026-01-03", "contact": "riddle", "via": "web"},
]

Write = Callable[..., Path]


@pytest.fixture
def shop() -> JourneyMap:
    return parse_journey_map(MAP)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows as a file of the kind that its name says; returns the path."""

    def write_rows(name: str, rows: list[dict[str, Any]] | None = None, **options: Any) -> Path:
        path = tmp_path / name
        data = encode(name.removesuffix(".gz"), ROWS if rows is None else rows, **options)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_rows


def encode(
    name: str,
    rows: list[dict[str, Any]],
    *,
    separator: str | None = None,
    encoding: str = "utf-8",
) -> bytes:
    if name.endswith(".jsonl"):
        return "\n".join(json.dumps(r, ensure_ascii=False) for r in rows).encode(encoding)
    if name.endswith(".parquet"):
        buffer = io.BytesIO()
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(buffer)
        return buffer.getvalue()
    used = separator or ("\t" if name.endswith(".tsv") else ",")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=used)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)
