"""Ways from or to a touchpoint, as a tree of bars inside bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from cxlib.figures.canvas import new_figure
from cxlib.figures.theme import THEME, text_on
from cxlib.figures.wording import based_on, estimate
from cxlib.markup import hover, plotly_text
from cxlib.numbers import people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.path_tree import PathTree

_HEIGHT = 640
_LEFT = "not drawn"


def plot_path_tree(result: PathTree, *, title: str | None = None) -> go.Figure:
    """Draw the ways from a touchpoint, or to it: every branch as wide as its journeys."""
    chain, parents, rows = [0], [-1], result.table.to_dicts()
    for number, row in enumerate(rows, start=1):
        del chain[int(row["step"]) :]
        parents.append(chain[-1])
        chain.append(number)
    # Rounded branches may add up to more than what they branch from, which cannot be drawn.
    values = [result.journeys, *(row["journeys"] for row in rows)]
    within = [0] * len(values)
    for number in range(len(rows), -1, -1):
        values[number] = max(values[number], within[number])
        if number:
            within[parents[number]] += values[number]
    whole = plural(result.journeys, "journey")
    # name, share, hover, key of a click, colour: ends as everywhere, what goes on in a quiet one
    ends = {"goal": THEME.go_on, "declined": THEME.lost, "silent": THEME.lost, None: THEME.scale[0]}
    nodes: list[tuple[str, str, str, str | None, str]] = [
        (result.start, "", whole, None, THEME.accent)
    ]
    for row in rows:
        of = (
            f"{plural(row['journeys'], 'journey')} of {people(row['of'])}: {estimate(row, 'share')}"
        )
        key = None if row["end"] else row["name"]
        colour = ends.get(row["end"], THEME.still_open)
        nodes.append((row["name"], share(row["share"]), hover(row["path"], of), key, colour))
    for number, rest in enumerate([v - w for v, w in zip(values, within, strict=True)]):
        if within[number] and rest > 0:
            part = share(rest / values[number])
            nodes.append((_LEFT, part, hover(_LEFT, part), None, THEME.band))
            parents.append(number)
            values.append(rest)
    names, shares, hovers, keys, colours = zip(*nodes, strict=True)
    figure = new_figure(
        result.sentences()[0],
        title=title,
        subtitle=based_on(result, f"{whole} through {result.start}"),
        height=_HEIGHT,
    )
    # What would have to be written smaller than this is left to the hover.
    figure.layout.uniformtext = {"minsize": 11, "mode": "hide"}
    return figure.add_trace(
        go.Icicle(
            ids=[str(number) for number in range(len(nodes))],
            labels=[plotly_text(name) for name in names],
            parents=["", *map(str, parents[1:])],
            values=values,
            customdata=keys,
            branchvalues="total",
            sort=False,
            tiling={"orientation": "h"} | ({} if result.forwards else {"flip": "x"}),
            marker={"colors": colours, "line": {"color": THEME.paper, "width": 2}},
            text=shares,
            texttemplate=[f"%{{label}}{'  <b>%{text}</b>' if part else ''}" for part in shares],
            textfont={"size": 13, "color": [text_on(colour) for colour in colours]},
            hovertext=hovers,
            hoverinfo="text",
            pathbar={"visible": False},
            leaf={"opacity": 1},
        )
    )
