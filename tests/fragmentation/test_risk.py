"""Predictions: features against plain loops, no look into the future, and known risks recovered."""

import itertools
import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import GAP, START, contact, journey_map, make_workspace, random_log
from risk_logs import place_names, walk_customers, workspace_of

from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.features import NUMBERS, Scope, describe_contacts, read_contacts_at_risk
from cxlib.fragmentation.forecast import (
    Span,
    _follow,
    _Prior,
    forecast_excess,
    predict_handoffs,
)
from cxlib.fragmentation.risk import (
    calibration_error,
    fit_model,
    predict_journey_risk,
    update_for_silence,
)


def described(workspace, horizon=GAP):
    rows = pl.concat([pl.read_parquet(f) for f in workspace.bucket_files()])
    frame = describe_contacts(rows, Scope.of(workspace, horizon))
    names = workspace.customers().select("customer", "name").collect()
    return frame.join(names, on="customer", how="left", maintain_order="left")


def describe_by_hand(workspace, horizon):
    """What is known of each contact at risk, in loops over the store's rows."""
    rows = pl.concat([pl.read_parquet(f) for f in workspace.bucket_files()]).to_dicts()
    places = workspace.places.to_dicts()
    goals = [p["stage_index"] for p in places if p["is_goal"]]
    last_stage = max(goals) if goals else 255
    found = {}
    for _, group in itertools.groupby(rows, key=lambda r: r["customer"]):
        kept = []
        for row in group:
            before = kept[-1] if kept else None
            if (
                before
                and before["place"] == row["place"]
                and (row["occurred_at"] - before["occurred_at"]).total_seconds() <= 60
            ):
                continue
            kept.append(row)
        for i, row in enumerate(kept):
            place = places[row["place"]]
            stage = place["stage_index"]
            if place["initiated_by"] != "customer" or row["reached"] or row["lost"]:
                continue
            if stage != 255 and stage > last_stage:
                continue
            past = kept[:i]
            journey = [r for r in kept[: i + 1] if r["journey"] == row["journey"]]
            channels = [places[r["place"]]["channel"] for r in journey]
            turns, high = 0, None
            for j, r in enumerate(journey):
                s = places[r["place"]]["stage_index"]
                if s != 255:
                    turns += j > 0 and high is not None and s < high
                    high = s if high is None else max(high, s)
            own = [r for r in kept[i + 1 :] if places[r["place"]]["initiated_by"] == "customer"]
            after = (own[0]["occurred_at"] - row["occurred_at"]).total_seconds() if own else None
            outcome = None
            if workspace.observed_until - row["occurred_at"] >= horizon:
                outcome = 0
                if after is None or after > horizon.total_seconds():
                    outcome = 1
                else:
                    s = places[own[0]["place"]]["stage_index"]
                    same = own[0]["journey"] == row["journey"]
                    outcome = 2 if same and s != 255 and high is not None and s < high else 0
            wait = (row["occurred_at"] - past[-1]["occurred_at"]).total_seconds() if past else None
            age = (row["occurred_at"] - journey[0]["occurred_at"]).total_seconds()
            linked = bool(past) and past[-1]["journey"] == row["journey"]
            linked = linked and wait <= horizon.total_seconds()
            found[row["customer"], row["occurred_at"]] = {
                "source": past[-1]["place"] if linked else -1,
                "log_wait": None if wait is None else math.log1p(wait),
                "log_age": math.log1p(age),
                "log_contacts": math.log1p(len(past)),
                "journeys": row["journey"] - kept[0]["journey"],
                "ping_pongs": sum(
                    channels[j] == channels[j - 2] != channels[j - 1]
                    for j in range(2, len(channels))
                ),
                "turns_back": turns,
                "below_high": high - stage if high is not None and stage != 255 else 0,
                "hour": row["occurred_at"].hour,
                "weekday": row["occurred_at"].isoweekday(),
                "outcome": outcome,
                "return_after": after,
                "latest": not own,
            }
    return found


@pytest.mark.parametrize("goal", [("pay",), ()])
def test_features_and_outcomes_equal_plain_loops(tmp_path, goal):
    rule = journey_map(goal=goal, lost=(), until=START + timedelta(days=130))
    workspace = make_workspace(tmp_path / "ws", random_log(3, customers=120), rule=rule)
    by_hand = describe_by_hand(workspace, GAP)
    frame = described(workspace)
    assert len(frame) == len(by_hand) > 200
    assert set(frame["outcome"].to_list()) == {0, 1, 2, None}
    for row in frame.iter_rows(named=True):
        wanted = by_hand[row["customer"], row["occurred_at"]]
        for name, value in wanted.items():
            assert row[name] == (value if value is None else pytest.approx(value)), name


def test_features_do_not_know_the_future(tmp_path):
    """Two logs that agree until a day and not after it have the same features until then."""
    log = random_log(5, customers=150)
    day = START + timedelta(days=60)
    past = [c for c in log if c.at <= day]
    other = random_log(99, customers=400)
    future = [c for c in other if c.at > day]
    rule = journey_map(until=START + timedelta(days=130))
    kept = pl.col("occurred_at") <= day
    first = described(make_workspace(tmp_path / "a", log, rule=rule)).filter(kept)
    second = described(make_workspace(tmp_path / "b", past + future, rule=rule)).filter(kept)
    columns = ["name", "occurred_at", *NUMBERS, "place", "source", "channel", "handover"]
    keys = ["name", "occurred_at"]
    assert first.select(columns).sort(keys).equals(second.select(columns).sort(keys))
    assert len(first) > 100
    # labels may differ, but not where the whole horizon lay before that day
    early = pl.col("occurred_at") <= day - GAP
    names = [*keys, "outcome"]
    a, b = first.filter(early).select(names).sort(keys), second.filter(early).select(names)
    assert a.equals(b.sort(keys))
    assert not first.select("outcome").equals(second.select("outcome"))


def known_risk(source, here, day):
    if (source, here) == ("page", "visit"):
        return 0.7
    return {"page": 0.15, "visit": 0.3, "page in store": 0.45}[here]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    log = walk_customers(1, known_risk)
    return workspace_of(tmp_path_factory.mktemp("risk") / "ws", log)


def test_a_known_risk_is_learned_for_each_handoff(workspace):
    labelled, _, step = read_contacts_at_risk(workspace, GAP)
    assert step == 1
    names = place_names(workspace)
    half = labelled["customer"] % 2 == 0
    test = labelled.filter(~half)
    silent = {
        kind: fit_model(labelled.filter(half), kind).predict(test)
        for kind in ("regression", "trees")
    }
    for shares in silent.values():
        assert np.allclose(shares.sum(1), 1)
        assert calibration_error(
            (test["outcome"] > 0).to_numpy().astype(float), 1 - shares[:, 0]
        ) == pytest.approx(0, abs=0.06)
    for (source, place), rows in test.with_row_index("i").group_by("source", "place"):
        if source < 0 or len(rows) < 150:
            continue
        truth = known_risk(names[source], names[place], 0)
        for kind, shares in silent.items():
            mean = shares[rows["i"].to_numpy(), 1].mean()
            assert mean == pytest.approx(truth, abs=0.09), (names[source], names[place], kind)


def test_customers_under_way_are_scored_and_nobody_else(workspace):
    found = predict_journey_risk(workspace)
    assert found.reason is None
    contacts = workspace.events().collect().sort("customer", "occurred_at")
    latest = contacts.group_by("customer").agg(pl.col("occurred_at").max())
    under_way = latest.filter(pl.col("occurred_at") > workspace.observed_until - GAP)
    assert set(found.table["customer"]) == set(under_way["customer"])
    table = found.table
    assert table["risk"].to_list() == pytest.approx(
        (table["risk_silent"] + table["risk_back"]).to_list()
    )
    # whoever has been silent is more likely to stay so
    assert (table["risk_now"] >= table["risk"] - table["risk_back"] - 1e-9).all()
    assert table["risk_now"].is_sorted(descending=True)
    assert found.handoffs["customers"].sum() == len(table)
    assert found.handoffs["expected"].sum() == pytest.approx(table["risk_now"].sum())
    assert found.models["chosen"].sum() == 1
    assert "expected to fall silent for 30 days" in found.sentence
    assert found.sentence in found._repr_html_()
    again = predict_journey_risk(workspace)
    assert again.table.equals(table)


def test_the_update_for_silence_is_bayes_by_counting():
    labelled = pl.DataFrame(
        {"outcome": [0] * 4 + [2] * 2, "return_after": [1.0, 2.0, 3.0, 4.0, 1.0, 9.0]}
    )
    shares = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    now = update_for_silence(shares, np.array([0.0, 2.5]), labelled)
    assert now[0].tolist() == pytest.approx([0.5, 0.3, 0.2])
    on, silent, back = 0.5 * 2.5 / 4.5, 0.3, 0.2 * 1.5 / 2.5
    assert now[1].tolist() == pytest.approx([x / (on + silent + back) for x in (on, silent, back)])


def test_what_cannot_be_learned_says_so(tmp_path):
    one_day = [contact(f"c{i}", i / 2000, "page") for i in range(1500)]
    workspace = workspace_of(tmp_path / "day", one_day, days=1)
    found = predict_journey_risk(workspace)
    assert found.table.is_empty()
    assert found.handoffs.is_empty()
    assert "the log covers 24 hours" in found.sentence
    assert "Not measurable, because" in predict_handoffs(workspace).sentence
    few = workspace_of(tmp_path / "few", random_log(1, customers=20), days=130)
    assert "fewer than 1,000" in predict_journey_risk(few).sentence
    never = [contact(f"c{i % 40}", 1 + i * 0.05, "page") for i in range(3000)]
    quiet = predict_journey_risk(workspace_of(tmp_path / "never", never, days=200))
    assert "50 of either outcome are needed" in quiet.sentence


def test_wrong_arguments_are_named(workspace):
    with pytest.raises(InputError, match="give a positive duration"):
        predict_journey_risk(workspace, horizon=timedelta(0))
    with pytest.raises(UnknownNameError, match="signal"):
        predict_handoffs(workspace, signal="delay")


def span(index, cells):
    """A judged span; cells: (source, target) -> (n, effect)."""
    rows = [
        {
            "source": a, "target": b, "n": float(n), "observed": 0.2 + effect,
            "expected": 0.2, "effect": effect, "variance": 0.16 / n,
        }
        for (a, b), (n, effect) in cells.items()
    ]  # fmt: skip
    start = START + timedelta(days=30 * index)
    end = start + timedelta(days=30)
    return Span(start, end, end + GAP, pl.DataFrame(rows))


def test_the_belief_about_a_handoff_equals_enumeration():
    """All ways in which the level could have changed, each with its weight, added up."""
    effect = np.array([0.02, 0.25, np.nan, 0.2])
    variance = np.array([0.002, 0.004, np.nan, 0.003])
    prior = _Prior(0.1, 0.2, 0.03, 0.15, -0.01)
    kinds = ((0.8, 0.03), (0.2, 0.15))
    total, moment = 0.0, 0.0
    for changes in itertools.product((0, 1), repeat=3):
        runs = [[0]]
        for i, changed in enumerate(changes, start=1):
            runs.append([i]) if changed else runs[-1].append(i)
        weight = math.prod(0.1 if c else 0.9 for c in changes)
        for drawn in itertools.product(kinds, repeat=len(runs)):
            likely, mean = weight, 0.0
            for run, (share, sd) in zip(runs, drawn, strict=True):
                seen = [i for i in run if np.isfinite(effect[i])]
                cover = np.full((len(seen),) * 2, sd**2) + np.diag(variance[seen])
                off = effect[seen] + 0.01
                inverse = np.linalg.inv(cover) if seen else np.zeros((0, 0))
                scale = math.sqrt(np.linalg.det(2 * math.pi * cover)) if seen else 1.0
                likely *= share * math.exp(-0.5 * off @ inverse @ off) / scale
                mean = -0.01 + sd**2 * (inverse @ off).sum()
            total += likely
            moment += likely * mean
    found, belief = _follow(effect[None], variance[None], prior, 1)
    assert found == pytest.approx(math.log(total))
    after = 0.9 * moment / total + 0.1 * -0.01
    assert (belief.weight * belief.mean).sum() == pytest.approx(after)
    assert belief.below(belief.quantile(0.3)) == pytest.approx(0.3)


def test_small_handoffs_are_drawn_in_and_a_lasting_fault_is_not():
    dice = np.random.default_rng(4)
    cells = [(a, b) for a in range(6) for b in range(6) if a != b]

    def draw(index):
        made = {}
        for a, b in cells:
            n = 60 if a == 0 else 400
            true = 0.22 if (a, b) == (3, 4) or ((a, b) == (2, 1) and index >= 4) else 0.0
            made[a, b] = (n, true + dice.normal(0, math.sqrt(0.16 / n)))
        return span(index, made)

    table, rate = forecast_excess([draw(i) for i in range(6)])
    by = {(r["source"], r["target"]): r for r in table.iter_rows(named=True)}
    lasting, new = by.pop((3, 4)), by.pop((2, 1))
    assert lasting["excess"] == pytest.approx(0.22, abs=0.04)
    assert lasting["chance"] > 0.8
    # it broke two spans ago: the four good ones before it no longer count
    assert new["excess"] == pytest.approx(0.22, abs=0.06)
    assert new["chance"] > 0.7
    assert lasting["excess_low"] < 0.22 < lasting["excess_high"]
    assert all(r["chance"] < 0.2 and abs(r["excess"]) < 0.03 for r in by.values())
    noisy = [abs(r["last"]) for k, r in by.items() if k[0] == 0]
    drawn_in = [abs(r["excess"]) for k, r in by.items() if k[0] == 0]
    assert max(drawn_in) < max(noisy) / 2
    # change is found where there is some, and none where all faults last
    steady = [
        span(i, {c: (400, 0.22 * (c[0] == 3) + dice.normal(0, 0.02)) for c in cells})
        for i in range(6)
    ]
    assert forecast_excess(steady)[1] <= 0.02 < rate
