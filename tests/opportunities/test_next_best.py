"""What to offer next: chances against loops by hand, cap and quiet time, lists and what came."""

import json
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from journey_oracle import START, contact, journey_map, make_workspace
from opportunity_logs import as_log, walk, world
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.errors import InputError, NotMeasurableError
from cxlib.opportunities.next_best import DRAWN, LEAST_ADVISED, next_best

UNTIL = START + timedelta(days=220)


@pytest.fixture(scope="module")
def log():
    return as_log(walk(world(3), 3_000, 3, fault=0.0)[0])


@pytest.fixture(scope="module")
def shop(tmp_path_factory, log):
    folder = tmp_path_factory.mktemp("next") / "ws"
    return make_workspace(folder, log, rule=journey_map(lost=(), until=UNTIL))


@pytest.fixture(scope="module")
def found(shop):
    return next_best(shop)


def journeys_of(log):
    """Contacts of each customer in order: the gap of this log ends no journey."""
    of = {}
    for c in sorted(log, key=lambda c: (c.customer, c.at)):
        of.setdefault(c.customer, []).append(c)
    return of.values()


def by_hand(log, horizon):
    """Chances in loops: of next, of (last, next), of (before, last, next)."""
    counts = [Counter() for _ in range(4)]
    goals = [Counter() for _ in range(4)]
    for contacts in journeys_of(log):
        goal = next((c.at for c in contacts if c.touchpoint == "pay"), None)
        for i, c in enumerate(contacts[:-1]):
            after = contacts[i + 1].touchpoint
            if (goal is not None and c.at >= goal) or after == "pay" or c.at + horizon > UNTIL:
                continue
            won = goal is not None and goal - c.at <= horizon
            before = contacts[i - 1].touchpoint if i else None
            for k, key in enumerate(
                [(), (after,), (c.touchpoint, after), (before, c.touchpoint, after)]
            ):
                counts[k][key] += 1
                goals[k][key] += won
    everybody = goals[0][()] / counts[0][()]

    def shrunk(k, key, wider):
        return (goals[k][key] + DRAWN * wider) / (counts[k][key] + DRAWN)

    def chance(before, last, after):
        wide = shrunk(2, (last, after), shrunk(1, (after,), everybody))
        return shrunk(3, (before, last, after), wide)

    return chance, counts[2]


def test_chances_are_those_of_loops_by_hand_and_the_best_is_advised(log, found):
    chance, walked = by_hand(log, found.horizon)
    rows = found.table.drop_nulls("next_touchpoint").to_dicts()
    assert len(rows) > 5
    for row in rows:
        ways = {a: n for (last, a), n in walked.items() if last == row["last"]}
        chances = {
            a: chance(row["before"], row["last"], a) for a, n in ways.items() if n >= LEAST_ADVISED
        }
        assert row["next_touchpoint"] == max(chances, key=chances.get)
        assert row["chance"] == pytest.approx(chances[row["next_touchpoint"]])
        assert row["n"] == ways[row["next_touchpoint"]]
        assert row["chance"] >= row["usual"] - 1e-9


def test_the_goal_is_never_advised_nor_what_few_have_done(found):
    told = found.table.drop_nulls("next_touchpoint")
    assert "pay" not in set(told["next_touchpoint"])
    assert (told["n"] >= LEAST_ADVISED).all()


def test_what_was_learned_before_is_held_against_what_came_after(found):
    ours, popular = found.test.to_dicts()
    assert [ours["rule"], popular["rule"]] == ["next best", "most popular"]
    assert ours["n"] == popular["n"] == found.calibration["n"].sum()
    assert popular["followed"] >= ours["followed"]
    assert len(found.calibration) == 5
    assert found.calibration["foretold"].is_sorted()
    assert np.abs(found.calibration["off"]).max() < 10
    assert any("most go" in line for line in found.sentences())


def test_where_nothing_differs_the_advice_is_not_called_better(tmp_path):
    dice = np.random.default_rng(5)
    names = ["ad", "page", "visit", "basket"]
    rows = []
    for who in range(2_000):
        day = dice.uniform(0, 200)
        for _ in range(dice.integers(2, 7)):
            rows.append(contact(f"c{who}", round(day * 1440) / 1440, names[dice.integers(4)]))
            day += dice.exponential(1) + 0.001
        if dice.random() < 0.3:
            rows.append(contact(f"c{who}", round(day * 1440) / 1440, "pay"))
    ws = make_workspace(tmp_path / "ws", rows, rule=journey_map(lost=(), until=UNTIL))
    ours, popular = next_best(ws).test.to_dicts()
    assert ours["goal_low"] <= popular["goal_high"]
    assert "not surely better" in " ".join(next_best(ws).sentences())


def test_cap_and_quiet_time_leave_out_by_what_the_log_says(tmp_path, log):
    last = 219.0
    extra = [contact("calm", last - 5, "page"), contact("just now", last + 0.9, "page")]
    extra += [contact("often", last - d, "newsletter") for d in (3, 2.5, 2)]
    extra += [contact("twice", last - d, "newsletter") for d in (3, 2)]
    extra += [contact("long ago", last - 40, "page"), contact("won", last - 3, "pay")]
    ws = make_workspace(tmp_path / "ws", [*log, *extra], rule=journey_map(lost=(), until=UNTIL))
    asked = {"quiet": timedelta(hours=12)}
    listed = set(next_best(ws, **asked).audience["customer"])
    assert {"calm", "twice"} <= listed
    assert not {"often", "just now", "long ago", "won"} & listed
    capped = next_best(ws, most_contacts=2, **asked)
    assert "twice" not in set(capped.audience["customer"])
    assert capped.capped == next_best(ws, **asked).capped + 1
    assert next_best(ws, quiet=timedelta(0)).quiet == 0
    with pytest.raises(InputError, match="at least 1"):
        next_best(ws, most_contacts=0)


def test_without_a_goal_it_says_what_is_missing(tmp_path, log):
    ws = make_workspace(tmp_path / "ws", log[:200], rule=journey_map(goal=(), lost=()))
    with pytest.raises(NotMeasurableError, match="names none"):
        next_best(ws)


def test_the_commands_print_tables_json_and_lists(shop, tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    assert "offer" in run("next", shop.path)
    told = json.loads(run("next", shop.path, "--json", "--to", tmp_path / "a.csv"))
    assert {"states", "test", "calibration", "capped", "quiet"} <= told.keys()
    assert {"last", "next_touchpoint", "chance", "customers"} <= told["states"][0].keys()
    done = CliRunner().invoke(app, ["next", str(shop.path), "--came-of", str(tmp_path / "a.csv")])
    assert done.exit_code == 1
    assert "read a newer one" in done.stderr
