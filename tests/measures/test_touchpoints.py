"""The journey map in numbers, against contacts followed by hand."""

from collections import Counter
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import (
    GAP,
    START,
    aalen_johansen,
    contact,
    follow,
    journey_map,
    make_workspace,
    random_log,
)

from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.summary import Selection

RATES = ("go_on", "lost", "silent", "declined", "done", "open")


def by_place(table):
    return {(r["touchpoint"], r["channel"]): r for r in table.iter_rows(named=True)}


def test_counts_match_contacts_followed_by_hand(log, rule, summary):
    found = by_place(measure_touchpoints(summary).table)
    followed = follow(log, rule)
    places = {(f.contact.touchpoint, f.contact.channel) for f in followed}
    assert found.keys() == places
    for place in places:
        here = [f for f in followed if (f.contact.touchpoint, f.contact.channel) == place]
        row = found[place]
        sequels = Counter(f.sequel for f in here)
        assert row["contacts"] == len(here)
        assert row["customers"] == len({f.contact.customer for f in here})
        assert row["stage"] == here[0].contact.stage
        for sequel in ("went_on", "silent", "declined", "done", "open"):
            assert row[f"{sequel}_n"] == sequels[sequel], (place, sequel)
        ratings = [f.contact.rating for f in here if f.contact.rating is not None]
        assert row["rating_n"] == len(ratings)
        assert row["rating"] == (pytest.approx(sum(ratings) / len(ratings)) if ratings else None)
        assert row["response"] == pytest.approx(len(ratings) / len(here))
        stays = [f.contact.ended_at - f.contact.at for f in here if f.contact.ended_at]
        if stays:
            mean = sum(stays, timedelta()) / len(stays)
            assert abs(row["dwell"] - mean) < timedelta(milliseconds=1)
        costs = [f.contact.cost for f in here if f.contact.cost]
        assert row["cost"] == pytest.approx(sum(costs))


def test_probabilities_are_near_aalen_johansen_at_exact_times(log, rule, summary):
    """Bins are a third wide: where a censoring lies within its bin costs less than a point here."""
    whole = measure_touchpoints(summary).whole.row(0, named=True)
    observed = []
    for f in follow(log, rule):
        wait = min(f.wait, GAP + timedelta(seconds=1))  # known once the gap has passed
        observed.append((wait.total_seconds(), None if f.sequel == "open" else f.sequel))
    exact = aalen_johansen(observed)
    assert whole["open_n"] > 20
    for name, sequel in (("go_on", "went_on"), ("silent", "silent"), ("declined", "declined")):
        assert whole[name] == pytest.approx(exact[sequel], abs=0.01)
    assert whole["done"] == pytest.approx(exact["done"], abs=0.01)


def test_a_count_of_shares_would_call_open_contacts_lost(tmp_path):
    """Half of 400 customers ask on the last day; of the others 3 in 4 went on: 75 %, not 37.5 %."""
    log = []
    for i in range(200):
        log.append(contact(f"old{i}", 0, "ad"))
        if i % 4:
            log.append(contact(f"old{i}", 1, "page"))
        log.append(contact(f"new{i}", 90, "ad"))
    rule = journey_map(until=START + timedelta(days=90.01))
    made = measure_touchpoints(make_workspace(tmp_path / "w", log, rule=rule).summary())
    ad = by_place(made.table)["ad", "web"]
    assert (ad["go_on"], ad["lost"], ad["open"]) == pytest.approx((0.75, 0.25, 0.5))
    assert ad["open_n"] == 200
    assert 0.66 < ad["go_on_low"] < 0.75 < ad["go_on_high"] < 0.82


def test_nothing_is_known_of_silence_before_the_gap_has_passed(tmp_path):
    log = [contact(f"c{i}", 0, "ad") for i in range(50)]
    log += [contact(f"c{i}", 1, "page") for i in range(10)]
    rule = journey_map(until=START + timedelta(days=5))
    made = measure_touchpoints(make_workspace(tmp_path / "w", log, rule=rule).summary())
    ad = by_place(made.table)["ad", "web"]
    assert ad["lost"] is None
    assert ad["silent"] is None
    assert ad["weakest"] is None
    assert ad["go_on"] == pytest.approx(0.2)


def test_without_a_gap_only_a_loss_of_the_map_is_a_loss(tmp_path):
    log = [contact("a", 0, "basket"), contact("a", 1, "refused"), contact("b", 0, "basket")]
    rule = journey_map(gap=None, restart=False)
    made = measure_touchpoints(make_workspace(tmp_path / "w", log, rule=rule).summary())
    found = by_place(made.table)
    assert found["basket", "web"]["silent"] is None
    assert found["refused", "web"]["lost"] == 1.0
    assert found["basket", "web"]["open_n"] == 1


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_shares_sum_to_one_and_intervals_hold_their_estimate(tmp_path, seed):
    found = measure_touchpoints(make_workspace(tmp_path / "w", random_log(seed, 30)).summary())
    for table in (found.table, found.by_stage, found.by_channel, found.whole):
        assert table["contacts"].sum() == found.contacts
        counts = table.select(pl.sum_horizontal("^.*went_on_n|silent_n|declined_n|done_n|open_n$"))
        assert counts.to_series().to_list() == table["contacts"].to_list()
        total = table.drop_nulls("lost").select(pl.sum_horizontal("go_on", "lost", "done"))
        assert total.to_series().to_list() == pytest.approx([1.0] * len(total))
        for rate in (*RATES, "response"):
            ends = table.select(rate, f"{rate}_low", f"{rate}_high").drop_nulls()
            for x, low, high in ends.rows():
                assert 0 <= low <= x <= high <= 1


def test_aggregates_count_customers_once(log, summary):
    found = measure_touchpoints(summary)
    stages = {r["stage"]: r["customers"] for r in found.by_stage.iter_rows(named=True)}
    channels = {r["channel"]: r["customers"] for r in found.by_channel.iter_rows(named=True)}
    assert stages == {s: len({c.customer for c in log if c.stage == s}) for s in stages}
    assert channels == {h: len({c.customer for c in log if c.channel == h}) for h in channels}
    assert found.customers == found.whole["customers"].item() == len({c.customer for c in log})
    assert found.stages[:4] == ("awareness", "exploration", "conversion", "aftersales")
    assert found.by_stage["stage"].to_list()[-1] == "unmapped"


def test_a_selection_is_the_log_without_the_others(log, rule, workspace, summary):
    found = measure_touchpoints(summary, where=Selection(channel="phone", period=(1, 2)))
    followed = [
        f
        for f in follow(log, rule)
        if f.contact.channel == "phone" and f.contact.at.month in (2, 3)
    ]
    assert found.contacts == len(followed)
    assert found.customers == len({f.contact.customer for f in followed})
    assert set(found.table["channel"]) == {"phone"}
    assert found.by_stage["customers"].null_count() == len(found.by_stage)


def test_the_weakest_are_ranked_by_customers_lost_for_sure(summary):
    table = measure_touchpoints(summary).table
    ranked = table.filter(pl.col("weakest").is_not_null()).sort("weakest")
    sure = ranked.select(pl.col("customers") * pl.col("lost_low")).to_series()
    assert sure.is_sorted(descending=True)
    assert len(ranked) > 3
    assert ranked["customers"].min() >= 30
    assert "newsletter" not in ranked["touchpoint"]
    assert ranked["weakest"].to_list() == list(range(1, len(ranked) + 1))


def test_row_order_does_not_matter(tmp_path, log, rule, summary):
    turned = make_workspace(tmp_path / "w", log[::-1], rule=rule).summary()
    assert measure_touchpoints(turned).table.equals(measure_touchpoints(summary).table)


def test_a_result_shows_and_exports_itself(tmp_path, summary):
    found = measure_touchpoints(summary)
    page = found._repr_html_()
    assert "<caption>Touchpoints" in page
    assert "go on low" not in page
    found.write_csv(tmp_path / "t.csv")
    found.write_parquet(tmp_path / "t.parquet")
    back = pl.read_csv(tmp_path / "t.csv")
    assert "dwell_seconds" in back.columns
    assert len(back) == len(found.table)
    assert pl.read_parquet(tmp_path / "t.parquet").equals(found.table)


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path):
    """60 worlds in which 60 % go on; 95 % promised, 86 % is three standard errors of that."""
    dice = Random(5)
    log, world_of = [], {}
    for i in range(60 * 120):
        world_of[f"c{i}"] = str(i % 60)
        own = dice.betavariate(3, 2)  # customers differ; the mean is 0.6
        for k in range(dice.randint(1, 4)):
            log.append(contact(f"c{i}", 40 * k, "ad"))
            if dice.random() < own:
                log.append(contact(f"c{i}", 40 * k + dice.uniform(0.1, 4), "page"))
    customers = pl.DataFrame({"customer": list(world_of), "world": list(world_of.values())})
    rule = journey_map(until=START + timedelta(days=400))
    made = make_workspace(tmp_path / "w", log, rule=rule, customers=customers).summary()
    held = 0
    for world in range(60):
        found = measure_touchpoints(made, where=Selection(segment=("world", str(world))))
        ad = by_place(found.table)["ad", "web"]
        held += ad["go_on_low"] <= 0.6 <= ad["go_on_high"]
    assert held >= 52


def test_the_weakest_touchpoint_is_where_most_are_lost_for_sure(tmp_path):
    """30 of 40 customers fall silent after a call, 31 of 1,000 after a page: the first is surer."""
    log = []
    for place, customers, lost in (("call", 40, 30), ("page", 1_000, 31)):
        for i in range(customers):
            log.append(contact(f"{place}{i}", i % 20, place))
            if i >= lost:
                log.append(contact(f"{place}{i}", i % 20 + 1, "ad"))
    rule = journey_map(until=START + timedelta(days=200))
    table = measure_touchpoints(make_workspace(tmp_path / "w", log, rule=rule).summary()).table
    ranked = table.filter(pl.col("weakest").is_not_null()).sort("weakest")
    assert ranked["touchpoint"].to_list()[-2:] == ["call", "page"]
    sure = (ranked["customers"] * ranked["lost_low"]).to_list()
    assert sure == sorted(sure, reverse=True)
    estimate = dict(ranked.select("touchpoint", pl.col("customers") * pl.col("lost")).rows())
    assert estimate["page"] > estimate["call"], "by the estimate they would stand the other way"
