"""The end of observation: rows after a stated one, and rows that stand far from all others."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from cxlib.ingest import read_events
from cxlib.journey_map import read_journey_map
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.store import build_workspace

START = datetime(2025, 3, 1, tzinfo=UTC)
MAP = """
version: 1
name: ends
columns: {{customer: who, occurred_at: at, touchpoint: what}}
time_zone: Europe/Berlin
journey: {{gap: 10d, goal: [pay]}}
stages: [look, buy]
touchpoints:
  - {{name: a, stage: look, channel: web}}
  - {{name: pay, stage: buy, channel: web}}
{more}
"""


@pytest.fixture
def hints_of(tmp_path):
    def read(times, more=""):
        rows = [f"{n % 97},{at.isoformat()},a" for n, at in enumerate(times)]
        (tmp_path / "log.csv").write_text("\n".join(["who,at,what", *rows]))
        (tmp_path / "map.yaml").write_text(MAP.format(more=more))
        ingested = read_events(tmp_path / "log.csv", read_journey_map(tmp_path / "map.yaml"))
        return [h for h in ingested.report.hints if "others" in h or "observed_until" in h]

    return read


def at_random(seed, rows, *, days=60.0):
    draw = random.Random(seed)
    return [START + timedelta(days=draw.uniform(0, days)) for _ in range(rows)]


@pytest.mark.parametrize("end", ["2025-06-01T00:00:00+02:00", "2025-05-31"])
def test_rows_after_the_stated_end_are_set_aside_and_move_nothing(shared_data, tmp_path, end):
    cases = shared_data.parent / "cases"
    if not (cases / "late-row.csv").is_file():
        pytest.skip("the cases beside the repository are not here")
    text = (cases / "late-row.yaml").read_text().replace("2025-06-01T00:00:00+02:00", end)
    (tmp_path / "map.yaml").write_text(text)
    ingested = read_events(cases / "late-row.csv", read_journey_map(tmp_path / "map.yaml"))
    assert ingested.report.set_aside == {"later than observed_until": 1}
    assert ingested.quarantine["customer"].to_list() == ["99"]
    workspace = build_workspace(ingested, tmp_path / "late")
    assert workspace.observed_until.isoformat()[:16] in ("2025-05-31T22:00", "2025-05-31T21:59")
    row = measure_touchpoints(workspace.summary()).table.row(0, named=True)
    assert (row["customers"], row["open"]) == (40, 1.0)
    assert workspace.report["contacts"] + 1 == workspace.report["rows_in"] == 41


def test_a_row_at_the_stated_end_is_kept(hints_of, tmp_path):
    end = START + timedelta(days=60)
    times = [*at_random(1, 200), end, end + timedelta(seconds=1)]
    assert hints_of(times, f'observed_until: "{end.isoformat()}"') == []


@pytest.mark.parametrize("rows", [12, 40, 3000])
@pytest.mark.parametrize("stray", [1, 3])
def test_few_last_or_first_rows_far_from_the_others_are_told(hints_of, rows, stray):
    few = min(stray, max(1, rows // 8))
    days = 60 if rows > 12 else 2
    bulk = at_random(3, rows, days=days)
    late = [max(bulk) + timedelta(days=90, hours=n) for n in range(few)]
    (hint,) = hints_of(bulk + late)
    assert hint.startswith("the last contact (of" if few == 1 else f"the last {few} contacts (of")
    assert "90 days after all others" in hint or "89 days after all others" in hint
    stated = hint.split("observed_until: ")[1].split("`")[0]
    assert hints_of(bulk + late, f"observed_until: {stated}") == [], "what it says settles it"
    early = [min(bulk) - timedelta(days=400, hours=n) for n in range(few)]
    (hint,) = hints_of(bulk + early)
    assert "before all others" in hint
    stated = hint.split("earliest: ")[1].split("`")[0]
    assert hints_of(bulk + early, f"earliest: {stated}") == []
    assert len(hints_of(bulk + late + early)) == 2, "one end does not hide the other"


def test_logs_without_a_stray_row_are_not_told_of(hints_of):
    told = 0
    for seed in range(40):
        rows = [8, 20, 60, 400][seed % 4]
        told += len(hints_of(at_random(seed, rows, days=rows)))
    assert told <= 1, "below 0.1 % each"
    weekdays = [START + timedelta(days=d, hours=9) for d in range(200) if d % 7 < 5]
    assert hints_of(weekdays) == []
    closed = [at for at in at_random(9, 900, days=300) if not 100 < (at - START).days < 145]
    assert hints_of(closed) == [], "a long break has as many rows after it as before"
    fading = [START + timedelta(days=random.Random(n).expovariate(1 / 20)) for n in range(2000)]
    assert hints_of(fading) == []


def test_a_stated_end_long_after_the_last_row_is_told(hints_of):
    bulk = at_random(4, 300)
    assert hints_of(bulk, "observed_until: 2025-05-01") == []
    (hint,) = hints_of(bulk, "observed_until: 2026-05-01")
    assert "before the stated observed_until (2026-05-01)" in hint
