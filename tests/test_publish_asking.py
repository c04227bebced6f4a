"""Parts of a log that are asked about beside one another answer as each does by itself."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from publish_log import build, simulate

from cxlib.errors import InputError, UnknownNameError
from cxlib.publish import asking, publish
from cxlib.publish.answers import NUMBER
from cxlib.publish.influence import fold_rare_touchpoints
from cxlib.publish.rules import PUBLISHED
from cxlib.publish.selections import find_choices
from cxlib.summary import Selection

K = 10
NAMED = ("place", "stage", "channel", "source", "target")


@pytest.mark.parametrize("places", [400, 20])
def test_every_selection_is_answered_as_if_it_were_asked_alone(tmp_path, monkeypatch, places):
    monkeypatch.setattr(asking, "_PLACES", places)
    workspace = build(simulate(3, customers=120), tmp_path)
    summary = fold_rare_touchpoints(workspace, k=K).summary
    choices = find_choices(workspace, summary, k=K)
    measures = [p for p in PUBLISHED.values() if p.by_period]
    found = dict(asking.ask(measures, workspace, summary, choices, k=K, tell=lambda _: None))
    assert [m.name for m in found] == [m.name for m in measures]
    for number, where in enumerate(choices.selections()):
        part = summary.select(Selection(segment=where.segment))
        for measure, answers in found.items():
            if number % 5 and measure.name != "stage_funnel":
                continue
            period = Selection(period=choices.of_summary(where).period)
            alone = measure.function(part, where=period)
            for name in measure.tables:
                table = getattr(alone, name)
                of = answers.frames[name].filter(pl.col(NUMBER) == number).select(table.columns)
                key = [c for c in NAMED if c in of.columns]
                pair = [t.sort(key) if key else t for t in (of, table)]
                # a rank is found anew among what is published
                assert_frame_equal(
                    *(t.drop("weakest", strict=False) for t in pair), check_dtypes=False
                )
            for name in measure.numbers:
                assert answers.numbers[name][number] == getattr(alone, name)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    workspace = build(simulate(3, customers=160), tmp_path_factory.mktemp("compared"))
    return publish(workspace, k=K, answers=["touchpoints", "path_trees"])


def test_published_answers_are_put_side_by_side(snapshot):
    north, south = (Selection(segment=("region", value)) for value in ("north", "south"))
    found = snapshot.compare("touchpoints", north, south)
    one, two = (snapshot.table("touchpoints", segment=w.segment) for w in (north, south))
    row = found.table.filter(pl.col("figure") == "contacts").row(0, named=True)
    assert row["what"] == "all together"
    assert (row["first"], row["second"]) == (one.whole["contacts"][0], two.whole["contacts"][0])
    assert row["difference"] == row["second"] - row["first"]
    by_channel = snapshot.table("touchpoints").by_channel
    names = by_channel["channel"].to_list()[:2]
    found = snapshot.compare("touchpoints", *(Selection(channel=name) for name in names))
    row = found.table.filter(pl.col("figure") == "contacts").row(0, named=True)
    assert [row["first"], row["second"]] == by_channel["contacts"].to_list()[:2]
    late = snapshot.compare("touchpoints", Selection(period=(0, 0)), None)
    assert late.table["what"].n_unique() > 1


def test_what_cannot_be_compared_is_said(snapshot):
    east = Selection(segment=("region", "south"))
    with pytest.raises(InputError, match="nothing to compare"):
        snapshot.compare("touchpoints", east, east)
    with pytest.raises(UnknownNameError, match="fax"):
        snapshot.compare("touchpoints", None, Selection(channel="fax"))
    with pytest.raises(InputError, match="not published by channel"):
        snapshot.compare("path_trees", None, Selection(channel="web"))


def test_published_ways_lead_on_from_those_before(snapshot):
    table = snapshot.table("path_trees").table
    assert len(table)
    assert table["journeys"].drop_nulls().min() >= 2 * K
    for _, rows in table.filter(pl.col("direction") == "after").group_by("start", "step"):
        whole = rows.group_by("path").agg(pl.col("journeys").first())
        assert whole["journeys"].sum() > 0
    deeper = table.filter(pl.col("step") == 2)
    assert set(deeper["start"]) <= set(table.filter(pl.col("step") == 1)["start"])
