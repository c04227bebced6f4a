"""Segments side by side: exact counts, a planted difference, and no finding where there is none."""

from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace

from cxlib.errors import UnknownNameError
from cxlib.measures.first_contacts import measure_first_contacts
from cxlib.measures.segments import compare_segments
from cxlib.summary import Selection


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """2000 customers: of the north 45 % pay, of the others 30 %; 40 age groups are alike."""
    dice = Random(21)
    log, rows = [], []
    for i in range(2000):
        region = ["north", "south", "west", "east"][i % 4]
        rows.append({"customer": f"c{i}", "region": region, "age": f"age {dice.randrange(40):02}"})
        day = dice.uniform(0, 50)
        log.append(contact(f"c{i}", day, "ad"))
        if dice.random() < (0.45 if region == "north" else 0.3):
            log.append(contact(f"c{i}", day + dice.uniform(0.5, 9), "pay"))
    rule = journey_map(until=START + timedelta(days=200))
    folder = tmp_path_factory.mktemp("segments") / "w"
    return make_workspace(folder, log, rule=rule, customers=pl.DataFrame(rows)).summary()


def test_each_segment_is_what_a_selection_of_it_gives(summary):
    found = compare_segments(summary, dimension="region")
    assert found.table["customers"].to_list() == [500] * 4
    for row in found.table.iter_rows(named=True):
        where = Selection(segment=("region", row["value"]))
        alone = measure_first_contacts(summary, where=where).whole.row(0, named=True)
        assert row["journeys"] == alone["journeys"]
        for x in ("goal", "goal_low", "goal_high"):
            assert row[x] == pytest.approx(alone[x])
        assert row["difference"] == pytest.approx(row["goal"] - row["goal_elsewhere"])


def test_a_planted_difference_is_found_and_its_size_is_inside_the_interval(summary):
    table = compare_segments(summary, dimension="region").table
    north = table.filter(pl.col("value") == "north").row(0, named=True)
    assert north["difference_low"] <= 0.15 <= north["difference_high"]
    assert north["difference_low"] > 0
    assert north["q"] < 0.001


def test_forty_segments_that_do_not_differ_yield_no_finding(summary):
    found = compare_segments(summary, dimension="age")
    assert found.tests == 40
    assert (found.table["p"] < 0.2).any()
    assert not (found.table["q"] < 0.05).any()


def test_an_unknown_dimension_is_named(summary):
    with pytest.raises(UnknownNameError, match=r"there is no segment dimension 'regoin'.*'region'"):
        compare_segments(summary, dimension="regoin")


def test_periods_count_their_own_customers(summary):
    where = Selection(period=(1, 1))
    found = compare_segments(summary, dimension="region", where=where).table
    part = measure_first_contacts(summary, where=where)
    assert found["journeys"].sum() == part.journeys
    assert 0 < found["customers"].sum() < 2000


def test_channels_of_the_first_contact_are_compared_like_segments(summary):
    """Those who came by the ad against those who first paid: whose customers, is not told."""
    table = compare_segments(summary, dimension="channel").table
    firsts = measure_first_contacts(summary).table.group_by("channel").agg(pl.col("journeys").sum())
    counted = {row["channel"]: row["journeys"] for row in firsts.to_dicts()}
    assert dict(table.select("value", "journeys").iter_rows()) == counted
    assert table["customers"].is_null().all()
    for row in table.to_dicts():
        alone = measure_first_contacts(summary, where=Selection(channel=row["value"])).whole
        assert row["goal"] == pytest.approx(alone["goal"][0])
