"""Where journeys are at their first, second, third … contact, and how they ended by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.matrix import CELL_PX, add_matrix
from cxlib.figures.theme import new_figure, theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import plural, share

if TYPE_CHECKING:
    from cxlib.measures.step_matrix import StepMatrix

__all__ = ["describe_step_matrix", "plot_step_matrix"]

_ENDS = {
    "goal": "ended: goal reached",
    "done": "ended: nothing left to reach",
    "declined": "ended: declined",
    "silent": "ended: silence",
    "open": "still open",
}


def plot_step_matrix(result: StepMatrix, *, title: str | None = None) -> go.Figure:
    """Draw the share of journeys at every touchpoint by contact number; columns add up to all.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_step_matrix`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    seen = set(result.table.filter(pl.col("journeys") > 0)["name"])
    names = [("contact", name) for name in result.names if name in seen]
    names += [("ended", end) for end in _ENDS if end in seen]
    steps = result.table["step"].unique().sort().to_list()
    sentence = describe_step_matrix(result)
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, f"Share of {plural(result.journeys, 'journey')}", whiskers=False),
        alt=sentence,
        height=170 + CELL_PX * len(names),
    )
    cells = {(r["kind"], r["name"], r["step"]): r for r in result.table.iter_rows(named=True)}
    add_matrix(
        figure,
        [[_share(cells.get((*name, step))) for step in steps] for name in names],
        [[_hover(cells.get((*name, step)), name[1], step) for step in steps] for name in names],
        rows=[name if kind == "contact" else _ENDS[name] for kind, name in names],
        columns=[str(step) for step in steps],
        theme=theme,
        headings=("", "number of the contact"),
    )
    contacts = sum(kind == "contact" for kind, _ in names)
    figure.add_hline(y=contacts - 0.5, line={"color": theme.muted, "width": 1})
    return figure


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
    part = share(first["share"], first["share_low"], first["share_high"])
    return (
        f"{part} of journeys begin with {first['name']}; before contact {last}, "
        f"{share(over.get('goal', 0.0))} have reached the goal and {share(gone)} have got lost"
    )


def _share(row: dict[str, Any] | None) -> float | None:
    return None if row is None or not row["journeys"] else row["share"]


def _hover(row: dict[str, Any] | None, name: str, step: int) -> str:
    if row is None or not row["journeys"]:
        return ""
    part = share(row["share"], row["share_low"], row["share_high"])
    return (
        f"<b>{plotly_text(_ENDS.get(name, name))}</b>, contact {step}<br>"
        f"{plural(row['journeys'], 'journey')}, {part}"
    )
