"""Waits in open time: closed hours are no delay, a delay within them is, a wrong calendar shows.

The truth is that of `weekday_log`, whose phone keeps its hours by a few lines of its own.
"""

import json
from collections import Counter
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from fragmentation.test_details import SILENCE, arrivals_at, contacts
from fragmentation.walks import SIZE, START, count, open_time, weekday_log
from typer.testing import CliRunner

from cxlib.arrivals.open_hours import OPEN_UNIT, OpenHours
from cxlib.bins import BIN_EDGES
from cxlib.cli import app
from cxlib.figures.finding_detail import plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import figure_text
from cxlib.fragmentation import measure_fragmentation, read_arrivals
from cxlib.fragmentation.details import detail_findings
from cxlib.grounds.faults import Site, plant_fault
from cxlib.opening_hours import Calendar, parse_opening_hours
from cxlib.publish.judged import protect_details
from cxlib.signals import SIGNALS
from cxlib.signals.delay import DELAYED
from cxlib.store import Workspace
from cxlib.views.fragmentation.behind import behind_detail

WEEKDAYS = "Mon-Fri 08:00-18:00"
PHONE = [i for i in range(SIZE) if i % 4 == 3]


def hours(text=WEEKDAYS, misfits=()):
    kept = parse_opening_hours(text)
    places = tuple(kept if i in PHONE else None for i in range(SIZE))
    return OpenHours(Calendar("UTC", (), places), misfits)


def found(table, open_hours=None):
    judged = measure_fragmentation(count(table, ratings=False, open_hours=open_hours))
    return judged, set(judged.found.select("source", "target", "signal").iter_rows())


def test_closed_hours_are_a_delay_only_without_a_calendar():
    table = weekday_log(0)
    _, without = found(table)
    assert {("t1", "t7", "delay"), ("t1", "t11", "delay")} <= without
    assert {(source, signal) for source, _, signal in without} == {("t1", "delay")}
    judged, within = found(table, hours())
    assert within == set()
    # of the waits for the phone as many are judged as before
    timed = judged.table.filter(pl.col("signal") == "delay", pl.col("target").is_in(["t3", "t7"]))
    assert (timed["effect_unit"] == OPEN_UNIT).all()
    assert len(timed) > 5
    assert timed["effect"].is_between(0.6, 1.6).all()


@pytest.mark.parametrize(("seed", "slow"), [(10, (2, 7)), (15, (1, 7))])
def test_a_delay_within_the_hours_is_found_with_its_size(seed, slow):
    judged, within = found(weekday_log(seed, slow=slow), hours())
    assert within == {(f"t{slow[0]}", "t7", "delay")}
    row = judged.found.row(0, named=True)
    assert row["low"] <= 3.5 <= row["high"]
    assert row["effect_unit"] == OPEN_UNIT
    assert row["stable"]
    assert row["sentence"].endswith(", counted in open hours")


def test_waits_are_counted_as_a_plain_loop_counts_them():
    table = weekday_log(0, customers=2_000)
    counted = count(table, ratings=False, open_hours=hours())
    log = contacts(table)
    last = max(rows[-1][0] for rows in log.values())
    for target in (4, 7):
        told = Counter()
        for now, wait, _ in arrivals_at(log, 1, target):
            if last - now + wait >= SILENCE:
                lasting = open_time(now) - open_time(now - wait) if target == 7 else wait
                told[max(i for i, e in enumerate(BIN_EDGES) if e <= round(float(lasting), 6))] += 1
        ours = counted.waits.filter(pl.col("source") == 1, pl.col("target") == target)
        summed = ours.group_by("bin").agg(pl.col("n").sum())
        assert dict(summed.iter_rows()) == dict(told)
        assert sum(told.values()) > 30
    plain = count(table, ratings=False)
    # whatever is no wait for the phone is what it was, and no wait is lost
    for name in ("arrivals", "onward", "spread", "repeats", "planned", "links"):
        both = (getattr(log, name).drop("^wait_.*$", strict=False) for log in (counted, plain))
        assert next(both).equals(next(both))
    others = ~pl.col("target").is_in(PHONE)
    assert counted.waits.filter(others).equals(plain.waits.filter(others))
    assert counted.waits["n"].sum() == plain.waits["n"].sum()


def test_hours_that_never_close_change_nothing():
    table = weekday_log(0, customers=2_000)
    always, plain = hours("Mon-Sun 00:00-24:00"), count(table, ratings=False)
    assert count(table, ratings=False, open_hours=always).waits.equals(plain.waits)


@pytest.mark.parametrize("text", [WEEKDAYS, "Mon 08:00-12:00, 13:00-17:00, Sun 10:00-10:30"])
def test_open_time_is_compared_as_the_time_it_usually_takes(text):
    kept = hours(text)
    week = kept.calendar.hours[PHONE[0]].week
    minutes = [m for w in range(60) for a, b in week for m in range(w * 10_080 + a, w * 10_080 + b)]
    each_week = sum(b - a for a, b in week)
    for minute in (1, 30, 200, 700, 5_000):
        # from the middle of every open minute of a week to that of the one so much later
        told = [np.log(60.0 * (minutes[i + minute] - minutes[i])) for i in range(each_week)]
        place = pl.Series([PHONE[0], 0])
        given = np.log([60.0 * minute] * 2)
        ours = kept.usually_take(place, given)
        assert ours[0] == pytest.approx(np.mean(told), abs=0.02)
        assert ours[1] == given[1]
        assert kept.usually_take(place, ours, back=True) == pytest.approx(given)
    ends = np.array([-9.0, 25.0])
    phone = pl.Series([PHONE[0]] * 2)
    assert kept.usually_take(phone, kept.usually_take(phone, ends), back=True) == pytest.approx(
        ends
    )
    always = hours("Mon-Sun 00:00-24:00")
    assert always.usually_take(phone, np.array([3.0, 12.0])) == pytest.approx([3.0, 12.0])


def test_what_people_see_says_open_hours():
    judged, _ = found(weekday_log(0, slow=(2, 7)), hours())
    details = detail_findings(judged)
    row = details.found.row(0, named=True)
    figure = plot_finding_detail(details, row)
    assert figure.layout.xaxis.title.text == "open hours since the contact before"
    assert not any("d" in tick for tick in figure.layout.xaxis.ticktext)
    hovers = [trace.hovertext for trace in figure.data if trace.hovertext]
    assert all("open" in text for texts in hovers for text in texts)
    assert plot_finding_trend(details, row).layout.yaxis.title.text == "median wait, open hours"
    assert figure_text(row, 60.0) == "60\N{NO-BREAK SPACE}open\N{NO-BREAK SPACE}h"
    assert "open\N{NO-BREAK SPACE}h" in behind_detail(details, row)[0]
    shown = protect_details(details, k=10, spread=1.0)["table"].filter("finding")
    assert "counted in open hours" in shown["sentence"][0]


def test_a_calendar_that_does_not_fit_is_not_believed():
    table = weekday_log(0, slow=(2, 7))
    judged, within = found(table, hours(misfits=(7,)))
    assert within == set()
    delays = judged.table.filter(pl.col("signal") == "delay")
    assert not delays["target"].is_in(["t7"]).any()
    assert delays["target"].is_in(["t11"]).any()
    told = judged.signals.row(by_predicate=pl.col("signal") == "delay", named=True)
    assert told["measurable"]
    assert told["reason"].startswith(
        "in part not measurable, because over 20% of the contacts at 1"
    )
    assert told["reason"] in judged._repr_html_()
    with_all, _ = found(table, hours(misfits=tuple(range(SIZE))))
    told = with_all.signals.row(by_predicate=pl.col("signal") == "delay", named=True)
    assert not told["measurable"]
    assert told["reason"].startswith("not measurable, because over 20% of the contacts at 12")


def test_a_planted_delay_lasts_longer_in_open_time():
    table = weekday_log(0, customers=2_000)
    frame = pl.DataFrame(table[:, :3], schema=["customer", "at", "place"]).sort("customer", "at")
    since = pl.duration(microseconds=(pl.col("at") * 1e6).cast(pl.Int64))
    rows = frame.select(
        pl.col("customer").cast(pl.UInt32),
        pl.col("place").cast(pl.UInt16),
        occurred_at=pl.lit(START) + since,
    )
    places = count(table).places
    changed = plant_fault(rows, SIGNALS["delay"].fault, Site(1, 7, 0.0, places, hours()), seed=1)

    def waits(log):
        for mine in log.partition_by("customer", maintain_order=True):
            at = (mine["occurred_at"] - START).dt.total_microseconds().to_numpy() / 1e6
            place = mine["place"].to_list()
            if place[:2] == [1, 7]:
                yield float(open_time(at[1]) - open_time(at[0]))

    before, after = np.array(list(waits(rows))), np.array(list(waits(changed)))
    assert len(before) > 50
    assert after == pytest.approx(before * DELAYED, abs=1e-3)


MAP = """
version: 1
name: Weekdays
columns: {{customer: who, occurred_at: when, touchpoint: what}}
journey: {{gap: 30d}}
{hours}
stages: [one]
touchpoints:
"""


def cx(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log as a file, and what writes a map with opening hours beside it."""
    folder = tmp_path_factory.mktemp("weekdays")
    table = weekday_log(0, slow=(2, 7))
    pl.DataFrame(
        {
            "who": [f"c{int(c)}" for c in table[:, 0]],
            "when": [START + timedelta(seconds=int(s)) for s in table[:, 1]],
            "what": [f"t{int(p)}" for p in table[:, 2]],
        }
    ).write_parquet(folder / "log.parquet")

    def write_map(given):
        channels = ("web", "app", "store", "phone")
        lines = [
            f"  - {{name: t{i}, stage: one, channel: {channels[i % 4]}}}\n" for i in range(SIZE)
        ]
        path = folder / "map.yaml"
        path.write_text(MAP.format(hours=given) + "".join(lines), "utf-8")
        return path

    return folder / "log.parquet", write_map


def test_a_workspace_counts_by_the_hours_of_its_map(log, tmp_path):
    file, write_map = log
    path = write_map(f'opening_hours: {{phone: "{WEEKDAYS}"}}\nclosed_dates: [2025-12-25]')
    assert "outside" not in cx("check", file, "--map", path)
    cx("ingest", file, "--map", path, "--out", tmp_path / "ws")
    workspace = Workspace.open(tmp_path / "ws")
    first, again = read_arrivals(workspace), read_arrivals(workspace)
    assert first.settings.open_hours == again.settings.open_hours
    assert again.settings.open_hours.calendar.closed_dates[0].isoformat() == "2025-12-25"
    delays = measure_fragmentation(again).found.filter(pl.col("signal") == "delay")
    assert delays.select("source", "target").rows() == [("t2", "t7")]
    # a workspace counted before there were opening hours is counted again
    meta = workspace.log_folder / "arrivals" / "arrivals.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"version": 4}))
    assert read_arrivals(workspace).waits.equals(first.waits)
    assert json.loads(meta.read_text())["version"] != 4


def test_hours_that_do_not_fit_are_told_when_checking_and_not_judged(log, tmp_path):
    file, write_map = log
    path = write_map('opening_hours: {phone: "Mon-Fri 10:30-20:00"}')
    told = cx("check", file, "--map", path)
    report = json.loads(cx("check", file, "--map", path, "--json"))
    shares = {r["touchpoint"]: r["outside"] / r["contacts"] for r in report["outside_hours"]}
    assert set(shares) == {f"t{i}" for i in PHONE}
    assert min(shares.values()) > 0.2
    assert "Contacts outside the opening hours (kept)" in told
    assert "of the contacts at 't7' lie outside its opening hours; mend `opening_hours`" in told
    assert "until then no wait for it is judged" in told
    cx("ingest", file, "--map", path, "--out", tmp_path / "ws")
    assert read_arrivals(Workspace.open(tmp_path / "ws")).settings.open_hours.misfits
    said = cx("findings", tmp_path / "ws")
    assert "t2 → t7" not in said


def test_a_few_contacts_outside_are_shown_and_judged(log, tmp_path):
    file, write_map = log
    path = write_map('opening_hours: {phone: "Mon-Fri 09:00-20:00"}')
    told = cx("check", file, "--map", path)
    assert "mend `opening_hours`" in told
    assert "until then" not in told
    cx("ingest", file, "--map", path, "--out", tmp_path / "ws")
    assert not read_arrivals(Workspace.open(tmp_path / "ws")).settings.open_hours.misfits
