"""Rows of no customer are found by what another column says, counted, and set aside by one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxlib.ingest import propose_map, read_events
from cxlib.journey_map import parse_journey_map

STEPS = ("page view", "search", "add to cart", "purchase")


def write(path: Path, named: str, cells: list[str], ids: list[str] | None = None) -> Path:
    """Write four contacts of each customer, with a cell of their own in a further column."""
    ids = ids or [f"c{i}" for i in range(len(cells))]
    lines = [f"customer_id,event,event_time,{named}"]
    for i, (who, cell) in enumerate(zip(ids, cells, strict=True)):
        lines += [f"{who},{e},2024-01-{i % 20 + 1:02} 1{k}:00,{cell}" for k, e in enumerate(STEPS)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("named", "usual", "odd", "says"),
    [
        ("livemode", "true", "false", {"livemode": "^(?i:false)$"}),
        ("is_test", "0", "1", {"is_test": "^(?i:1)$"}),
        ("Test order", "no", "yes", {"Test order": "^(?i:yes)$"}),
        ("internal_user", "false", "true", {"internal_user": "^(?i:true)$"}),
        ("environment", "production", "sandbox", {"environment": "^(?i:sandbox)$"}),
    ],
)
def test_rows_that_a_column_calls_tests_are_set_aside_and_said(
    named: str, usual: str, odd: str, says: dict[str, str], tmp_path: Path
) -> None:
    path = write(tmp_path / "log.csv", named, [usual] * 17 + [odd] * 3)
    proposal = propose_map(path)
    found = parse_journey_map(proposal.text)
    assert found.not_a_customer == (says,)
    assert parse_journey_map(found.to_yaml()) == found
    report = read_events(path, found).report
    assert (report.contacts, report.set_aside) == (68, {"no customer, as the map says": 12})
    assert any(doubt.startswith("12 rows are set aside") for doubt in proposal.doubts)


@pytest.mark.parametrize(
    ("named", "cells"),
    [
        ("ab_test", ["A", "B"] * 10),
        ("test_score", [str(i) for i in range(20)]),
        ("is_test", ["1"] * 15 + ["0"] * 5),
        ("livemode", ["true"] * 20),
    ],
)
def test_other_columns_called_tests_set_nothing_aside(
    named: str, cells: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "log.csv", named, cells)
    assert parse_journey_map(propose_map(path).text).not_a_customer == ()


def test_an_internal_note_of_a_customer_is_no_sign_of_nobody(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "internal", ["false"] * 20)
    lines = path.read_text().splitlines()
    lines[5::8] = [line.replace("false", "true") for line in lines[5::8]]
    path.write_text("\n".join(lines) + "\n")
    assert parse_journey_map(propose_map(path).text).not_a_customer == ()


def test_own_people_are_known_by_where_those_who_serve_have_their_mail(tmp_path: Path) -> None:
    ids = [f"c{i}@mail{i % 5}.example" for i in range(17)]
    ids += ["ann@Shop.example", "bob@shop.example", "eve@notshop.example"]
    path = write(tmp_path / "log.csv", "agent", ["kim@shop.example"] * 20, ids)
    found = parse_journey_map(propose_map(path).text)
    assert found.not_a_customer == ({"customer_id": "(?i)@shop\\.example>?$"},)
    assert read_events(path, found).report.set_aside == {"no customer, as the map says": 8}


@pytest.mark.parametrize(
    ("odd", "said"),
    [(["204", "sip:217@pbx.example"], "are extensions"), (["tester", "qa-2"], "are called tests")],
)
def test_extensions_and_ids_called_tests_are_said_with_the_line_that_sets_them_aside(
    odd: list[str], said: str, tmp_path: Path
) -> None:
    ids = [f"+49 30 5550{i:03}" for i in range(18)]
    path = write(tmp_path / "log.csv", "team", ["a"] * 20, [*ids, *odd])
    proposal = propose_map(path)
    text = "".join(
        line for line in proposal.text.splitlines(True) if not line.startswith("not_a_customer")
    )
    (asked,) = (h for h in read_events(path, parse_journey_map(text)).report.hints if said in h)
    line = asked.split("write into the map: ")[1]
    told = parse_journey_map(f"{text}\n{line}\n")
    report = read_events(path, told).report
    assert report.set_aside == {"no customer, as the map says": 8}
    assert not any(said in hint for hint in report.hints)


def test_people_called_tests_are_listed_where_they_are_few(tmp_path: Path) -> None:
    names = [f"Ana {'abcdefgh'[i % 8]}" for i in range(18)]
    path = write(tmp_path / "log.csv", "customer_name", [*names, "Test PRESTA", "prueba (dos)"])
    found = parse_journey_map(propose_map(path).text)
    pattern = r"^(?i:Test PRESTA|prueba \(dos\))$"
    assert found.not_a_customer == ({"customer_name": pattern},)
    assert read_events(path, found).report.set_aside == {"no customer, as the map says": 8}


def test_a_test_drive_is_a_contact_and_no_test(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "contact reason", ["a"] * 20)
    text = path.read_text().replace("search,2024-01-05 11:00,a", "test drive,2024-01-05 11:00,qa")
    path.write_text(text)
    assert "test drive" in text
    assert parse_journey_map(propose_map(path).text).not_a_customer == ()
