"""Columns declared once: what follows from them holds for every result there is."""

import csv
import importlib
import io
import json
import pkgutil
import re
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import frames

import cxlib
from cxlib.columns import Columns, Count, Label, Share, Tables, Wait
from cxlib.errors import UnknownNameError
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.results import Result, result
from cxlib.tables import as_records, csv_text

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
FORMULA = re.compile(r"^[=+\-@\t\r]")


def all_results():
    for module in pkgutil.walk_packages(cxlib.__path__, "cxlib."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, below = set(), [Result]
    while below:
        below += (made := below.pop()).__subclasses__()
        if made.tables and made.__module__.startswith("cxlib."):
            found.add((made.__module__, made.__name__))
    return sorted(found)


RESULTS = all_results()
TABLES = [
    pytest.param(columns, id=f"{name}.{field}")
    for module, name in RESULTS
    for field, columns in getattr(importlib.import_module(module), name).tables.items()
]
RANDOM = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@result
class Moves(Result):
    """What a toy measure returns."""

    title = "Moves"
    tables = Tables(
        table=Columns(
            "one row per pair",
            source=Label("what is left"),
            n=Count("transitions", each="contacts"),
            share=Share("of all", of="n", interval=True),
            wait=Wait("median", of="n", detail=True),
            owner=Label("who answers", optional=True),
        )
    )


COLUMNS = Moves.tables["table"]


def moves(*rows):
    return Moves(table=COLUMNS.frame(rows), observed_until=UNTIL)


def test_every_result_of_the_package_is_declared():
    assert {name for _, name in RESULTS} >= {
        *("Touchpoints", "Transitions", "Handoffs", "FirstContacts", "StageFunnel", "Funnel"),
        *("Paths", "Waits", "Overview", "Segments"),
    }


def test_a_declared_column_is_in_the_docstring_of_the_class_and_of_the_measure():
    assert "- ``share``, ``share_low``, ``share_high`` (share): of all" in Moves.__doc__
    listed = measure_touchpoints.__doc__
    assert "- ``go_on``, ``go_on_low``, ``go_on_high`` (share): chance" in listed
    assert listed.index("Touchpoints\n") < listed.index("``go_on``") < listed.index("Examples")
    assert listed.count("ratings given") == 1, "what two tables share is described once"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.drop("share_high"), "Moves.table has no column 'share_high'"),
        (lambda t: t.with_columns(x=1), "Moves.table has a column that is not declared: 'x'"),
        (
            lambda t: t.with_columns(pl.col("n").cast(pl.Float64)),
            "Moves.table: column 'n' is Float64",
        ),
    ],
)
def test_a_frame_that_is_not_as_declared_is_no_result(change, complaint):
    with pytest.raises(TypeError, match=re.escape(complaint)):
        Moves(table=change(COLUMNS.frame([{"source": "a"}])), observed_until=UNTIL)


def test_where_nothing_was_measured_the_columns_are_there_all_the_same():
    empty = Moves(table=pl.DataFrame(), observed_until=UNTIL)
    assert empty.table.schema == moves().table.schema
    assert "<tbody></tbody>" in empty._repr_html_()


def test_rows_are_kept_by_the_names_they_have():
    found = moves({"source": "a", "n": 1}, {"source": "b", "n": 2}, {"source": "c", "n": 3})
    assert found.only(source="b").table["n"].to_list() == [2]
    assert found.only(source=("a", "c")).table["n"].to_list() == [1, 3]
    assert found.only(source=()).table.is_empty()
    with pytest.raises(UnknownNameError, match="Did you mean 'source'"):
        found.only(sources="b")


def test_a_column_of_some_answers_may_be_missing_but_not_by_half():
    assert "owner" not in moves({"source": "a"}).table.columns
    assert moves({"source": "a", "owner": "b"}).table["owner"].to_list() == ["b"]
    with pytest.raises(TypeError, match="no column 'shares'"):
        COLUMNS.frame([{"shares": 0.5}])


def test_people_see_estimates_with_their_interval_and_no_details():
    found = moves(
        {"source": "<i>", "n": 1240, "share": 0.31, "share_low": 0.29, "share_high": 0.33}
    )
    page = found._repr_html_()
    assert "<caption>Moves (observed until 31 Oct 2026)</caption>" in page
    assert "31\N{NO-BREAK SPACE}% (29–33)" in page
    assert "1,240" in page
    assert "&lt;i&gt;" in page
    assert "wait" not in page
    assert repr(found) == "<Moves: 1 row, observed until 31 Oct 2026>"


def test_a_long_answer_says_how_much_more_there_is():
    assert "and 5 more rows)" in moves(*({"source": str(i)} for i in range(30)))._repr_html_()


@pytest.mark.parametrize("columns", TABLES)
@given(data=st.data())
@RANDOM
def test_what_is_shown_and_written_holds_every_row_and_no_markup_or_formula(columns, data):
    table = data.draw(frames(columns))
    columns.check(table, "random")
    written = columns.written(table)
    assert len(written.rows) == len(table)
    assert all(isinstance(cell, str) for row in written.rows for cell in row)
    page = written.to_html(caption="x")
    assert page.count("<tr>") == len(table) + 1
    assert "<b>" not in page
    lines = written.to_markdown().splitlines()
    assert len(lines) == len(table) + 2
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    records = as_records(table)
    json.dumps(records, allow_nan=False)
    durations = {n for n, dtype in table.schema.items() if dtype == pl.Duration}
    names = [f"{n}_seconds" if n in durations else n for n in table.columns]
    header, *rows = csv.reader(io.StringIO(csv_text(table, {"selection": "=all"}), newline=""))
    assert header == [*names, "selection"]
    assert len(rows) == len(table)
    assert all(list(record) == names for record in records)
    words = [i for i, n in enumerate(table.columns) if table.schema[n] == pl.String]
    for row in rows:
        assert row[-1] == "'=all"
        assert not any(FORMULA.match(row[i]) for i in words)


@pytest.mark.parametrize("columns", TABLES)
def test_what_a_column_depends_on_is_a_column(columns):
    for name, column in columns.items():
        assert column.about, name
        assert column.of is None or column.of in columns, f"{name} of {column.of}"
