"""Which handoffs break: a quiet matrix in which the findings stand out, and a list of effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.encode import name_places
from cxlib.figures.canvas import (
    Trace,
    lay_out,
    named_axis,
    new_figure,
    note,
    scatter,
    shortened,
)
from cxlib.figures.rows import Column, Points, Span, Texts, plot_rows
from cxlib.figures.theme import THEME, faded
from cxlib.markup import hover, plotly_bold, plotly_text
from cxlib.numbers import (
    NBSP,
    answered,
    day,
    decimal,
    duration,
    people,
    plural,
    rating,
    sentence_case,
    share,
    signed,
    spelled,
)
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

_CELL_PX = 24
_LETTER_PX, _WIDTH_PX = 7, 480
"""Width of a letter, and of the matrix on a screen that has little room for it."""

_LEAST_DOT, _LARGEST_DOT = 4.0, 19.0
_QUIET_PER_SIGNAL = 3
_UNITS = {
    "share": ("percentage points", 100.0, 0.0),
    "ratio": ("times as long", 1.0, 1.0),
    "rating": ("rating points", 1.0, 0.0),
}
"""How effects are drawn by the first word of their unit: heading, factor, and no effect."""


def signal_name(signal: str) -> str:
    """Name a signal in words."""
    return signal_named(signal).title


def finding_key(row: Mapping[str, Any]) -> str:
    """Write what names a finding, for clicks."""
    return f"{row['source_place']}>{row['target_place']}>{row['signal']}"


def effect_text(row: Mapping[str, Any], *, interval: bool = False) -> str:
    """Write an effect in its own unit: ``+22 points``, ``×1.9``, ``−2.8``; with its interval."""
    if row["effect"] is None:
        return "too few to be shown"
    ends = [row.get("low"), row.get("high")] if interval else []
    figures = [row["effect"], *(ends if None not in ends else [])]
    if row["unit"].startswith("ratio"):
        return f"×{rating(*figures)}"
    if row["unit"].startswith("share"):
        return signed(*(100 * x for x in figures), unit=f"{NBSP}points")
    return signed(*figures, digits=1)


def in_open_hours(row: Mapping[str, Any]) -> bool:
    """Say whether the waits of a finding are counted in open hours."""
    return "open hours" in row["unit"]


def wait_text(row: Mapping[str, Any], hours: float | None) -> str:
    """Write a wait of a finding, in hours; open hours never as days, which they are not."""
    if hours is None or not in_open_hours(row):
        return duration(None if hours is None else hours * 3600)
    written = _hours(hours) if hours >= 1 else duration(hours * 3600)
    return f"{NBSP}open{NBSP}".join(written.split(NBSP))


def _hours(hours: float) -> str:
    return decimal(hours, 1).removesuffix(".0") + f"{NBSP}h"


def figure_text(row: Mapping[str, Any], value: float | None) -> str:
    """Write an observed or expected figure of a finding in the unit of its signal."""
    family = signal_named(row["signal"]).family
    if family != "wait":
        return rating(value) if family == "rating" else share(value)
    if value is not None and 1 <= value < 48 and not in_open_hours(row):
        return _hours(value)  # as in the finding's sentence
    return wait_text(row, value)


def observed_text(row: Mapping[str, Any]) -> str:
    """Write the observed figure of a finding; a mean rating with how many answered."""
    return figure_text(row, row["observed"]) + answered(row.get("response"))


def affected_text(row: Mapping[str, Any], *, k: int | None = None) -> str:
    """Write how many customers a finding touches, at least."""
    count = row["customers_affected"]
    if count is None:
        return f"fewer than {k}" if k else "few"
    return f"at least {people(count)}"


def describe_findings(result: FindingDetails) -> str:
    """Say in one sentence how many handoffs break, whom it touches, and where most of them are."""
    found, segment = result.found, result.where.segment if result.where else None
    of_whom = f" for {spelled(segment[0])} {segment[1]}" if segment else ""
    if not result.tests:
        reason = result.signals["reason"].drop_nulls()
        because = reason[0].removeprefix("not measurable, because ") if len(reason) else ""
        return f"No handoff could be judged{of_whom}" + (f": {because}" if because else "")
    if found.is_empty():
        return f"No handoff stands out from similar handoffs{of_whom}"
    affected = int(found["customers_affected"].sum() or 0)
    touched = f", affecting at least {plural(affected, 'customer')}" if affected else ""
    row = found.row(0, named=True)
    worst = row["sentence"] or f"{handoff(row)}: {signal_name(row['signal'])}"
    one = len(found) == 1
    head = f"{plural(len(found), 'handoff')} {'breaks' if one else 'break'}{of_whom}{touched}"
    return f"{head}: {worst}" if one else f"{head}; most of them: {worst}"


def handoff(row: Mapping[str, Any]) -> str:
    """Name the handoff of a finding."""
    return f"{row['source']} → {row['target']}"


def plot_findings(
    result: FindingDetails,
    *,
    signal: str | None = None,
    selected: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw where customers come from against where they go: quiet but for the findings."""
    found = result.found if signal is None else result.found.filter(pl.col("signal") == signal)
    ends = {*result.table["source_place"], *result.table["target_place"]}
    shown = result.places.filter(pl.col("place").cast(pl.Int64).is_in(list(ends)))
    places = shown.to_dicts()
    at = {row["place"]: i for i, row in enumerate(places)}
    names = [*map(shortened, name_places(shown).to_list())]
    slanted = int(5 * max(map(len, names), default=0))
    figure = new_figure(
        describe_findings(result),
        title=title,
        subtitle="Every dot a handoff or transition that was judged, larger where more customers "
        f"take it; red: findings, with their effect. {decimal(result.tests)} tests, corrected for "
        f"their number; {plural(result.customers, 'customer')}, observed until "
        f"{day(result.observed_until)}",
        height=_CELL_PX * max(len(places), 4) + max(slanted, 95) + (55 if title == "" else 175),
    )
    rows = found.to_dicts()
    figure.add_traces([_judged(result.table, rows, at)] if places else [])
    figure.add_trace(_findings(rows, at, selected))
    size = len(places)
    axis = named_axis(names, size=12, showgrid=True, gridcolor=THEME.rule, zeroline=False)
    shapes, stages = _stages(places)
    return lay_out(
        figure,
        xaxis=axis | {"range": [-0.6, size - 0.4], "tickangle": -45, "title": {"text": "to"}},
        yaxis=axis | {"range": [size - 0.4, -0.6], "title": {"text": "from"}},
        margin={"b": 30, "t": int(figure.layout.margin.t) + _head(stages), "r": 30},
        shapes=shapes,
        annotations=stages + [_label(row, at, selected) for row in rows],
    )


def _head(stages: list[Any]) -> int:
    """Height for the names of the stages above the matrix."""
    return 22 + max((int(name["yshift"]) for name in stages), default=0)


def _stages(places: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return bands and lines that part the stages, and the stages' names."""
    size, start = len(places), 0
    bands, lines, names = [], [], []
    stages = [(stage, len(list(same))) for stage, same in groupby(p["stage"] for p in places)]
    # beside a name wider than its stage the next one would stand in it: every other one is raised
    tight = any(len(stage) * _LETTER_PX * size > members * _WIDTH_PX for stage, members in stages)
    for number, (stage, members) in enumerate(stages):
        end = start + members
        if number % 2 == 0:
            bands.append(
                {"type": "rect", "x0": start - 0.5, "x1": end - 0.5, "y0": -0.6, "y1": size - 0.4}
                | {"line": {"width": 0}, "fillcolor": THEME.band, "layer": "below"}
            )
        names.append(
            note(plotly_text(sentence_case(stage)), THEME.muted, x=start - 0.5, xanchor="left", y=1)
            | {"yref": "paper", "yanchor": "bottom", "yshift": 4 + 15 * (tight and number % 2)}
        )
        if end < size:
            lines.append(
                {"type": "line", "x0": -0.6, "x1": size - 0.4, "y0": end - 0.5, "y1": end - 0.5}
                | {"line": {"width": 1, "color": THEME.flow}, "layer": "below"}
            )
        start = end
    return bands + lines, names  # lines after the bands, which would cover them


def _judged(table: pl.DataFrame, found: list[dict[str, Any]], at: Mapping[int, int]) -> Trace:
    """Draw every transition once; where a finding stands on it, a click leads to that."""
    keys = {(row["source_place"], row["target_place"]): finding_key(row) for row in found[::-1]}
    cells: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in table.to_dicts():
        cells.setdefault((row["source_place"], row["target_place"]), []).append(row)
    counts = [max(row["customers"] or row["n"] or 0 for row in rows) for rows in cells.values()]
    most = max(counts, default=1) or 1
    return scatter(
        [_hover(rows, n) for rows, n in zip(cells.values(), counts, strict=True)],
        name="handoffs",
        mode="markers",
        x=[at[target] for _, target in cells],
        y=[at[source] for source, _ in cells],
        marker={
            "size": [max(_LEAST_DOT, _LARGEST_DOT * (n / most) ** 0.5) for n in counts],
            "color": faded(THEME.flow, 0.55),
            "line": {"width": 0},
        },
        customdata=[keys.get(cell) for cell in cells],
    )


def _findings(rows: list[dict[str, Any]], at: Mapping[int, int], selected: str | None) -> Trace:
    keys = [finding_key(row) for row in rows]
    return scatter(
        [_hover([row]) for row in rows],
        name="findings",
        mode="markers",
        x=[at[row["target_place"]] for row in rows],
        y=[at[row["source_place"]] for row in rows],
        customdata=keys,
        marker={
            "size": [18 if key == selected else 14 for key in keys],
            "opacity": 1,
            "color": THEME.finding,
            # One that changes sign with the settings is hollow, and says so.
            "symbol": ["circle-open" if _is_unstable(row) else "circle" for row in rows],
            "line": {
                "width": [4 if key == selected else 1.5 for key in keys],
                "color": THEME.paper,
            },
        },
    )


def _hover(rows: Sequence[Mapping[str, Any]], customers: int | None = None) -> str:
    first = rows[0]
    lines = [
        f"{signal_name(row['signal'])}: {effect_text(row, interval=True)}, "
        f"{'finding' if row['finding'] else 'no finding'}"
        for row in sorted(rows, key=lambda r: r["signal"])
    ]
    count = first["customers"] or first["n"] or 0 if customers is None else customers
    return hover(handoff(first), plural(count, "customer"), *lines)


def _label(row: Mapping[str, Any], at: Mapping[int, int], selected: str | None) -> dict[str, Any]:
    """Write the signal and the effect beside a finding; at the right edge before it."""
    left = at[row["target_place"]] > len(at) - 7
    text = f"{plotly_text(signal_name(row['signal']))} {plotly_bold(effect_text(row))}"
    return note(
        text + (" unstable" if _is_unstable(row) else ""),
        THEME.finding,
        x=at[row["target_place"]],
        y=at[row["source_place"]],
        xanchor="right" if left else "left",
        xshift=-12 if left else 12,
        bgcolor=THEME.paper,
        bordercolor=THEME.finding if finding_key(row) == selected else THEME.paper,
        borderwidth=1,
        borderpad=2,
        opacity=0.96,
    )


def _is_unstable(row: Mapping[str, Any]) -> bool:
    return row.get("stable") is False


def plot_finding_list(result: FindingDetails, *, title: str | None = None) -> go.Figure:
    """Draw effects with their intervals, each unit in its column: findings in red, others in grey.

    A line stands where a handoff is like the others. The strongest handoffs that are no finding
    stand below the findings of their signal, so that a reader sees the difference.
    """
    rows = _ranked(result)
    texts = [effect_text(row, interval=True) for row in rows]
    colours = [THEME.finding if row["finding"] else THEME.flow for row in rows]
    columns: list[Column] = [Texts("", 1.4, [signal_name(row["signal"]) for row in rows])]
    for unit, (heading, factor, like) in _UNITS.items():
        effects = [
            Span(*(None if v is None else factor * v for v in (r["effect"], r["low"], r["high"])))
            if r["unit"].startswith(unit)
            else Span(None)
            for r in rows
        ]
        if any(span.value is not None for span in effects):
            is_log = unit == "ratio"
            columns.append(
                Points(heading, 1.0, effects, texts, log=is_log, like=like, colours=colours)
            )
    return plot_rows(
        [handoff(row) for row in rows],
        columns,
        [_hover([row]) for row in rows],
        describe_finding_list(result),
        title=title,
        subtitle="Red: findings; grey: the strongest of the others; line: similar handoffs. "
        "Whiskers: 95 % intervals that allow for natural differences between handoffs. "
        f"{decimal(result.tests)} tests",
    )


def describe_finding_list(result: FindingDetails) -> str:
    """Say how many of the transitions judged stand out, by signal."""
    counts = {s: int(f) for s, f in result.signals.select("signal", "findings").iter_rows()}
    named = [f"{signal_name(s)} ({n})" for s, n in counts.items() if n]
    if not named:
        return describe_findings(result)
    tested = plural(result.tests, "judgement")
    return f"{sum(counts.values())} of {tested} stand out: {', '.join(named)}"


def _ranked(result: FindingDetails) -> list[dict[str, Any]]:
    """Return the findings of every signal, then the strongest handoffs that are none."""
    ranked = []
    shown = result.table.filter(pl.col("effect").is_not_null())
    for signal in result.signals["signal"]:
        rows = shown.filter(pl.col("signal") == signal)
        # an echo stands out as well, and is no contrast to the finding it follows from
        others = rows.filter(~pl.col("finding") & pl.col("echo_of").is_null() & pl.col("handoff"))
        order = ["q", "p"] if "p" in rows.columns else ["q"]
        quiet = others.sort(*order, "source", "target").head(_QUIET_PER_SIGNAL)
        ranked += rows.filter("finding").to_dicts() + quiet.to_dicts()
    return ranked
