"""What goes with an outcome: drivers counted in loops, a planted one found, and honest refusals."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, TOUCHPOINTS, contact, journey_map, make_workspace
from typer.testing import CliRunner

from cxlib.cli.app import app
from cxlib.errors import InputError, NotMeasurableError
from cxlib.ingest import read_events
from cxlib.journey_map import parse_journey_map
from cxlib.measures.drivers import _contacts, explain_differences, measure_drivers
from cxlib.store import build_workspace
from cxlib.summary import Selection

STORES = """\
version: 1
name: Stores
columns: {customer: customer, occurred_at: occurred_at, touchpoint: touchpoint, rating: rating,
  environment: store}
rating_scale: {name: csat, min: 0, max: 10}
journey: {gap: 30d, goal: [basket]}
stages: [before, after]
touchpoints:
  - {name: ad, stage: before, channel: web, kind: marketing}
  - {name: page, stage: before, channel: web, kind: product}
  - {name: visit, stage: before, channel: store, kind: product}
  - {name: basket, stage: after, channel: web, kind: purchase}
"""
KINDS = {"support": "service", "pay": "purchase", "newsletter": "marketing", "ad": "marketing"}


def rule(**more):
    kinds = tuple(replace(t, kind=KINDS.get(t.name, "product")) for t in TOUCHPOINTS)
    return replace(journey_map(**more), touchpoints=kinds)


def rated_log(customers, *, slope=-2.0, seed=1):
    """One journey each; every contact with support costs `slope` points at the last contact."""
    dice = Random(seed)
    log = []
    for number in range(customers):
        name, day = f"c{number:04}", dice.uniform(0, 200)
        steps = [dice.choice(["page", "ad", "support", "basket"]) for _ in range(5)]
        for i, step in enumerate(steps):
            calls = np.log1p(sum(s == "support" for s in steps))
            rating = min(max(7 + slope * calls + dice.gauss(0, 1), 0), 10)
            log.append(contact(name, day, step, rating=rating if i == 4 else None))
            day += dice.uniform(0.1, 3)
    return log


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    until = START + timedelta(days=400)
    return make_workspace(
        tmp_path_factory.mktemp("d") / "ws", rated_log(500), rule=rule(until=until)
    )


def test_drivers_are_what_a_loop_counts(workspace):
    table = _contacts(workspace)
    place = {p["place"]: p for p in workspace.places.to_dicts()}
    stored = workspace.store().collect().to_dicts()
    channels = {c.removesuffix(" contacts") for c in table.columns if c.endswith(" contacts")}
    assert channels == {p["channel"] for p in place.values()}  # the map gives no kinds
    met, last = {}, None
    for row, found in zip(stored, table.to_dicts(), strict=True):
        here = place[row["place"]]
        if last is None or row["journey"] != last["journey"]:
            met = dict.fromkeys(("repeats", "changes", "backtracks", "longest"), 0)
            met |= {"places": [], "channels": dict.fromkeys(channels, 0)}
            wait = 0.0
        else:
            before = place[last["place"]]
            wait = (row["occurred_at"] - last["occurred_at"]) / timedelta(hours=1)
            met["changes"] += before["channel"] != here["channel"]
            both = 255 not in (before["stage_index"], here["stage_index"])
            met["backtracks"] += both and here["stage_index"] < before["stage_index"]
            met["repeats"] += row["place"] in met["places"] and not here["repeatable"]
        met["longest"] = max(met["longest"], wait)
        met["places"].append(row["place"])
        met["channels"][here["channel"]] += 1
        expected = {f"{c} contacts": n for c, n in met["channels"].items()} | {
            "wait before": wait,
            "longest wait": met["longest"],
            "repeats": met["repeats"],
            "channel changes": met["changes"],
            "backtracks": met["backtracks"],
        }
        for name, value in expected.items():
            assert found[name] == pytest.approx(np.log1p(value), abs=1e-3), name
        last = row


def test_the_planted_driver_is_found_and_holds_later(planted):
    found = measure_drivers(planted)
    rows = found.table.filter(pl.col("outcome") == "rating")
    first = rows.row(0, named=True)
    assert first["driver"] == "service contacts"
    assert first["slope_low"] <= -2.0 <= first["slope_high"] < 0
    assert first["share_low"] > 0.1
    assert first["r2_later"] > 0.2
    assert rows["share"].sum() == pytest.approx(first["r2"])
    assert "rating: less with service contacts" in found.sentences()[0]
    assert "all 500 customers are alike" in " ".join(found.sentences())  # nobody came back


def test_findings_met_and_environments_are_drivers(tmp_path):
    """Ratings fall by 3 for a finding met, and by 2 in one of three stores; nothing else counts."""
    dice, rows = Random(2), []
    for number in range(600):
        day, store, met = dice.uniform(0, 200), dice.choice("AABBC"), dice.random() < 0.3
        # an ad for everybody; the finding lies between it and the visit
        for step in (*(("page", "ad") if met else ("ad", "page")), "visit", "basket"):
            rating = min(max(round(8 - 3 * met - 2 * (store == "B") + dice.gauss(0, 1)), 0), 10)
            at = (START + timedelta(days=day)).isoformat()
            rows.append((f"c{number}", at, step, store, rating if step == "basket" else None))
            day += dice.uniform(0.1, 3)
    columns = ["customer", "occurred_at", "touchpoint", "store", "rating"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(tmp_path / "log.csv")
    journey_map = parse_journey_map(STORES)
    read = read_events([tmp_path / "log.csv"], journey_map=journey_map)
    workspace = build_workspace(read, tmp_path / "ws")
    place = dict(workspace.places.select("touchpoint", "place").rows())
    found = pl.DataFrame(
        {"source_place": [place["ad"]], "target_place": [place["visit"]]}
        | {key: [None] for key in ("group", "value", "since", "affected_until")}
    )
    told = measure_drivers(workspace, findings=found).table
    rows = {row["driver"]: row for row in told.to_dicts() if row["outcome"] != "return"}
    met, worst = rows["findings met"], rows["store B"]
    # log(1 + one finding) is 0.69: 3 points are a slope of -4.3
    assert met["slope_low"] <= -3 / np.log(2) <= met["slope_high"]
    assert worst["slope_low"] <= -2 <= worst["slope_high"]
    assert "store C" not in rows  # the rarest is what the others are compared with
    assert "findings met" not in measure_drivers(workspace).table["driver"]


def test_plain_least_squares_gives_the_same(planted):
    rows = measure_drivers(planted).table.filter(pl.col("outcome") == "rating")
    names = rows["driver"].to_list()
    said = planted.ratings().select(pl.col("row").cast(pl.Int64), "rating").collect()
    cases = _contacts(planted).join(said, on="row")
    x = np.column_stack([np.ones(len(cases)), cases.select(names).to_numpy()])
    slope, *_ = np.linalg.lstsq(x, cases["rating"].to_numpy(), rcond=None)
    assert rows["slope"].to_numpy() == pytest.approx(slope[1:], abs=1e-6)
    residual = cases["rating"].to_numpy() - x @ slope
    assert rows["r2"][0] == pytest.approx(1 - residual.var() / cases["rating"].to_numpy().var())


def test_an_outcome_that_stands_still_later_is_not_told_out_of_time():
    rng = np.random.default_rng(8)
    more, value = rng.normal(size=900), rng.random(900) < 0.1
    value[600:] = False
    cases = pl.DataFrame({"customer": range(900), "occurred_at": range(900), "more": more})
    cases = cases.with_columns(bucket=pl.col("customer") % 32, value=pl.Series(value * 1.0))
    [row] = explain_differences(cases, ["more"])
    assert row["r2_later"] is None
    [row] = explain_differences(cases.with_columns(value=pl.Series(more)), ["more"])
    assert row["r2_later"] == pytest.approx(1)


def test_too_few_ratings_are_refused_in_one_sentence(tmp_path):
    until = START + timedelta(days=400)
    few = make_workspace(tmp_path / "ws", rated_log(12), rule=rule(until=until))
    with pytest.raises(NotMeasurableError, match="rating: 12 ratings of 12 customers are too few"):
        measure_drivers(few)
    with pytest.raises(InputError, match="days must be"):
        measure_drivers(few, days=0)


def test_only_customers_followed_long_enough_count(workspace):
    found = measure_drivers(workspace, days=40)
    [n] = found.table.filter(pl.col("outcome") == "return within 40 days")["n"].unique()
    ends = {}
    for row in workspace.store().collect().to_dicts():
        first, _ = ends.setdefault(row["customer"], (row["journey"], None))
        if row["journey"] == first:
            ends[row["customer"]] = (first, row["occurred_at"])
    followed = workspace.observed_until - timedelta(days=40)
    assert n == sum(at <= followed for _, at in ends.values())


def test_the_command_prints_the_rows_as_json(planted):
    run = CliRunner().invoke(app, ["drivers", str(planted.path), "--json"])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.output)
    assert list(rows[0])[:5] == ["outcome", "driver", "share", "low", "high"]


def test_where_chooses_the_rated_contacts_and_keeps_what_came_before(planted):
    whole = measure_drivers(planted).table
    phone = measure_drivers(planted, where=Selection(channel="phone")).table
    rated = [c for c in rated_log(500) if c.rating is not None]
    assert whole["n"][0] == len(rated)
    assert phone.filter(pl.col("outcome") == "rating")["n"][0] == sum(
        c.channel == "phone" for c in rated
    )
    service = phone.filter(pl.col("driver") == "service contacts", pl.col("outcome") == "rating")
    assert service["slope_low"][0] <= -2.0 <= service["slope_high"][0]
