"""Answers without a figure of their own: each row of estimates is drawn, named by what tells it."""

from datetime import UTC, datetime

import pytest

import cxlib as cx
from cxlib.errors import InputError
from cxlib.measures.loyalty import Loyalty

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)


def loyalty(*rows):
    names = ("by", "group", "days", "share", "share_low", "share_high", "difference")
    table = Loyalty.tables["table"].frame(
        {"outcome": "return", "n": 90} | dict(zip(names, row, strict=True)) for row in rows
    )
    return Loyalty(table=table, observed_until=UNTIL)


def test_rows_are_named_by_what_tells_them_apart_and_estimates_stand_beside():
    figure = cx.plot(
        loyalty(
            ("segment.age", "<b>old", 30, 0.2, 0.1, 0.3, -0.1),
            ("segment.age", "young", 30, 0.3, 0.2, 0.4, 0.1),
        )
    )
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;old", "Young"]
    assert list(figure.data[0].x) == [0.2, 0.3]
    assert list(figure.data[0].error_x.array) == pytest.approx([0.1, 0.1])
    assert [a.text for a in figure.layout.annotations] == ["share", "difference"]
    assert "2 rows" in figure.layout.title.subtitle.text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_row_whose_estimates_are_not_known_is_not_drawn_and_what_is_left_out_is_said():
    rows = [("all", "all", days, 0.2, 0.1, 0.3, None) for days in range(1, 24)]
    figure = cx.plot(loyalty(*rows, ("all", "all", 99, None, None, None, None)))
    assert list(figure.layout.yaxis.ticktext)[:2] == ["Days 1", "Days 2"]
    assert len(figure.data[0].x) == 20
    said = figure.layout.title.subtitle.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "23 rows" in said
    assert "3 more rows not drawn" in said


def test_what_has_no_estimate_has_no_figure():
    with pytest.raises(InputError, match="there is no figure of Loyalty"):
        cx.plot(loyalty(("all", "all", 30, None, None, None, None)))
    with pytest.raises(InputError, match="there is no figure of int"):
        cx.plot(3)


@pytest.mark.parametrize(
    ("measure", "estimate"),
    [
        (cx.measure_perception, "mean"),
        (cx.measure_attribution, "share"),
        (cx.measure_drivers, "share"),
    ],
)
def test_what_is_drawn_of_a_log_is_what_the_table_says(example_workspace, measure, estimate):
    result = measure(example_workspace)
    known = result.table.drop_nulls(estimate).head(20)
    figure = cx.plot(result)
    assert list(figure.data[0].x) == pytest.approx(known[estimate].to_list())
    assert len(set(figure.layout.yaxis.ticktext)) == len(known)
