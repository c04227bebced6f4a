"""Any answer that has no figure of its own: its rows by name, what is estimated of each beside."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import polars as pl

from cxlib.errors import InputError
from cxlib.figures.rows import Points, Span, plot_rows
from cxlib.figures.wording import based_on, told
from cxlib.numbers import plural, sentence_case
from cxlib.results import Result

_MOST_ROWS, _MOST_ESTIMATES = 20, 3
_DRAWN = ("share", "points", "rating", "amount", "money")


def plot_result(result: Result, *, title: str | None = None) -> go.Figure:
    """Draw the rows of an answer in their order: their names, and the estimates with an interval.

    What names all rows alike is left out; `only` chooses which rows.

    Raises
    ------
    InputError
        Nothing in the answer is an estimate with an interval.
    """
    columns, table = result.columns, result.table
    estimates = [
        n
        for n, column in columns.items()
        if column.interval and column.kind in _DRAWN and not column.detail
        if n in table.columns and table[n].count()
    ][:_MOST_ESTIMATES]
    if not estimates:
        raise InputError(
            f"there is no figure of {type(result).__name__}: no row has an estimate with an "
            "interval; cx.plot takes what the measures return"
        )
    known = table.filter(pl.any_horizontal(pl.col(estimates).is_not_null()))
    named = [
        n
        for n, column in columns.items()
        if column.kind in ("label", "columnname", "level") and not column.of and not column.detail
        if n in known.columns and known[n].n_unique() > 1
    ]
    rows, rest = known.head(_MOST_ROWS).to_dicts(), known.height - _MOST_ROWS
    names = [_name(result, row, named) for row in rows]
    drawn = [
        Points(
            columns.heading(name),
            1.0,
            [Span(*(row[part] for part in (name, *columns.ends(name)))) for row in rows],
            [columns[name].cell(row, name, columns.ends(name)) for row in rows],
            like=0.0 if columns[name].kind == "points" else None,
        )
        for name in estimates
    ]
    hovers = [told(columns, [row], name)[0] for name, row in zip(names, rows, strict=True)]
    said = getattr(result, "sentences", list)() or [result.title]
    left_out = f"{plural(rest, 'more row')} not drawn" if rest > 0 else ""
    subtitle = based_on(result, plural(known.height, "row"), left_out=left_out)
    return plot_rows(names, drawn, hovers, said[0], title=title, subtitle=subtitle)


def _name(result: Result, row: dict[str, Any], named: list[str]) -> str:
    """What a row is called: what names it, and not all rows alike; numbers with their heading."""
    said = []
    for name in named:
        column = result.columns[name]
        if row[name] is not None:
            text = column.cell(row, name, ())
            said.append(f"{result.columns.heading(name)} {text}" if column.is_number else text)
    return sentence_case(" · ".join(said)) if said else result.title
