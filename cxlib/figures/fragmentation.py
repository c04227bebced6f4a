"""Which handoffs break: a quiet matrix in which the findings stand out, and a list of effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.theme import Theme, faded, lay_out, new_figure, theme_named
from cxlib.markup import plotly_text
from cxlib.numbers import NBSP, answered, duration, people, plural, rating, sentence_case, share
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = [
    "describe_finding_list",
    "describe_findings",
    "effect_text",
    "finding_key",
    "plot_finding_list",
    "plot_findings",
    "signal_name",
]

_CELL_PX = 24
_LEAST_DOT, _LARGEST_DOT = 4.0, 19.0
_QUIET_PER_SIGNAL = 3


def signal_name(signal: str) -> str:
    """Name a signal in words."""
    return signal_named(signal).title


def finding_key(row: Mapping[str, Any]) -> str:
    """Write what names a finding, for clicks."""
    return f"{row['source_place']}>{row['target_place']}>{row['signal']}"


def effect_text(row: Mapping[str, Any], *, interval: bool = False) -> str:
    """Write an effect in its own unit: ``+22 points``, ``×1.9``, ``−2.8``; with its interval.

    Examples
    --------
    >>> row = {"signal": "delay", "unit": "ratio", "effect": 1.89, "low": 1.47, "high": 2.46}
    >>> effect_text(row, interval=True)
    '×1.9 (1.5–2.5)'
    """
    value, low, high = (row.get(name) for name in ("effect", "low", "high"))
    if value is None:
        return "too few to be shown"
    if row["unit"].startswith("share"):
        text = f"{_signed(100 * value, 0)} points"
        ends = [None if end is None else _signed(100 * end, 0) for end in (low, high)]
    elif row["unit"].startswith("ratio"):
        text = f"×{value:.1f}"
        ends = [None if end is None else f"{end:.1f}" for end in (low, high)]
    else:
        text = _signed(value, 1)
        ends = [None if end is None else _signed(end, 1) for end in (low, high)]
    if not interval or None in ends:
        return text.replace(" ", NBSP)
    joint = " to " if any(end[:1] in "−+" for end in ends if end) else "–"
    return f"{text.replace(' ', NBSP)} ({ends[0]}{joint}{ends[1]})"


def _signed(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def in_open_hours(row: Mapping[str, Any]) -> bool:
    """Say whether the waits of a finding are counted in open hours."""
    return "open hours" in row["unit"]


def wait_text(row: Mapping[str, Any], hours: float | None) -> str:
    """Write a wait of a finding, given in hours; open hours never as days, which they are not.

    Examples
    --------
    >>> row = {"signal": "delay", "unit": "ratio of medians (observed and expected in open hours)"}
    >>> [wait_text(row, hours).replace(NBSP, " ") for hours in (0.5, 60.0)]
    ['30 open min', '60 open h']
    """
    written = duration(None if hours is None else hours * 3600)
    if hours is None or not in_open_hours(row):
        return written
    if hours >= 1:
        written = f"{hours:,.1f}".removesuffix(".0") + f"{NBSP}h"
    return f"{NBSP}open{NBSP}".join(written.split(NBSP))


def figure_text(row: Mapping[str, Any], value: float | None) -> str:
    """Write an observed or expected figure of a finding in the unit of its signal."""
    if signal_named(row["signal"]).family == "wait":
        if in_open_hours(row):
            return wait_text(row, value)
        if value is not None and 1 <= value < 48:  # as in the finding's sentence
            return f"{value:.1f}".removesuffix(".0") + f"{NBSP}h"
        return duration(None if value is None else value * 3600)
    return rating(value) if signal_named(row["signal"]).family == "rating" else share(value)


def observed_text(row: Mapping[str, Any]) -> str:
    """Write the observed figure of a finding; a mean rating with how many answered."""
    return figure_text(row, row["observed"]) + answered(row.get("response"))


def describe_findings(result: FindingDetails) -> str:
    """Say in one sentence how many handoffs break, whom it touches, and which is the worst."""
    found = result.found
    of_whom = _of_whom(result)
    if not result.tests:
        reason = result.signals["reason"].drop_nulls()
        because = reason[0].removeprefix("not measurable, because ") if len(reason) else ""
        return f"No handoff could be judged{of_whom}" + (f": {because}" if because else "")
    if found.is_empty():
        return f"No handoff stands out from similar handoffs{of_whom}"
    affected = int(found["customers_affected"].sum() or 0)
    touched = f", affecting at least {plural(affected, 'customer')}" if affected else ""
    row = found.row(0, named=True)
    worst = row["sentence"] or f"{row['source']} → {row['target']}: {signal_name(row['signal'])}"
    one = len(found) == 1
    head = f"{plural(len(found), 'handoff')} {'breaks' if one else 'break'}{of_whom}{touched}"
    return f"{head}: {worst}" if one else f"{head}; the worst: {worst}"


def _of_whom(result: FindingDetails) -> str:
    where = result.where
    if not where or not where.segment:
        return ""
    return f" for {where.segment[0].replace('_', ' ')} {where.segment[1]}"


def plot_findings(
    result: FindingDetails,
    *,
    signal: str | None = None,
    selected: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw where customers come from against where they go: grey and quiet but for the findings.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.details.detail_findings`, or a published answer.
    signal
        Show the findings of one signal only.
    selected
        Key of the finding to ring (`finding_key`).
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    table = result.table
    found = result.found if signal is None else result.found.filter(pl.col("signal") == signal)
    ends = {*table["source_place"], *table["target_place"]}
    places = result.places.filter(pl.col("place").cast(pl.Int64).is_in(list(ends))).to_dicts()
    at = {row["place"]: i for i, row in enumerate(places)}
    sentence = describe_findings(result)
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=_matrix_rests_on(result),
        alt=sentence,
        height=_CELL_PX * max(len(places), 4) + (150 if title == "" else 270),
    )
    layout = _lay_out_matrix(figure, places, theme)
    rows = found.to_dicts()
    figure.add_traces(
        ([_handoffs(table, rows, at, theme)] if places else [])
        + [_findings(rows, at, theme, selected=selected)]
    )
    layout["annotations"] += _labels(rows, at, theme, selected=selected)
    return lay_out(figure, **layout)


def _matrix_rests_on(result: FindingDetails) -> str:
    until = result.observed_until
    return (
        f"Every dot a handoff or transition that was judged, larger where more customers take it; "
        f"red: findings, with their effect. {result.tests:,} tests, corrected for their number; "
        f"{plural(result.customers, 'customer')}, observed until {until.day} {until:%b %Y}"
    )


def _lay_out_matrix(
    figure: go.Figure, places: list[dict[str, Any]], theme: Theme
) -> dict[str, Any]:
    names = [place["touchpoint"] for place in places]
    size = len(places)
    axis = {
        "tickvals": list(range(size)),
        "ticktext": [plotly_text(name) for name in names],
        "tickfont": {"color": theme.ink, "size": 12},
        "showgrid": True,
        "gridcolor": theme.rule,
        "fixedrange": True,
        "zeroline": False,
    }
    across = {"range": [-0.6, size - 0.4], "tickangle": -45, "title": {"text": "to"}}
    start = 0
    bands: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    names_of_stages = []
    for number, (stage, members) in enumerate(groupby(p["stage"] for p in places)):
        end = start + len(list(members))
        if number % 2 == 0:
            bands.append(
                {"type": "rect", "x0": start - 0.5, "x1": end - 0.5, "y0": -0.6, "y1": size - 0.4}
                | {"line": {"width": 0}, "fillcolor": theme.band, "layer": "below"}
            )
        names_of_stages.append(
            {
                "text": plotly_text(sentence_case(stage)),
                "x": start - 0.5,
                "y": 1,
                "yref": "paper",
                "xanchor": "left",
            }
            | {"yanchor": "bottom", "yshift": 4, "showarrow": False}
            | {"font": {"size": 12, "color": theme.muted}}
        )
        if end < size:
            lines.append(
                {"type": "line", "x0": -0.6, "x1": size - 0.4, "y0": end - 0.5, "y1": end - 0.5}
                | {"line": {"width": 1, "color": theme.flow}, "layer": "below"}
            )
        start = end
    return {
        "showlegend": False,
        "xaxis": axis | across,
        "yaxis": axis | {"range": [size - 0.4, -0.6], "title": {"text": "from"}},
        "margin": {"b": 30, "t": int(figure.layout.margin.t) + 26, "r": 30},
        "shapes": bands + lines,  # lines after the bands, which would cover them
        "annotations": names_of_stages,
    }


def _handoffs(
    table: pl.DataFrame, found: list[dict[str, Any]], at: Mapping[int, int], theme: Theme
) -> go.Scatter:
    """Draw every transition once, with what each signal says about it in the hover.

    Where a finding stands on it, a click hits the smaller of the two dots, so both lead to it.
    """
    keys = {(row["source_place"], row["target_place"]): finding_key(row) for row in found[::-1]}
    cells: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in table.to_dicts():
        cells.setdefault((row["source_place"], row["target_place"]), []).append(row)
    counts = [max(row["customers"] or row["n"] or 0 for row in rows) for rows in cells.values()]
    most = max(counts, default=1) or 1
    return go.Scatter(
        name="handoffs",
        mode="markers",
        x=[at[target] for _, target in cells],
        y=[at[source] for source, _ in cells],
        marker={
            "size": [max(_LEAST_DOT, _LARGEST_DOT * (n / most) ** 0.5) for n in counts],
            "color": faded(theme.flow, 0.55),
            "line": {"width": 0},
        },
        customdata=[keys.get(cell) for cell in cells],
        hovertext=[_hover(rows, n) for rows, n in zip(cells.values(), counts, strict=True)],
        hoverinfo="text",
    )


def _hover(rows: Sequence[Mapping[str, Any]], customers: int) -> str:
    head = f"<b>{plotly_text(rows[0]['source'])} → {plotly_text(rows[0]['target'])}</b>"
    lines = [head, plural(customers, "customer")]
    for row in sorted(rows, key=lambda r: r["signal"]):
        mark = "<b>finding</b>" if row["finding"] else "no finding"
        lines.append(f"{signal_name(row['signal'])}: {effect_text(row, interval=True)}, {mark}")
    return "<br>".join(lines)


def _findings(
    rows: list[dict[str, Any]], at: Mapping[int, int], theme: Theme, *, selected: str | None
) -> go.Scatter:
    keys = [finding_key(row) for row in rows]
    chosen = [key == selected for key in keys]
    return go.Scatter(
        name="findings",
        mode="markers",
        x=[at[row["target_place"]] for row in rows],
        y=[at[row["source_place"]] for row in rows],
        customdata=keys,
        marker={
            "size": [18 if is_chosen else 14 for is_chosen in chosen],
            "opacity": 1,
            "color": theme.finding,
            # One that changes sign with the settings is hollow, and says so.
            "symbol": ["circle-open" if _is_unstable(row) else "circle" for row in rows],
            "line": {"width": [4 if c else 1.5 for c in chosen], "color": theme.paper},
        },
        hovertext=[_hover([row], row["customers"] or row["n"] or 0) for row in rows],
        hoverinfo="text",
    )


def _labels(
    rows: list[dict[str, Any]], at: Mapping[int, int], theme: Theme, *, selected: str | None
) -> list[dict[str, Any]]:
    """Return what is written beside the findings."""
    labels = []
    for row in rows:
        # At the right edge there is no room beside the dot.
        left = at[row["target_place"]] > len(at) - 7
        frame = theme.finding if finding_key(row) == selected else theme.paper
        text = f"{signal_name(row['signal'])} <b>{effect_text(row)}</b>"
        labels.append(
            {"text": text + (" unstable" if _is_unstable(row) else "")}
            | {"x": at[row["target_place"]], "y": at[row["source_place"]], "showarrow": False}
            | {"xanchor": "right" if left else "left", "xshift": -12 if left else 12}
            | {"bgcolor": theme.paper, "bordercolor": frame, "borderwidth": 1, "borderpad": 2}
            | {"opacity": 0.96, "font": {"size": 12, "color": theme.finding}}
        )
    return labels


def _is_unstable(row: Mapping[str, Any]) -> bool:
    return row.get("stable") is False


def plot_finding_list(result: FindingDetails, *, title: str | None = None) -> go.Figure:
    """Draw effects with their intervals, one panel per signal: findings in red, the next in grey.

    Every panel has its own unit and a line where a handoff is like the others. The strongest
    handoffs that are no finding stand below the findings, so that a reader sees the difference.
    """
    theme = theme_named()
    groups = _ranked(result)
    total = sum(len(rows) for _, rows in groups)
    sentence = describe_finding_list(result)
    height = 150 + 30 * total + 62 * len(groups)
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=f"Red: findings; grey: the strongest of the others. Whiskers: 95 % intervals that "
        f"allow for natural differences between handoffs. {result.tests:,} tests",
        alt=sentence,
        height=height,
    )
    figure.update_layout(showlegend=False, margin={"l": 290, "r": 178, "b": 30})
    if not groups:
        figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False}, height=180)
        return figure
    figure.update_layout(margin={"t": int(figure.layout.margin.t) + 10})
    space = 62 / (30 * total + 62 * len(groups))
    each = (1 - space * len(groups)) / total
    top = 1.0
    for number, (signal, rows) in enumerate(groups, start=1):
        bottom = top - space * 0.35 - each * len(rows)
        _add_panel(figure, signal, rows, number, (bottom, top - space * 0.35), theme)
        top = bottom - space * 0.65
    return figure


def describe_finding_list(result: FindingDetails) -> str:
    """Say how many of the transitions judged stand out, by signal."""
    counts = {s: int(f) for s, f in result.signals.select("signal", "findings").iter_rows()}
    named = [f"{signal_name(s)} ({n})" for s, n in counts.items() if n]
    if not named:
        return describe_findings(result)
    tested = plural(result.tests, "judgement")
    return f"{sum(counts.values())} of {tested} stand out: {', '.join(named)}"


def _ranked(result: FindingDetails) -> list[tuple[str, list[dict[str, Any]]]]:
    groups = []
    shown = result.table.filter(pl.col("effect").is_not_null())
    for signal in result.signals["signal"]:
        rows = shown.filter(pl.col("signal") == signal)
        found = rows.filter("finding").to_dicts()
        # an echo stands out as well, and is no contrast to the finding it follows from
        others = rows.filter(~pl.col("finding") & pl.col("echo_of").is_null() & pl.col("handoff"))
        order = ["q", "p"] if "p" in rows.columns else ["q"]
        quiet = others.sort(*order, "source", "target").head(_QUIET_PER_SIGNAL).to_dicts()
        if found or quiet:
            groups.append((signal, found + quiet))
    return groups


def _add_panel(
    figure: go.Figure,
    signal: str,
    rows: list[dict[str, Any]],
    number: int,
    domain: tuple[float, float],
    theme: Theme,
) -> None:
    suffix = "" if number == 1 else str(number)
    ratio = rows[0]["unit"].startswith("ratio")
    factor = 100.0 if rows[0]["unit"].startswith("share") else 1.0
    like = 1.0 if ratio else 0.0
    figure.add_trace(
        go.Scatter(
            mode="markers",
            name=signal,
            x=[factor * row["effect"] for row in rows],
            y=list(range(len(rows))),
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            customdata=[finding_key(row) for row in rows],
            marker={
                "size": 10,
                "color": [theme.finding if r["finding"] else theme.flow for r in rows],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [factor * ((r["high"] or r["effect"]) - r["effect"]) for r in rows],
                "arrayminus": [factor * (r["effect"] - (r["low"] or r["effect"])) for r in rows],
                "thickness": 1.4,
                "width": 4,
                "color": theme.muted,
            },
            hovertext=[_hover([row], row["customers"] or row["n"] or 0) for row in rows],
            hoverinfo="text",
        )
    )
    for i, row in enumerate(rows):
        figure.add_annotation(
            text=effect_text(row, interval=True), x=1, xref="paper", xanchor="left", xshift=10,
            y=i, yref=f"y{suffix}", showarrow=False,
            font={"size": 12, "color": theme.finding if row["finding"] else theme.muted},
        )  # fmt: skip
    figure.update_layout(
        {
            f"yaxis{suffix}": {
                "domain": [max(domain[0], 0.0), domain[1]],
                "anchor": f"x{suffix}",
                "range": [len(rows) - 0.5, -0.5],
                "tickvals": list(range(len(rows))),
                "ticktext": [_handoff(row, theme) for row in rows],
                "showgrid": False,
                "automargin": False,
                "fixedrange": True,
            },
            f"xaxis{suffix}": {
                "anchor": f"y{suffix}",
                "type": "log" if ratio else "linear",
                "showgrid": True,
                "nticks": 6,
                "fixedrange": True,
                "ticksuffix": "",
                "tickprefix": "×" if ratio else "",
            },
        }
    )
    figure.add_shape(
        type="line", x0=like, x1=like, y0=-0.5, y1=len(rows) - 0.5, xref=f"x{suffix}",
        yref=f"y{suffix}", line={"width": 1.5, "color": theme.muted}, layer="below",
    )  # fmt: skip
    figure.add_annotation(
        text=f"<b>{signal_name(signal)}</b>  {_unit(rows[0])}", x=0, xref="paper", xanchor="left",
        xshift=-280, y=domain[1], yref="paper", yanchor="bottom", showarrow=False,
        font={"size": 12, "color": theme.ink},
    )  # fmt: skip


def _handoff(row: Mapping[str, Any], theme: Theme) -> str:
    name = f"{row['source']} → {row['target']}"
    short = plotly_text(name if len(name) <= 38 else f"{name[:37]}…")
    colour = theme.ink if row["finding"] else theme.muted
    return f'<span style="color:{colour}">{short}</span>'


def _unit(row: Mapping[str, Any]) -> str:
    unit = row["unit"]
    if unit.startswith("share"):
        return f"percentage points more than similar handoffs ({unit.removeprefix('share of ')})"
    if unit.startswith("ratio"):
        return "times as long as similar handoffs"
    return "rating points against similar handoffs"


def affected_text(row: Mapping[str, Any], *, k: int | None = None) -> str:
    """Write how many customers a finding touches, at least."""
    count = row["customers_affected"]
    if count is None:
        return f"fewer than {k}" if k else "few"
    return f"at least {people(count)}"
