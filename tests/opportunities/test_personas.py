"""Personas: two kinds of customers are told apart; where all are alike, none is found."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.errors import NotMeasurableError
from cxlib.opportunities.personas import LEAST_STABLE, customers_with_personas, find_personas

NAMES = ["newsletter", "ad", "page", "visit", "basket"]
WEB, STORE = [0.05, 0.2, 0.5, 0.05, 0.2], [0.3, 0.05, 0.05, 0.5, 0.1]


def simulated(kinds, *, customers=900, seed=1):
    """Customers of each kind go wherever their kind goes; of the first every other one pays."""
    dice = np.random.default_rng(seed)
    rows, truth = [], {}
    for who in range(customers):
        truth[f"c{who}"] = kind = who % len(kinds)
        day = dice.uniform(0, 150)
        for place in dice.choice(5, size=dice.integers(6, 14), p=kinds[kind]):
            rows.append(contact(f"c{who}", round(day * 1440) / 1440, NAMES[place]))
            day += dice.exponential(1) + 0.001
        if kind == 0 and dice.random() < 0.5:
            rows.append(contact(f"c{who}", round(day * 1440) / 1440, "pay"))
    return rows, truth


def built(folder, kinds, **more):
    rows, truth = simulated(kinds, **more)
    rule = journey_map(lost=(), until=START + timedelta(days=220))
    return make_workspace(folder / "ws", rows, rule=rule), truth


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return built(tmp_path_factory.mktemp("two"), (WEB, STORE))


@pytest.fixture(scope="module")
def found(two):
    return find_personas(two[0])


def test_two_kinds_are_told_apart_and_named_by_where_they_go(two, found):
    shop, truth = two
    assert found.reason is None
    assert found.stability >= LEAST_STABLE
    assert found.clearer > 0
    ids = shop.customers().select("customer", "name").collect()
    said = found.members.join(ids, on="customer")
    assert adjusted_rand_score([truth[n] for n in said["name"]], said["persona"]) > 0.8
    assert found.table["persona"].n_unique() == len(found.table)
    assert found.table["customers"].sum() == len(found.members)
    assert found.table["part"].sum() == pytest.approx(1)
    names = " ".join(found.table["persona"])
    assert "web" in names or "page" in names
    assert "store" in names or "visit" in names
    # outcomes take no part, and are told: only one kind ever pays
    assert found.table["goal"].max() > 0.4
    assert found.table["goal"].min() < 0.1


def test_where_all_go_on_by_the_same_chances_there_are_none(tmp_path):
    shop, _ = built(tmp_path, (WEB,), seed=4)
    none = find_personas(shop)
    assert none.reason is not None
    assert none.table.is_empty()
    assert none.members.is_empty()
    assert "no personas" in none.sentences()[0]
    done = CliRunner().invoke(app, ["personas", str(shop.path), "--to", str(tmp_path / "a.csv")])
    assert done.exit_code == 1
    assert "nothing to write" in done.stderr


def test_too_few_customers_are_refused(tmp_path):
    shop, _ = built(tmp_path, (WEB, STORE), customers=40)
    with pytest.raises(NotMeasurableError, match="personas take 200 customers"):
        find_personas(shop)


def test_a_persona_is_a_segment_everywhere_once_ingested(two, found, tmp_path):
    shop, _ = two
    table = customers_with_personas(shop, found)
    assert table.columns == ["customer", "persona"]
    assert len(table) == len(shop.customers().collect())
    rule = journey_map(lost=(), until=START + timedelta(days=220))
    again = make_workspace(
        tmp_path / "again", simulated((WEB, STORE))[0], rule=rule, customers=table
    )
    assert again.segment_names == ("persona",)
    twice = customers_with_personas(again, found)
    assert twice.columns == ["customer", "persona", "journey_persona"]
    assert twice.filter(pl.col("persona") != pl.col("journey_persona")).is_empty()
    done = CliRunner().invoke(app, ["personas", str(shop.path), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["reason"] is None
    assert {r["persona"] for r in told["personas"]} == set(found.table["persona"])
