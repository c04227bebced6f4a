"""Exports that nobody expects: each ends in the right answer, or in one sentence."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from cxlib.errors import InputError, MapError
from cxlib.ingest import dialects, doubts, propose_map, read_events
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.map_model import COLUMNS
from cxlib.store import build_workspace

HEAD = "customer,occurred_at,touchpoint"
MAP = "version: 1\nname: x\ntouchpoints: [{name: t0}, {name: t1}, {name: t2}]\n"
LONG = 3_000  # characters of what is called long here


@pytest.fixture
def shop() -> JourneyMap:
    return parse_journey_map(MAP)


def lines(count: int = 60, more: str = "") -> list[str]:
    return [
        f"c{i % 9},2024-01-{1 + i % 28:02} 10:{i % 60:02}:00,t{i % 3}{more}" for i in range(count)
    ]


def test_a_pipe_and_a_link_that_leads_nowhere_are_named_as_such(
    tmp_path: Path, shop: JourneyMap
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, says in [("pipe.csv", "a pipe or a device"), ("link.csv", "leads nowhere"),
                       ("folder.csv", "no log in this folder")]:  # fmt: skip
        with pytest.raises(InputError, match=says):
            read_events(tmp_path / name, shop)


@pytest.mark.parametrize(
    "cell", ['"' + 'x, y" ' * LONG, "plain " * LONG, '"' + "word " * LONG + '"']
)
def test_one_long_line_is_read_or_set_aside_and_the_others_stay(
    cell: str, tmp_path: Path, shop: JourneyMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "MOST", LONG)
    rows = [*lines(30, ",ok"), f"c1,2024-01-02 10:00:00,t1,{cell}", *lines(30, ",ok")]
    (tmp_path / "log.csv").write_text("\n".join([f"{HEAD},comment", *rows]))
    report = read_events(tmp_path / "log.csv", shop).report
    assert report.rows_in == 61
    assert report.contacts == 61 - sum(report.set_aside.values()) >= 60


def test_a_long_first_line_is_no_header(
    tmp_path: Path, shop: JourneyMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "MOST", LONG)
    (tmp_path / "log.csv").write_text("\n".join(["a,b " * LONG, *lines()]))
    with pytest.raises(InputError, match="line 1 should be the header and has 12,000 characters"):
        read_events(tmp_path / "log.csv", shop)


def test_a_long_line_of_json_is_a_row(tmp_path: Path, shop: JourneyMap) -> None:
    rows = [dict(zip(HEAD.split(","), line.split(","), strict=True)) for line in lines()]
    rows.append({**rows[0], "comment": "word " * LONG})
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_events(tmp_path / "log.jsonl", shop).report.contacts == 61


def test_the_first_and_the_last_day_of_the_calendar(tmp_path: Path, shop: JourneyMap) -> None:
    odd = ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "9999-12-31T23:59:59-05:00",
           "0001-01-01T00:00:00+05:00"]  # fmt: skip
    rows = [*lines(60, ",9999-12-31 23:59:59"), *(f"c1,{at},t1," for at in odd)]
    (tmp_path / "log.csv").write_text("\n".join([f"{HEAD},ended_at", *rows]))
    ingested = read_events(tmp_path / "log.csv", shop)
    assert (ingested.report.contacts, ingested.quarantine.height) == (60, 4)
    build_workspace(ingested, tmp_path / "ws")
    for key, day in [("latest", "9999-12-31"), ("earliest", "0001-01-01T00:00:00+05:00")]:
        with pytest.raises(MapError, match=f"{key}: '{day[:10]}.* is no date"):
            parse_journey_map(f"{MAP}{key}: {day}\n")


def test_columns_called_like_our_own_change_nothing(tmp_path: Path, shop: JourneyMap) -> None:
    inner = ("row", "place", "name", "count", "value", "position", "is_first", "errand", "contacts",
             "len", "line", "reason", "file", "raw", "_hash", "_key", "literal", "bucket", "low",
             "environment", "segment", "index", "folded", "at", "day", "x")  # fmt: skip
    ours = [c for c in COLUMNS if c not in (*HEAD.split(","), "time_of_day", "stage", "rated_at")]
    given = {
        "initiated_by": "customer",
        "cost": "1.5",
        "amount": "2",
        "rating": "3",
        "sequence": "1",
    }
    more = "".join(f",{given.get(name, '')}" for name in ours) + ",v" * len(inner)
    (tmp_path / "log.csv").write_text(
        "\n".join([",".join([HEAD, *ours, *inner]), *lines(60, more)])
    )
    ingested = read_events(tmp_path / "log.csv", shop)
    assert ingested.report.contacts == 60
    assert sorted(set(ingested.events.collect()["touchpoint"])) == ["t0", "t1", "t2"]
    build_workspace(ingested, tmp_path / "ws")
    assert propose_map(tmp_path / "log.csv").report.contacts == 60


def test_check_says_what_ingest_would_refuse(
    tmp_path: Path, shop: JourneyMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "MAX_PLACES", 2)
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *lines()]))
    hints = read_events(tmp_path / "log.csv", shop).report.hints
    assert any("at most 2 can be told apart, and `cx ingest` will refuse" in hint for hint in hints)


def test_a_note_beside_the_files_is_no_log(tmp_path: Path, shop: JourneyMap) -> None:
    with zipfile.ZipFile(tmp_path / "months.zip", "w") as archive:
        for month in ("01", "02"):
            archive.writestr(
                f"{month}.csv", "\n".join([HEAD, *lines()]).replace("-01-", f"-{month}-")
            )
        archive.writestr("README.txt", "Monthly export. Separator ,")
        archive.writestr("more.txt", "\n".join([HEAD, *lines(20)]))
    files = read_events(tmp_path / "months.zip", shop).report.files
    assert [file.name.rpartition("/")[2] for file in files] == ["01.csv", "02.csv", "more.txt"]


REQUEST = '10.0.0.{} - {} [{:02}/Mar/2024:09:51:16 +0100] "GET {} HTTP/1.1" 200 14 "-" "Mozilla/5"'


def test_the_access_log_of_a_web_server(tmp_path: Path) -> None:
    pages = ("/", "/products?x=1", "/basket", "/payment")
    rows = [REQUEST.format(i % 5, f"user{i % 8}" if i % 10 else "-", 1 + i // 10, pages[i % 4])
            for i in range(80)]  # fmt: skip
    rows.append('10.0.0.9 - - [08/Mar/2024:09:51:16 +0100] "\\x16\\x03\\x01" 400 226 "-" "-"')
    (tmp_path / "access.log").write_text("\n".join([*rows, "what is this?"]))
    proposal = propose_map(tmp_path / "access.log")
    columns = parse_journey_map(proposal.text).columns
    found = [columns[role] for role in ("customer", "occurred_at", "touchpoint")]
    assert found == ["user", "time", "path"]
    assert (proposal.report.rows_in, proposal.report.contacts) == (82, 72)
    assert proposal.report.set_aside["malformed row: no request of a web server"] == 1
    assert proposal.report.first_at.isoformat() == "2024-03-01T08:51:16+00:00"  # type: ignore[union-attr]
    assert "name: /products," in proposal.text


def test_a_heading_that_several_columns_of_a_sheet_share(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "contacts.xlsx")
    sheet, legend = book.add_worksheet("Contacts"), book.add_worksheet("Legend")
    rows = [["Contacts of the quarter"], ["Customer code", "Contact 1", "", "Contact 2", ""],
            ["", "Date", "Reason", "Date", "Reason"]]  # fmt: skip
    for i in range(30):
        when = [f"2024-{m:02}-{1 + i % 28:02} 10:{i:02}" for m in (1, 2)]
        rows.append([f"k{i}", when[0], ("offer", "order")[i % 2], when[1], "delivery"])
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    legend.write_row(0, 0, ["offer", "an offer"])
    book.close()
    proposal = propose_map(tmp_path / "contacts.xlsx")
    asked = parse_journey_map(proposal.text)
    assert asked.reading.sheet == ("Contacts",)
    assert asked.columns["touchpoint"] == "Contact # Reason"
    assert asked.unpivot is not None
    assert asked.unpivot.numbered == "Contact # Date"
    assert proposal.report.contacts == 60


def test_a_table_is_joined_by_the_id_that_the_log_names_after_it(tmp_path: Path) -> None:
    log = [f"{i},{100 + i % 40},{lines(200)[i].split(',')[1]},{('open', 'reply')[i % 2]}"
           for i in range(200)]  # fmt: skip
    tickets = [f"{100 + i},cust{i % 15},{('phone', 'mail')[i % 2]}" for i in range(40)]
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "events.csv").write_text("\n".join(["id,ticket_id,created_at,event", *log]))
    (folder / "tickets.csv").write_text("\n".join(["id,requester_id,channel", *tickets]))
    proposal = propose_map(folder)
    asked = parse_journey_map(proposal.text)
    assert [dict(join.by) for join in asked.join] == [{"ticket_id": "id"}]
    assert asked.columns["customer"] == "requester_id"
    assert (proposal.report.customers, proposal.report.contacts) == (15, 200)


def test_a_clock_may_be_written_with_dots(tmp_path: Path) -> None:
    rows = [
        f"k{i % 9};{1 + i % 28:02}/02/2024;10.{i % 60:02}.07;{('offer', 'order')[i % 2]}"
        for i in range(90)
    ]
    (tmp_path / "bank.csv").write_text("\n".join(["Cliente;Fecha;Hora;Concepto", *rows]))
    asked = parse_journey_map((proposal := propose_map(tmp_path / "bank.csv")).text)
    assert (asked.columns["occurred_at"], asked.columns["time_of_day"]) == ("Fecha", "Hora")
    assert proposal.report.first_at.isoformat() == "2024-02-01T10:00:07+00:00"  # type: ignore[union-attr]


def test_what_is_unmapped_is_compared_with_the_map_where_it_is_frequent(
    tmp_path: Path, shop: JourneyMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of touchpoints, each held against each of the map, would take minutes."""
    rows = [f"c1,2024-01-01 10:{i % 60:02}:{i // 60:02},t0 {i}" for i in range(300)]
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *lines(), *rows]))
    unmapped = read_events(tmp_path / "log.csv", shop).report.unmapped
    assert len(unmapped) == 300
    assert sum(u.nearest is not None for u in unmapped) <= 40


def test_a_log_of_robots_alone_says_by_which_rule(tmp_path: Path, shop: JourneyMap) -> None:
    rows = [f"c1,2024-01-01 {i // 60:02}:{i % 60:02}:00,t{i % 3}" for i in range(600)]
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *rows]))
    with pytest.raises(InputError, match=r"all 600 are of robots, .* more than 500 contacts a day"):
        build_workspace(read_events(tmp_path / "log.csv", shop), tmp_path / "ws")


def test_the_report_names_the_first_row_that_is_set_aside(tmp_path: Path, shop: JourneyMap) -> None:
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *lines(), "c1,2024-01-32 10:00,t1"]))
    report = read_events(tmp_path / "log.csv", shop).report
    assert report.first_set_aside == {"time cannot be read": "row 61 of log.csv"}
    assert "time cannot be read  1 (1.6%), first row 61 of log.csv" in report.to_text()


def test_init_says_which_column_should_hold_the_times_and_what_it_holds(tmp_path: Path) -> None:
    rows = [
        f"k{i % 5},{('gestern', 'heute')[i % 2]},{('kauf', 'besuch')[i % 3 == 0]}"
        for i in range(30)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["kunde,zeit,schritt", *rows]))
    with pytest.raises(InputError, match=r"log\.csv: no column holds times \('zeit' is called so"):
        propose_map(tmp_path / "log.csv")
