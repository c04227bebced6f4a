"""What is far larger than logs are: thousands of columns, lines that cannot be cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxlib.errors import MapError
from cxlib.ingest import dialects, evidence, propose_map, read_events
from cxlib.journey_map import JourneyMap, parse_journey_map

STEPS = ("visit", "basket", "payment")


def lines(rows: int = 60) -> list[str]:
    return [
        f"c{i % 12},2024-01-{1 + i % 28:02} 10:00:{i % 60:02},{STEPS[i % 3]}" for i in range(rows)
    ]


def shop(touchpoints: str = "", stages: str = "stages: [one]\n") -> JourneyMap:
    listed = touchpoints or "".join(f"  - {{name: {t}, stage: one}}\n" for t in STEPS)
    return parse_journey_map(f"version: 1\nname: x\n{stages}touchpoints:\n{listed}")


def test_a_table_of_many_columns_is_read_and_proposed_from_those_that_say_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer stands behind all others, and there are more columns than are looked at."""
    monkeypatch.setattr(evidence, "COLUMNS", 40)
    width = 600
    odd = [f"zq{i}" for i in range(width)]
    rows = [f"{','.join(str((i + k) % 7) for k in range(width))},{row}"
            for i, row in enumerate(lines())]  # fmt: skip
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([",".join([*odd, "customer", "occurred_at", "touchpoint"]), *rows]))
    proposal = propose_map(path)
    columns = parse_journey_map(proposal.text).columns
    assert [columns[c] for c in ("customer", "occurred_at", "touchpoint")] == [
        "customer", "occurred_at", "touchpoint",
    ]  # fmt: skip
    assert "the first 40 of 603 columns whose names say something" in proposal.text
    assert proposal.report.contacts == proposal.report.rows_in == 60


def test_rows_that_differ_in_one_of_many_columns_are_no_duplicates(tmp_path: Path) -> None:
    names, width = ["customer", "occurred_at", "touchpoint"], 1_200
    row = ["c1", "2024-01-01 10:00:00", "visit", *("1" for _ in range(width))]
    rows = [row, row, [*row[:-1], "2"]]
    head = [*names, *(f"zq{i}" for i in range(width))]
    (tmp_path / "wide.csv").write_text("\n".join(",".join(cells) for cells in [head, *rows]))
    report = read_events(tmp_path / "wide.csv", shop()).checked()
    assert (report.duplicates, report.set_aside["duplicate"]) == (1, 1)


def test_a_long_line_that_cannot_be_cut_is_set_aside_and_not_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "MOST", 50_000)
    bad = 'c1,2024-01-01 10:00:00,visit,"' + "x, " * 20_000
    good = f'c1,2024-01-02 10:00:00,visit,"{"y" * 60_000}"'
    text = ["customer,occurred_at,touchpoint,comment", *(f"{li},ok" for li in lines()), good, bad]
    (tmp_path / "log.csv").write_text("\n".join(text))
    read = read_events(tmp_path / "log.csv", shop())
    assert read.report.contacts == 61
    assert read.report.rows_in == 62
    [reason] = read.report.set_aside
    assert "cannot be cut into cells, and is longer than" in reason
    assert read.quarantine["line"].to_list() == [62]
    assert len(read.quarantine["raw"][0]) == 10_000


def test_a_map_without_stages_has_one(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("\n".join(["customer,occurred_at,touchpoint", *lines()]))
    journey_map = shop("".join(f"  - {{name: {t}}}\n" for t in STEPS), stages="")
    assert journey_map.stages == ("journey",)
    assert {t.stage for t in journey_map.touchpoints} == {"journey"}
    assert parse_journey_map(journey_map.to_yaml()) == journey_map
    events = read_events(tmp_path / "log.csv", journey_map).events.collect()
    assert events["stage"].unique().to_list() == ["journey"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("touchpoints: [{name: a, stage: b}]", r"touchpoints\[0\].stage: the key 'stages'"),
        ("columns: {stage: s}\ntouchpoints: [{name: a}]", "list them in their order"),
    ],
)
def test_where_something_needs_the_order_of_the_stages_they_must_be_listed(
    text: str, says: str
) -> None:
    with pytest.raises(MapError, match=says):
        parse_journey_map(f"version: 1\nname: x\n{text}\n")
