"""Findings in words and as tables, as the view shows them beside the pictures."""

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
from cxlib.fragmentation.details import KEYS, ON_TRANSITIONS
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.fragmentation.sentences import say_advice
from cxlib.numbers import MISSING, answered, day, people, plural, share
from cxlib.signals import signal_named
from cxlib.views.fragmentation import words
from cxlib.views.shared.links import Way, link_to_finding
from cxlib.views.shared.parts import Words
from cxlib.views.shared.tables import Column, html_table
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails


def answer(result: FindingDetails, *, of: int, filters: Sequence[str] = ()) -> str:
    """Answer the question of the view in one sentence, with what it rests on below.

    Parameters
    ----------
    result
        The findings shown.
    of
        Findings there are without the filters.
    filters
        What they are filtered by, in words.
    """
    basis = words.BASIS.format(
        customers=plural(result.customers, "customer"),
        until=day(result.observed_until),
        sure=_sure(result) if result.tests else "",
    )
    if filters:
        part = words.PART.format(shown=len(result.found), all=plural(of, "finding"))
        basis = f"{part} {basis}"
    said = describe_findings(result)
    if filters and of and result.found.is_empty():
        said = words.NOTHING_HERE
    title = " · ".join([words.TITLE, *filters])
    return render("shared/answer.html", title=title, said=said.removesuffix("."), basis=basis)


def small_heading(heading: str) -> Words:
    """Return a heading that stays as it is."""
    return Words(on=(), write=lambda view: render("shared/small_heading.html", heading=heading))


def entry(number: int, row: Mapping[str, Any], k: int) -> str:
    """Write one finding as an entry of the list."""
    return render(
        "fragmentation/entry.html",
        number=number,
        row=row,
        said=_said(row),
        affected=affected_text(row, k=k),
    )


def above_list(result: FindingDetails, *, of: int = 0) -> str:
    """Head the list of findings, or say calmly that there is none; `of`: without the filters."""
    return render(
        "fragmentation/above_list.html",
        found=len(result.found),
        of=of,
        tests=result.tests,
        signals=_signals(result),
    )


def on_other_grounds(result: FindingDetails, way: Way) -> str:
    """List what was found against its own past or other groups: findings without a curve."""
    found = set(result.found.select(KEYS).rows())
    rows = [
        row | {"address": link_to_finding(result, row, way)}
        for row in result.bands.to_dicts()
        if row["sentence"]
        and not (row["ground"] in ON_TRANSITIONS and tuple(row[key] for key in KEYS) in found)
    ]
    return render("fragmentation/others.html", rows=rows)


def heading(row: Mapping[str, Any]) -> str:
    """Head the details of a finding."""
    return render("fragmentation/opened.html", row=row, said=_said(row))


def facts(result: FindingDetails, row: Mapping[str, Any], k: int) -> str:
    """Write all that is known about a finding, and what to do."""
    places = {p["place"]: p for p in result.places.to_dicts()}
    ends = [(words.FROM, row["source_place"]), (words.TO, row["target_place"])]
    known = [
        (words.OBSERVED, observed_text(row)),
        (words.EXPECTED, words.OF_LIKE.format(figure=figure_text(row, row["expected"]))),
        (words.EFFECT, effect_text(row, interval=True)),
        (words.AFFECTED, words.CUSTOMERS.format(n=affected_text(row, k=k))),
        (words.CAME, words.CUSTOMERS.format(n=people(row["customers"]))),
        (words.Q, words.OF_TESTS.format(q=_q(row["q"]), tests=f"{result.tests:,}")),
    ]
    known += [(n, f"{places[e]['channel']}, {places[e]['stage']}") for n, e in ends if e in places]
    if row["owner"]:
        known.append((words.OWNER, row["owner"]))
    if row["stable"] is not None:
        known.append((words.STABILITY, _stability(row)))
    if row.get("weighted") is not None:
        known.append((words.IF_ALL_ANSWERED, effect_text(_weighted(row), interval=True)))
    if row.get("simpson"):
        known.append((words.CRUDE, words.CRUDE_FACT))
    if row["status"] is not None:
        known.append((words.OVER_TIME, row["status"]))
    todo = say_advice(row["signal"], row["owner"], otherwise=words.ADVICE)
    return render("fragmentation/facts.html", facts=known, todo=todo)


def for_whom(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Write what a finding is in other groups of customers: their names, and their rows."""
    groups = [(name, effect_text(row, interval=True)) for name, row in rows]
    return render("fragmentation/for_whom.html", groups=groups)


def tested(result: FindingDetails) -> str:
    """Say what was tested, signal by signal, and what could not be."""
    return render("fragmentation/tested.html", tests=result.tests, signals=_signals(result))


def behind_matrix(result: FindingDetails) -> tuple[str, pl.DataFrame]:
    """Return every judgement: as a table for people, and as a frame."""
    columns = [
        Column("From", lambda row: row["source"], number=False),
        Column("To", lambda row: row["target"], number=False),
        Column("Signal", lambda row: signal_name(row["signal"]), number=False),
        Column("Owner", lambda row: row["owner"] or MISSING, number=False),
        Column("Customers", lambda row: people(row["customers"])),
        Column("Observed", observed_text),
        Column("Expected", lambda row: figure_text(row, row["expected"])),
        Column("Effect", lambda row: effect_text(row, interval=True)),
        Column("q", lambda row: _q(row["q"])),
        Column("Finding", _says_finding, number=False),
    ]
    frame = result.table.drop("source_place", "target_place")
    return html_table(frame, columns, caption=words.JUDGED_TABLE), frame


def behind_detail(result: FindingDetails, row: Mapping[str, Any]) -> tuple[str, pl.DataFrame]:
    """Return the data behind the picture of a finding: as a table for people, and as a frame."""
    curve, onward = (_of(frame, row) for frame in (result.curves, result.onward))
    if curve["observed"].drop_nulls().len() > 1:
        columns = [
            Column("Within", lambda r: _within(row, r["x"])),
            Column("This handoff", lambda r: share(r["observed"])),
            Column(
                "Similar handoffs",
                lambda r: share(r["expected"], r["expected_low"], r["expected_high"]),
            ),
        ]
        return html_table(curve, columns, caption=words.CURVE_TABLE), curve
    if onward["observed"].drop_nulls().len():
        columns = [
            Column("Next", lambda r: f"{r['next']} ({r['channel']})", number=False),
            Column("By this handoff", lambda r: share(r["observed"])),
            Column("From elsewhere", lambda r: share(r["others"])),
        ]
        return html_table(onward, columns, caption=words.ONWARD_TABLE), onward
    names = ("source", "target", "signal", "unit", "n", "observed", "expected", "effect")
    figures = pl.DataFrame([{name: row[name] for name in (*names, "low", "high")}])
    columns = [
        Column("This handoff", lambda _: observed_text(row)),
        Column("Similar handoffs", lambda r: figure_text(row, r["expected"])),
        Column("Effect", lambda r: effect_text(row, interval=True)),
    ]
    return html_table(figures, columns, caption=words.FIGURES_TABLE), figures


def behind_trend(result: FindingDetails, row: Mapping[str, Any]) -> tuple[str, pl.DataFrame]:
    """Return the data behind the trend of a finding: as a table for people, and as a frame."""

    def figure(r: Mapping[str, Any]) -> str:
        text = figure_text(row, r["observed"])
        if r["low"] is not None and r["high"] is not None:
            text += f" ({figure_text(row, r['low'])}–{figure_text(row, r['high'])})"
        return text + answered(r.get("response"))

    trend = trend_of(result, row)
    columns = [
        Column("Period from", lambda r: day(r["period"]), number=False),
        Column("Cases", lambda r: people(r["n"])),
        Column("Observed", figure),
        Column("Complete", lambda r: "yes" if r["complete"] else "not yet", number=False),
    ]
    return html_table(trend, columns, caption=words.TREND_TABLE), trend


def trend_of(result: FindingDetails, row: Mapping[str, Any]) -> pl.DataFrame:
    """Return the periods in which a finding is known."""
    return _of(result.trend, row).filter(pl.col("observed").is_not_null())


def _sure(result: FindingDetails) -> str:
    said = words.TESTS if result.found.is_empty() else words.SURE
    return said.format(
        tests=f"{result.tests:,}", false=words.IN_HUNDRED.format(n=round(100 * Q_LIMIT))
    )


def _stability(row: Mapping[str, Any]) -> str:
    if signal_named(row["signal"]).family == "rating":
        return words.ANSWERS_STABLE if row["stable"] else words.ANSWERS_UNSTABLE
    return words.STABLE_FACT if row["stable"] else words.UNSTABLE_FACT


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
        return f"Stands out ({signal_name(row['signal'])}), by figures too small to be shown"
    return str(row["sentence"]).removeprefix(handoff).strip()


def _signals(result: FindingDetails) -> list[tuple[str, str]]:
    """Return what was judged, and what could not be and why, by signal."""
    return [
        (signal_name(row["signal"]).capitalize(), _verdict(row))
        for row in result.signals.to_dicts()
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    if not row["measurable"]:
        return str(row["reason"])
    judged = f"{plural(row['tested'], 'handoff')} judged, {plural(row['findings'], 'finding')}"
    return f"{judged}; {row['reason']}" if row["reason"] else judged


def _says_finding(row: Mapping[str, Any]) -> str:
    if row["finding"]:
        return f"yes, {words.UNSTABLE}" if row["stable"] is False else "yes"
    return f"follows from {row['echo_of']}" if row["echo_of"] else "no"
