"""What the report asks to look at: each oddity is told with what to do, and a sound log has "
"none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from cxlib.ingest import read_events
from cxlib.ingest.report import IngestReport
from cxlib.journey_map import parse_journey_map

MAP = """\
version: 1
name: Shop
columns: {customer: who, occurred_at: at, touchpoint: what, channel: via}
time_zone: America/Chicago
journey: {gap: 10d, goal: [pay]}
stages: [a, b]
touchpoints:
  - {name: page, stage: a}
  - {name: basket, stage: a}
  - {name: pay, stage: b}
"""

START = datetime(2025, 3, 3, 14, tzinfo=UTC)
Row = dict[str, str]


def sound(days: int = 60, customers: int = 80) -> list[Row]:
    dice, rows = Random(4), []
    for customer in range(customers):
        at = START + timedelta(days=dice.uniform(0, days - 2))
        for what in ("page", "basket", "page", "pay")[: dice.randint(2, 4)]:
            via = dice.choice(["web", "app"])
            rows.append(
                {
                    "who": f"c{customer:03}",
                    "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                    "what": what,
                    "via": via,
                }
            )
            at += timedelta(hours=dice.uniform(0.1, 9))
    return sorted(rows, key=lambda r: r["at"])


def checked(folder: Path, *logs: list[Row], text: str = MAP) -> IngestReport:
    paths = []
    for i, rows in enumerate(logs):
        path = folder / f"day{i}.csv"
        path.write_text("who,at,what,via\n" + "".join(",".join(r.values()) + "\n" for r in rows))
        paths.append(path)
    return read_events(paths, parse_journey_map(text)).checked()


def test_a_sound_log_has_nothing_to_look_at(tmp_path: Path) -> None:
    assert checked(tmp_path, sound()).hints == ()


def all_own(rows: list[Row]) -> None:
    for i, row in enumerate(rows):
        row["who"] = f"x{i}"


def few(rows: list[Row]) -> None:
    for i, row in enumerate(rows):
        row["who"] = f"x{i % 3}"


def one_many(rows: list[Row]) -> None:
    for row in rows[::3]:
        row["who"] = "robbie"


def tied(rows: list[Row]) -> None:
    by: dict[str, str] = {}
    for row in rows:
        row["at"] = by.setdefault(row["who"], row["at"])


def at_midnight(rows: list[Row]) -> None:
    for i, row in enumerate(rows):
        if i % 2:
            row["at"] = row["at"][:10] + "T05:00:00Z"  # midnight in Chicago, mostly


def goal_first(rows: list[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        row["what"] = "page" if row["who"] in seen else "pay"
        seen.add(row["who"])


def one_touchpoint(rows: list[Row]) -> None:
    for row in rows:
        row["what"] = "page"


def one_channel(rows: list[Row]) -> None:
    for row in rows:
        row["via"] = "web"


def no_goal(rows: list[Row]) -> None:
    for row in rows:
        row["what"] = row["what"].replace("pay", "basket")


@pytest.mark.parametrize(
    ("spoil", "says", "advice"),
    [
        (all_own, "every contact has a customer of its own", "name another column"),
        (few, "there are only 3 customers", "a group of them"),
        (one_many, "one customer, 'robbie', has", "not_a_customer: ['robbie']"),
        (tied, "are at the same instant as another of their customer", "ties_as_listed"),
        (at_midnight, "are at exactly midnight", "export the time too"),
        (goal_first, "are the first of their customer", "name another goal"),
        (one_touchpoint, "all contacts are at one touchpoint, 'page'", "is another column"),
        (one_channel, "the channel is 'web' throughout", "give each touchpoint its channel"),
        (no_goal, "nobody reaches the goal (pay)", "is it spelled as in the log"),
    ],
)
def test_an_oddity_is_told_with_what_to_do(
    tmp_path: Path, spoil: Callable[[list[Row]], None], says: str, advice: str
) -> None:
    rows = sound()
    spoil(rows)
    told = [hint for hint in checked(tmp_path, rows).hints if says in hint]
    assert len(told) == 1
    assert advice in told[0]


def test_a_gap_longer_than_a_third_of_the_log(tmp_path: Path) -> None:
    [told] = checked(tmp_path, sound(days=20)).hints
    assert "the gap of 10d is longer than a third of the log" in told
    assert "write a gap of at most 5d" in told


def test_exact_duplicates_are_told_with_their_share(tmp_path: Path) -> None:
    rows = sound()
    [told] = checked(tmp_path, rows + rows[:100]).hints
    assert told.startswith(f"100 of {len(rows) + 100:,} rows")
    assert "a row of this table is not a contact" in told


@pytest.mark.parametrize("broken_from", [20, 45])
def test_the_day_on_which_tracking_broke_is_named(tmp_path: Path, broken_from: int) -> None:
    rows, dice = sound(customers=900), Random(9)
    day = START + timedelta(days=broken_from)
    local = (day - timedelta(hours=14)).strftime("%Y-%m-%d")
    for row in rows:
        share = 0.14 if row["at"][:10] >= local else 0.005
        if dice.random() < share:
            row["who"] = ""
    told = [h for h in checked(tmp_path, rows).hints if h.startswith("customer is empty")]
    assert len(told) == 1
    assert "rose from 0." in told[0]
    named = datetime.fromisoformat(told[0].split(" on ")[1][:10])
    assert abs(named - datetime.fromisoformat(local)) <= timedelta(days=1)


def test_ids_missing_at_random_are_no_break(tmp_path: Path) -> None:
    rows, dice = sound(customers=900), Random(10)
    for row in rows:
        if dice.random() < 0.05:
            row["who"] = ""
    assert not [h for h in checked(tmp_path, rows).hints if h.startswith("customer is empty")]


def test_the_file_in_which_rows_are_set_aside_is_named(tmp_path: Path) -> None:
    one, two = sound(), sound()
    for row in two[::5]:
        row["what"] = ""
    for row in two:
        row["who"] = "d" + row["who"] if row["who"] else ""
    told = [
        h for h in checked(tmp_path, one, two).hints if h.startswith("touchpoint is empty: all")
    ]
    assert len(told) == 1
    assert "day1.csv, 20." in told[0]


def test_a_table_cut_off_by_a_spreadsheet_is_told(tmp_path: Path) -> None:
    rows = sound()
    many = [
        {
            **rows[i % len(rows)],
            "at": (START + timedelta(seconds=70 * i)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "who": f"c{i % 9000}",
        }
        for i in range(65_535)
    ]
    hints = checked(tmp_path, many).hints
    assert any("has exactly 65,535 rows, as many as a spreadsheet holds" in h for h in hints)
    hints = checked(tmp_path, many[1:]).hints
    assert not any("spreadsheet" in h for h in hints)


def test_first_and_last_are_told_on_the_clock_of_the_map(tmp_path: Path) -> None:
    rows = sound()
    rows.append({"who": "c000", "at": "2025-05-02T02:30:00Z", "what": "page", "via": "web"})
    text = checked(tmp_path, rows).to_text()
    assert "2025-05-01 21:30 America/Chicago" in text


def test_owners_that_the_touchpoint_does_not_say_are_told(tmp_path: Path) -> None:
    """The team of a contact: at `page` two of three are of one, everywhere else all are."""
    rows = [dict(row, via="web" if row["what"] != "page" else row["via"]) for row in sound()]
    text = MAP.replace("channel: via", "owner: via")
    web, app = (
        sum(r["what"] == "page" and r["via"] == via for r in rows) for via in ("web", "app")
    )
    report = checked(tmp_path, rows, text=text)
    told = [hint for hint in report.hints if "owner" in hint]
    least, most = sorted((("web", web), ("app", app)), key=lambda x: (x[1], x[0]))
    assert told == [
        f"{least[1] / len(rows):.0%} of the contacts have another 'via' than most at their "
        f"touchpoint (at 'page': {most[0]} {most[1]}, {least[0]} {least[1]}): the most frequent "
        "one counts as its owner; to compare them, write 'via' under environment, too, or under "
        "segments where each customer has one"
    ]
    compared = text.replace("owner: via", "owner: via, environment: [via]")
    assert not [h for h in checked(tmp_path, rows, text=compared).hints if "owner" in h]
