"""A funnel over chosen steps: who gets to each, and what becomes of those who do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import Part, Span, add_bars, add_points, add_splits, key_of, new_rows
from cxlib.figures.theme import Theme, theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.funnels import Funnel

__all__ = ["describe_funnel", "plot_funnel"]


def plot_funnel(result: Funnel, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys get to each step, the rate from the step before, and where they stop.

    Journeys whose next step can still come are a part of their own, never among the lost.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_funnel`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.table.sort("step").to_dicts()
    parts = _parts(rows, theme)
    sentence = describe_funnel(result)
    figure = new_rows(
        [f"{row['step']}  {row['name']}" for row in rows],
        [
            ("journeys that get here", 0.9),
            ("rate from step before", 0.65),
            (f"then: {key_of(parts)}", 1.5),
        ],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(result.journeys, "journey")),
        alt=sentence,
    )
    hovers = [_hover(row) for row in rows]
    add_bars(
        figure,
        [Span(row["share"], row["share_low"], row["share_high"]) for row in rows],
        [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
        column=1,
        colours=[theme.accent] * len(rows),
        theme=theme,
        hovers=hovers,
    )
    add_points(
        figure,
        [Span(row["rate"], row["rate_low"], row["rate_high"]) for row in rows],
        [share(row["rate"], row["rate_low"], row["rate_high"]) for row in rows],
        column=2,
        theme=theme,
        hovers=hovers,
    )
    write = [[share(span.value) for span in part.shares] for part in parts]
    add_splits(figure, parts, column=3, theme=theme, hovers=hovers, write=write)
    return figure


def describe_funnel(result: Funnel) -> str:
    """Say in one sentence how many get through, and at which step most stop."""
    rows = result.table.sort("step")
    last = rows.row(-1, named=True)
    through = share(last["share"], last["share_low"], last["share_high"])
    sentence = f"{through} of the journeys at {rows['name'][0]} have got to {last['name']} so far"
    known = rows.filter(pl.col("rate").is_not_null())
    if len(known) < 2:
        return sentence
    weak = known.sort("rate", "step").row(0, named=True)
    before = rows.filter(pl.col("step") == weak["step"] - 1)["name"].item()
    rate = share(weak["rate"], weak["rate_low"], weak["rate_high"])
    return f"{sentence}; the hardest step is {before} → {weak['name']}: {rate}"


def _parts(rows: Sequence[Mapping[str, Any]], theme: Theme) -> list[Part]:
    """Return what became of the journeys at every step, as counted; the last step has no sequel."""
    counts = [_counts(row, after) for row, after in zip(rows, [*rows[1:], None], strict=True)]
    looks = (
        ("next step", theme.go_on),
        ("goal, other way", theme.channels[3]),
        ("still open", theme.still_open),
        ("lost", theme.lost),
    )
    return [
        Part(name, colour, [Span(n[i] / sum(n) if n and sum(n) else None) for n in counts])
        for i, (name, colour) in enumerate(looks)
    ]


def _counts(row: Mapping[str, Any], after: Mapping[str, Any] | None) -> tuple[int, ...]:
    if after is None or row["open_n"] is None:
        return ()
    return (after["journeys"], row["done_n"], row["open_n"], row["declined_n"] + row["silent_n"])


def _hover(row: Mapping[str, Any]) -> str:
    lines = [
        f"<b>{plotly_text(row['name'])}</b>",
        f"{plural(row['journeys'], 'journey')} of {plural(row['customers'], 'customer')}",
    ]
    if row["rate"] is not None:
        rate = share(row["rate"], row["rate_low"], row["rate_high"])
        lines.append(f"{rate} of those at the step before get here")
    if row["time"] is not None:
        lines.append(f"half of them within {duration(row['time'])}")
    return "<br>".join(lines)
