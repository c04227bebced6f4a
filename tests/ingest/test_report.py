"""The ingest report: it adds up, it can be read, and it can be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cxlib.ingest import FileReport, IngestReport, UnmappedTouchpoint

REPORT = IngestReport(
    files=(FileReport("a<b>.csv", "csv", 100, "cp1252", ";"),),
    rows_in=100,
    contacts=80,
    left_out=15,
    set_aside={"customer is empty": 5},
    cleared={"rating is no number": 2},
    unmapped=(UnmappedTouchpoint("Visit", 3, "visit"), UnmappedTouchpoint("x", 1)),
    unknown_stages={"limbo": 4},
    first_at=datetime(2026, 1, 1, tzinfo=UTC),
    last_at=datetime(2026, 2, 1, tzinfo=UTC),
    time_zone="Europe/Berlin",
    without_offset=80,
    moved=1,
    twice=2,
    hints=("look here",),
)


def test_store_counts_complete_the_report_and_rows_still_add_up() -> None:
    done = REPORT.with_store_counts(
        contacts=70, customers=9, journeys=12, duplicates=4, robots=1, robot_contacts=6,
        tied_timestamps=3, segments_left_out=["rare"], ratings={"given": 5},
        customers_without_segment=2,
    )  # fmt: skip
    assert done.set_aside == {"customer is empty": 5, "duplicate": 4, "robot": 6}
    assert done.rows_in == done.contacts + done.left_out + sum(done.set_aside.values())
    assert done.segments_left_out == ("rare",)
    assert REPORT.customers is None
    with pytest.raises(TypeError, match="colour"):
        REPORT.with_store_counts(colour=1)


def test_everything_is_said_in_terminal_and_notebook() -> None:
    done = REPORT.with_store_counts(customers=9, duplicates=4, tied_timestamps=3, robots=1)
    for said in (
        "100", "76 (76.0%)", "15 (15.0%)", "set aside: customer is empty", "5 (5.0%)", "duplicate",
        "rating is no number", "Visit", "did you mean 'visit'?", "limbo", "Europe/Berlin", "cp1252",
        "semicolon", "look here", "2026-01-01 00:00 UTC", "3 (3.9%)",
    ):  # fmt: skip
        assert said in done.to_text(), said
        assert said.replace("'", "&#x27;") in done._repr_html_(), said
    assert "a&lt;b&gt;.csv" in done._repr_html_()
    assert max(map(len, done.to_text().splitlines())) < 120


def test_many_unmapped_touchpoints_are_cut_short() -> None:
    many = IngestReport(
        (), 99, 99, unmapped=tuple(UnmappedTouchpoint(f"t{i}", 1) for i in range(99))
    )
    assert "and 79 more" in many.to_text()


def test_the_report_is_json() -> None:
    plain = json.loads(json.dumps(REPORT.to_dict()))
    assert plain["first_at"] == "2026-01-01T00:00:00+00:00"
    assert plain["files"][0]["separator"] == ";"
    assert plain["unmapped"][0] == {"name": "Visit", "contacts": 3, "nearest": "visit"}
