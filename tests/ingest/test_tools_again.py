"""More exports as tools write them: what a contact is about, by whom, and names that are joined."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from tool_exports import contacts, proposed, second, text

from cxlib.ingest import propose_map, read_events
from cxlib.journey_map import JourneyMap, parse_journey_map

NAMES = ["Topic", "Category", "Subject", "Service", "Temat", "Property: Touchpoint"]
ABOUT = ("Login problem", "Invoice question", "Bug report", "Order status", "Issue resolved")


def told(path: Path, named: str, cells: dict[str, list[str]]) -> JourneyMap:
    rows = [
        [f"p{c.customer:03}", second(c.at), c.what, *(v[k % len(v)] for v in cells.values())]
        for k, c in enumerate(contacts(ABOUT))
    ]
    names = ["customer id", "created at", named, *cells]
    path.write_text(text([names, *rows]))
    return parse_journey_map(propose_map(path).text)


@pytest.mark.parametrize(
    "named", ["Topic", "Category", "Subject", "Service", "Temat", "Property: Touchpoint"]
)
@pytest.mark.parametrize(
    "beside",
    [
        {"Type": ["email", "front_chat", "sms"]},
        {"Activity Type": ["Email", "Phone Call", "Email", "Appointment"]},
        {"Sender type": ["customer", "agent", "system"]},
        {"Status (Ticket)": ["Open", "Closed", "On Hold"]},
        {"Type": ["Promoter", "Passive", "Detractor"]},
    ],
    ids=lambda beside: next(iter(beside)),
)  # fmt: skip
def test_a_contact_is_what_it_is_about_and_not_its_way_its_sender_or_its_state(
    named: str, beside: dict[str, list[str]], tmp_path: Path
) -> None:
    found = told(tmp_path / "log.csv", named, beside)
    assert found.columns["touchpoint"] == named
    assert found.journey.goal == ("Issue resolved",)


def test_states_of_a_ticket_of_one_category_are_the_contacts(tmp_path: Path) -> None:
    rows = [["ticket id", "customer id", "created at", "category", "status"]]
    for c in contacts(("New", "Open", "Waiting", "Solved")):
        for ticket in range(2):
            about = ("billing", "login", "bug")[(c.customer + ticket) % 3]
            at = second(c.at + timedelta(days=9 * ticket))
            rows.append([f"t{c.customer}-{ticket}", f"p{c.customer}", at, about, c.what])
    _, found = proposed(tmp_path, {"tickets.csv": text(rows)})
    assert found.columns["touchpoint"] == "status"


def test_of_two_people_of_one_name_the_id_tells_them_apart(tmp_path: Path) -> None:
    rows = [["Huésped", "Cód. huésped", "created at", "event"]]
    for c in contacts():
        rows.append(
            [f"García, Ana{'abc'[c.customer % 3]}", f"H{c.customer:04}", second(c.at), c.what]
        )
    _, found = proposed(tmp_path, {"log.csv": text(rows)})
    assert found.columns["customer"] == "Cód. huésped"


def test_the_person_is_the_customer_and_not_each_of_her_devices(tmp_path: Path) -> None:
    rows = [["distinct_id", "person_id", "timestamp", "event", "properties"]]
    for k, c in enumerate(contacts()):
        inside = json.dumps(
            {"plan": "free" if c.customer % 2 else "paid", "is_internal": c.customer == 3}
        )
        rows.append([f"d{c.customer}-{k % 2}", f"p{c.customer}", second(c.at), c.what, inside])
    paths, found = proposed(tmp_path, {"log.csv": text(rows)})
    assert found.columns["customer"] == "person_id"
    assert "properties.plan" in found.columns.values()
    assert found.not_a_customer == ({"properties.is_internal": "^(?i:true)$"},)
    internal = sum(c.customer == 3 for c in contacts())
    assert read_events(paths, found).report.set_aside == {"no customer, as the map says": internal}


def test_lines_of_a_receipt_are_one_contact_of_the_kind_that_a_column_says(tmp_path: Path) -> None:
    kinds = ("Sale", "Return", "Repair", "Offer", "Sale")
    rows = [["Receipt no", "Customer no", "Date", "Transaction type", "Article"]]
    for k, c in enumerate(contacts(kinds)):
        for line in range(1 + k % 3):
            article = ("vase", "cup", "plate")[(k + line) % 3]
            rows.append([f"B{k:05}", f"K{c.customer}", second(c.at), c.what, article])
    paths, found = proposed(tmp_path, {"lines.csv": text(rows)})
    assert (found.one_per, found.columns["touchpoint"]) == (("Receipt no",), "Transaction type")
    assert read_events(paths, found).report.contacts == len(contacts(kinds))


@pytest.mark.parametrize("language", ["id_lang", "SPR", ""])
def test_names_of_codes_are_joined_by_several_columns_in_one_language(
    language: str, tmp_path: Path
) -> None:
    codes = {what: (f"{i // 3:04}", f"{i % 3:03}") for i, what in enumerate(ABOUT)}
    log = [["customer", "at", "CLASS", "ACTION"]]
    log += [[f"p{c.customer}", second(c.at), *codes[c.what]] for c in contacts(ABOUT)]
    names = [[language, "CLASS", "ACTION", "event name"][not language :]]
    for code in ("D", "E") if language else ("",):
        names += [[code, *codes[w], code + w][not language :] for w in ABOUT]
    paths, found = proposed(tmp_path, {"log.csv": text(log), "names.csv": text(names)})
    assert found.columns["touchpoint"] == "event name"
    assert found.join[0].where == ({language: "D"} if language else {})
    assert parse_journey_map(found.to_yaml()).join == found.join
    report = read_events(paths, found).report
    assert report.contacts == len(contacts(ABOUT))


def test_sheets_of_one_header_are_read_together_and_the_cover_is_not(tmp_path: Path) -> None:

    path = tmp_path / "log.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Cover").write_column(0, 0, ["Report of the clinic", "printed"])
        for month in range(3):
            sheet = book.add_worksheet(f"0{month + 1}-2024")
            rows = [[f"p{c.customer}", second(c.at), c.what] for c in contacts()]
            for i, row in enumerate([["customer", "timestamp", "event"], *rows]):
                sheet.write_row(
                    i, 0, [f"{cell}-{month}" if i and cell == row[0] else cell for cell in row]
                )
    proposal = propose_map(path)
    found = parse_journey_map(proposal.text)
    assert found.reading.sheet == ("01-2024", "02-2024", "03-2024")
    assert proposal.report.contacts == 3 * len(contacts())


@pytest.mark.parametrize("page", ["cp1250", "iso8859_2"])
def test_central_european_letters_are_read(page: str, tmp_path: Path) -> None:
    rows = [["Nr klienta", "Data kontaktu", "Zdarzenie"]]
    words = ("Zgłoszenie", "Spłata", "Źródło wpłaty", "Pożyczka żądana", "Umowa")
    rows += [[f"{c.customer:04}", second(c.at), c.what] for c in contacts(words)]
    (tmp_path / "log.csv").write_bytes(text(rows).encode(page))
    paths = [tmp_path / "log.csv"]
    events = read_events(paths, parse_journey_map(propose_map(paths).text)).events
    assert set(events.select(pl.col("touchpoint").unique()).collect()["touchpoint"]) <= set(words)
