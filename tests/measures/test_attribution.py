"""Attribution: touches against plain loops, silence on noise, and a channel that works."""

from collections import Counter
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace, split

from cxlib.errors import InputError, NotMeasurableError
from cxlib.measures.attribution import measure_attribution
from cxlib.statistics.attribution import METHODS
from cxlib.store.selection import Selection

HORIZON = timedelta(days=20)


def touched(log, rule, horizon):
    """Touches (channels) of every watched journey with its outcome, in plain loops."""
    until = max(c.at for c in log)
    paths, untouched, young = [], 0, 0
    for journey in split(log, rule):
        first = journey.contacts[0]
        if first.stage == "aftersales":
            continue
        if first.at + horizon > until:
            young += 1
            continue
        path, converted = [], False
        for c in journey.contacts:
            if c.at > first.at + horizon:
                break
            if c.touchpoint == "pay":
                converted = True
                break
            path.append(c)
        untouched += converted and not path
        if path:
            paths.append((path, converted))
    return paths, untouched, young


@pytest.mark.parametrize("by", ["channel", "touchpoint"])
def test_touches_conversions_and_rules_equal_plain_loops(workspace, log, rule, by):
    found = measure_attribution(workspace, by=by, horizon=HORIZON)
    paths, untouched, young = touched(log, rule, HORIZON)
    assert (found.untouched, found.too_young) == (untouched, young)
    assert found.journeys == len(paths)
    assert found.conversions == sum(converted for _, converted in paths)
    seen = Counter(getattr(c, by) for path, _ in paths for c in path)
    table = found.table.filter(pl.col("method") == "linear")
    assert dict(table.select("group", "touches").iter_rows()) == seen
    credit = Counter()
    for path, converted in paths:
        for c in path:
            credit[getattr(c, by)] += converted / len(path) / found.conversions
    for row in table.iter_rows(named=True):
        assert row["share"] == pytest.approx(credit[row["group"]])
        assert row["ratio"] == pytest.approx(row["share"] / row["exposure"])
        assert row["low"] <= row["share"] <= row["high"]
    last = Counter(getattr(path[-1], by) for path, converted in paths if converted)
    for row in found.table.filter(pl.col("method") == "last").iter_rows(named=True):
        assert row["share"] == pytest.approx(last[row["group"]] / found.conversions)


def ads(seed, *, works, customers=1_500):
    """Customers meet one to four of four touchpoints; one in five buys, more after a visit."""
    dice, log = Random(seed), []
    for n in range(customers):
        day = dice.uniform(0, 80)
        names = [dice.choice(["ad", "page", "visit", "basket"]) for _ in range(dice.randint(1, 4))]
        for name in names:
            log.append(contact(f"c{n:04}", round(day * 1440) / 1440, name, cost=2.0))
            day += dice.uniform(0.1, 2)
        chance = 0.2 + (0.25 if works and "visit" in names else 0)
        if dice.random() < chance:
            log.append(contact(f"c{n:04}", round(day * 1440) / 1440, "pay"))
    return log


def test_on_noise_nothing_differs_and_nothing_is_ranked(tmp_path):
    made = make_workspace(tmp_path / "ws", ads(4, works=False))
    found = measure_attribution(made, by="touchpoint")
    assert not found.table["different"].any()
    assert "ranking them would say nothing" in found.sentences()[-1]
    # the order of the map, not of the shares
    assert found.table["group"].unique(maintain_order=True).to_list() == [
        "ad",
        "page",
        "visit",
        "basket",
    ]
    assert found.table["cost"].min() > 0


def test_a_channel_that_works_is_found_and_comes_first(tmp_path):
    found = measure_attribution(make_workspace(tmp_path / "ws", ads(4, works=True)))
    assert "store" in found.told_apart
    first = found.table.row(0, named=True)
    assert first["different"]
    markov = found.table.filter(group="store", method="markov")
    assert markov["ratio_low"].item() > 1


def test_the_horizon_watches_most_conversions_and_each_journey_wholly(workspace):
    found = measure_attribution(workspace)
    assert timedelta(days=1) <= found.horizon
    longer = measure_attribution(workspace, horizon=found.horizon + timedelta(days=10))
    assert longer.too_young >= found.too_young
    assert set(found.table["method"]) == set(METHODS)


def test_what_cannot_be_attributed_says_why(tmp_path, workspace, log):
    with pytest.raises(InputError, match="neither 'channel' nor 'touchpoint'"):
        measure_attribution(workspace, by="owner")
    with pytest.raises(InputError, match="positive duration"):
        measure_attribution(workspace, horizon=timedelta())
    without = make_workspace(tmp_path / "no_goal", log, rule=journey_map(goal=()))
    with pytest.raises(NotMeasurableError, match="needs a goal"):
        measure_attribution(without)
    nobody = make_workspace(tmp_path / "none", [c for c in log if c.touchpoint != "pay"])
    with pytest.raises(NotMeasurableError, match="no conversion within"):
        measure_attribution(nobody)
    part = measure_attribution(workspace, horizon=HORIZON, where=Selection(channel="web"))
    assert part.table["group"].unique().to_list() == ["web"]
