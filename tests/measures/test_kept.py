"""However much of a log is worked on at once, or kept, the answer is the same."""

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from cxlib import sequences
from cxlib.measures import touchpoints, transitions
from cxlib.measures.funnels import measure_funnel
from cxlib.measures.path_tree import measure_path_trees
from cxlib.measures.paths import measure_paths
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.measures.transitions import measure_transitions
from cxlib.measures.waits import measure_waits
from cxlib.store import Workspace
from cxlib.summary import Selection

OF_JOURNEYS = {
    "funnel": lambda ws, **k: measure_funnel(ws, steps=["ad", "page", "pay"], **k),
    "paths": lambda ws, **k: measure_paths(ws, top=10_000, **k),
    "path trees": measure_path_trees,
    "waits": measure_waits,
}


@pytest.mark.parametrize("where", [None, Selection(period=(1, 3), channel="web")])
@pytest.mark.parametrize("measure", OF_JOURNEYS.values(), ids=OF_JOURNEYS)
def test_a_large_log_is_read_bucket_by_bucket_to_the_same_answer(
    workspace, monkeypatch, measure, where
):
    kept = measure(Workspace.open(workspace.path), where=where).table
    monkeypatch.setattr(sequences, "MOST_KEPT", 0)
    large = Workspace.open(workspace.path)
    read = measure(large, where=where).table
    keys = [c for c in ("step", "kind", "name", "path", "source", "target") if c in kept.columns]
    assert_frame_equal(kept.sort(keys), read.sort(keys))
    assert not large.kept


def test_touchpoints_and_transitions_are_the_same_few_at_a_time(summary, monkeypatch):
    whole = measure_touchpoints(summary), measure_transitions(summary)
    monkeypatch.setattr(touchpoints, "_CHUNK", 2)
    monkeypatch.setattr(transitions, "_CHUNK", 3)
    few = measure_touchpoints(summary), measure_transitions(summary)
    for one, other in zip(whole, few, strict=True):
        for name in one.tables:
            assert_frame_equal(getattr(one, name), getattr(other, name))


def test_what_is_kept_of_a_part_is_read_anew_for_another(workspace):
    opened, asked = Workspace.open(workspace.path), []
    file = opened.log_folder / "places.parquet"
    for part in ("a", "a", "b", "a"):
        assert opened.keep("x", file, lambda p=part: asked.append(p) or p, of=part) == part
    assert asked == ["a", "b", "a"]


def test_journeys_are_of_their_buckets(workspace):
    [found] = sequences.read_journeys(Workspace.open(workspace.path))
    known = dict(workspace.customers().select("customer", "bucket").collect().iter_rows())
    assert [known[c] for c in found.customer] == found.bucket.tolist()
    assert np.array_equal(found.first[found.number] + 0, np.repeat(found.first, found.lengths))
