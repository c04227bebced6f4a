"""Nothing vanishes: lines are counted apart from the parser, and every one of them is somewhere."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxlib.errors import InputError
from cxlib.ingest import Ingested, read_events
from cxlib.ingest.cells import tidied
from cxlib.ingest.dialects import told_separator
from cxlib.ingest.raw import LINE, RawTable
from cxlib.ingest.sources import find_sources
from cxlib.ingest.tables import read_table
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.map_model import Reading

HEADER = ["client", "when", "contact", "via", "note"]


def row(number: int, note: str = "fine") -> list[str]:
    return [f"u{number // 4}", f"2026-01-01T10:{number:02}:00Z", "visit", "web", note]


def raw(path: Path, data: str | bytes) -> RawTable:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    (source,) = find_sources(path)
    return read_table(source, Reading())


def adds_up(table: RawTable) -> bool:
    rows = table.collect().height + table.malformed.height
    return table.lines is not None and 0 < rows <= table.lines


def written(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(r) + end for r in rows)


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        (r'"12\" screen"', '12" screen'),
        (r'"say \"yes\" twice"', 'say "yes" twice'),
        (r'"a\\b \" c"', r'a\b " c'),
        ('12" screen', '12" screen'),
        ('the "big" one', 'the "big" one'),
        ('"12" screen"', '12" screen'),
        ('"a ""quoted"" word"', 'a "quoted" word'),
        ('"two\nlines"', "two\nlines"),
        ('"three\n\nlines, and a comma"', "three\n\nlines, and a comma"),
        (' "after a blank, quoted"', "after a blank, quoted"),
        (r"a\, b", "a, b"),
        (r"C:\temp", r"C:\temp"),
        (r"\N", None),
        ('""', None),
    ],
)
@pytest.mark.parametrize("every", [1, 7])
def test_quotation_marks_in_any_writing_are_read_and_no_other_row_is_touched(
    cell: str, note: str | None, every: int, tmp_path: Path
) -> None:
    rows = [row(i, cell if i % every == 0 else "fine") for i in range(40)]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]))
    got = table.collect()
    assert table.malformed.is_empty()
    assert got["note"].to_list() == [note if i % every == 0 else "fine" for i in range(40)]
    assert got["client"].to_list() == [r[0] for r in rows]
    assert adds_up(table)


@pytest.mark.parametrize("cell", ['"hello', 'a "b', '"quoted" and on', '"', 'end"'])
def test_quotation_marks_in_tab_separated_text_are_text(cell: str, tmp_path: Path) -> None:
    rows = [row(i, cell if i in (5, 6, 20) else "fine") for i in range(40)]
    table = raw(tmp_path / "log.tsv", written([HEADER, *rows], "\t"))
    got = table.collect()
    assert got.height == 40
    assert got["note"].to_list() == [r[4] for r in rows]


@pytest.mark.parametrize("at", [(3,), (3, 4), (3, 20), (38, 39)])
def test_a_mark_that_nothing_closes_costs_its_own_line_only(at: tuple[int], tmp_path: Path) -> None:
    rows = [row(i, '"fine' if i in at else "fine") for i in range(40)]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]))
    assert table.malformed[LINE].to_list() == [i + 1 for i in at]
    assert set(table.malformed["reason"]) == {
        "malformed row: a quotation mark is opened and never closed"
    }
    assert f"set aside: {at[0] + 2}" in table.hints[0]
    assert adds_up(table)


def test_rows_that_are_longer_or_shorter_go_aside_with_their_number(tmp_path: Path) -> None:
    rows = [row(i) for i in range(40)]
    rows[4] = rows[4][:3]
    rows[9] = [*rows[9], "more"]
    rows[11] = [*rows[11], "", " ", ""]
    rows[30] = ["", "", "", "", ""]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]) + "Total: 40\n")
    assert table.malformed.select(LINE, "reason").rows() == [
        (5, "malformed row: too few fields"),
        (10, "malformed row: too many fields"),
        (41, "malformed row: too few fields"),
    ]
    assert table.collect().height == 37
    assert adds_up(table)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "above",
    [
        "",
        "Report: Contacts\nCreated: 2026-01-20\n\n",
        "# made by x, y, z\n#\n",
        "Contacts,,,,\n,,,,\n",
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "\x01", "~", "||", "^", "§"])
def test_any_separator_line_end_and_title(
    separator: str, above: str, end: str, tmp_path: Path
) -> None:
    rows = [row(i, f"a{'b' * (i % 3)}, 1.5") for i in range(40)]
    if separator == ",":
        rows = [[*r[:4], f'"{r[4]}"'] for r in rows]
    text = above.replace(",", separator) + written([HEADER, *rows], separator)
    table = raw(tmp_path / "log.csv", text.replace("\n", end))
    assert table.columns == HEADER
    assert table.separator == separator
    assert table.collect()["note"].to_list() == [r[4].strip('"') for r in rows]
    assert adds_up(table)


@pytest.mark.parametrize(
    "line",
    ["sep=;", "SEP=;", '"sep=;"', "Sep = ;", "sep=;;;;", "\ufeffsep=;", "sep=;\n"],
)
def test_a_line_that_tells_the_separator_is_no_header(line: str, tmp_path: Path) -> None:
    rows = [row(i, "1,5") for i in range(8)]
    table = raw(tmp_path / "log.csv", f"{line}\n" + written([HEADER, *rows], ";"))
    assert table.columns == HEADER
    assert table.collect().height == 8
    assert adds_up(table)


def test_a_header_that_begins_like_sep_is_a_header() -> None:
    assert told_separator("sep=x") is None
    assert told_separator("separator;customer") is None
    assert told_separator("sep=\\t") == "\t"


def test_a_header_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    rows = [row(i) for i in range(20)]
    text = written([HEADER, *rows[:10], HEADER, *rows[10:]])
    for data in (text.encode(), text.replace("client", "\ufeffclient").encode()):
        table = raw(tmp_path / "log.csv", data)
        assert table.collect().height == 20
        assert table.malformed.select("reason", LINE).rows() == [("the header again", 11)]
        assert adds_up(table)


def test_rows_wrapped_in_quotation_marks_as_a_whole(tmp_path: Path) -> None:
    rows = [row(i, '""x""') for i in range(8)]
    text = "".join(f'"{",".join(r)}"\n' for r in [HEADER, *rows])
    assert raw(tmp_path / "log.csv", text).collect()["client"].to_list() == [r[0] for r in rows]


def test_single_quotation_marks(tmp_path: Path) -> None:
    rows = [[f"'{cell}'" for cell in row(i, "a, b")] for i in range(8)]
    text = written([[f"'{c}'" for c in HEADER], *rows])
    assert raw(tmp_path / "log.csv", text).collect()["note"].to_list() == ["a, b"] * 8


def test_names_of_rows_as_r_writes_them(tmp_path: Path) -> None:
    rows = [[str(i), *row(i)] for i in range(8)]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]))
    assert table.columns == ["(row)", *HEADER]
    assert raw(tmp_path / "a.csv", written([[*HEADER, ""], *map(row, range(8))])).columns == HEADER


@pytest.mark.parametrize(
    ("data", "zeros"),
    [
        (written([HEADER, *map(row, range(8))]).encode() + b"\x00" * 4096, 4096),
        (written([HEADER, *map(row, range(8))]).encode().replace(b"visit", b"vi\x00sit"), 8),
    ],
)
def test_zero_bytes_are_taken_out_and_counted(data: bytes, zeros: int, tmp_path: Path) -> None:
    table = raw(tmp_path / "log.csv", data)
    assert table.collect()["contact"].to_list() == ["visit"] * 8
    assert f"{zeros:,} zero byte(s)" in table.hints[0]


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "cp1252",
        "mac_roman",
        "cp850",
    ],
)
@pytest.mark.parametrize("plain", [0, 5000])
def test_encodings_are_found_out_on_the_whole_file(
    encoding: str, plain: int, tmp_path: Path
) -> None:
    notes = ["Zoë Müller, Café", "façade für Ångström"]
    rows = [*(row(0) for _ in range(plain)), *(row(i, note) for i, note in enumerate(notes))]
    rows = [[*r[:4], f'"{r[4]}"'] for r in rows]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]).encode(encoding))
    assert table.collect()["note"].to_list()[-2:] == notes
    assert adds_up(table)


_CELL = st.text(st.sampled_from('ab",;\\\n é\t'), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(notes=st.lists(_CELL, min_size=1, max_size=12), separator=st.sampled_from(",;\t|"))
def test_what_a_writer_quotes_is_read_as_it_was(
    notes: list[str], separator: str, tmp_path: Path
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([HEADER, *(row(i, note) for i, note in enumerate(notes))])
    table = raw(tmp_path / "log.csv", text.getvalue())
    assert adds_up(table)
    if "\\" not in "".join(notes):
        assert table.malformed.is_empty()
        assert table.collect()["note"].to_list() == [note or None for note in notes]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(lines=st.lists(st.text(st.sampled_from('ab",\\ \n'), max_size=14), max_size=12))
def test_lines_of_any_kind_add_up(lines: list[str], tmp_path: Path) -> None:
    good = [row(i) for i in range(6)]
    text = written([HEADER, *good[:3]]) + "\n".join([*lines, ""]) + written(good[3:])
    table = raw(tmp_path / "log.csv", text)
    assert adds_up(table)
    # A mark left open may take lines of any kind with it, but never a row that is whole.
    assert set(table.collect()["when"]) >= {r[1] for r in good}


def test_what_is_inside_the_quotation_marks_of_a_long_cell_is_one_cell(tmp_path: Path) -> None:
    mail = "\n".join(f"line {i}, of a mail; with marks" for i in range(400))
    rows = [row(i, f'"{mail}"' if i % 3 == 0 else "fine") for i in range(30)]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]))
    assert table.collect()["note"].to_list() == [mail if i % 3 == 0 else "fine" for i in range(30)]
    assert adds_up(table)


def test_the_report_counts_what_the_file_has(shop: JourneyMap, tmp_path: Path) -> None:
    rows = [
        row(i, '"12" x"' if i % 9 == 0 else '"left open' if i == 7 else "fine") for i in range(40)
    ]
    (tmp_path / "log.csv").write_text(written([HEADER, *rows]))
    read: Ingested = read_events(tmp_path / "log.csv", shop)
    assert (read.report.rows_in, read.report.contacts) == (40, 39)
    assert read.quarantine["line"].to_list() == [8]
    assert any("lines" in h or "line(s)" in h for h in read.report.hints)


def test_what_is_known_of_the_files_stands_in_the_map(shop: JourneyMap, tmp_path: Path) -> None:
    rows = [row(i) for i in range(8)]
    text = "client;when;title;of;report\n" + written([HEADER, *rows], ";") + "// a; b; c; d; e\n"
    (tmp_path / "log.csv").write_text(text)
    told = shop.to_yaml() + 'reading: {skip_lines: 1, comment: "//", separator: ";"}\n'
    with_reading = parse_journey_map(told)
    assert parse_journey_map(with_reading.to_yaml()) == with_reading
    report = read_events(tmp_path / "log.csv", with_reading).report
    assert (report.rows_in, report.contacts) == (8, 8)
    with pytest.raises(InputError, match="the separator must be a mark"):
        read_events(tmp_path / "log.csv", shop, separator="x")


def test_names_are_tidy() -> None:
    assert tidied(pl.Series(["\u200bcafe\u0301\u00a0"]))[0] == "café"
    assert pl.Series([tidied(pl.Series(["a\x07b"]))[0]]).to_list() == ["ab"]


def test_line_ends_of_several_kinds_and_carriage_returns_within_cells(tmp_path: Path) -> None:
    rows = [row(i) for i in range(30)]
    ends = ["\n"] * 11 + ["\r\n"] * 10 + ["\r"] * 10
    lines = [",".join(r) + end for r, end in zip([HEADER, *rows], ends, strict=True)]
    table = raw(tmp_path / "log.csv", "".join(lines))
    assert table.collect().rows()[0][:5] == tuple(rows[0])
    assert table.collect()["client"].to_list() == [r[0] for r in rows]
    rows = [row(i, "one\rcell" if i % 2 else "fine") for i in range(30)]
    table = raw(tmp_path / "log.csv", written([HEADER, *rows]))
    assert table.collect()["note"].to_list() == [r[4] for r in rows]
    assert table.malformed.is_empty()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("<!DOCTYPE html>\n<html>", "web page"),
        ("<table><tr><td>client</td></tr></table>", "web page"),
        ("<?xml version='1.0'?><log/>", "called .xes"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(data: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        raw(tmp_path / "log.csv", data)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("odd", [b"", b"xyz"], ids=["a byte is missing", "a byte is too many"])
def test_a_byte_gone_amiss_in_utf16_costs_its_line_and_no_other(
    odd: bytes, encoding: str, end: str, shop: JourneyMap, tmp_path: Path
) -> None:
    """A copy in text mode leaves bytes out or puts some in: all behind is shifted by one."""
    rows = [f"c{i},2026-01-{1 + i % 28:02} 10:00,visit,web" for i in range(200)]
    data = bytearray(end.join(["client,when,contact,via", *rows, ""]).encode(encoding))
    for line in (150, 50):
        at = data.index(f"c{line},".encode("utf-16-be")[1:]) + 5
        data[at : at + 1 + (len(odd) == 3)] = odd
    (tmp_path / "log.csv").write_bytes(data)
    read = read_events(tmp_path / "log.csv", shop)
    kept = read.events.select("customer").collect()["customer"].to_list()
    assert sorted(kept) == sorted(f"c{i}" for i in range(200) if i not in (50, 150))
    assert read.report.rows_in == 200
    assert read.quarantine["line"].to_list() == [51, 151]
