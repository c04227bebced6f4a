"""Weather, campaigns and holidays: joined by local day and place, and asked about like all else."""

import pytest

import cxlib as cx
from cxlib.errors import CxError
from cxlib.journey_map import parse_journey_map

MAP = """\
version: 1
name: Shops
columns: {{customer: who, occurred_at: at, touchpoint: step, rating: said, environment: [branch]}}
rating_scales: [{{name: stars, min: 1, max: 5}}]
time_zone: Europe/Berlin
environment:
{lines}
journey: {{gap: 20d, goal: [till]}}
stages: [shop]
touchpoints:
  - {{name: door, stage: shop, channel: store}}
  - {{name: till, stage: shop, channel: store}}
"""
WEATHER = "  - {table: weather.csv, day: date, place: {branch: town}, columns: [sky]}"
LOG = """\
who,at,step,said,branch
a,2025-05-01T10:00:00,door,5,Ulm
a,2025-05-01T23:30:00,till,1,Bonn
b,2025-05-02T00:10:00,door,4,Ulm
b,2025-05-02T10:00:00,till,2,Bonn
c,2025-05-09T10:00:00,door,3,Ulm
c,2025-05-10T10:00:00,till,3,
"""
TABLE = """\
date,town,sky,note
2025-05-01,Ulm,rain,x
2025-05-01,Bonn,sun,x
2025-05-02,Ulm,sun,x
2025-05-02,Bonn,rain,x
"""


def build(folder, lines, table=TABLE, name="weather.csv"):
    (folder / "map.yaml").write_text(MAP.format(lines=lines))
    (folder / "log.csv").write_text(LOG)
    (folder / name).write_text(table)
    log = cx.read_log(folder / "log.csv", map=folder / "map.yaml")
    return cx.build(log, folder / "ws")


def test_contacts_get_the_weather_of_their_local_day_and_place(tmp_path):
    ws = build(tmp_path, WEATHER)
    rows = ws.events().sort("customer", "occurred_at").collect()
    assert rows["environment.sky"].to_list() == ["rain", "sun", "sun", "rain", None, None]
    assert ws.report["environments_joined"] == {"sky": 4}
    found = cx.measure_perception(ws, by="sky").table
    assert dict(found.select("group", "mean").rows()) == {"rain": 3.5, "sun": 2.5}
    assert cx.measure_perception(ws, by="environment.branch").table["group"].to_list()


def test_holidays_are_those_of_the_region(tmp_path):
    pytest.importorskip("holidays")
    ws = build(tmp_path, "  - {holidays: DE-BY}")
    told = ws.events().sort("customer", "occurred_at").collect()["environment.holiday"]
    assert told.null_count() == 0
    assert told.to_list()[0] not in (None, "no holiday")  # the first of May
    assert told.to_list()[2:] == ["no holiday"] * 4


def test_a_table_of_days_alone_and_numbers_by_thirds(tmp_path):
    days = [f"2025-05-{d:02},{d}" for d in range(1, 19)]
    ws = build(
        tmp_path, "  - {table: warm.csv}", "\n".join(["day,degrees", *days, ""]), name="warm.csv"
    )
    told = ws.events().sort("customer", "occurred_at").collect()["environment.degrees"].to_list()
    assert all(t.startswith("low (to ") for t in told[:4])
    assert told[4].startswith("middle")


@pytest.mark.parametrize(
    ("lines", "table", "words"),
    [
        (WEATHER.replace("sky", "sku"), TABLE, "names column 'sku'.*Did you mean 'sky'"),
        (WEATHER.replace("branch", "shop"), TABLE, "by 'shop', which the log does not have"),
        (WEATHER, TABLE + "2025-05-02,Bonn,sun,x\n", "2 rows share a day and place"),
        (WEATHER, TABLE + "someday,Bonn,sun,x\n", "is no day|cannot be read|no time"),
        (WEATHER.replace("weather", "wether"), TABLE, "wether.csv"),
        ("  - {holidays: XX}", TABLE, "no holidays of 'XX'"),
        ("  - {table: weather.csv, holidays: DE}", TABLE, "or `holidays` alone"),
        (WEATHER.replace("columns: [sky]", "columns: [town, sky]"), TABLE, None),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path, lines, table, words):
    if words is None:
        assert build(tmp_path, lines, table)
        return
    with pytest.raises(CxError, match=words):
        build(tmp_path, lines, table)


def test_the_map_is_written_as_it_was_read():
    lines = f"{WEATHER}\n  - {{holidays: DE}}"
    once = parse_journey_map(MAP.format(lines=lines))
    again = parse_journey_map(once.to_yaml())
    assert again.environment == once.environment
    assert once.environment[0].place == ("branch", "town")
