"""One table, written in two hundred ways: the same contacts, or a true sentence."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import xlsxwriter

from cxlib.errors import CxError
from cxlib.ingest import read_events
from cxlib.journey_map import parse_journey_map

NOTES = [
    "fine",
    "12{q} screen",
    "a{s} b",
    "{q}quoted{q}",
    "Zo\xeb, M\xfcller",
    "two\nlines",
    "",
    "it's",
]
EVENTS = ["ad", "product page", "basket", "payment"]
MAP = """\
version: 1
name: t
columns: {customer: Kunde, occurred_at: Zeit, touchpoint: Kontakt, cost: Kosten, comment: Notiz}
stages: [s]
touchpoints: [{name: ad, stage: s}, {name: product page, stage: s}, {name: basket, stage: s},
  {name: payment, stage: s}]
"""
HEADER = ["Kunde", "Zeit", "Kontakt", "Kosten", "Notiz"]
TIMES = [
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000+00:00", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %I:%M:%S %p", "%d %b %Y %H:%M:%S", "%Y%m%d%H%M%S",
    "%a, %d %b %Y %H:%M:%S +0000", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S UTC", "epoch_s",
    "epoch_ms", "epoch_us", "epoch_ns", "excel", "excel comma", "%d-%b-%Y %H:%M:%S GMT",
    "%d.%m.%Y %H.%M.%S",
]  # fmt: skip
SEPARATORS = [",", ";", "\t", "|", "~", "^", "\x01", "||"]
STYLES = ["minimal", "all", "backslash", "bare"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
ENDS = ["\n", "\r\n", "\r"]
ABOVE = ["", "sep={s}\n", "Report: x\nMade: today\n\n", "# a comment\n"]
PACKED = ["", ".gz", ".bz2", ".xz", ".zip"]


def contents(seed: int) -> list[tuple[str, datetime, str, float, str]]:
    draw = random.Random(seed)
    start = datetime(2024, 1, 3, 7, 5, 9, tzinfo=UTC)
    return [
        (
            f"{i // 4:04}" if i // 4 % 3 else f"K{i // 4}",
            start + timedelta(hours=13 * i, seconds=7 * i),
            EVENTS[i % 4],
            draw.choice([1.5, 12.25, 1355.9, 3000.0, 0.0]),
            NOTES[i % len(NOTES)],
        )
        for i in range(60)
    ]


def time_text(at: datetime, how: str) -> str:
    seconds = int(at.timestamp())
    if how.startswith("epoch"):
        return str(seconds * 1000 ** ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns"].index(how))
    if how.startswith("excel"):
        days = f"{seconds / 86400 + 25569:.6f}"
        return days.replace(".", ",") if how.endswith("comma") else days
    return at.strftime(how)


def cost_text(cost: float, mark: str) -> str:
    english = f"{cost:,.2f}"
    return english if mark == "." else english.translate(str.maketrans(".,", ",."))


def cell_text(cell: str, separator: str, style: str) -> str:
    special = any(mark in cell for mark in (separator, '"', "\n"))
    if style == "all" or (style == "minimal" and special):
        return '"' + cell.replace('"', '""') + '"'
    if style == "backslash" and special:
        return '"' + cell.replace('"', '\\"') + '"'
    if style == "bare" and (separator in cell or "\n" in cell or cell.startswith('"')):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def table_of(seed: int) -> tuple[list[list[str]], dict[str, str]]:
    draw = random.Random(1000 + seed)
    how = {
        "time": TIMES[seed % len(TIMES)], "separator": SEPARATORS[seed % len(SEPARATORS)],
        "style": draw.choice(STYLES), "encoding": draw.choice(ENCODINGS), "end": draw.choice(ENDS),
        "above": draw.choice(ABOVE), "packed": draw.choice(PACKED), "mark": draw.choice(".,"),
    }  # fmt: skip
    rows = [
        [who, time_text(at, how["time"]), what, cost_text(cost, how["mark"]),
         note.replace("{q}", '"').replace("{s}", how["separator"])]
        for who, at, what, cost, note in contents(seed)
    ]  # fmt: skip
    return rows, how


def written(seed: int, folder: Path) -> Path:
    rows, how = table_of(seed)
    sep = how["separator"]
    lines = [sep.join(cell_text(c, sep, how["style"]) for c in row) for row in [HEADER, *rows]]
    text = how["above"].replace("{s}", sep if len(sep) == 1 else ";") + "\n".join(lines) + "\n"
    if len(sep) > 1:
        text = text.replace("sep=;\n", "")
    data = text.replace("\n", how["end"]).encode(how["encoding"])
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(how["packed"])
    path = folder / f"log.csv{how['packed'] if pack else ''}"
    if how["packed"] == ".zip":
        path = folder / "log.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("log.csv", data)
    else:
        path.write_bytes(pack(data) if pack else data)
    return path


def check(path: Path, seed: int, *, notes: list[str] | None = None, costs: bool = True) -> None:
    events = read_events(path, parse_journey_map(MAP)).events.collect().sort("occurred_at")
    expected = contents(seed)
    assert events["customer"].to_list() == [r[0] for r in expected]
    assert events["occurred_at"].to_list() == [r[1] for r in expected]
    assert events["touchpoint"].to_list() == [r[2] for r in expected]
    if costs:
        assert events["cost"].to_list() == pytest.approx([r[3] for r in expected])
    if notes is not None:
        assert events["comment"].to_list() == [n.strip() or None for n in notes]


@pytest.mark.parametrize("seed", range(200))
def test_text_in_two_hundred_dialects(seed: int, tmp_path: Path) -> None:
    rows, _ = table_of(seed)
    check(written(seed, tmp_path), seed, notes=[row[4] for row in rows])


@pytest.mark.parametrize("ruled", [True, False])
def test_columns_of_one_width_of_the_same_table(ruled: bool, tmp_path: Path) -> None:
    rows = [[who, f"{at:%Y-%m-%d %H:%M:%S}", what, f"{cost:.2f}", "é" * (1 + i % 9)]
            for i, (who, at, what, cost, _) in enumerate(contents(5))]  # fmt: skip
    width = [max(len(row[i]) for row in [HEADER, *rows]) for i in range(5)]
    lines = [HEADER, *([["-" * w for w in width]] if ruled else []), *rows]
    written = [
        "  ".join(c.ljust(w) for c, w in zip(row, width, strict=True)).rstrip() for row in lines
    ]
    path = tmp_path / "spool.txt"
    path.write_text("\n".join(written) + "\n")
    check(path, 5, notes=[row[4] for row in rows])


@pytest.mark.parametrize("time", [None, *TIMES[:4]])
def test_workbooks_of_the_same_table(time: str | None, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "log.xlsx")
    sheet = book.add_worksheet()
    clock = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    sheet.write_row(0, 0, HEADER)
    for i, (who, at, what, cost, _) in enumerate(contents(7), 1):
        sheet.write_string(i, 0, who)
        if time is None:
            sheet.write_datetime(i, 1, at.replace(tzinfo=None), clock)
        else:
            sheet.write_string(i, 1, at.strftime(time))
        sheet.write_row(i, 2, [what, cost])
    book.close()
    check(tmp_path / "log.xlsx", 7)


@pytest.mark.parametrize("shape", ["lines", "list", "data"])
def test_json_of_the_same_table(shape: str, tmp_path: Path) -> None:
    objects = [
        dict(zip(HEADER, [who, at.isoformat(), what, cost, note], strict=True))
        for who, at, what, cost, note in contents(3)
    ]
    text = {
        "lines": "\n".join(map(json.dumps, objects)),
        "list": json.dumps(objects),
        "data": json.dumps({"data": objects}),
    }[shape]
    (tmp_path / "log.json").write_text(text)
    check(tmp_path / "log.json", 3, notes=[o["Notiz"] for o in objects])


@pytest.mark.parametrize("seed", [*range(40), 207, 229, 236, 253, 274])
def test_what_is_broken_is_refused_or_told_row_by_row(seed: int, tmp_path: Path) -> None:
    path = written(seed * 5 + 1, tmp_path)
    draw = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(data))
        data[at : at + draw.randrange(3)] = draw.choice([b'"', b"\n", b"", b"\x00", b"\xff"])
    path.write_bytes(data)
    try:
        ingested = read_events(path, parse_journey_map(MAP))
    except CxError as error:
        refusal = str(error)
        assert "\n" not in refusal
        return
    report = ingested.report
    assert report.rows_in == report.contacts + sum(report.set_aside.values())
    assert report.rows_in >= 57
