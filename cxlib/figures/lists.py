"""Answers that are lists: first contacts, funnels, waits, paths, ratings, forecasts, and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.canvas import wrapped
from cxlib.figures.rows import (
    Bars,
    Column,
    Part,
    Points,
    Span,
    Split,
    Texts,
    plot_rows,
    spans,
    split,
)
from cxlib.figures.theme import THEME, channel_colours, stage_colours
from cxlib.figures.touchpoints import describe_touchpoints
from cxlib.figures.wording import based_on, estimate, named, told
from cxlib.markup import hover, plotly_lines, plotly_text
from cxlib.numbers import (
    decimal,
    duration,
    people,
    plural,
    points,
    rating,
    scale_name,
    sentence_case,
    share,
)

if TYPE_CHECKING:
    from cxlib.comparing import Comparison
    from cxlib.measures.experience import ExperienceCurve, Spectrum
    from cxlib.measures.first_contacts import FirstContacts
    from cxlib.measures.funnels import Funnel
    from cxlib.measures.paths import Paths
    from cxlib.measures.stage_funnel import StageFunnel
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.waits import Waits
    from cxlib.prediction import Prediction

_MOST_ROWS, _MOST_PATHS, _MOST_FORECASTS, _MOST_COMPARED = 16, 15, 12, 20
"""Rows that are drawn; how many more there are is said."""

_FEWEST_JOURNEYS, _FEWEST_NAMED = 10, 30
"""Journeys of a first contact that is shown, and of one that is singled out in the sentence."""

_LINE, _LINES = 58, 2
"""Characters of a line of a path, and lines; of a longer path the end is left to the hover."""

_NAMES = ("touchpoint", "stage", "name", "path", "what")
"""The column that names a row, by what a result is about."""

Rows = Sequence[Mapping[str, Any]]


def _listed(
    result: Any,
    rows: Rows,
    name: str | Sequence[str],
    columns: Sequence[Column],
    sentence: str,
    counted: str,
    title: str | None,
    **basis: Any,
) -> go.Figure:
    """Draw rows of a result, called by a column or by names; `basis` is what it rests on."""
    own = next(n for n in _NAMES if n in result.table.columns)
    names = [str(row[name]) for row in rows] if isinstance(name, str) else name
    hovers = told(result.columns, rows, own)
    subtitle = based_on(result, counted, **basis)
    return plot_rows(names, columns, hovers, sentence, title=title, subtitle=subtitle)


def _counts(heading: str, width: float, rows: Rows, column: str, colours: Sequence[str]) -> Bars:
    texts = [people(row[column]) for row in rows]
    return Bars(heading, width, [Span(row[column]) for row in rows], texts, colours)


def _parts_of(heading: str, width: float, rows: Rows, colours: Sequence[str]) -> Bars:
    """Bars of shares of all journeys, with their number."""
    texts = [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows]
    return Bars(heading, width, spans(rows, "share"), texts, colours)


def _chances(heading: str, width: float, rows: Rows, column: str) -> Points:
    return Points(heading, width, spans(rows, column), [estimate(row, column) for row in rows])


def _channels(channels: Sequence[str], rows: Rows) -> list[str]:
    colours = channel_colours(channels)
    return [colours.get(row["channel"], THEME.accent) for row in rows]


def plot_touchpoint_list(result: Touchpoints, *, title: str | None = None) -> go.Figure:
    """Draw how many customers each touchpoint has, what comes after it, and how it is rated."""
    shown = result.table.sort("customers", "place", descending=[True, False], nulls_last=True)
    rows, rest = shown.head(_MOST_ROWS).to_dicts(), len(shown) - _MOST_ROWS
    parts = (
        ("go_on", "go on", THEME.go_on),
        ("done", "goal had", THEME.still_open),
        ("lost", "lost", THEME.lost),
    )
    columns = [
        _counts("customers", 1.15, rows, "customers", _channels(result.channels, rows)),
        split("next", rows, parts, lambda span: share(span.value)),
    ]
    if shown["rating"].drop_nulls().len():
        said = [
            rating(row["rating"])
            + ("" if row["response"] is None else f", {share(row['response'])}")
            for row in rows
        ]
        columns.append(Points("mean rating, answered", 0.85, spans(rows, "rating"), said))
    left_out = f"{rest} smaller ones are not shown" if rest > 0 else ""
    sentence = describe_touchpoints(result) if rows else "The journey map has no such stage"
    counted = plural(len(shown), "touchpoint")
    return _listed(
        result, rows, [*map(named, rows)], columns, sentence, counted, title, left_out=left_out
    )


def plot_first_contacts(result: FirstContacts, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys begin where, and their chance of the goal and the time to it."""
    shown = result.table.filter(pl.col("journeys") >= _FEWEST_JOURNEYS).head(_MOST_ROWS)
    rest = result.table.filter(~pl.col("place").is_in(shown["place"].to_list()))
    rarer = share(float(rest["share"].sum()))
    left_out = f"{len(rest)} rarer ones ({rarer}) are not shown" if len(rest) else ""
    rows = shown.to_dicts()
    colours = _channels(result.by_channel["channel"].to_list(), rows)
    times = [_seconds(span) for span in spans(rows, "time_to_goal")]
    said = [duration(row["time_to_goal"]) for row in rows]
    columns = [
        _parts_of("journeys that begin here", 1.2, rows, colours),
        _chances("chance of the goal", 1.0, rows, "goal"),
        Points("time to it (median)", 1.0, times, said, log=True),
    ]
    sentence, counted = describe_first_contacts(result), plural(result.journeys, "journey")
    names = [*map(named, rows)]
    return _listed(result, rows, names, columns, sentence, counted, title, left_out=left_out)


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
    rows = result.table.to_dicts()
    stages = [row["stage"] for row in rows]
    colours = stage_colours(stages)
    parts = (
        ("further", "get further", THEME.go_on),
        ("done", "nothing left to reach", THEME.still_open),
        ("lost", "lost", THEME.lost),
    )
    ramp = [colours[stage] for stage in stages]
    columns = [
        _counts("journeys that come to the stage", 1.0, rows, "journeys", ramp),
        split("from there", rows, parts, lambda span: share(*span)),
    ]
    sentence, counted = describe_stage_funnel(result), plural(result.journeys, "journey")
    return _listed(result, rows, "stage", columns, sentence, counted, title)


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
    """Draw how many journeys get to each step and where they stop; open is apart from lost."""
    rows = result.table.sort("step").to_dicts()
    counts = [
        ()
        if after is None or row["open_n"] is None
        else (after["journeys"], row["done_n"], row["open_n"], row["declined_n"] + row["silent_n"])
        for row, after in zip(rows, [*rows[1:], None], strict=True)
    ]
    looks = (
        ("next step", THEME.go_on),
        ("goal, other way", THEME.channels[3]),
        ("still open", THEME.still_open),
        ("lost", THEME.lost),
    )
    parts = []
    for i, (name, colour) in enumerate(looks):
        shares = [Span(n[i] / sum(n) if n and sum(n) else None) for n in counts]
        parts.append(Part(name, colour, shares, [share(s.value) for s in shares]))
    columns = [
        _parts_of("journeys that get here", 0.9, rows, [THEME.accent] * len(rows)),
        _chances("rate from step before", 0.65, rows, "rate"),
        Split("then", 1.5, parts, whiskers=False),
    ]
    names = [f"{row['step']}  {row['name']}" for row in rows]
    sentence, counted = describe_funnel(result), plural(result.journeys, "journey")
    return _listed(result, rows, names, columns, sentence, counted, title)


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


def plot_waits(result: Waits, *, title: str | None = None) -> go.Figure:
    """Draw how long frequent moves take: medians, and lines that hold half of the waits."""
    rows = _frequent_moves(result).to_dicts()
    left_out = result.table.filter(pl.col("source") != pl.col("target")).height - len(rows)
    waits = [
        Span(*(row[end] for end in ("wait", "wait_quarter", "wait_three_quarters"))) for row in rows
    ]
    ranges = ["{} ({} to {})".format(*map(duration, wait)) for wait in waits]
    heading = "wait: median, and the half of the waits in the middle"
    names = [f"{row['source']} → {row['target']}" for row in rows]
    return plot_rows(
        names,
        [
            Points(heading, 1.6, [_seconds(wait) for wait in waits], ranges, log=True),
            _counts("moves", 1.0, rows, "n", [THEME.flow] * len(rows)),
        ],
        [
            hover(name, plural(row["n"], "move"), f"median wait {within}")
            for name, row, within in zip(names, rows, ranges, strict=True)
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
    rows = result.table.head(_MOST_PATHS).to_dicts()
    rest = result.paths - len(rows)
    part = share(1 - sum(row["journeys"] for row in rows) / max(result.journeys, 1))
    left_out = f"{plural(rest, 'rarer path')} ({part} of journeys) are not shown" if rest else ""
    written = [wrapped(plotly_text(row["path"]), _LINE) for row in rows]
    texts = [plotly_lines(*w[:_LINES]) + (" …" if len(w) > _LINES else "") for w in written]
    columns = [
        Texts("path", 1.7, texts),
        _parts_of("journeys", 0.7, rows, [THEME.accent] * len(rows)),
        _chances("reach the goal", 0.7, rows, "goal"),
    ]
    names = [str(number) for number in range(1, len(rows) + 1)]
    sentence, counted = describe_paths(result), plural(result.journeys, "journey")
    return _listed(result, rows, names, columns, sentence, counted, title, left_out=left_out)


def describe_paths(result: Paths) -> str:
    """Say in one sentence which path is the most frequent, and of how many."""
    if result.table.is_empty():
        return "No journey in this selection"
    row = result.table.row(0, named=True)
    return (
        f"The most frequent of {plural(result.paths, 'path')} is “{row['path']}”: "
        f"{estimate(row, 'share')} of journeys take it"
    )


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
        [hover(*said) for said in zip(names, details, strict=True)],
        result.headlines[0],
        title=title,
        subtitle=f"{subtitle}; whiskers: 95 % intervals",
    )


def _seconds(span: Any) -> Span:
    """Return times as seconds: what happened in the same second stands at one, as on log axes."""
    return Span(*(None if end is None else max(end.total_seconds(), 1.0) for end in span))


def plot_experience_curve(result: ExperienceCurve, *, title: str | None = None) -> go.Figure:
    """Draw how each touchpoint is rated, from the first to the last of the journey map."""
    rows, means = result.table.to_dicts(), spans(result.table.to_dicts(), "mean")
    texts = [rating(*mean) for mean in means]
    curve = Points("mean of the answers", 1.0, means, texts, aside=True)
    said = (result.sentences() or ["No touchpoint is rated"])[0]
    counted = plural(int(result.table["n"].sum()), "answer")
    return _listed(result, rows, _of_scale(rows, "touchpoint"), [curve], said, counted, title)


def _of_scale(rows: Rows, name: str) -> list[str]:
    """Name rows, with their scale where there are several."""
    several = len({row["scale"] for row in rows}) > 1
    return [f"{scale_name(r['scale'])}: {r[name]}" if several else r[name] for r in rows]


def plot_spectrum(result: Spectrum, *, title: str | None = None) -> go.Figure:
    """Draw how many answers are low, middle and high, group by group."""
    sides = {"low": THEME.lost, "middle": THEME.still_open, "high": THEME.go_on}
    counts = {s: pl.col("n").filter(pl.col("side") == s).sum() for s in sides}
    grouped = result.table.group_by("scale", "group", maintain_order=True)
    rows = grouped.agg(all=pl.col("n").sum(), **counts).to_dicts()
    parts = []
    for side, colour in sides.items():
        shares = [row[side] / row["all"] for row in rows]
        parts.append(Part(side, colour, [*map(Span, shares)], [*map(share, shares)]))
    hovers = []
    for row in rows:
        each = ", ".join(f"{side} {decimal(row[side])}" for side in sides)
        hovers.append(hover(row["group"], f"{plural(row['all'], 'answer')}: {each}"))
    return plot_rows(
        _of_scale(rows, "group"),
        [Split("", 1.6, parts, whiskers=False)],
        hovers,
        (result.sentences() or ["Nothing is rated"])[0],
        title=title,
        subtitle=based_on(result, plural(int(result.table["n"].sum()), "answer"), whiskers=False),
    )


def plot_comparison(
    result: Comparison,
    *,
    figure: str | None = None,
    names: tuple[str, str] = ("A", "B"),
    title: str | None = None,
) -> go.Figure:
    """Draw one figure of two parts, row by row, and the difference; the clearest first.

    The figure is the one that differs most clearly where none is named; `names` are the parts'.
    """
    known = result.clearest
    figure = figure or (known["figure"][0] if len(known) else "")
    rows = known.filter(known["figure"] == figure).to_dicts()
    left_out = len(rows) - _MOST_COMPARED
    shown = rows[:_MOST_COMPARED]
    columns = []
    headings = {"first": names[0], "second": names[1], "difference": "difference"}
    for part, heading in headings.items():
        ends = result.columns.ends(part)
        texts = [result.columns[part].cell(row, part, ends) for row in shown]
        like = 0.0 if part == "difference" else None
        both = [] if like == 0.0 else spans(shown, "first") + spans(shown, "second")
        columns.append(Points(heading, 1.0, spans(shown, part), texts, like=like, beside=both))
    rest = f"{left_out} less clear ones are not shown" if left_out > 0 else ""
    counted = result.columns["figure"].write(figure)
    said = [sentence_case(row["what"]) for row in shown]
    return _listed(result, shown, said, columns, result.sentence, counted, title, left_out=rest)
