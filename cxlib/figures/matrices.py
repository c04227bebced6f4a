"""Answers that are matrices: what follows what, and where journeys are at their first contacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.canvas import lay_out, named_axis, new_figure
from cxlib.figures.theme import THEME, colour_scale
from cxlib.figures.wording import based_on, estimate, told
from cxlib.markup import hover
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.step_matrix import StepMatrix
    from cxlib.measures.transitions import Handoffs, Transitions

_CELL_PX = 26

_WRITTEN_FROM = 0.005
"""Shares below are drawn, but not written: at this size a reader only sees that there is some."""

_MOST_NAMES = 24
"""Sources and targets that fit a readable matrix; the rarest others are counted below it."""

_ENDS = {
    "goal": "ended: goal reached",
    "done": "ended: nothing left to reach",
    "declined": "ended: declined",
    "silent": "ended: silence",
    "open": "still open",
}


def plot_transitions(result: Transitions | Handoffs, *, title: str | None = None) -> go.Figure:
    """Draw which contact directly follows which, as shares of the source's contacts."""
    named = _named(result.table)
    ends = [named.select(pl.col(end).alias("name"), "n") for end in ("source", "target")]
    counted = pl.concat(ends).group_by("name").agg(pl.col("n").sum())
    names = counted.sort(["n", "name"], descending=[True, False])["name"].to_list()
    shown = names[:_MOST_NAMES]
    table = named.filter(pl.col("source").is_in(shown) & pl.col("target").is_in(shown))
    moves = int(result.table["n"].sum())
    said = f"Share of the contacts in a row that are followed by the column; {people(moves)} moves"
    if len(names) > len(shown):
        rest = share(1 - int(table["n"].sum()) / max(moves, 1))
        said += f", of which {rest} are to or from {len(names) - len(shown)} more and not shown"
    figure = new_figure(
        describe_transitions(result),
        title=title,
        subtitle=said,
        height=190 + _CELL_PX * len(shown),
    )
    cells = {(row["source"], row["target"]): row for row in table.iter_rows(named=True)}
    return _add_matrix(
        figure,
        [[(cells.get((a, b)) or {}).get("share") for b in shown] for a in shown],
        [
            [
                told(result.columns, [cells[a, b]], f"{a} → {b}")[0]
                if (a, b) in cells
                else hover(f"{a} → {b}", "does not occur")
                for b in shown
            ]
            for a in shown
        ],
        rows=shown,
        columns=shown,
        headings=("from", "to"),
    )


def describe_transitions(result: Transitions | Handoffs) -> str:
    """Say in one sentence which move is the most frequent."""
    moves = _named(result.table).filter(pl.col("source") != pl.col("target"))
    if moves.is_empty():
        return "No contact is followed by a different one"
    row = moves.sort(["n", "source", "target"], descending=[True, False, False]).row(0, named=True)
    often = f"after {estimate(row, 'share')} of its contacts"
    sentence = f"Most often {row['target']} follows {row['source']}: {often}"
    if row["wait"] is not None:
        sentence += f", half of them within {duration(row['wait'])}"
    return sentence


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Name sources and targets in words; results by place hold numbers."""
    if "source_touchpoint" not in table.columns:
        return table
    return table.with_columns(
        pl.format("{} ({})", f"{end}_touchpoint", f"{end}_channel").alias(end)
        for end in ("source", "target")
    )


def plot_step_matrix(result: StepMatrix, *, title: str | None = None) -> go.Figure:
    """Draw the share of journeys at every touchpoint by contact number; columns add up to all."""
    there = result.table.filter(pl.col("journeys") > 0)
    seen = set(there["name"])
    names = [("contact", name) for name in result.names if name in seen]
    contacts = len(names)
    names += [("ended", end) for end in _ENDS if end in seen]
    steps = result.table["step"].unique().sort().to_list()
    cells = {(r["kind"], r["name"], r["step"]): r for r in there.iter_rows(named=True)}
    figure = new_figure(
        describe_step_matrix(result),
        title=title,
        subtitle=based_on(result, f"Share of {plural(result.journeys, 'journey')}", whiskers=False),
        height=170 + _CELL_PX * len(names),
    )
    _add_matrix(
        figure,
        [[(cells.get((*name, step)) or {}).get("share") for step in steps] for name in names],
        [[_step_hover(cells.get((*name, step))) for step in steps] for name in names],
        rows=[name if kind == "contact" else _ENDS[name] for kind, name in names],
        columns=[str(step) for step in steps],
        headings=("", "number of the contact"),
    )
    return figure.add_hline(y=contacts - 0.5, line={"color": THEME.muted, "width": 1})


def describe_step_matrix(result: StepMatrix) -> str:
    """Say in one sentence how journeys begin and what has become of them at the last step shown."""
    begin = result.table.filter(pl.col("step") == 1, pl.col("kind") == "contact")
    if begin.is_empty():
        return "No journey in this selection"
    first = begin.sort("share", "name", descending=[True, False]).row(0, named=True)
    last = int(result.table.select(pl.col("step").max()).item())
    ended = result.table.filter(pl.col("step") == last, pl.col("kind") == "ended")
    over = {row["name"]: row["share"] or 0.0 for row in ended.iter_rows(named=True)}
    gone = over.get("declined", 0.0) + over.get("silent", 0.0)
    return (
        f"{estimate(first, 'share')} of journeys begin with {first['name']}; before contact "
        f"{last}, {share(over.get('goal', 0.0))} have reached the goal and {share(gone)} have "
        "got lost"
    )


def _step_hover(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    name, counted = _ENDS.get(row["name"], row["name"]), plural(row["journeys"], "journey")
    return hover(name, f"contact {row['step']}", f"{counted}, {estimate(row, 'share')}")


def _add_matrix(
    figure: go.Figure,
    shares: Sequence[Sequence[float | None]],
    hovers: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    headings: tuple[str, str],
) -> go.Figure:
    """Add shares row by row, darker where they are larger; None where there is nothing."""
    figure.add_heatmap(
        z=[[value or 0.0 for value in row] for row in shares],
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        text=[
            [share(v) if v is not None and v >= _WRITTEN_FROM else "" for v in r] for r in shares
        ],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=hovers,
        hoverinfo="text",
        zmin=0,
        # From the paper's colour on, so that rare looks nearly like nothing.
        colorscale=colour_scale((THEME.paper, *THEME.scale[:-1])),
        xgap=2,
        ygap=2,
        showscale=False,
    )
    slanted = max((len(name) for name in columns), default=0) > 4
    down, across = ({"title": {"text": heading}} for heading in headings)
    return lay_out(
        figure,
        plot_bgcolor=THEME.band,
        yaxis=named_axis(rows, size=12, range=[len(rows) - 0.5, -0.5], **down),
        xaxis=named_axis(columns, size=12, tickangle=-40 if slanted else 0, **across),
    )
