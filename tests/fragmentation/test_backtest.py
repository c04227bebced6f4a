"""Backtests: scores against plain sums, embargo kept, honest on noise and on a known risk."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import GAP, START
from risk_logs import walk_customers, workspace_of

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.errors import InputError
from cxlib.fragmentation import replay_handoffs as handoffs_again
from cxlib.fragmentation import replay_journeys as journeys_again
from cxlib.fragmentation.backtest import backtest_risk
from cxlib.fragmentation.features import read_contacts_at_risk
from cxlib.fragmentation.replay_handoffs import (
    FORECAST,
    LAST,
    RAW,
    compare_rankings,
    replay_handoffs,
    top,
)
from cxlib.fragmentation.replay_journeys import (
    brier_scores,
    calibration_table,
    find_under_way,
    replay_journeys,
)


def known_risk(source, here, day):
    if (source, here) == ("page", "visit"):
        return 0.75
    return {"page": 0.1, "visit": 0.25, "page in store": 0.5}[here]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    log = walk_customers(8, lambda source, here, day: 0.3)
    return workspace_of(tmp_path_factory.mktemp("noise") / "ws", log)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return workspace_of(tmp_path_factory.mktemp("known") / "ws", walk_customers(9, known_risk))


def predictions(seed=1, size=600):
    dice = np.random.default_rng(seed)
    risk = dice.random(size)
    return pl.DataFrame(
        {
            "fold": np.ones(size, dtype=np.int64),
            "bucket": dice.integers(0, 32, size),
            "customer": pl.Series(np.arange(size), dtype=pl.UInt32),
            "fragmented": (dice.random(size) < risk).astype(float),
            "risk": risk,
            "base": np.full(size, 0.5),
            "habit": np.round(risk, 1),
        }
    )


def test_scores_are_plain_sums():
    frame = predictions()
    rows = frame.to_dicts()

    def brier(name, left_out=None):
        kept = [r for r in rows if r["bucket"] != left_out]
        return sum((r[name] - r["fragmented"]) ** 2 for r in kept) / len(kept)

    found = brier_scores(frame)
    assert found["brier"].estimate[0] == pytest.approx(brier("risk"))
    for name, other in (("skill", "base"), ("gain", "habit")):
        skill = 1 - brier("risk") / brier(other)
        assert found[name].estimate[0] == pytest.approx(skill)
        left = [1 - brier("risk", b) / brier(other, b) for b in range(32)]
        mean = sum(left) / 32
        se = (31 / 32 * sum((x - mean) ** 2 for x in left)) ** 0.5
        assert found[name].se[0] == pytest.approx(se)
        assert found[name].low[0] < skill < found[name].high[0]


def test_calibration_groups_are_counted_by_hand():
    frame = predictions(2, 47)
    ordered = sorted(frame.to_dicts(), key=lambda r: r["risk"])
    table = calibration_table(frame, groups=4)
    assert table["contacts"].sum() == 47
    assert table["contacts"].max() - table["contacts"].min() <= 1
    begin = 0
    for row in table.iter_rows(named=True):
        part = ordered[begin : begin + row["contacts"]]
        begin += row["contacts"]
        assert row["predicted"] == pytest.approx(sum(r["risk"] for r in part) / len(part))
        assert row["observed"] == pytest.approx(sum(r["fragmented"] for r in part) / len(part))
        assert row["observed_low"] <= row["observed"] <= row["observed_high"]


def test_rankings_are_counted_by_hand():
    dice = np.random.default_rng(3)
    size = 40
    forecast = pl.DataFrame(
        {
            "source": np.arange(size), "target": np.zeros(size, dtype=np.int64),
            "n": dice.integers(50, 500, size).astype(float), "raw": dice.random(size),
            "last": pl.Series(dice.normal(0, 0.1, size)).set(pl.Series(np.arange(size) == 5), None),
            "excess": dice.normal(0, 0.1, size),
        }
    )  # fmt: skip
    forecast = forecast.with_columns(
        excess_low=pl.col("excess") - 0.1, excess_high=pl.col("excess") + 0.1
    )
    came = forecast.select("source", "target", "n").with_columns(
        effect=pl.Series(dice.normal(0, 0.1, size)), variance=pl.lit(0.001)
    )
    table = compare_rankings(forecast, came.sample(fraction=1, shuffle=True, seed=1), k=6)
    found = {r["method"]: r for r in table.iter_rows(named=True)}
    rows = [a | b for a, b in zip(forecast.to_dicts(), came.to_dicts(), strict=True)]

    def best(key):
        return {r["source"] for r in sorted(rows, key=key, reverse=True)[:6]}

    worst = best(lambda r: r["n"] * r["effect"])
    named = {
        FORECAST: best(lambda r: r["n"] * r["excess"]),
        LAST: best(lambda r: r["n"] * (r["last"] or 0.0)),
        RAW: best(lambda r: r["raw"]),
    }
    for method, chosen in named.items():
        assert found[method]["hits"] == len(worst & chosen)
        cases = sum(r["n"] * r["effect"] for r in rows if r["source"] in chosen)
        assert found[method]["cases"] == pytest.approx(cases)
        assert found[method]["by_chance"] == pytest.approx(36 / 40)
    error = sum(r["n"] * (r["excess"] - r["effect"]) ** 2 for r in rows) / sum(r["n"] for r in rows)
    assert found[FORECAST]["rmse"] == pytest.approx(error**0.5)
    reach = (0.1**2 + 1.959964**2 * 0.001) ** 0.5
    inside = sum(abs(r["excess"] - r["effect"]) <= reach for r in rows) / size
    assert found[FORECAST]["covered"] == pytest.approx(inside)
    assert compare_rankings(forecast.head(9), came, k=6) is None
    assert top(np.array([0.0, 2.0, 2.0]), 1) == {1}


def test_training_ends_an_embargo_before_each_test(known, monkeypatch):
    labelled, _, _ = read_contacts_at_risk(known, GAP)
    trained = []
    choose = journeys_again.choose_model

    def record(frame, **more):
        trained.append(frame)
        return choose(frame.sample(1500, seed=0), **more)

    waits_of = []
    update = journeys_again.update_for_silence

    def record_waits(shares, silent_for, frame):
        waits_of.append(frame)
        return update(shares, silent_for, frame)

    monkeypatch.setattr(journeys_again, "choose_model", record)
    monkeypatch.setattr(journeys_again, "update_for_silence", record_waits)
    tests = replay_journeys(labelled, horizon=GAP, folds=2)
    assert len(tests) == len(trained) == 2
    for test, frame in zip(tests, trained, strict=True):
        assert frame["occurred_at"].max() + GAP < test.start
        assert frame["occurred_at"].max() + GAP > test.start - timedelta(days=1)
        window = labelled.filter(pl.col("occurred_at").is_between(test.start, test.end, "left"))
        assert abs(len(test.predictions) - len(window)) <= 1  # the last instant of all is in
        assert test.predictions["base"][0] == pytest.approx((frame["outcome"] > 0).mean())
    assert tests[0].end == tests[1].start
    # how long returning takes is learned from the same contacts: three ways of predicting, 2 dates
    assert [frame["occurred_at"].max() for frame in waits_of] == [
        frame["occurred_at"].max() for frame in trained for _ in range(3)
    ]


def test_customers_under_way_are_those_that_were(known):
    """Counted from the contacts in loops: the latest before a date, at most the horizon ago."""
    labelled, _, _ = read_contacts_at_risk(known, GAP)
    labelled = labelled.filter(pl.col("customer") % 4 == 0)
    at = START + timedelta(days=120)
    rows = labelled.sort("customer", "occurred_at").to_dicts()
    latest = {r["customer"]: r for r in rows if r["occurred_at"] < at}
    wanted = {
        (r["customer"], r["occurred_at"]) for r in latest.values() if r["occurred_at"] > at - GAP
    }
    found = find_under_way(labelled, at, GAP)
    assert set(found.select("customer", "occurred_at").iter_rows()) == wanted
    assert len(wanted) > 20


def test_customers_under_way_are_predicted_as_of_the_date(known):
    found = backtest_risk(known, folds=2)
    row = found.under_way.row(-1, named=True)
    assert row["predicted"] == pytest.approx(row["fragmented"], abs=0.04)
    assert row["skill_low"] > 0  # where they are says more than how long they have been silent
    assert found.under_way["customers"][0] >= 200
    assert f"{100 * row['fragmented']:.1f} % did" in found.under_way_sentence


def test_noise_has_no_skill_and_says_so(noise):
    found = backtest_risk(noise, folds=2)
    row = found.table.row(-1, named=True)
    assert row["fold"] == "all"
    assert row["model"] == "regression"
    # the true risk is the same everywhere: nothing beats the base rate, overfitting costs little
    assert -0.02 < row["skill"] < 0.005
    assert "better than the base rate by" not in found.sentence
    assert row["brier"] == pytest.approx(0.3 * 0.7, abs=0.02)


def test_a_known_risk_is_ranked_and_calibrated(known):
    found = backtest_risk(known, folds=2)
    row = found.table.row(-1, named=True)
    assert row["skill_low"] > 0.05
    assert "better than the base rate by" in found.sentence
    # all there is to know is the handoff: its past rate is as good
    assert abs(row["gain"]) < 0.02
    table = found.calibration
    assert table["observed"][-1] > table["observed"][0] + 0.4
    assert (table["predicted"] - table["observed"]).abs().max() < 0.08
    assert table["inside"].sum() >= 6
    assert found.sentence in found._repr_html_()


def test_handoffs_are_forecast_from_what_was_followed_then(known, monkeypatch):
    arrivals = read_arrivals(known)
    seen = []
    forecast = handoffs_again.forecast_excess

    def record(history, **more):
        seen.append((history, more["ahead"]))
        return forecast(history, **more)

    monkeypatch.setattr(handoffs_again, "forecast_excess", record)
    monkeypatch.setattr(handoffs_again, "_MIN_HANDOFFS", 3)
    table, reason = replay_handoffs(arrivals, k=2)
    assert reason is None
    assert len(table) == 5 * len(seen)
    starts = table["from"].unique().sort().to_list()
    for (history, ahead), start in zip(seen, starts, strict=True):
        assert all((s.end + GAP).date() <= start for s in history)
        assert ahead >= 2  # thirty days of follow-up: the span just ended is not known yet
    assert table["until"].max() <= (known.observed_until - GAP).date()


def test_what_cannot_be_tested_says_so(tmp_path):
    log = walk_customers(3, known_risk, customers=300, days=62)
    found = backtest_risk(workspace_of(tmp_path / "short", log, days=62))
    assert found.table.is_empty()
    assert found.calibration.is_empty()
    assert found.overlap.is_empty()
    assert "Journeys: not measurable, because" in found.sentence
    assert "Handoffs: not measurable, because" in found.handoff_sentence
    assert "not measurable" in found._repr_html_()
    with pytest.raises(InputError, match="1 to 10 folds"):
        backtest_risk(workspace_of(tmp_path / "again", log, days=62), folds=0)
