"""Answers that are lists: where journeys begin, funnels, waits, paths, touchpoints, forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.canvas import wrap
from cxlib.figures.rows import (
    Bars,
    Part,
    Points,
    Span,
    Split,
    Texts,
    key_of,
    plot_rows,
    spans,
    split,
)
from cxlib.figures.theme import channel_colours, stage_colours, theme_named
from cxlib.figures.touchpoints import describe_touchpoints, hover_text
from cxlib.figures.wording import based_on, estimate, named
from cxlib.markup import hover, plotly_text
from cxlib.numbers import duration, people, plural, points, rating, share

if TYPE_CHECKING:
    from cxlib.measures.first_contacts import FirstContacts
    from cxlib.measures.funnels import Funnel
    from cxlib.measures.paths import Paths
    from cxlib.measures.stage_funnel import StageFunnel
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.waits import Waits
    from cxlib.prediction import Prediction

_MOST_ROWS, _MOST_PATHS, _MOST_FORECASTS = 16, 15, 12
"""Rows that are drawn; how many more there are is said."""

_FEWEST_JOURNEYS, _FEWEST_NAMED = 10, 30
"""Journeys of a first contact that is shown, and of one that is singled out in the sentence."""

_LINE, _LINES = 58, 2
"""Characters of a line of a path, and lines; of a longer path the end is left to the hover."""


def plot_touchpoint_list(result: Touchpoints, *, title: str | None = None) -> go.Figure:
    """Draw how many customers each touchpoint has, what comes after it, and how it is rated.

    The map (`plot_touchpoints`) shows how touchpoints hang together; the list shows their figures
    side by side, and suits a single stage.
    """
    theme = theme_named()
    shown = result.table.sort("customers", "place", descending=[True, False], nulls_last=True)
    rows = shown.head(_MOST_ROWS).to_dicts()
    colours = channel_colours(result.channels, theme)
    parts = (
        ("go_on", "go on", theme.go_on),
        ("done", "goal had", theme.still_open),
        ("lost", "lost", theme.lost),
    )
    columns = [
        Bars(
            "customers",
            1.15,
            [Span(row["customers"]) for row in rows],
            [people(row["customers"]) for row in rows],
            [colours.get(row["channel"], theme.accent) for row in rows],
        ),
        split("next", rows, parts, lambda span: share(span.value)),
    ]
    if shown["rating"].drop_nulls().len():
        said = [
            rating(row["rating"])
            + ("" if row["response"] is None else f", {share(row['response'])}")
            for row in rows
        ]
        columns.append(Points("mean rating, answered", 0.85, spans(rows, "rating"), said))
    rest = len(shown) - _MOST_ROWS
    return plot_rows(
        [named(row) for row in rows],
        columns,
        [hover_text(row) for row in rows],
        describe_touchpoints(result) if rows else "The journey map has no such stage",
        title=title,
        subtitle=based_on(
            result,
            plural(len(shown), "touchpoint"),
            left_out=f"{rest} smaller ones are not shown" if rest > 0 else "",
        ),
    )


def plot_first_contacts(result: FirstContacts, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys begin where, and their chance of the goal and the time to it."""
    theme = theme_named()
    shown = result.table.filter(pl.col("journeys") >= _FEWEST_JOURNEYS).head(_MOST_ROWS)
    rest = result.table.filter(~pl.col("place").is_in(shown["place"].to_list()))
    rarer = share(float(rest["share"].sum()))
    rows = shown.to_dicts()
    colours = channel_colours(result.by_channel["channel"].to_list(), theme)
    return plot_rows(
        [named(row) for row in rows],
        [
            Bars(
                "journeys that begin here",
                1.2,
                spans(rows, "share"),
                [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
                [colours.get(row["channel"], theme.accent) for row in rows],
            ),
            Points(
                "chance of the goal",
                1.0,
                spans(rows, "goal"),
                [estimate(row, "goal") for row in rows],
            ),
            Points(
                "time to it (median)",
                1.0,
                [_seconds(span) for span in spans(rows, "time_to_goal")],
                [duration(row["time_to_goal"]) for row in rows],
                log=True,
            ),
        ],
        [
            hover(
                row["touchpoint"],
                f"{row['channel']}, {row['stage']}",
                f"{plural(row['journeys'], 'journey')}, {estimate(row, 'share')}",
                f"goal {estimate(row, 'goal')}",
                _half("of those who get there", row["time_to_goal"]),
            )
            for row in rows
        ],
        describe_first_contacts(result),
        title=title,
        subtitle=based_on(
            result,
            plural(result.journeys, "journey"),
            left_out=f"{len(rest)} rarer ones ({rarer}) are not shown" if len(rest) else "",
        ),
    )


def describe_first_contacts(result: FirstContacts) -> str:
    """Say in one sentence where most journeys begin, and which beginning leads to the goal best."""
    if result.table.is_empty():
        return "No journey begins in this selection"
    first = result.table.row(0, named=True)
    sentence = f"{estimate(first, 'share')} of journeys begin with {named(first)}"
    likely = result.table.filter(pl.col("journeys") >= _FEWEST_NAMED, pl.col("goal").is_not_null())
    if likely.is_empty():
        return sentence
    # By the lower end: a high chance of a few journeys is no reason to single one out.
    best = likely.sort("goal_low", "place", descending=[True, False]).row(0, named=True)
    chance = estimate(best, "goal")
    if best["place"] == first["place"]:
        return f"{sentence}, which also reach the goal most often: {chance}"
    return f"{sentence}; those that begin with {named(best)} reach the goal most often: {chance}"


def plot_stage_funnel(result: StageFunnel, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys rise to each stage, and the split of what comes next."""
    theme = theme_named()
    rows = result.table.to_dicts()
    colours = stage_colours(result.table["stage"].to_list(), theme)
    parts = (
        ("further", "get further", theme.go_on),
        ("done", "nothing left to reach", theme.still_open),
        ("lost", "lost", theme.lost),
    )
    return plot_rows(
        [row["stage"] for row in rows],
        [
            Bars(
                "journeys that come to the stage",
                1.0,
                [Span(row["journeys"]) for row in rows],
                [people(row["journeys"]) for row in rows],
                [colours[row["stage"]] for row in rows],
            ),
            split("from there", rows, parts, lambda span: share(*span)),
        ],
        [
            hover(
                row["stage"],
                f"{plural(row['journeys'], 'journey')} came to it, "
                f"{people(row['began'])} began in it",
                f"get further {estimate(row, 'further')}",
                f"lost {estimate(row, 'lost')}",
                f"still open {share(row['open'])}",
                _half("of those who get further", row["time"]),
            )
            for row in rows
        ],
        describe_stage_funnel(result),
        title=title,
        subtitle=based_on(result, plural(result.journeys, "journey")),
    )


def describe_stage_funnel(result: StageFunnel) -> str:
    """Say in one sentence after which stage most journeys get lost."""
    known = result.table.filter(pl.col("lost").is_not_null(), pl.col("journeys") > 0)
    if known.is_empty():
        return "How many journeys get lost between the stages is not known"
    row = known.sort("lost", descending=True).row(0, named=True)
    return (
        f"The largest loss comes after {row['stage']}: {estimate(row, 'lost')} of the journeys "
        "that come to it get no further"
    )


def plot_funnel(result: Funnel, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys get to each step, the rate from the step before, and where they stop.

    Journeys whose next step can still come are a part of their own, never among the lost.
    """
    theme = theme_named()
    rows = result.table.sort("step").to_dicts()
    parts = _funnel_parts(rows)
    return plot_rows(
        [f"{row['step']}  {row['name']}" for row in rows],
        [
            Bars(
                "journeys that get here",
                0.9,
                spans(rows, "share"),
                [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
                [theme.accent] * len(rows),
            ),
            Points(
                "rate from step before",
                0.65,
                spans(rows, "rate"),
                [estimate(row, "rate") for row in rows],
            ),
            Split(key_of("then", parts), 1.5, parts, whiskers=False),
        ],
        [
            hover(
                row["name"],
                f"{plural(row['journeys'], 'journey')} of {plural(row['customers'], 'customer')}",
                ""
                if row["rate"] is None
                else f"{estimate(row, 'rate')} of those at the step before get here",
                _half("of them", row["time"]),
            )
            for row in rows
        ],
        describe_funnel(result),
        title=title,
        subtitle=based_on(result, plural(result.journeys, "journey")),
    )


def describe_funnel(result: Funnel) -> str:
    """Say in one sentence how many get through, and at which step most stop."""
    rows = result.table.sort("step").to_dicts()
    first, last = rows[0], rows[-1]
    through = estimate(last, "share")
    sentence = f"{through} of the journeys at {first['name']} have got to {last['name']} so far"
    known = [row for row in rows if row["rate"] is not None]
    if len(known) < 2:
        return sentence
    weak = min(known, key=lambda row: (row["rate"], row["step"]))
    before = next(row["name"] for row in rows if row["step"] == weak["step"] - 1)
    return f"{sentence}; the hardest step is {before} → {weak['name']}: {estimate(weak, 'rate')}"


def _funnel_parts(rows: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return what became of the journeys at every step, as counted; the last step has no sequel."""
    theme = theme_named()
    counts = [
        ()
        if after is None or row["open_n"] is None
        else (after["journeys"], row["done_n"], row["open_n"], row["declined_n"] + row["silent_n"])
        for row, after in zip(rows, [*rows[1:], None], strict=True)
    ]
    looks = (
        ("next step", theme.go_on),
        ("goal, other way", theme.channels[3]),
        ("still open", theme.still_open),
        ("lost", theme.lost),
    )
    parts = []
    for i, (name, colour) in enumerate(looks):
        shares = [Span(n[i] / sum(n) if n and sum(n) else None) for n in counts]
        parts.append(Part(name, colour, shares, [share(s.value) for s in shares]))
    return parts


def plot_waits(result: Waits, *, title: str | None = None) -> go.Figure:
    """Draw how long it takes from one contact to the next, for the most frequent moves.

    The point is the median, and half of the waits lie within the line.
    """
    theme = theme_named()
    moves = _frequent_moves(result)
    rows = moves.to_dicts()
    left_out = result.table.filter(pl.col("source") != pl.col("target")).height - len(rows)
    ends = ("wait", "wait_quarter", "wait_three_quarters")
    ranges = ["{} ({} to {})".format(*(duration(row[end]) for end in ends)) for row in rows]
    return plot_rows(
        [f"{row['source']} → {row['target']}" for row in rows],
        [
            Points(
                "wait: median, and the half of the waits in the middle",
                1.6,
                [_seconds(Span(*(row[end] for end in ends))) for row in rows],
                ranges,
                log=True,
            ),
            Bars(
                "moves",
                1.0,
                [Span(row["n"]) for row in rows],
                [people(row["n"]) for row in rows],
                [theme.flow] * len(rows),
            ),
        ],
        [
            hover(
                f"{row['source']} → {row['target']}",
                f"{plural(row['n'], 'move')} of {plural(row['customers'], 'customer')}",
                f"median wait {within}",
            )
            for row, within in zip(rows, ranges, strict=True)
        ],
        describe_waits(result),
        title=title,
        subtitle=based_on(
            result,
            plural(int(result.table["n"].sum()), "move"),
            left_out=f"{left_out} rarer pairs are not shown" if left_out else "",
            whiskers=False,
        ),
    )


def describe_waits(result: Waits) -> str:
    """Say in one sentence which of the frequent moves takes longest."""
    for row in _frequent_moves(result).head(1).to_dicts():
        return (
            f"Of the frequent moves, {row['source']} → {row['target']} takes longest: "
            f"half of them within {duration(row['wait'])}"
        )
    return "No contact is followed by a different one"


def _frequent_moves(result: Waits) -> pl.DataFrame:
    """Return the most frequent moves, the slowest first."""
    moves = result.table.filter(pl.col("source") != pl.col("target")).head(_MOST_ROWS)
    return moves.sort("wait", "source", "target", descending=[True, False, False])


def plot_paths(result: Paths, *, title: str | None = None) -> go.Figure:
    """Draw the most frequent paths: their share of journeys, how often they reach the goal."""
    theme = theme_named()
    rows = result.table.head(_MOST_PATHS).to_dicts()
    rest = result.paths - len(rows)
    part = share(1 - sum(row["journeys"] for row in rows) / max(result.journeys, 1))
    return plot_rows(
        [str(number) for number in range(1, len(rows) + 1)],
        [
            Texts("path", 1.7, [_written(row["path"]) for row in rows]),
            Bars(
                "journeys",
                0.7,
                spans(rows, "share"),
                [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
                [theme.accent] * len(rows),
            ),
            Points(
                "reach the goal", 0.7, spans(rows, "goal"), [estimate(row, "goal") for row in rows]
            ),
        ],
        [
            hover(
                row["path"],
                f"{plural(row['journeys'], 'journey')} of {plural(row['customers'], 'customer')}",
                f"reach the goal {estimate(row, 'goal')}",
                f"{people(row['open_n'])} of them still open" if row["open_n"] else "",
                ""
                if row["duration"] is None
                else f"median time from first to last contact {duration(row['duration'])}",
            )
            for row in rows
        ],
        describe_paths(result),
        title=title,
        subtitle=based_on(
            result,
            plural(result.journeys, "journey"),
            left_out=f"{plural(rest, 'rarer path')} ({part} of journeys) are not shown"
            if rest
            else "",
        ),
    )


def describe_paths(result: Paths) -> str:
    """Say in one sentence which path is the most frequent, and of how many."""
    if result.table.is_empty():
        return "No journey in this selection"
    row = result.table.row(0, named=True)
    return (
        f"The most frequent of {plural(result.paths, 'path')} is “{row['path']}”: "
        f"{estimate(row, 'share')} of journeys take it"
    )


def _written(path: str) -> str:
    lines = wrap(plotly_text(path), _LINE).split("<br>")
    return "<br>".join(lines[:_LINES]) + (" …" if len(lines) > _LINES else "")


def plot_prediction(result: Prediction, *, title: str | None = None) -> go.Figure:
    """Draw the excess to be expected of each handoff; where none is told, the record of it all."""
    if result.table.is_empty():
        rows = [row for row in result.record.to_dicts() if row["at"] is None]
        names = [f"{row['about']}: {row['rival']}" for row in rows]
        heading, subtitle = "closer to what came", "Predictions held against what came"
        name, write = "gain", share
        details = [f"{people(row['n'])} predictions at past dates" for row in rows]
    else:
        rows = result.table.head(_MOST_FORECASTS).to_dicts()
        names = [f"{row['source']} → {row['target']}" for row in rows]
        heading, subtitle = "more than at similar handoffs", f"Next period ({result.signal})"
        name, write = "excess", points
        details = [f"chance of more than 5 points: {share(row['chance'])}" for row in rows]
    ends = spans(rows, name)
    return plot_rows(
        names,
        [Points(heading, 1.0, ends, [write(*end) for end in ends])],
        [hover(name, detail) for name, detail in zip(names, details, strict=True)],
        result.headlines[0],
        title=title,
        subtitle=f"{subtitle}; whiskers: 95 % intervals",
    )


def _half(of: str, time: Any) -> str:
    return "" if time is None else f"half {of} within {duration(time)}"


def _seconds(span: Span) -> Span:
    """Return times as seconds: what happened in the same second stands at one, as on log axes."""
    return Span(*(None if end is None else max(end.total_seconds(), 1.0) for end in span))
