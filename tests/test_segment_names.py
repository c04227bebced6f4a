"""Segment dimensions may be called anything: every column that is ours, to begin with."""

import json
import re
from pathlib import Path

import polars as pl
import publish_log
import pytest
from typer.testing import CliRunner

from cxlib.cli.app import app
from cxlib.contracts import CUSTOMERS
from cxlib.publish import Snapshot, publish
from cxlib.sequences import GROUPS
from cxlib.store import Workspace
from cxlib.store.counting import TABLES

PACKAGE = Path(__file__).parents[1] / "cxlib"


def names_of_ours() -> list[str]:
    """Every name that is a column somewhere in the package, as far as its code tells."""
    found = {"segment", "segment.x", "x", "name", "customers", "n", "count", "level", "key", "bin"}
    for path in PACKAGE.rglob("*.py"):
        found |= set(re.findall(r'pl\.col\("([a-z_]+)"\)', path.read_text("utf-8")))
    found |= {key for table in TABLES.values() for key in table.keys}
    return sorted(found - {*CUSTOMERS.schema, "at", "what", "via", "who"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    log, people = publish_log.simulate(seed=2, customers=70)
    pl.DataFrame(log).write_csv(folder / "log.csv")
    kinds = {p["customer"]: "one" if n % 2 else "two" for n, p in enumerate(people)}
    table = {"customer": list(kinds), **{n: list(kinds.values()) for n in names_of_ours()}}
    pl.DataFrame(table).write_csv(folder / "people.csv")
    (folder / "map.yaml").write_text(publish_log.MAP)
    run("ingest", folder / "log.csv", "--map", folder / "map.yaml", "--out", folder / "shop",
        "--customers", folder / "people.csv")  # fmt: skip
    return folder / "shop"


def run(*arguments) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_all_of_them_are_dimensions(shop):
    assert len(names_of_ours()) > 150
    assert sorted(Workspace.open(shop).segment_names) == names_of_ours()


@pytest.mark.parametrize(
    "command", ["map", "transitions", "findings", "perception", "funnel --steps advert,basket"]
)
def test_every_command_answers_for_each_of_them_alike(shop, command):
    def answer(name):
        told = json.loads(run(*command.split(), shop, "--json", "--segment", f"{name}=one"))
        return json.loads(json.dumps(told).replace(json.dumps(f"{name}=one"), '""'))

    names = ["segment", "period", "n", "customers"]
    names = [n for n in names if n in names_of_ours()]
    first = answer("x")
    for name in names:
        assert answer(name) == first


@pytest.mark.parametrize("name", ["segment", "period", "n", "customers", "stage", "scale"])
def test_what_customers_say_is_told_apart_by_each_of_them(shop, name):
    def answer(by):
        rows = json.loads(run("perception", shop, "--json", "--by", by))
        return [list(r.values())[1:] for r in rows], rows  # the first is the group

    values, rows = answer(f"segment.{name}")
    assert [r[f"segment.{name}"] for r in rows] == ["one", "two"]
    assert values == answer("x")[0]
    if name not in GROUPS:  # those are told apart by what they are called
        assert answer(name)[0] == values


def test_a_snapshot_has_them(shop, tmp_path):
    names = ["x", "segment", "period", "n", "customers"]
    table = pl.read_csv(shop.parent / "people.csv", infer_schema=False)
    table.select("customer", *names).write_csv(tmp_path / "people.csv")
    log, map_file = shop.parent / "log.csv", shop.parent / "map.yaml"
    run("ingest", log, "--map", map_file, "--out", tmp_path / "shop",
        "--customers", tmp_path / "people.csv")  # fmt: skip
    publish(Workspace.open(tmp_path / "shop"), k=3, answers=("touchpoints", "findings"))
    snapshot = Snapshot.open(tmp_path / "shop")
    assert {dimension for dimension, _ in snapshot.segments} == set(names)
    one = snapshot.touchpoints(segment=("x", "one")).table
    for name in names:
        assert snapshot.touchpoints(segment=(name, "one")).table.equals(one)
