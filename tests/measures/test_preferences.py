"""What customers prefer: counted by hand, shrunk where little is known, ids on one side only."""

import json
from collections import Counter, defaultdict
from random import Random

import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace
from typer.testing import CliRunner

from cxlib.cli.app import app
from cxlib.errors import InputError
from cxlib.measures.preferences import PRIOR, list_audience, measure_preferences


def prefer_log(customers=200, *, seed=1, lift=1.5):
    """Half of the customers call mostly, half use the web; the store is rated `lift` higher."""
    dice = Random(seed)
    log = []
    for number in range(customers):
        name, day, usual = f"c{number:03}", dice.uniform(0, 50), dice.gauss(5, 1.5)
        for _ in range(6):
            often = ("support", "phone") if number % 2 else ("page", "web")
            step, channel = often if dice.random() < 0.8 else ("visit", "store")
            score = usual + dice.gauss(0, 0.8) + lift * (channel == "store")
            log.append(contact(name, day, step, channel, rating=min(max(score, 0), 10)))
            day += dice.uniform(0.1, 4)
    return log


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    log = prefer_log()
    people = pl.DataFrame(
        {"customer": [f"c{i:03}" for i in range(200)], "kind": ["web", "phone"] * 100}
    )
    folder = tmp_path_factory.mktemp("prefer") / "ws"
    return make_workspace(folder, log, rule=journey_map(), customers=people), log


def test_shares_and_preferences_are_what_a_loop_counts(asked):
    workspace, log = asked
    found = measure_preferences(workspace).table.filter(pl.col("by") == "all")
    n = Counter(c.channel for c in log)
    own = defaultdict(Counter)
    for c in log:
        own[c.customer][c.channel] += 1
    for row in found.to_dicts():
        name = row["name"]
        assert row["n"] == n[name]
        assert row["share"] == pytest.approx(n[name] / len(log))
        assert row["customers"] == sum(name in c for c in own.values())
        prior = PRIOR * n[name] / len(log)
        clear = [w for w, c in own.items() if c[name] and (c[name] + prior) / (6 + PRIOR) > 0.5]
        assert row["prefer"] == len(clear)
        audience = list_audience(workspace, name)
        assert sorted(audience["customer"]) == sorted(clear)


def test_what_is_rated_better_is_told_apart_from_who_is_easily_pleased(asked):
    found = measure_preferences(asked[0])
    store = found.table.filter(pl.col("by") == "all", pl.col("name") == "store").row(0, named=True)
    assert store["lift_low"] < 1.5 < store["lift_high"]
    assert store["lift_low"] > 1.0
    assert "Customers rate store" in " ".join(found.sentences())
    kinds = found.table.filter(pl.col("by") == "segment.kind", pl.col("name") == "phone")
    assert dict(kinds.select("group", "prefer").rows()).get("web", 0) == 0


def test_groups_alike_are_drawn_together(tmp_path):
    people = pl.DataFrame(
        {"customer": [f"c{i:03}" for i in range(200)], "kind": [f"k{i % 8}" for i in range(200)]}
    )
    workspace = make_workspace(
        tmp_path / "ws", prefer_log(seed=4), rule=journey_map(), customers=people
    )
    rows = measure_preferences(workspace).table.filter(
        pl.col("by") == "segment.kind", pl.col("name") == "store"
    )
    assert len(rows) == 8
    assert rows["lift"].std() < 0.25  # 25 customers each: a standard error of 0.3 apart
    inside = rows.filter((pl.col("lift_low") < 1.5) & (pl.col("lift_high") > 1.5))
    assert len(inside) >= 7


def test_the_command_prints_a_table_and_writes_an_audience(asked, tmp_path):
    folder = str(asked[0].path)
    run = CliRunner().invoke(app, ["preferences", folder, "--json"])
    assert run.exit_code == 0, run.output
    assert {"by", "group", "name", "share", "lift"} <= json.loads(run.output)[0].keys()
    assert "c0" not in run.output
    file = tmp_path / "phone.csv"
    run = CliRunner().invoke(app, ["preferences", folder, "--audience", "phone", "--to", str(file)])
    assert run.exit_code == 0, run.output
    assert (
        pl.read_csv(file)["customer"].to_list()
        == list_audience(asked[0], "phone")["customer"].to_list()
    )
    again = CliRunner().invoke(
        app, ["preferences", folder, "--audience", "phone", "--to", str(file)]
    )
    assert again.exit_code == 1
    assert "exists" in again.output


def test_what_cannot_be_meant_is_refused(asked):
    with pytest.raises(InputError, match="no channel 'fax'"):
        list_audience(asked[0], "fax")
    with pytest.raises(InputError, match="not of 'mood'"):
        measure_preferences(asked[0], of="mood")


def test_one_channel_is_no_choice(tmp_path):
    log = [contact(f"c{i}", 0, "page", "web") for i in range(30)]
    found = measure_preferences(make_workspace(tmp_path / "ws", log, rule=journey_map()))
    assert found.sentences() == [
        "All contacts that customers begin are in one channel, web: no choice"
    ]
