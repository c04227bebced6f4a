"""Ways from or to a touchpoint, as a tree of bars inside bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from cxlib.figures.canvas import new_figure
from cxlib.figures.theme import text_on, theme_named
from cxlib.figures.wording import based_on, estimate
from cxlib.markup import hover, plotly_text
from cxlib.numbers import people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.path_tree import PathTree

_HEIGHT = 560


def plot_path_tree(result: PathTree, *, title: str | None = None) -> go.Figure:
    """Draw the ways from a touchpoint, or to it: every branch as wide as its journeys."""
    theme = theme_named()
    rows = result.table.to_dicts()
    chain, parents = ["0"], []
    for number, row in enumerate(rows, start=1):
        del chain[int(row["step"]) :]
        parents.append(chain[-1])
        chain.append(str(number))
    # Rounded branches may add up to more than what they branch from, which cannot be drawn.
    values, within = [result.journeys, *(row["journeys"] for row in rows)], [0] * (len(rows) + 1)
    for number in range(len(rows), -1, -1):
        values[number] = max(values[number], within[number])
        if number:
            within[int(parents[number - 1])] += values[number]
    # Ends in the colours that they have everywhere, what goes on in a quiet one.
    ends = {"goal": theme.go_on, "declined": theme.lost, "silent": theme.lost, None: theme.band}
    colours = [theme.accent, *(ends.get(row["end"], theme.still_open) for row in rows)]
    figure = new_figure(
        result.sentences()[0],
        title=title,
        subtitle=based_on(result, f"{plural(result.journeys, 'journey')} through {result.start}"),
        height=_HEIGHT,
    )
    # What would have to be written smaller than this is left to the hover.
    figure.layout.uniformtext = {"minsize": 11, "mode": "hide"}
    return figure.add_trace(
        go.Icicle(
            ids=[str(number) for number in range(len(rows) + 1)],
            labels=[plotly_text(n) for n in (result.start, *(row["name"] for row in rows))],
            parents=["", *parents],
            values=values,
            customdata=[None, *(None if row["end"] else row["name"] for row in rows)],
            branchvalues="total",
            sort=False,
            tiling={"orientation": "h"} | ({} if result.forwards else {"flip": "x"}),
            marker={
                "colors": colours,
                "line": {"color": theme.paper, "width": 2},
            },
            text=["", *(share(row["share"]) for row in rows)],
            textinfo="label+text",
            textfont={"size": 13, "color": [text_on(colour) for colour in colours]},
            hovertext=[
                plural(result.journeys, "journey"),
                *(
                    hover(
                        row["path"],
                        f"{plural(row['journeys'], 'journey')} of {people(row['of'])}: "
                        f"{estimate(row, 'share')}",
                    )
                    for row in rows
                ),
            ],
            hoverinfo="text",
            pathbar={"visible": False},
            leaf={"opacity": 1},
        )
    )
