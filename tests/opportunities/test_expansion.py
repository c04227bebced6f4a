"""Expansion: a rare way that works is found with its experiment; noise and selection are not."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.errors import InputError, NotMeasurableError, UnknownNameError
from cxlib.opportunities.expansion import RARE, find_expansions, find_setbacks
from cxlib.opportunities.experiments import plan_experiment, read_experiment, sample_size
from cxlib.opportunities.priorities import list_priorities

UNTIL = START + timedelta(days=200)


def shop(folder, *, lift=0.0, mixed=0.0, customers=3_000, seed=1):
    """From an ad most go to the page, 7 % to a visit, then some pay.

    `lift` raises the chance to pay after the visit; `mixed` is the share of keen customers, who
    come by newsletter, visit more often and pay more often, whatever way they take.
    """
    dice = np.random.default_rng(seed)
    rows, people = [], []
    for who in range(customers):
        keen = dice.random() < mixed
        name, day = f"c{who:05}", dice.uniform(0, 150)
        group = "new" if dice.random() < 0.5 else "old"
        people.append({"customer": name, "group": group})
        rare = dice.random() < (0.25 if keen else 0.07)
        way = [*(["newsletter"] if keen else []), "ad", "visit" if rare else "page"]
        pays = 0.2 + 0.4 * keen + lift * rare + 0.1 * (group == "new")
        way += ["pay"] if dice.random() < pays else []
        for step, what in enumerate(way):
            rows.append(contact(name, round((day + step * 0.1) * 1440) / 1440, what))
    rule = journey_map(lost=(), until=UNTIL)
    return make_workspace(folder / "ws", rows, rule=rule, customers=pl.DataFrame(people))


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("works"), lift=0.35)


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """Who visits pays more often, because who is keen visits more often: the visit does nothing."""
    return shop(tmp_path_factory.mktemp("selected"), mixed=0.3)


def pairs(found):
    return list(found.found.select("source", "target").iter_rows())


def test_a_rare_way_that_works_is_found_with_the_experiment_that_would_tell(works):
    found = find_expansions(works)
    assert pairs(found) == [("ad", "visit")]
    (row,) = found.found.to_dicts()
    assert row["walked"] < RARE
    assert row["difference_low"] <= 0.35 <= row["difference_high"]
    assert row["expected"] == pytest.approx(row["observed"] - row["difference"])
    low = row["expected"] + row["difference_low"]
    size = np.ceil(sample_size(row["expected"], low) * row["design_effect"])
    assert row["sample"] == size
    assert row["lasting"] > timedelta(days=1)
    assert "hypotheses" in found.sentences()[0]
    assert "ad → visit" in found.sentences()[1]


def test_it_is_what_a_plain_count_over_strata_says(selected):
    found = find_expansions(selected)
    (row,) = found.table.filter(source="ad", target="visit").to_dicts()
    store = (
        selected.store()
        .collect()
        .join(selected.places.select("place", "touchpoint").cast({"place": pl.UInt16}), on="place")
        .sort("journey", "occurred_at")
    )
    last = START + timedelta(days=200) - found.horizon
    cells, crude = {}, {True: [0, 0], False: [0, 0]}
    for journey in store.partition_by("journey", maintain_order=True):
        names, at = journey["touchpoint"].to_list(), journey["occurred_at"].to_list()
        here = names.index("ad")
        if at[here] > last:
            continue
        pays = names[-1] == "pay" and at[-1] <= at[here] + found.horizon
        third = journey["period"][here] * 3 // len(selected.periods.starts)
        key = (here, journey["segment"][0], third)
        side = cells.setdefault(key, {True: [0, 0], False: [0, 0]})
        for counted in (side, crude):
            counted[names[here + 1] == "visit"][0] += 1
            counted[names[here + 1] == "visit"][1] += pays
    top = bottom = 0.0
    for side in cells.values():
        (n, y), (others, goals) = side[True], side[False]
        if n and others:
            weight = n * others / (n + others)
            top += weight * (y / n - goals / others)
            bottom += weight
    assert row["difference"] == pytest.approx(top / bottom)
    assert row["n"] == crude[True][0]
    (n, y), (others, goals) = crude[True], crude[False]
    assert row["crude"] == pytest.approx(y / n - goals / others)


def test_who_would_have_done_better_anyway_is_no_expansion(selected):
    found = find_expansions(selected)
    (row,) = found.table.filter(source="ad", target="visit").to_dicts()
    assert row["crude"] > 0.08  # without looking for like journeys it would stand
    assert abs(row["difference"]) < 0.07
    assert found.found.is_empty()
    assert "no rare link goes with" in found.sentences()[-1]


def test_an_experiment_is_read_from_its_assigned_group(works):
    read = read_experiment(works, "group", treated="new", control="old")
    assert read.low <= 0.1 <= read.high
    assert read.low > 0
    assert read.p < 0.001
    assert read.mismatch > 0.001
    assert "new does better than old" in read.sentences()[0]
    turned = read_experiment(works, "group", treated="old", control="new")
    assert turned.difference == pytest.approx(-read.difference)
    with pytest.raises(InputError, match="with itself"):
        read_experiment(works, "group", treated="new", control="new")
    with pytest.raises(UnknownNameError, match="grop"):
        read_experiment(works, "grop", treated="new", control="old")


def test_groups_that_are_no_halves_are_not_trusted(tmp_path):
    log = [contact(f"c{i:04}", i / 10, "ad") for i in range(900)]
    log += [contact(f"c{i:04}", i / 10 + 1, "pay") for i in range(0, 900, 3)]
    people = pl.DataFrame(
        {"customer": [f"c{i:04}" for i in range(900)], "group": ["a"] * 540 + ["b"] * 360}
    )
    rule = journey_map(lost=(), until=UNTIL)
    made = make_workspace(tmp_path / "ws", log, rule=rule, customers=people)
    read = read_experiment(made, "group", treated="a", control="b")
    assert read.mismatch < 0.001
    assert "not to be trusted" in read.sentences()[-1]


def test_without_a_goal_there_is_no_better(tmp_path):
    log = [contact("c1", 0, "ad"), contact("c1", 1, "page")]
    made = make_workspace(tmp_path / "ws", log, rule=journey_map(goal=(), lost=()))
    with pytest.raises(NotMeasurableError, match="names none"):
        find_expansions(made)


def test_the_command(works):
    def run(*options):
        done = CliRunner().invoke(app, ["expansion", str(works.path), *options])
        return done.exit_code, done.stdout, done.stderr

    code, out, _ = run("--json")
    assert code == 0
    row = json.loads(out)[0]
    assert (row["source"], row["target"], row["stands"]) == ("ad", "visit", True)
    assert row["lasting_seconds"] > 0
    assert run()[0] == 0
    code, out, _ = run("--experiment", "group: new / old", "--json")
    assert json.loads(out)["difference"] > 0
    assert run("--experiment", "group: new / old")[0] == 0
    code, _, err = run("--experiment", "new")
    assert (code, "group: new page / old page" in err) == (1, True)


def test_an_experiment_lasts_until_both_groups_are_full():
    sample, lasting = plan_experiment(0.10, 0.15, a_day=100, design_effect=1.5)
    assert sample == np.ceil(1.5 * 683)
    assert lasting == timedelta(days=21)


@pytest.mark.parametrize(
    ("first", "second", "size"),
    # statsmodels' NormalIndPower with Cohen's h is near, not equal: these are by the formula
    [(0.10, 0.15, 683), (0.5, 0.4, 385), (0.02, 0.01, 2316)],
)
def test_sample_size(first, second, size):
    assert sample_size(first, second) == pytest.approx(size, abs=2)


def checkout(folder, *, errors=True, lost=(), pays_after=0.15):
    """From the basket most go on to pay; every eighth comes to an error, after which few do."""
    dice, rows = np.random.default_rng(5), []
    for who in range(2_500):
        name, day, failed = f"c{who:05}", dice.uniform(0, 150), dice.random() < 0.12
        way = ["page", "basket", *(["refused"] if failed else [])]
        pays = dice.random() < (pays_after if failed and errors else 0.6)
        way += ["pay"] if pays else ["visit"] if dice.random() < 0.5 else []
        for step, what in enumerate(way):
            rows.append(contact(name, round((day + step * 0.1) * 1440) / 1440, what))
    return make_workspace(folder / "ws", rows, rule=journey_map(lost=lost, until=UNTIL))


def test_an_error_that_few_meet_and_after_which_few_reach_the_goal_is_a_setback(tmp_path):
    workspace = checkout(tmp_path)
    (row,) = find_setbacks(workspace)
    assert row["touchpoint"] == "refused"
    assert row["observed"] == pytest.approx(0.15, abs=0.06)  # three standard errors of 300
    assert row["low"] < row["difference"] < row["high"] < -0.1
    lines = list_priorities(workspace).table
    line = lines.filter(source="refused").row(0, named=True)
    assert line["what"].startswith("after refused ")
    assert line["customers_affected"] == int(-row["high"] * row["n"])


def test_a_contact_that_changes_nothing_is_no_setback(tmp_path):
    assert find_setbacks(checkout(tmp_path / "same", errors=False)) == []
    # nor is a loss that the map names: who comes there has decided so
    assert find_setbacks(checkout(tmp_path / "loss", lost=("refused",))) == []
    # nor one that the map does not name, but after which nobody reaches the goal
    assert find_setbacks(checkout(tmp_path / "end", pays_after=0.0)) == []


def test_both_channels_of_a_rare_way_are_told(works):
    row = find_expansions(works).found.row(0, named=True)
    assert (row["source_channel"], row["target_channel"]) == ("web", "store")
    assert row["way"] == "ad → visit"


def test_a_step_that_the_others_take_later_is_no_other_way(tmp_path):
    """Few go to the visit at once, the others by the page: coming there sooner is no lever."""
    dice, rows = np.random.default_rng(2), []
    for who in range(3_000):
        day, soon = dice.uniform(0, 150), dice.random() < 0.08
        way = ["ad", "visit"] if soon else ["ad", "page"] + ["visit"] * (dice.random() < 0.6)
        way += ["pay"] if way[-1] == "visit" and dice.random() < 0.7 else []
        for step, what in enumerate(way):
            rows.append(contact(f"c{who:05}", round((day + step * 0.1) * 1440) / 1440, what))
    workspace = make_workspace(tmp_path / "ws", rows, rule=journey_map(lost=(), until=UNTIL))
    found = find_expansions(workspace)
    row = found.table.filter(source="ad", target="visit").row(0, named=True)
    assert row["difference_low"] > 0.1
    assert row["anyway"] == pytest.approx(0.6, abs=0.05)
    assert not row["stands"]
    step, none = found.sentences()[1:3]
    assert step.startswith("ad → visit: better beyond chance, but most of those")
    assert none.startswith("no other rare link")
