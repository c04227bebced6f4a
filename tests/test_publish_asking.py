"""Parts of a log that are asked about beside one another answer as each does by itself."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from publish_log import build, simulate

from cxlib.publish import asking
from cxlib.publish.answers import NUMBER
from cxlib.publish.rare import fold_rare_touchpoints
from cxlib.publish.rules import PUBLISHED, measure_named
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
    measures = [measure_named(p.name) for p in PUBLISHED if p.by_period]
    found = dict(asking.ask(measures, workspace, summary, choices, k=K, tell=lambda _: None))
    assert [m.name for m in found] == [m.name for m in measures]
    for number, where in enumerate(choices.selections()):
        part = summary.select(Selection(segment=where.segment))
        for measure, answers in found.items():
            if number % 5 and measure.name != "stage_funnel":
                continue
            period = Selection(period=choices.of_summary(where).period)
            alone = measure.measure(part, where=period)
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
