"""Exports as systems write them beside the usual ways: clocks, dashes, totals, footers, pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cxlib.errors import InputError
from cxlib.ingest import clocks, propose_map, read_events
from cxlib.ingest.outcomes import guess_gap
from cxlib.journey_map import parse_journey_map

START = datetime(2026, 3, 2, 8, 5, tzinfo=UTC)
NAMES = ("enquiry", "visit", "offer", "contract signed")
CONTACTS = [
    (f"k{100 + who}", START + timedelta(days=who % 17, hours=5 * step, minutes=7 * who), name)
    for who in range(30)
    for step, name in enumerate(NAMES[: 2 + who % 3])
]


def _read(path: Path) -> tuple[dict[str, str], pl.DataFrame, pl.DataFrame]:
    """Return the columns that are proposed, the contacts, and what is set aside."""
    asked = parse_journey_map(propose_map(path).text)
    read = read_events(path, asked)
    return dict(asked.columns), read.events.collect(), read.set_aside


def test_a_whole_number_of_microseconds_never_wraps_around_into_seconds() -> None:
    # one in some hundred such numbers, times a million, wraps around into a time of this century
    first, step = 1_770_010_087_657_000, 1_234_567_891
    numbers = pl.Series([str(first + i * step) for i in range(5_000)])
    (aware, _), how = clocks.read_numbers(numbers)
    assert not how
    assert aware.cast(pl.Int64).to_list() == [first + i * step for i in range(5_000)]


@pytest.mark.parametrize(
    "written",
    [
        lambda at: f"{at.hour}h{at:%M}",
        lambda at: f"{at.hour} h {at:%M}",
        lambda at: f"{at.hour % 12 or 12}:{at:%M:%S} {'ap'[at.hour > 11]}.\xa0m.",
    ],
    ids=["9h05", "9 h 05", "9:05:00 a. m."],
)
def test_a_clock_of_its_own_column_is_found_as_people_write_it(written, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    lines = [f"{who};{at:%d/%m/%Y};{written(at)};{what}" for who, at, what in CONTACTS]
    path = tmp_path / "contacts.csv"
    path.write_text("\n".join(["client;date;heure;motif", *lines]), "utf-8")
    columns, events, _ = _read(path)
    assert columns["time_of_day"] == "heure"
    assert set(events.select("customer", "occurred_at", "touchpoint").iter_rows()) == set(CONTACTS)


def test_dashes_and_a_total_below_do_not_hide_the_times_of_a_wide_table(tmp_path: Path) -> None:
    steps = ("admission", "scan", "discharge")
    rows = [
        [f"{n:05}", f"p{n % 40}", *(f"{START + timedelta(days=n, hours=h):%Y-%m-%d %H:%M}"
                                    if h != 1 or n % 3 else "-" for h in range(3))]
        for n in range(60)
    ]  # fmt: skip
    rows.append(["Total", "", "60", "40", "60"])
    path = tmp_path / "stays.csv"
    path.write_text("\n".join(",".join(r) for r in [["stay", "patient no", *steps], *rows]))
    columns, events, aside = _read(path)
    assert columns["customer"] == "patient no"
    counted = dict(events["touchpoint"].value_counts().iter_rows())
    assert counted == {"admission": 60, "scan": 40, "discharge": 60}
    assert aside["reason"].unique().to_list() == ["customer is empty"]


def test_a_workbook_gives_the_date_and_the_clock_that_belong_together(tmp_path: Path) -> None:
    import xlsxwriter

    path = tmp_path / "steps.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Kundennr", "Datum", "Uhrzeit", "Schritt"])
        day, clock = (book.add_format({"num_format": f}) for f in ("dd.mm.yyyy", "hh:mm"))
        for row, (who, at, what) in enumerate(CONTACTS, 1):
            sheet.write(row, 0, who)
            sheet.write_datetime(row, 1, at.date(), day)
            sheet.write_datetime(row, 2, at.time(), clock)
            sheet.write(row, 3, what)
    columns, events, _ = _read(path)
    assert columns["time_of_day"] == "Uhrzeit"
    assert set(events.select("customer", "occurred_at", "touchpoint").iter_rows()) == set(CONTACTS)


LINES = [f'"{who}";"{at:%d.%m.%Y %H:%M}";"{what}"' for who, at, what in CONTACTS]


def test_words_below_the_table_are_a_footer_and_a_cut_off_row_is_none(tmp_path: Path) -> None:
    path, head = tmp_path / "report.csv", '"Kundennr";"Datum";"Aufgabentyp"'
    footer = ['"Grand totals (87)"', '"Confidential; not to be passed on"', '"Made 01.04.2026"']
    path.write_text("\n".join([head, *LINES, "", "", *footer]))
    columns, events, aside = _read(path)
    assert columns["touchpoint"] == "Aufgabentyp"
    assert events.height == len(CONTACTS)
    assert aside["reason"].to_list() == ["a footer below the table"] * 3
    assert not any("cannot be cut" in doubt for doubt in propose_map(path).doubts)
    path.write_text("\n".join([head, *LINES, "", '"k1";"02.03.2026']))
    assert "footer" not in " ".join(_read(path)[2]["reason"])


def test_rules_of_dashes_between_the_rows_of_a_list_are_no_rows(tmp_path: Path) -> None:
    rows = [f"|{who}|{at:%d.%m.%Y}|{at:%H:%M:%S}|{what}|" for who, at, what in CONTACTS]
    rule = "-" * len(rows[0])
    path = tmp_path / "list.txt"
    path.write_text("\n".join([rule, "|client|Datum|Zeit|Bezeichnung|", rule, *rows, rule, ""]))
    columns, events, aside = _read(path)
    assert (columns["touchpoint"], events.height) == ("Bezeichnung", len(CONTACTS))
    assert aside.is_empty()


def test_the_number_of_a_person_is_the_customer_and_the_reason_is_the_contact(
    tmp_path: Path,
) -> None:
    names, kinds = ("Ann Lee", "Bo Chan", "Cy Day"), ("problem", "task", "question")
    lines = [
        f"{names[n % 3]},{who},{at.isoformat()},{(at + timedelta(hours=1)).isoformat()},"
        f"{(at + timedelta(hours=9)).isoformat()},{kinds[n % 3]},{what}"
        for n, (who, at, what) in enumerate(CONTACTS)
    ]
    head = (
        "requester,requester id,created at,assigned at,solved at,ticket type,contact reason (list)"
    )
    path = tmp_path / "tickets.csv"
    path.write_text("\n".join([head, *lines]))
    columns, events, _ = _read(path)
    assert (columns["customer"], columns["touchpoint"]) == ("requester id", "contact reason (list)")
    assert events.height == len(CONTACTS)


def test_a_file_that_belongs_to_nothing_is_named_and_a_part_of_the_people_is_joined(
    tmp_path: Path,
) -> None:
    rows = [f"{who},{at.isoformat()},{what}" for who, at, what in CONTACTS]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,timestamp,event", *rows]))
    people = sorted({who for who, _, _ in CONTACTS})[:9]
    plans = [f"{who},{('free', 'team')[n % 2]}" for n, who in enumerate(people)]
    (tmp_path / "traits.csv").write_text("\n".join(["user_id,plan", *plans]))
    asked = parse_journey_map(propose_map(tmp_path).text)
    assert [join.table for join in asked.join] == ["traits.csv"]
    (tmp_path / "prices.csv").write_text("sku,price\n" + "\n".join(f"s{n},{n}" for n in range(9)))
    with pytest.raises(InputError, match=r"belongs to events.csv.*name the\s+other files only"):
        propose_map(tmp_path)


def test_ids_that_use_both_cases_are_not_taken_for_one(tmp_path: Path) -> None:
    ids = [f"003{a}b{b}{n}" for n in range(8) for a, b in (("x", "Q"), ("X", "q"))]
    rows = [f"{who},2026-03-{2 + i:02},{what}" for who in ids for i, what in enumerate(NAMES)]
    path = tmp_path / "calls.csv"
    path.write_text("\n".join(["client id,date,activity", *rows]))
    assert not any("differ from another by case" in doubt for doubt in propose_map(path).doubts)


def test_a_valley_that_parts_nearly_all_contacts_ends_no_journey() -> None:
    times = [
        (f"k{who}", START + timedelta(days=9 * n, hours=(0, 3)[n % 9 == 1], minutes=who))
        for who in range(60)
        for n in range(20)
    ]
    times += [(who, at + timedelta(minutes=30)) for who, at in times[::20]]
    contacts = pl.DataFrame(times, schema=["customer", "occurred_at"], orient="row")
    gap = guess_gap(contacts.sort("customer", "occurred_at"))
    assert gap is not None
    assert gap.value > timedelta(days=9)


def test_names_of_columns_that_stand_in_a_file_of_their_own_are_proposed(tmp_path: Path) -> None:
    hits = [f"{at:%Y-%m-%d %H:%M:%S}\t{who}\t{what}\t{n:09}" for n, (who, at, what) in
            enumerate(CONTACTS)]  # fmt: skip
    (tmp_path / "hit_data.tsv").write_text("\n".join(hits))
    (tmp_path / "column_headers.tsv").write_text("date_time\tvisitor_id\tpage_event\thit_no\n")
    made = propose_map(tmp_path)
    asked = parse_journey_map(made.text)
    assert asked.reading.header == ("date_time", "visitor_id", "page_event", "hit_no")
    read = read_events(tmp_path, asked)
    events = read.events.collect()
    assert set(events.select("customer", "occurred_at", "touchpoint").iter_rows()) == set(CONTACTS)
    assert read.set_aside["reason"].to_list() == ["the header again"]
    assert made.report.contacts == len(CONTACTS)


def test_a_file_of_one_line_beside_files_with_a_header_is_no_header_for_them(
    tmp_path: Path,
) -> None:
    rows = [f"{who},{at.isoformat()},{what}" for who, at, what in CONTACTS]
    (tmp_path / "may.csv").write_text("\n".join(["user_id,timestamp,event", *rows]))
    (tmp_path / "june.csv").write_text("user_id,timestamp,event\n")
    with pytest.raises(InputError, match=r"june\.csv: the file has a header but no rows"):
        propose_map(tmp_path)
