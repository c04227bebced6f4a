"""Ways from or to a touchpoint, as a tree of bars inside bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from cxlib.figures.theme import Theme, new_figure, theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.path_tree import PathTree

__all__ = ["describe_path_tree", "plot_path_tree"]

_HEIGHT = 560


def plot_path_tree(result: PathTree, *, title: str | None = None) -> go.Figure:
    """Draw the ways from a touchpoint, or to it: every branch as wide as its journeys.

    Parameters
    ----------
    result
        From `cxlib.measures.path_tree.measure_path_tree`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.table.to_dicts()
    sentence = describe_path_tree(result)
    chain, parents = ["0"], []
    for number, row in enumerate(rows, start=1):
        del chain[row["step"] :]
        parents.append(chain[-1])
        chain.append(str(number))
    ids = ["0", *(str(number) for number in range(1, len(rows) + 1))]
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, f"{plural(result.journeys, 'journey')} through {result.start}"),
        alt=sentence,
        height=_HEIGHT,
    )
    figure.add_trace(
        go.Icicle(
            ids=ids,
            labels=[plotly_text(n) for n in (result.start, *(row["name"] for row in rows))],
            parents=["", *parents],
            values=[result.journeys, *(row["journeys"] for row in rows)],
            branchvalues="total",
            sort=False,
            tiling={"orientation": "h", **({} if result.forwards else {"flip": "x"})},
            marker={
                "colors": [theme.accent, *(_colour(row["end"], theme) for row in rows)],
                "line": {"color": theme.paper, "width": 2},
            },
            text=["", *(share(row["share"]) for row in rows)],
            textinfo="label+text",
            hovertext=[plural(result.journeys, "journey"), *map(_hover, rows)],
            hoverinfo="text",
            pathbar={"visible": False},
        )
    )
    return figure


def _colour(end: str | None, theme: Theme) -> str:
    """Ends in the colours that they have everywhere, what goes on in a quiet one."""
    ended = {"goal": theme.go_on, "declined": theme.lost, "silent": theme.lost, None: theme.band}
    return ended.get(end, theme.still_open)


def _hover(row: Mapping[str, Any]) -> str:
    part = share(row["share"], row["share_low"], row["share_high"])
    return (
        f"<b>{plotly_text(row['path'])}</b><br>{plural(row['journeys'], 'journey')} of "
        f"{people(row['of'])}: {part}"
    )


def describe_path_tree(result: PathTree) -> str:
    """Say in one sentence what is most frequent next to the start."""
    return result.sentences()[0]
