"""Findings in words and as tables, as the dashboard shows them beside the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.figures.fragmentation import (
    affected_text,
    describe_findings,
    effect_text,
    figure_text,
    observed_text,
    signal_name,
    wait_text,
)
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.markup import html_text
from cxlib.numbers import answered, people, plural, share
from cxlib.panels import texts
from cxlib.panels.origin import day
from cxlib.panels.tables import Column, html_table
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = [
    "answer",
    "behind_detail",
    "behind_matrix",
    "behind_trend",
    "entry",
    "facts",
    "for_whom",
    "heading",
    "nothing",
    "ranked",
    "tested",
]


def answer(result: FindingDetails, *, of: int, filters: Sequence[str] = ()) -> str:
    """Answer the question of the dashboard in one sentence, with what it rests on below.

    Parameters
    ----------
    result
        The findings shown.
    of
        Findings there are without the filters.
    filters
        What they are filtered by, in words.
    """
    basis = texts.BREAKS_BASIS.format(
        customers=plural(result.customers, "customer"),
        until=day(result.observed_until),
        sure=_sure(result) if result.tests else "",
    )
    title = " · ".join([texts.BREAKS_TITLE, *filters])
    if filters:
        part = texts.BREAKS_PART.format(shown=len(result.found), all=plural(of, "finding"))
        basis = f"{part} {basis}"
    said = describe_findings(result)
    if filters and of and result.found.is_empty():
        said = texts.NOTHING_HERE.removesuffix(".")
    return (
        f'<div role="status"><h1>{html_text(title)}</h1>'
        f"<p>{html_text(said)}.</p><small>{html_text(basis)}</small></div>"
    )


def ranked() -> str:
    """Head the list of findings."""
    return f"<h2>{texts.RANKED}</h2>"


def entry(number: int, row: Mapping[str, Any], k: int) -> str:
    """Write one finding as an entry of the list."""
    owner = f" · owner: {row['owner']}" if row["owner"] else ""
    unstable = f' <em class="cx-flag">{texts.UNSTABLE}</em>' if row["stable"] is False else ""
    return (
        f"<b>{number}. {html_text(row['source'])} → {html_text(row['target'])}{unstable}</b>"
        f"<span>{html_text(_said(row))}</span>"
        f"<small>{html_text(affected_text(row, k=k).capitalize())} customers affected"
        f"{html_text(owner)}</small>"
    )


def nothing(result: FindingDetails, *, of: int = 0) -> str:
    """Say calmly that there is no finding; `of` is how many there are without the filters."""
    if of:
        hint = texts.NOTHING_HERE_HINT.format(all=plural(of, "finding"))
        return f'<div class="cx-calm"><b>{texts.NOTHING_HERE}</b> {hint}</div>'
    if not result.tests:
        return f'<div class="cx-calm"><b>{texts.NOTHING_JUDGED}</b>{_signals(result)}</div>'
    why = texts.NOTHING_STANDS_OUT_WHY.format(tests=f"{result.tests:,}")
    return f'<div class="cx-calm"><b>{texts.NOTHING_STANDS_OUT}</b> {why}{_signals(result)}</div>'


def heading(row: Mapping[str, Any]) -> str:
    """Head the details of a finding."""
    handoff = f"{html_text(row['source'])} → {html_text(row['target'])}"
    return f"<h2>{handoff}</h2><p>It {html_text(_said(row))}.</p>"


def facts(result: FindingDetails, row: Mapping[str, Any], k: int) -> str:
    """Write all that is known about a finding, and what to do."""
    places = {p["place"]: p for p in result.places.to_dicts()}
    source, target = places.get(row["source_place"]), places.get(row["target_place"])
    known = [
        ("Observed", observed_text(row)),
        ("Expected", f"{figure_text(row, row['expected'])} (like handoffs)"),
        ("Effect", effect_text(row, interval=True)),
        ("Affected", f"{affected_text(row, k=k)} customers"),
        ("Came this way", f"{people(row['customers'])} customers"),
        ("q value", f"{_q(row['q'])} of {result.tests:,} tests"),
    ]
    if source and target:
        known.append(("From", f"{source['channel']}, {source['stage']}"))
        known.append(("To", f"{target['channel']}, {target['stage']}"))
    if row["owner"]:
        known.append(("Owner", row["owner"]))
    if row["stable"] is not None:
        known.append(("Stability", _stability(row)))
    if row.get("weighted") is not None:
        known.append((texts.IF_ALL_ANSWERED, effect_text(_weighted(row), interval=True)))
    if row.get("simpson"):
        known.append((texts.CRUDE, texts.CRUDE_FACT))
    if row["status"] is not None:
        known.append(("Over time", row["status"]))
    listed = "".join(f"<div><dt>{n}</dt><dd>{html_text(str(v))}</dd></div>" for n, v in known)
    asked = html_text(row["owner"]) if row["owner"] else texts.SOME_OWNER
    advice = (signal_named(row["signal"]).advice or texts.ADVICE).format(owner=asked)
    return (
        f'<dl class="cx-facts-list">{listed}</dl><h3>{texts.TODO_HEADING}</h3>'
        f"<p>{advice} {texts.TODO_THEN}</p>"
    )


def for_whom(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Write what a finding is in other groups of customers: their names, and their rows."""
    if not rows:
        return ""
    items = "".join(
        f"<div><dt>{html_text(name)}</dt>"
        f"<dd>{html_text(effect_text(row, interval=True))}</dd></div>"
        for name, row in rows
    )
    return f'<h3>{texts.WHOM_HEADING}</h3><dl class="cx-facts-list cx-whom">{items}</dl>'


def tested(result: FindingDetails) -> str:
    """Say what was tested, signal by signal, and what could not be."""
    return f"<p>{texts.TESTED.format(tests=f'{result.tests:,}')}</p>{_signals(result)}"


def behind_matrix(result: FindingDetails) -> tuple[str, pl.DataFrame]:
    """Return every judgement: as a table for people, and as a frame."""
    columns = [
        Column("From", lambda row: row["source"], number=False),
        Column("To", lambda row: row["target"], number=False),
        Column("Signal", lambda row: signal_name(row["signal"]), number=False),
        Column("Owner", lambda row: row["owner"] or "–", number=False),
        Column("Customers", lambda row: people(row["customers"])),
        Column("Observed", observed_text),
        Column("Expected", lambda row: figure_text(row, row["expected"])),
        Column("Effect", lambda row: effect_text(row, interval=True)),
        Column("q", lambda row: _q(row["q"])),
        Column("Finding", _says_finding, number=False),
    ]
    frame = result.table.drop("source_place", "target_place")
    return html_table(frame, columns, caption=texts.JUDGED_TABLE), frame


def behind_detail(result: FindingDetails, row: Mapping[str, Any]) -> tuple[str, pl.DataFrame]:
    """Return the data behind the picture of a finding: as a table for people, and as a frame."""
    curve, onward = (_of(frame, row) for frame in (result.curves, result.onward))
    if curve["observed"].drop_nulls().len() > 1:
        columns = [
            Column("Within", lambda r: _within(row, r["x"])),
            Column("This handoff", lambda r: share(r["observed"])),
            Column(
                "Like handoffs",
                lambda r: share(r["expected"], r["expected_low"], r["expected_high"]),
            ),
        ]
        return html_table(curve, columns, caption=texts.CURVE_TABLE), curve
    if onward["observed"].drop_nulls().len():
        columns = [
            Column("Next", lambda r: f"{r['next']} ({r['channel']})", number=False),
            Column("By this handoff", lambda r: share(r["observed"])),
            Column("From elsewhere", lambda r: share(r["others"])),
        ]
        return html_table(onward, columns, caption=texts.ONWARD_TABLE), onward
    names = ("source", "target", "signal", "unit", "n", "observed", "expected", "effect")
    figures = pl.DataFrame([{name: row[name] for name in (*names, "low", "high")}])
    columns = [
        Column("This handoff", lambda _: observed_text(row)),
        Column("Like handoffs", lambda r: figure_text(row, r["expected"])),
        Column("Effect", lambda r: effect_text(row, interval=True)),
    ]
    return html_table(figures, columns, caption=texts.FIGURES_TABLE), figures


def behind_trend(result: FindingDetails, row: Mapping[str, Any]) -> tuple[str, pl.DataFrame]:
    """Return the data behind the trend of a finding: as a table for people, and as a frame."""

    def figure(r: Mapping[str, Any]) -> str:
        text = figure_text(row, r["observed"])
        if r["low"] is not None and r["high"] is not None:
            text += f" ({figure_text(row, r['low'])}–{figure_text(row, r['high'])})"
        return text + answered(r.get("response"))

    trend = _of(result.trend, row).filter(pl.col("observed").is_not_null())
    columns = [
        Column("Period from", lambda r: day(r["period"]), number=False),
        Column("Cases", lambda r: people(r["n"])),
        Column("Observed", figure),
        Column("Complete", lambda r: "yes" if r["complete"] else "not yet", number=False),
    ]
    return html_table(trend, columns, caption=texts.TREND_TABLE), trend


def _sure(result: FindingDetails) -> str:
    said = texts.BREAKS_TESTS if result.found.is_empty() else texts.BREAKS_SURE
    return said.format(
        tests=f"{result.tests:,}", false=texts.IN_HUNDRED.format(n=round(100 * Q_LIMIT))
    )


def _stability(row: Mapping[str, Any]) -> str:
    if signal_named(row["signal"]).family == "rating":
        return texts.ANSWERS_STABLE if row["stable"] else texts.ANSWERS_UNSTABLE
    return texts.STABLE_FACT if row["stable"] else texts.UNSTABLE_FACT


def _weighted(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A dip of ratings as it would be if everybody had answered."""
    ends = {name: row[f"weighted_{name}"] for name in ("low", "high")}
    return {**row, "effect": row["weighted"], **ends}


def _q(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.1g}"


def _of(frame: pl.DataFrame, row: Mapping[str, Any]) -> pl.DataFrame:
    keys = ("source_place", "target_place", "signal")
    return frame.filter(*(pl.col(key) == row[key] for key in keys)).drop(*keys)


def _within(row: Mapping[str, Any], x: float) -> str:
    if signal_named(row["signal"]).draws == "silence":
        return plural(x, "day")
    return wait_text(row, x)


def _said(row: Mapping[str, Any]) -> str:
    """Say what a finding is, below a heading that names its handoff."""
    handoff = f"{row['source']} → {row['target']}"
    if row["sentence"] is None:
        return f"stands out ({signal_name(row['signal'])}), by figures too small to be shown"
    return str(row["sentence"]).removeprefix(handoff).strip()


def _signals(result: FindingDetails) -> str:
    lines = [
        f"<li>{html_text(signal_name(row['signal']).capitalize())}: {html_text(_verdict(row))}</li>"
        for row in result.signals.to_dicts()
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _verdict(row: Mapping[str, Any]) -> str:
    if not row["measurable"]:
        return str(row["reason"])
    judged = f"{plural(row['tested'], 'handoff')} judged, {plural(row['findings'], 'finding')}"
    return f"{judged}; {row['reason']}" if row["reason"] else judged


def _says_finding(row: Mapping[str, Any]) -> str:
    if row["finding"]:
        return f"yes, {texts.UNSTABLE}" if row["stable"] is False else "yes"
    return f"follows from {row['echo_of']}" if row["echo_of"] else "no"
