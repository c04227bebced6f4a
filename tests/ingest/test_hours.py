"""Contacts outside the opening hours, counted by hand, and what the report says of them."""

from pathlib import Path

from cxlib.ingest import IngestReport, OutsideHours, read_events
from cxlib.journey_map import parse_journey_map

MAP = """
version: 1
name: Corner shop
columns: {customer: who, occurred_at: when, touchpoint: what, channel: via}
time_zone: Europe/Berlin
opening_hours: {phone: "Mon-Fri 08:00-18:00", shop: "Mon-Sat 10:00-20:00"}
closed_dates: [2025-06-09]
stages: [look]
touchpoints:
  - {name: page, stage: look}
  - {name: call, stage: look}
  - {name: emergency, stage: look, opening_hours: always}
  - {name: visit, stage: look, opening_hours: "Mon-Fri 09:00-12:00"}
"""
#: when (Berlin), what, via, whether within the opening hours (None: it has none)
ROWS = [
    ("2025-06-06 08:00:00", "call", "phone", True),
    ("2025-06-06 17:59:59", "call", "phone", True),
    ("2025-06-06 18:00:00", "call", "phone", False),
    ("2025-06-07 09:00:00", "call", "phone", False),
    ("2025-06-09 09:00:00", "call", "phone", False),  # closed
    ("2025-06-09 07:00:00", "emergency", "phone", None),
    ("2025-06-07 19:00:00", "call", "shop", True),
    ("2025-06-07 08:00:00", "visit", "shop", False),
    ("2025-06-06 09:00:00", "visit", "web", True),
    ("2025-06-08 09:00:00", "page", "web", None),
]


def ingest(folder: Path, text: str = MAP, rows=ROWS) -> IngestReport:
    lines = ["who,when,what,via", *(f"c{i % 3},{w},{t},{c}" for i, (w, t, c, _) in enumerate(rows))]
    (folder / "log.csv").write_text("\n".join(lines), "utf-8")
    return read_events([folder / "log.csv"], parse_journey_map(text)).report


def hints_of(report):
    """Hints but the one that three customers are few."""
    assert any(hint.startswith("there are only 3 customers") for hint in report.hints)
    return tuple(h for h in report.hints if not h.startswith("there are only 3 customers"))


def test_contacts_outside_the_hours_are_counted_and_kept(tmp_path):
    report = ingest(tmp_path)
    assert report.contacts == len(ROWS)
    assert report.outside_hours == (
        OutsideHours("call", "phone", 5, 3),
        OutsideHours("visit", "shop", 1, 1),
        OutsideHours("call", "shop", 1, 0),
        OutsideHours("visit", "web", 1, 0),
    )
    assert [hint[:41] for hint in hints_of(report)] == [
        "100% of the contacts at 'visit' lie outsi",
        "60% of the contacts at 'call' lie outside",
    ]
    text = report.to_text()
    assert (
        "Contacts outside the opening hours (kept)\n  call   3 (60.0%)\n  visit  1 (100.0%)" in text
    )


def test_a_channel_that_no_contact_has_is_named(tmp_path):
    report = ingest(tmp_path, MAP.replace("shop:", "shoop:"))
    assert (
        "`opening_hours` names the channel 'shoop', which no contact has. Did you mean 'shop'?"
        in report.hints
    )


def test_without_hours_nothing_is_counted(tmp_path):
    kept = [
        line.replace(', opening_hours: "Mon-Fri 09:00-12:00"', "").replace(
            ", opening_hours: always", ""
        )
        for line in MAP.splitlines()
        if not line.startswith(("opening_hours", "closed_dates"))
    ]
    report = ingest(tmp_path, "\n".join(kept))
    assert report.outside_hours == ()
    assert hints_of(report) == ()


def test_dates_alone_lie_outside_no_hours(tmp_path):
    rows = [(f"{when[:10]} 00:00:00", *rest) for when, *rest in ROWS]
    report = ingest(tmp_path, rows=rows)
    assert report.outside_hours == ()
    assert len(hints_of(report)) == 1


def test_a_report_kept_before_there_were_hours_is_read(tmp_path):
    report = ingest(tmp_path)
    kept = report.to_dict()
    assert IngestReport.from_dict(kept) == report
    del kept["outside_hours"]
    assert IngestReport.from_dict(kept).outside_hours == ()
