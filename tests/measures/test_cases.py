"""The small logs beside the repository whose right answer is a measure."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from pathlib import Path

import pytest
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from cxlib.errors import InputError
from cxlib.figures import plot_touchpoint_list
from cxlib.front.showing import explain
from cxlib.ingest import read_events
from cxlib.journey_map import read_journey_map
from cxlib.measures.funnels import measure_funnel
from cxlib.measures.overview import measure_overview
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.measures.transitions import measure_transitions
from cxlib.store import Workspace, build_workspace
from cxlib.where import Where


@pytest.fixture
def workspace_of(shared_data: Path, tmp_path: Path):
    cases = shared_data.parent / "cases"
    if not cases.is_dir():
        pytest.skip("the cases beside the repository are not here")

    def build(name: str) -> Workspace:
        journey_map = read_journey_map(cases / f"{name.split('.', maxsplit=1)[0]}.yaml")
        return build_workspace(read_events(cases / name, journey_map), tmp_path / "ws")

    return build


@pytest.mark.parametrize(
    ("name", "source", "target", "seconds", "most"),
    [
        ("median-beyond-gap.csv", "ad", "payment", 335 * 3_600, timedelta(days=14)),
        ("wait-two-days.csv", "order", "parcel", 173_370, timedelta(days=2, minutes=19)),
    ],
)
def test_a_median_wait_has_one_value_within_its_interval(
    name: str, source: str, target: str, seconds: int, most: timedelta, workspace_of
) -> None:
    workspace = workspace_of(name)
    transition = measure_transitions(workspace).table.row(0, named=True)
    step = measure_funnel(workspace, steps=[source, target]).table.row(1, named=True)
    assert (transition["source"], transition["target"]) == (source, target)
    for row, column in ((transition, "wait"), (step, "time")):
        assert row[column] == timedelta(seconds=seconds)
        assert row[f"{column}_low"] <= row[column] <= row[f"{column}_high"] <= most


def test_a_month_of_a_log_that_is_counted_by_weeks_is_refused_with_what_can_be_asked(
    workspace_of,
) -> None:
    workspace = workspace_of("weeks-for-a-month.csv")
    with pytest.raises(InputError, match=r"within a week.*2026-08-31\.\.2026-10-04 and 2026-09-07"):
        measure_overview(workspace, where=Where(since="2026-09", until="2026-09"))
    with pytest.raises(InputError, match=r"within a week.*2026-08-31\.\.2026-09-06"):
        measure_overview(workspace, where=Where(since="2026-08", until="2026-08"))


def test_names_with_markup_are_read_as_they_stand_in_the_log(workspace_of) -> None:
    workspace = workspace_of("names-with-markup.csv.gz")
    result = measure_touchpoints(workspace)
    told = markdown2html_mistune(explain(result)._repr_markdown_())
    shown = html.unescape(re.sub(r"<[^>]*>", "", told))
    named = [name for name in workspace.places["touchpoint"] if name in shown]
    assert any(set("*_<$") & set(name) for name in named)
    assert "<b>help</b> & co" in set(workspace.places["touchpoint"])
    assert "<b>help" not in told
    assert "<b>help" not in plot_touchpoint_list(result).to_json().encode().decode("unicode_escape")
