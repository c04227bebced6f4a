"""Predictions: known risks recovered, records against plain sums, embargo kept, honest on noise."""

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import GAP, START, contact, random_log
from risk_logs import place_names, walk_customers, workspace_of

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.errors import InputError, UnknownNameError
from cxlib.prediction import handoffs, predict_breaks, under_way
from cxlib.prediction.handoffs import (
    LAST,
    NOTHING,
    Span,
    follow,
    forecast_excess,
    judge_spans,
    replay_handoffs,
)
from cxlib.prediction.record import hold_against, why_not_told
from cxlib.prediction.under_way import (
    HABIT,
    SILENCE,
    find_under_way,
    fit_risk,
    past_rate,
    predict_shares,
    read_contacts,
    replay_under_way,
    update_for_silence,
)


def known_risk(source, here, day):
    if (source, here) == ("page", "visit"):
        return 0.75
    return {"page": 0.1, "visit": 0.25, "page in store": 0.5}[here]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return workspace_of(tmp_path_factory.mktemp("known") / "ws", walk_customers(9, known_risk))


@pytest.fixture(scope="module")
def labelled(known):
    return read_contacts(known, GAP)[0]


@pytest.fixture(scope="module")
def weekly(tmp_path_factory):
    """A log in which the day of the week tells what the past rate of a handoff does not."""
    log = walk_customers(4, lambda source, here, day: 0.75 if int(day) % 7 < 3 else 0.1)
    return workspace_of(tmp_path_factory.mktemp("weekly") / "ws", log)


@pytest.fixture(scope="module")
def predicted(weekly):
    return predict_breaks(weekly)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    log = walk_customers(8, lambda source, here, day: 0.3)
    return predict_breaks(workspace_of(tmp_path_factory.mktemp("noise") / "ws", log))


def test_a_known_risk_is_learned_for_each_handoff(known, labelled):
    names = place_names(known)
    half = labelled["customer"] % 2 == 0
    test = labelled.filter(~half)
    shares = predict_shares(fit_risk(labelled.filter(half)), test)
    assert np.allclose(shares.sum(1), 1)
    judged = 0
    for (source, place), rows in test.with_row_index("i").group_by("source", "place"):
        if source >= 0 and len(rows) >= 150:
            truth = known_risk(names[source], names[place], 0)
            found = shares[rows["i"].to_numpy(), 1].mean()
            assert found == pytest.approx(truth, abs=0.09), (names[source], names[place])
            judged += 1
    assert judged >= 6


def test_the_past_rate_is_drawn_to_the_touchpoint_by_counting(labelled):
    train, test = labelled.head(3_000), labelled.tail(500)
    rows = [(r["place"], r["handoff"], r["outcome"] > 0) for r in train.to_dicts()]
    mean = sum(r[2] for r in rows) / len(rows)
    found = past_rate(train, test)
    for value, row in list(zip(found, test.to_dicts(), strict=True))[::50]:
        at = [broken for place, _, broken in rows if place == row["place"]]
        rate = (sum(at) + 50 * mean) / (len(at) + 50)
        own = [broken for _, handoff, broken in rows if handoff == row["handoff"]]
        assert value == pytest.approx((sum(own) + 50 * rate) / (len(own) + 50))


def test_the_update_for_silence_is_bayes_by_counting():
    labelled = pl.DataFrame(
        {"outcome": [0] * 4 + [2] * 2, "return_after": [1.0, 2.0, 3.0, 4.0, 1.0, 9.0]}
    )
    shares = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    now = update_for_silence(shares, np.array([0.0, 2.5]), labelled)
    assert now[0].tolist() == pytest.approx([0.5, 0.3, 0.2])
    on, silent, back = 0.5 * 2.5 / 4.5, 0.3, 0.2 * 1.5 / 2.5
    assert now[1].tolist() == pytest.approx([x / (on + silent + back) for x in (on, silent, back)])


def test_customers_under_way_are_those_that_were(known):
    """Counted from the contacts in loops: the latest before a date, at most the horizon ago."""
    labelled, _ = read_contacts(known, GAP)
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


def test_customers_under_way_are_scored_and_nobody_else(weekly, predicted):
    assert predicted.customer_reason is None
    contacts = weekly.events().collect().group_by("customer").agg(pl.col("occurred_at").max())
    wanted = contacts.filter(pl.col("occurred_at") > weekly.observed_until - GAP)
    table = predicted.customers
    assert set(table["customer"]) == set(wanted["customer"])
    assert len(table) == predicted.customers_under_way == predicted.under_way["customers"].sum()
    assert table["risk_now"].is_sorted(descending=True)
    assert (table["risk_now"] >= table["risk"] - 1e-9).all()  # nobody goes back a stage here
    expected = (predicted.under_way["customers"] * predicted.under_way["risk_now"]).sum()
    assert expected == pytest.approx(table["risk_now"].sum())
    assert "customers are under way; most cases are to be expected after" in str(
        predicted.headlines
    )
    assert predicted.customer_sentence in predicted._repr_html_()


def test_what_is_known_is_told_with_its_record(predicted):
    total = predicted.record.filter(pl.col("at").is_null(), about="customers under way")
    assert set(total["rival"]) == {SILENCE, HABIT}
    silence = total.row(by_predicate=pl.col("rival") == SILENCE, named=True)
    assert silence["gain_low"] > 0  # where they are says more than how long they have been silent
    assert silence["predicted"] == pytest.approx(silence["came"], abs=0.04)
    assert any("closer to what came than their silence" in s for s in predicted.record_sentences)


def test_on_noise_nothing_is_told(noise):
    assert noise.table.is_empty()
    assert noise.customers.is_empty()
    assert noise.under_way.is_empty()
    assert "forecasts were not clearly better than their silence alone" in noise.customer_sentence
    total = noise.record.filter(pl.col("at").is_null())
    assert (total.filter(rival=SILENCE)["gain"] < 0.02).all()
    assert "No handoff is forecast, because" in noise.headlines[0]


def test_models_know_nothing_later_than_an_embargo_before_the_date(known, labelled, monkeypatch):
    trained, waits_of = [], []
    fit, update = under_way.fit_risk, under_way.update_for_silence

    def record(frame):
        trained.append(frame["occurred_at"].max())
        return fit(frame.sample(1500, seed=0))

    def record_waits(shares, silent_for, frame):
        waits_of.append(frame["occurred_at"].max())
        return update(shares, silent_for, frame)

    monkeypatch.setattr(under_way, "fit_risk", record)
    monkeypatch.setattr(under_way, "update_for_silence", record_waits)
    found = replay_under_way(labelled, horizon=GAP, until=known.observed_until)
    dates = found["at"].unique().sort().to_list()
    assert len(dates) == len(trained) >= 3
    for at, newest in zip(dates, trained, strict=True):
        assert (newest + GAP).date() <= at
        assert (newest + GAP + timedelta(days=2)).date() >= at
    assert max(dates) + GAP <= known.observed_until.date()  # what came of them is known
    # how long returning takes is learned from the same contacts, for three ways of predicting
    assert waits_of == [newest for newest in trained for _ in range(3)]


def made_up(seed=1, size=600):
    dice = np.random.default_rng(seed)
    risk = dice.random(size)
    return pl.DataFrame(
        {
            "at": [START.date(), (START + GAP).date()] * (size // 2),
            "bucket": dice.integers(0, 32, size),
            "weight": dice.integers(1, 9, size).astype(float),
            "came": (dice.random(size) < risk).astype(float),
            "predicted": risk,
            "half": np.full(size, 0.5),
            "rounded": np.round(risk, 1),
        }
    )


def test_the_record_is_plain_sums():
    frame = made_up()
    table = hold_against(frame, "dice")
    assert len(table) == 2 * 3
    for found in table.to_dicts():
        rows = [r for r in frame.to_dicts() if found["at"] in (None, r["at"])]

        def error(name, left_out=None, rows=rows):
            kept = [r for r in rows if r["bucket"] != left_out]
            whole = sum(r["weight"] for r in kept)
            return sum(r["weight"] * (r[name] - r["came"]) ** 2 for r in kept) / whole

        gain = 1 - error("predicted") / error(found["rival"])
        assert found["error"] == pytest.approx(error("predicted"))
        assert found["rival_error"] == pytest.approx(error(found["rival"]))
        assert found["gain"] == pytest.approx(gain)
        left = [1 - error("predicted", b) / error(found["rival"], b) for b in range(32)]
        se = (31 / 32 * sum((x - sum(left) / 32) ** 2 for x in left)) ** 0.5
        assert 1.9 * se < found["gain_high"] - gain < 2.2 * se
        assert found["gain_low"] + found["gain_high"] == pytest.approx(2 * gain)
        mean = sum(r["weight"] * r["came"] for r in rows) / sum(r["weight"] for r in rows)
        assert found["came"] == pytest.approx(mean)


def test_a_prediction_is_told_only_where_it_beats_every_rival_for_sure():
    assert why_not_told(hold_against(made_up().drop("rounded"), "dice")) is None
    why = why_not_told(hold_against(made_up(), "dice"))
    assert why == "at past dates forecasts were not clearly better than rounded"
    assert "cannot be held against" in why_not_told(hold_against(made_up().clear(), "dice"))


def span(index, cells):
    """A judged span; cells: (source, target) -> (n, effect)."""
    rows = [
        {
            "source": a, "target": b, "n": float(n), "effect": effect, "variance": 0.16 / n,
        }
        for (a, b), (n, effect) in cells.items()
    ]  # fmt: skip
    start = START + timedelta(days=30 * index)
    end = start + timedelta(days=30)
    return Span(start, end, end + GAP, pl.DataFrame(rows))


def test_the_belief_about_a_handoff_is_that_of_the_normal_law():
    """A Kalman filter against the joint normal law of all spans, inverted."""
    effect = np.array([0.02, 0.25, np.nan, 0.2])
    variance = np.array([0.002, 0.004, np.nan, 0.003])
    keeps, apart, ahead = 0.8, 0.1, 2
    seen = [0, 1, 3]
    lag = np.abs(np.subtract.outer(seen, seen))
    cover = apart**2 * keeps**lag + np.diag(variance[seen])
    with_next = apart**2 * keeps ** (3 + ahead - np.array(seen))
    inverse = np.linalg.inv(cover)
    mean = with_next @ inverse @ effect[seen]
    spread = math.sqrt(apart**2 - with_next @ inverse @ with_next)
    likely = -0.5 * effect[seen] @ inverse @ effect[seen]
    likely -= 0.5 * math.log(np.linalg.det(2 * math.pi * cover))
    found = follow(effect[None], variance[None], keeps, apart, ahead=ahead)
    assert found[0] == pytest.approx(likely)
    assert (found[1][0], found[2][0]) == pytest.approx((mean, spread))


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

    table = forecast_excess([draw(i) for i in range(6)])
    by = {(r["source"], r["target"]): r for r in table.iter_rows(named=True)}
    lasting, new = by.pop((3, 4)), by.pop((2, 1))
    assert lasting["excess"] == pytest.approx(0.22, abs=0.04)
    assert lasting["chance"] > 0.8
    # it broke two spans ago: the four good ones before it no longer count
    assert new["excess"] == pytest.approx(0.22, abs=0.07)
    assert new["chance"] > 0.7
    assert lasting["excess_low"] < 0.22 < lasting["excess_high"]
    assert all(r["chance"] < 0.2 and abs(r["excess"]) < 0.04 for r in by.values())
    noisy = [abs(r["last"]) for k, r in by.items() if k[0] == 0]
    drawn_in = [abs(r["excess"]) for k, r in by.items() if k[0] == 0]
    assert max(drawn_in) < max(noisy) / 2


def test_handoffs_are_forecast_from_what_was_followed_then(known, monkeypatch):
    arrivals = read_arrivals(known)
    seen = []

    def record(history, *, ahead):
        seen.append((history, ahead))
        return forecast_excess(history, ahead=ahead)

    monkeypatch.setattr(handoffs, "forecast_excess", record)
    spans = judge_spans(arrivals, "abandonment")
    found = replay_handoffs(spans, until=known.observed_until)
    starts = found["at"].unique().sort().to_list()
    assert len(starts) == len(seen) >= 2
    for (history, ahead), start in zip(seen, starts, strict=True):
        assert all((s.end + GAP).date() <= start for s in history)
        assert ahead >= 2  # thirty days of follow-up: the span just ended is not known yet
        target = next(s for s in spans if s.start.date() == start)
        assert target.known_at <= known.observed_until
        came = {(r["effect"], r["n"]) for r in target.judged.to_dicts()}
        assert set(found.filter(at=start).select("came", "weight").iter_rows()) <= came
    assert (found[NOTHING] == 0).all()
    assert found[LAST].abs().sum() > 0


def test_what_cannot_be_learned_says_so(tmp_path):
    one_day = [contact(f"c{i}", i / 2000, "page") for i in range(1500)]
    found = predict_breaks(workspace_of(tmp_path / "day", one_day, days=1))
    assert found.customers.is_empty()
    assert "the log covers" in found.customer_sentence
    assert found.handoff_sentences[0].startswith("No handoff is forecast, because the log covers")
    few = predict_breaks(workspace_of(tmp_path / "few", random_log(1, customers=20), days=130))
    assert "the log has fewer than 100 customers" in str(few.headlines)
    never = pl.DataFrame({"outcome": [0] * 3_000}, schema={"outcome": pl.UInt8})
    why = under_way.why_not_learnable(never, timedelta(days=200), GAP)
    assert "50 of either outcome are needed" in why


def test_wrong_arguments_are_named(known):
    with pytest.raises(InputError, match="give a positive one"):
        predict_breaks(known, horizon=timedelta(0))
    with pytest.raises(UnknownNameError, match="signal"):
        predict_breaks(known, signal="delay")
