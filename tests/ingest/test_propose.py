"""A map proposed from a log: usable as it stands, and every guess marked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cxlib.errors import InputError
from cxlib.ingest import propose_map, read_events
from cxlib.ingest.evidence import guess_by_words
from cxlib.journey_map import parse_journey_map, read_journey_map

STEPS = ["display ad", "product page", "app basket", "payment", "support call", "Ω: {odd}, #1"]


def rows(time: str = "2026-01-{day:02}T10:00:00Z") -> list[dict[str, str]]:
    return [
        {
            "Kunden-Nr": f"{customer:04}",
            "Zeitpunkt": time.format(day=step + 1 + customer % 20),
            "Aktivität": name,
            "Kanal": "web" if step % 2 else "app",
            "nps": str(step * 2),
        }
        for customer in range(30)
        for step, name in enumerate(STEPS)
    ]


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl.gz", "l.parquet"])
def test_the_proposal_reads_the_log_without_loss(name: str, write) -> None:
    path = write(name, rows())
    text = propose_map(path).text
    proposed = parse_journey_map(text)
    assert proposed.columns == {
        "customer": "Kunden-Nr",
        "occurred_at": "Zeitpunkt",
        "touchpoint": "Aktivität",
        "channel": "Kanal",
        "rating": "nps",
    }
    report = read_events(path, proposed).report
    assert report.contacts == report.rows_in == 180
    assert report.unmapped == ()
    assert not report.cleared
    assert proposed.journey.goal == ("payment",)
    assert {t.name for t in proposed.touchpoints} == set(STEPS)
    stages = {t.name: t.stage for t in proposed.touchpoints}
    assert [stages[name] for name in STEPS[:5]] == [
        "awareness", "exploration", "conversion", "conversion", "aftersales",
    ]  # fmt: skip
    assert stages[STEPS[5]] == "aftersales"


def test_every_guess_is_marked(write) -> None:
    text = propose_map(write("l.csv", rows())).text
    body = text.split("columns:\n")[1].splitlines()
    sections = ("journey:", "touchpoints:", "planned_handoffs:")
    unmarked = [line for line in body if "guess" not in line and not line.startswith(sections)]
    assert unmarked == []


def test_day_first_times_get_their_format_and_doubt_is_said(write) -> None:
    certain = propose_map(write("a.csv", rows("{day:02}.01.2026 10:00"))).text
    assert yaml.safe_load(certain)["time_format"] == "%d.%m.%Y %H:%M"
    assert "must be the day" in certain
    few = [r for r in rows("{day:02}.01.2026 10:00") if r["Zeitpunkt"] < "12"]
    assert "day or month first" in propose_map(write("b.csv", few)).text


def test_a_stage_column_gives_the_stages_in_order(write) -> None:
    order = {name: f"phase {chr(97 + i // 2)}" for i, name in enumerate(STEPS)}
    staged = [{**row, "Phase": order[row["Aktivität"]]} for row in rows()]
    path = write("l.csv", staged)
    proposed = parse_journey_map(propose_map(path).text)
    assert proposed.stages == ("phase a", "phase b", "phase c")
    assert read_events(path, proposed).report.unknown_stages == {}


def test_a_log_without_a_time_is_refused_with_its_columns(write) -> None:
    path = write("l.csv", [{"customer": "a", "contact": "visit"}])
    with pytest.raises(InputError, match=r"l\.csv: no column holds times; there are: customer"):
        propose_map(path)


@pytest.mark.parametrize(
    ("name", "stage", "channel"),
    [
        ("ProductPage viewed", "exploration", "web"),
        ("Angebot_gesendet", "conversion", None),
        ("Warenkorb", "conversion", None),
        ("Klacht per telefoon", "aftersales", "phone"),
        ("newsletter", "awareness", "email"),
        ("xyzzy", None, None),
    ],
)
def test_words_in_names_say_stage_and_channel(
    name: str, stage: str | None, channel: str | None
) -> None:
    assert guess_by_words(name, "stages") == stage
    assert guess_by_words(name, "channels") == channel


def test_the_sample_is_proposed_about_as_it_was_written() -> None:
    sample = Path(__file__).resolve().parents[2] / "data" / "sample"
    proposed = parse_journey_map(propose_map(sample / "contacts.csv.gz").text)
    written = read_journey_map(sample / "journey_map.yaml")
    assert proposed.stages == written.stages
    assert proposed.columns.items() <= written.columns.items() | {("environment", "place")}
    assert set(proposed.journey.goal) <= set(written.journey.goal)
    known = {t.name: t.stage for t in written.touchpoints}
    assert all(known.get(t.name, t.stage) == t.stage for t in proposed.touchpoints)
