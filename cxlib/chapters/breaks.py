"""Fragmentation in words: which handoffs break, for whom, since when, how sure, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.chapters.markdown import bullets, table_of
from cxlib.figures.finding_detail import describe_finding_trend
from cxlib.figures.fragmentation import (
    affected_text,
    describe_findings,
    effect_text,
    figure_text,
    observed_text,
    signal_name,
)
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.markup import markdown_text as md
from cxlib.numbers import people, plural

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = [
    "finding_segment_table",
    "finding_table",
    "say_breaks",
    "say_breaks_sure",
    "say_not_measurable",
    "say_since_when",
    "say_what_to_do_about_breaks",
]


def say_breaks(result: FindingDetails) -> str:
    """Say which handoffs break, the one with most customers affected first."""
    found = result.found
    if found.is_empty():
        return f"**{md(describe_findings(result))}.**"
    lines = [f"{md(row['sentence'])}." for row in found.iter_rows(named=True) if row["sentence"]]
    return f"**{md(describe_findings(result))}.**\n\n{bullets(lines)}"


def finding_table(result: FindingDetails) -> str:
    """Return the findings as a table: whose, what, how much, how sure."""
    return table_of(
        [
            {
                "handoff": f"{row['source']} → {row['target']}",
                "what": signal_name(row["signal"]),
                "owner": row["owner"] or "–",
                "customers": people(row["customers"]),
                "observed": observed_text(row),
                "expected": figure_text(row, row["expected"]),
                "effect (95 %)": effect_text(row, interval=True),
                "affected": affected_text(row),
                "q": f"{row['q']:.1g}",
                "stable": {True: "yes", False: "no", None: "–"}[row["stable"]],
            }
            for row in result.found.to_dicts()
        ]
    )


def finding_segment_table(compared: pl.DataFrame) -> str:
    """Return what each finding is in every segment, from `compare_segments`."""
    if compared.is_empty():
        return "*Nothing to compare: there are no findings, or no segments.*"
    units = {"delay": "ratio", "perception_dip": "rating points"}
    rows = []
    for row in compared.to_dicts():
        whole: dict[str, Any] = row | {"unit": units.get(row["signal"], "share")}
        rows.append(
            {
                "handoff": f"{row['source']} → {row['target']}",
                "what": signal_name(row["signal"]),
                "segment": f"{row['dimension']} = {row['value']}",
                "cases": f"{row['n']:,}",
                "effect (95 %)": effect_text(whole, interval=True),
            }
        )
    rows.sort(key=lambda row: (row["handoff"], row["what"], row["segment"]))
    return table_of(rows, most=40)


def say_since_when(result: FindingDetails) -> str:
    """Say in how many complete periods each finding lay on the wrong side of its expectation."""
    found = result.found.to_dicts()
    if not found:
        return "*There is no finding to follow over time.*"
    return bullets([f"{md(describe_finding_trend(result, row))}." for row in found])


def say_breaks_sure(result: FindingDetails) -> str:
    """Say how sure the findings are: tests, correction, stability, and what they are not."""
    found = result.found
    facts = []
    if result.tests:
        facts.append(
            f"{result.tests:,} tests were made. q values allow for their number "
            f"(Benjamini-Hochberg): of such findings at most {100 * Q_LIMIT:.0f} in 100 are "
            "expected to be false."
        )
        facts.append(
            "Each handoff is compared with like handoffs (same touchpoints and stages, customers "
            "of the same segment, period and number of earlier contacts), never with itself; "
            "intervals allow for natural differences between handoffs."
        )
    tried = found.filter(pl.col("stable").is_not_null())
    dips = tried.filter(pl.col("signal") == "perception_dip")
    tried = tried.filter(pl.col("signal") != "perception_dip")
    shaky = tried.filter(~pl.col("stable"))
    if len(tried):
        facts.append(
            "No finding changes its sign with the silence that counts as having left."
            if shaky.is_empty()
            else f"{len(shaky)} of the findings change sign with the silence that counts as "
            "having left: read them with caution."
        )
    if len(dips):
        count = len(dips.filter(~pl.col("stable")))
        facts.append(
            "Weighed by who answered, every low rating keeps at least half of its distance."
            if not count
            else f"Who answers could explain {plural(count, 'low rating')}: read with caution."
        )
    echoes = result.table.filter(pl.col("echo_of").is_not_null()).height
    if echoes:
        facts.append(
            f"{echoes} more rows stand out as well, but follow from a finding: one fault is "
            "counted once."
        )
    facts.append(
        f"A customer counts as gone after {result.silence.days} days of silence. Findings say "
        "*associated with*: a trial on part of the customers shows the cause."
    )
    return bullets(facts)


def say_not_measurable(result: FindingDetails) -> str:
    """Say what was judged, and what could not be and why."""
    lines = []
    for row in result.signals.to_dicts():
        name = signal_name(row["signal"])
        if row["measurable"]:
            partly = f"; {row['reason']}" if row["reason"] else ""
            lines.append(f"{name}: {row['tested']:,} judged, {row['findings']:,} found{partly}")
        else:
            lines.append(f"{name}: {row['reason']}")
    return bullets(lines)


def say_what_to_do_about_breaks(result: FindingDetails) -> str:
    """Say who should look at what first."""
    found = result.found.head(3).to_dicts()
    if not found:
        if not result.tests:
            return bullets(["Mend the log first: what it lacks is named above."])
        return bullets(["No handoff needs attention before the others. Judge again next period."])
    lines = [
        f"{md(row['owner'] or 'Whoever owns ' + row['target'])}: look at {md(row['source'])} → "
        f"{md(row['target'])} ({signal_name(row['signal'])}, {affected_text(row)} customers "
        "affected)."
        for row in found
    ]
    lines.append("Change one of them for half of the customers, and judge both halves again.")
    return bullets(lines)
