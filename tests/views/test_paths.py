"""The path explorer: forwards and backwards, ends apart, and what is not drawn is said."""

from typing import ClassVar

import pytest
from figure_results import UNTIL

from cxlib.measures.path_tree import PathTrees
from cxlib.views.paths.view import PathExplorer, _tree_of


def way(start, direction, step, path, n, of, end=None):
    name = path.split(" → ")[-1 if direction == "after" else 0]
    row = {"start": start, "direction": direction, "step": step, "path": path, "name": name}
    ends = {"share": n / of, "share_low": n / of - 0.05, "share_high": n / of + 0.05}
    return row | {"end": end, "journeys": n, "before": of} | ends


ROWS = [
    way("page", "after", 1, "page → basket", 600, 1000),
    way("page", "after", 2, "page → basket → payment", 400, 600),
    way("page", "after", 2, "page → basket → (still open)", 2, 600, "open"),
    way("page", "after", 2, "page → basket → rare", 3, 600),
    way("page", "after", 1, "page → (ends in silence)", 200, 1000, "silent"),
    way("page", "after", 1, "page → (still open)", 50, 1000, "open"),
    way("page", "before", 1, "ad → page", 900, 1000),
    way("basket", "after", 1, "basket → payment", 500, 600),
]


class Answers:
    """Ways from a page and from a basket."""

    segments = (("persona", "planner"),)
    manifest: ClassVar = {"observed_until": UNTIL.isoformat(), "name": "shop", "k": 10}

    def table(self, *, measure, segment):
        assert measure == "path_trees"
        rows = ROWS if segment is None else []
        table = PathTrees.tables["table"].frame(rows)
        return PathTrees(table=table, all_journeys=2000, observed_until=UNTIL)


@pytest.fixture
def view():
    return PathExplorer(Answers())


def plain(html):
    return html.replace("\N{NO-BREAK SPACE}", " ")


def test_it_starts_with_the_busiest_and_says_ends_denominator_and_what_is_not_drawn(view):
    assert view.starts == ["page", "basket"]
    said = plain(view.answer.value)
    assert "After page comes basket most often: in 60 %" in said
    assert "Of 1,000 journeys through page: 20 % end there, and the customer is lost" in said
    assert " · 5.0 % are still open there · 15 % are not drawn. " in said


def test_rare_ways_are_left_out_and_ends_never_are(view):
    drawn = view.tree.table["name"].to_list()
    assert drawn == ["basket", "payment", "(still open)", "(ends in silence)", "(still open)"]
    assert plain(view.steps.value).count("<li") == 5
    labels = view.figure.figure["data"][0]["labels"]
    assert labels[:3] == ["page", "basket", "payment"]


def test_it_can_be_followed_backwards_and_by_a_click(view):
    view.state.direction = "before"
    assert "Before page comes ad most often: in 90 %" in plain(view.answer.value)
    view.state.direction = "after"
    view.figure.clicked = {"key": "basket", "count": 1}
    assert view.state.start == "basket"
    assert "After basket comes payment" in view.answer.value
    for count, key in enumerate(("basket", "(still open)", "payment"), start=2):
        view.figure.clicked = {"key": key, "count": count}
        assert view.state.start == "basket"
    assert view.message.value == ""


def test_a_group_of_which_nothing_is_published_is_said_calmly(view):
    view.state.segment = ("persona", "planner")
    assert "Too few journeys come through page to be shown." in view.answer.value
    assert view.figure.layout.display == "none"
    assert view.message.value == ""


def test_a_log_too_small_for_any_way_says_so_and_draws_no_frame(monkeypatch):
    monkeypatch.setitem(globals(), "ROWS", [])
    view = PathExplorer(Answers())
    assert "Too few journeys come through any touchpoint to be shown." in view.answer.value
    assert "0 journeys" not in view.answer.value
    assert view.figure.layout.display == "none"


def test_an_end_that_is_most_frequent_is_no_touchpoint():
    rows = [way("page", "after", 1, "page → (ends in silence)", 900, 1000, "silent")]
    table = PathTrees.tables["table"].frame(rows)
    trees = PathTrees(table=table, all_journeys=1000, observed_until=UNTIL)
    (said,) = _tree_of(trees, "page", True).sentences()
    assert plain(said).startswith("After page, most often: ends in silence, in 90 %")
