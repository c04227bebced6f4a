"""What customers say: counted by hand, simulated with known truth, and honest about who answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace, random_log

from cxlib.cli.app import app
from cxlib.errors import NotMeasurableError, UnknownNameError
from cxlib.ingest import read_events, read_ratings
from cxlib.journey_map import parse_journey_map
from cxlib.map_model import PlannedHandoff
from cxlib.measures.drivers import measure_drivers
from cxlib.measures.experience import measure_experience_curve, measure_spectrum
from cxlib.measures.loyalty import measure_loyalty
from cxlib.measures.perception import Perception, measure_perception
from cxlib.sequences import comes_late
from cxlib.statistics.scores import mean_score, net_promoter_score
from cxlib.store import Workspace, build_workspace

MAP = """\
version: 1
name: Hotel
columns: {customer: guest, occurred_at: at, touchpoint: step}
rating_scales: [{name: nps, min: 0, max: 10}, {name: stars, min: 1, max: 5}]
journey: {gap: 20d, goal: [stay]}
stages: [before, during, after]
touchpoints:
  - {name: search, stage: before, channel: web}
  - {name: booking, stage: before, channel: web}
  - {name: stay, stage: during, channel: hotel}
  - {name: bill, stage: after, channel: mail}
"""
START = datetime(2025, 1, 1, tzinfo=UTC)
STEPS = ("search", "booking", "stay", "bill")


def build(folder: Path, log: pl.DataFrame, ratings: pl.DataFrame | None) -> Workspace:
    """Write a log and a survey, and read them as an analyst would."""
    folder.mkdir(parents=True, exist_ok=True)
    journey_map = parse_journey_map(MAP)
    log.write_csv(folder / "log.csv")
    said = None
    if ratings is not None:
        ratings.write_csv(folder / "ratings.csv")
        said = read_ratings(folder / "ratings.csv", journey_map=journey_map)
    read = read_events([folder / "log.csv"], journey_map=journey_map)
    return build_workspace(read, folder / "ws", ratings=said)


def simulate(
    seed: int, guests: int = 1_500, *, by_rating: float = 0.0, response: float = 0.25
) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """Simulate guests whose rating shortens or ends what they do next; some of them answer.

    Returns the log, the survey, and the mean of what all would have said.
    """
    rng = np.random.default_rng(seed)
    contacts, answers, truth = [], [], []
    for guest in range(guests):
        at = START + timedelta(hours=float(rng.uniform(0, 24 * 120)))
        mood = rng.normal()
        for step in STEPS:
            contacts.append((f"g{guest}", at, step))
            score = int(np.clip(round(7 + 1.4 * mood + 1.6 * rng.normal()), 0, 10))
            truth.append(score)
            odds = np.log(response / (1 - response)) + by_rating * (score - 7)
            if rng.random() < 1 / (1 + np.exp(-odds)):
                answers.append((f"g{guest}", at + timedelta(minutes=1), score, step, "nps"))
            if rng.random() > 0.55 + 0.045 * score:
                break
            at += timedelta(hours=float(rng.lognormal(3.5 - 0.25 * score, 0.5)))
    log = pl.DataFrame(contacts, schema=["guest", "at", "step"], orient="row")
    columns = ["customer", "rated_at", "rating", "touchpoint", "scale"]
    survey = pl.DataFrame(answers, schema=columns, orient="row")
    return _written(log, "at"), _written(survey, "rated_at"), float(np.mean(truth))


def _written(table: pl.DataFrame, column: str) -> pl.DataFrame:
    return table.with_columns(pl.col(column).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture(scope="module")
def hotel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, pl.DataFrame, pl.DataFrame]:
    log, survey, _ = simulate(1, 700)
    stars = survey.sample(300, seed=3).with_columns(
        rating=(pl.col("rating") / 2.5 + 1).round(), scale=pl.lit("stars")
    )
    both = pl.concat([survey, stars.with_columns(pl.col("rating").cast(pl.Int64))])
    return build(tmp_path_factory.mktemp("hotel"), log, both), log, both


def test_every_figure_of_the_answers_equals_counting_them(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame],
) -> None:
    workspace, log, survey = hotel
    found = measure_perception(workspace).table
    for row in found.iter_rows(named=True):
        said = survey.filter(
            (pl.col("touchpoint") == row["group"]) & (pl.col("scale") == row["scale"])
        )["rating"].to_list()
        contacts = log.filter(pl.col("step") == row["group"]).height
        scale = (0.0, 10.0) if row["scale"] == "nps" else (1.0, 5.0)
        assert row["n"] == row["customers"] == len(said)
        assert (row["contacts"], row["response"]) == (contacts, pytest.approx(len(said) / contacts))
        # by hand a guest who comes again counts as one who answers twice
        oracle = mean_score([len(said)], [sum(said)], [sum(s * s for s in said)], scale=scale)
        assert row["mean"] == pytest.approx(sum(said) / len(said))
        assert row["mean_low"] == pytest.approx(oracle.low[0])
        assert row["mean_high"] == pytest.approx(oracle.high[0])
        if row["scale"] == "stars":
            assert row["nps"] is None
            continue
        counts = [sum(lo <= s <= hi for s in said) for lo, hi in ((0, 6), (7, 8), (9, 10))]
        nps = net_promoter_score(*([c] for c in counts))
        assert row["nps"] == pytest.approx(100 * (counts[2] - counts[0]) / len(said))
        assert (row["nps_low"], row["nps_high"]) == (
            pytest.approx(nps.low[0]),
            pytest.approx(nps.high[0]),
        )
    assert set(found["group"]) == set(STEPS)


def test_ridits_compare_scales_by_rank(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame],
) -> None:
    workspace, _, survey = hotel
    found = measure_perception(workspace).table
    for row in found.iter_rows(named=True):
        said = survey.filter(pl.col("scale") == row["scale"])
        own = said.filter(pl.col("touchpoint") == row["group"])["rating"].to_list()
        every = said["rating"].to_list()
        beats = [sum((a > b) + (a == b) / 2 for b in every) / len(every) for a in own]
        assert row["ridit"] == pytest.approx(np.mean(beats))
        assert row["ridit_low"] < row["ridit"] < row["ridit_high"]


@pytest.mark.parametrize("by", ["stage", "transition", "channel", "owner", "period"])
def test_answers_are_told_apart_by_anything_and_add_up(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame], by: str
) -> None:
    workspace, _, survey = hotel
    found = measure_perception(workspace, by=by, scale="nps").table
    whole = survey.filter(pl.col("scale") == "nps")
    if by == "transition":
        assert "search → booking" in found["group"]
        began = whole.filter(pl.col("touchpoint") == "search").height
        assert found["n"].sum() == len(whole) - began  # the first contact came from nowhere
    else:
        assert found["n"].sum() == len(whole)


def test_a_name_that_the_log_does_not_have_is_an_error(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'touchpoint'"):
        measure_perception(hotel[0], by="touchpoin")
    with pytest.raises(UnknownNameError, match="scale 'csat'"):
        measure_perception(hotel[0], scale="csat")
    silent = build(tmp_path, hotel[1], None)
    with pytest.raises(NotMeasurableError, match="has no ratings"):
        measure_perception(silent)


def test_the_command_prints_what_was_measured(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame],
) -> None:
    import json

    from typer.testing import CliRunner

    done = CliRunner().invoke(
        app, ["perception", str(hotel[0].path), "--by", "stage", "--scale", "nps", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["stage"] for row in rows] == ["before", "during", "after"]
    asked = "scale n response mean mean_low mean_high weighted weighted_low weighted_high bound"
    assert {*asked.split(), "trusted", "nps", "nps_low", "nps_high"} <= rows[0].keys()


def whole(folder: Path, seed: int, **how: float) -> tuple[Perception, float]:
    log, survey, truth = simulate(seed, **how)  # type: ignore[arg-type]
    return measure_perception(build(folder, log, survey)), truth


def test_answering_that_depends_on_the_rating_is_seen_and_said(tmp_path: Path) -> None:
    seen, off, held = 0, [], 0
    for seed in range(8):
        found, truth = whole(tmp_path / str(seed), seed, by_rating=0.35)
        row = found.scales.row(0, named=True)
        seen += row["depends"] is True and not found.table["trusted"].any()
        off.append(row["mean"] - truth)
        held += row["tilted"] is not None and row["tilted_low"] <= truth <= row["tilted_high"]
        if row["depends"]:
            assert any("answer more often" in s for s in found.sentences())
    assert np.mean(off) > 0.5
    assert seen >= 7
    assert held >= 6


def test_answering_by_chance_is_trusted(tmp_path: Path) -> None:
    doubted = 0
    for seed in range(8):
        found, truth = whole(tmp_path / str(seed), 100 + seed)
        row = found.scales.row(0, named=True)
        doubted += (~found.table["trusted"]).any()
        # what half a point would change is trusted only where that is ruled out
        margin = pl.col("bound") * (1 - pl.col("response"))
        weak = found.table.filter(~margin.ge(0.5) | pl.col("verdict").is_null())
        assert weak["trusted"].is_null().all() == (row["depends"] is None)
        assert row["mean_low"] - 0.2 <= truth <= row["mean_high"] + 0.2
    assert doubted <= 1


@pytest.mark.parametrize(("silent", "told"), [(16, True), (2, None)])
def test_where_few_are_silent_they_are_trusted_not_to_matter(
    tmp_path: Path, silent: int, told: bool | None
) -> None:
    """One of so many says nothing, and nothing that was logged goes with the rating."""
    dice = Random(5)
    log = [
        contact(f"c{n:03}", n % 90, "page", rating=dice.randint(1, 5) if n % silent else None)
        for n in range(400)
    ]
    found = measure_perception(make_workspace(tmp_path, log))
    assert found.table["trusted"].to_list() == [told]
    assert found.scales["depends"].to_list() == [None if told is None else False]
    said = "which the few others can hardly move" if told else "cannot be told from this log"
    assert said in found.sentences()[-1]


def test_who_answers_once_for_a_journey_is_not_silent_at_its_other_contacts(
    tmp_path: Path,
) -> None:
    """Three contacts each; nine of ten journeys are rated once, after the last or before it."""
    dice, log = Random(4), []
    for number in range(300):
        rated = None if number % 20 == 0 else 1 if number % 20 < 4 else 2
        for i, place in enumerate(("page", "basket", "pay")):
            stars = dice.choice([1, 1, 2, 3] if i == 1 else [4, 5, 5, 5]) if i == rated else None
            log.append(contact(f"c{number:03}", number % 90 + i, place, rating=stars))
    found = measure_perception(make_workspace(tmp_path, log))
    rows = {row["group"]: row for row in found.table.to_dicts()}
    assert [rows[p]["contacts"] for p in ("basket", "pay")] == [45, 255]
    assert [rows[p]["n"] for p in ("basket", "pay")] == [45, 240]
    assert (rows["basket"]["verdict"], rows["basket"]["trusted"]) == ("lower", True)
    assert all(abs(row["weighted"] - row["mean"]) < 0.1 for row in rows.values())


def test_a_contact_is_late_where_its_planned_step_was(tmp_path: Path) -> None:
    log, plan = random_log(3, customers=120), PlannedHandoff("page", "basket", timedelta(days=4))
    rule = replace(journey_map(), planned_handoffs=(plan,))
    workspace = make_workspace(tmp_path, log, rule=rule)
    names = dict(workspace.places.select("place", "touchpoint").iter_rows())
    rows = [r | {"at": names[r["place"]]} for r in workspace.store().collect().to_dicts()]
    found, states = comes_late(workspace).to_list(), set()
    for i, row in enumerate(rows):
        own = [k for k in range(i + 1) if rows[k]["journey"] == row["journey"]]
        last = max((k for k in own if rows[k]["at"] == "page"), default=None)
        late = None
        if last is not None:
            due = rows[last]["occurred_at"] + plan.deadline
            then = (r for r in rows[last + 1 :] if r["customer"] == row["customer"])
            came = next((r["occurred_at"] for r in then if r["at"] == "basket"), None)
            overdue = True if due < workspace.observed_until else None
            late = overdue if came is None else came > due
        assert found[i] is late
        states.add(late)
    assert states == {True, False, None}


def test_a_bound_is_what_it_takes_to_change_the_verdict(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame],
) -> None:
    table = measure_perception(hotel[0], scale="nps").table
    for row in table.filter(pl.col("verdict").is_not_null()).iter_rows(named=True):
        assert row["bound"] >= 0
        assert (row["mean"] < row["others"]) == (row["verdict"] == "lower")


def test_thirty_ratings_are_answered_honestly_and_shortly(tmp_path: Path) -> None:
    log, survey, _ = simulate(5, 300)
    found = measure_perception(build(tmp_path, log, survey.head(30)))
    assert found.table["n"].sum() == 30
    assert any("cannot be told" in s for s in found.sentences())


def test_every_question_keeps_the_scales_of_one_log_apart(
    hotel: tuple[Workspace, pl.DataFrame, pl.DataFrame],
) -> None:
    workspace, _, survey = hotel
    given = dict(survey.group_by("scale").len().rows())
    for measure in (measure_experience_curve, measure_spectrum):
        found = measure(workspace).table
        assert dict(found.group_by("scale").agg(pl.col("n").sum()).rows()) == given
        one = measure(workspace, scale="stars").table
        assert one.rows() == found.filter(pl.col("scale") == "stars").select(one.columns).rows()
    drivers = measure_drivers(workspace).table
    assert dict(drivers.select("outcome", "n").unique().rows()).items() >= given.items()
    told = measure_loyalty(workspace).table["by"].unique()
    assert {"rating.nps", "rating.stars"} <= set(told)
    assert {s.split(":")[0] for s in measure_experience_curve(workspace).sentences()} == set(given)
