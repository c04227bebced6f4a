"""The log and its quality: what became of its rows, and which questions it can answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cxlib.chapters.markdown import bullets, listed, table_of
from cxlib.chapters.opening import in_words, plural_exact
from cxlib.markup import markdown_text as md
from cxlib.numbers import share

if TYPE_CHECKING:
    from cxlib.ingest import IngestReport
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.store import Workspace

__all__ = [
    "measurable_table",
    "say_log_sure",
    "say_rows",
    "say_what_to_mend",
    "set_aside_table",
]

_DATES_ONLY = 0.9
"""Above this share of times at exactly midnight a log is taken to have dates only."""


def say_rows(report: IngestReport) -> str:
    """Say how many rows became contacts, and why the others did not."""
    used = report.rows_in - report.left_out
    kept = share(report.contacts / used) if used else share(None)
    sentence = f"**{report.contacts:,} of {used:,} rows ({kept}) are contacts.**"
    if report.left_out:
        sentence += f" {plural_exact(report.left_out, 'row')} the map leaves out on purpose."
    aside = sum(report.set_aside.values())
    if not aside:
        return f"{sentence} No row of the log had to be set aside."
    reasons = sorted(report.set_aside.items(), key=lambda item: (-item[1], item[0]))
    why = listed([f"{md(reason)} ({rows:,})" for reason, rows in reasons], most=6)
    return f"{sentence} {plural_exact(aside, 'row')} were set aside, none was dropped: {why}."


def set_aside_table(workspace: Workspace) -> str:
    """Return a table of the rows set aside: reason, rows, and where the first one stands."""
    firsts = (
        workspace.quarantine()
        .sort("reason", "file", "line", nulls_last=True)
        .group_by("reason", maintain_order=True)
        .agg(pl.len().alias("rows"), pl.col("file", "line", "customer").first())
        .sort("rows", "reason", descending=[True, False])
    )
    return table_of(
        [
            {
                "set aside because": row["reason"],
                "rows": f"{row['rows']:,}",
                "first one": _where(row["file"], row["line"]),
                "its customer": row["customer"] or "–",
            }
            for row in firsts.iter_rows(named=True)
        ]
    )


def _where(file: str | None, line: int | None) -> str:
    if not file:
        return "–"
    name = Path(file).name
    return f"{name}, row {line:,}" if line is not None else name


def measurable_table(workspace: Workspace, report: IngestReport, touchpoints: Touchpoints) -> str:
    """Return a table of what the log can answer, and what not, with the reason."""
    answers = {
        "what follows what, and how soon": _order(report),
        "where customers get lost": _losses(workspace, touchpoints),
        "who reaches the goal": _goal(workspace),
        "handoffs between channels": _channels(workspace),
        "handoffs between owners": _owners(workspace),
        "what customers say": _ratings(touchpoints),
        "differences between segments": _segments(workspace),
        "how long a contact takes": _dwell(touchpoints),
        "what contacts cost": _cost(touchpoints),
        "whether the plan is kept": _plan(workspace),
    }
    return table_of([{"question": q, "measurable?": a} for q, a in answers.items()])


def _no(why: str) -> str:
    return f"not measurable, because {why}"


def _order(report: IngestReport) -> str:
    if report.midnight_share > _DATES_ONLY:
        return _no(f"{share(report.midnight_share)} of the times are midnight: dates, not times")
    ties = report.tied_timestamps or 0
    return "yes" + (
        f"; {plural_exact(ties, 'contact')} tie in time with the one before" * bool(ties)
    )


def _losses(workspace: Workspace, touchpoints: Touchpoints) -> str:
    rule = workspace.journey_map.journey
    if rule.gap is None and not rule.lost:
        return _no("the map names neither a silence (gap) nor a touchpoint that ends a journey")
    if touchpoints.whole["lost"][0] is None:
        return _no("nobody was observed for as long as the silence that counts as lost")
    if rule.gap is None:
        return "yes, as far as the map names losses; silence never counts (no gap)"
    return f"yes; silence of {in_words(rule.gap)} counts as lost"


def _goal(workspace: Workspace) -> str:
    if not workspace.journey_map.journey.goal:
        return _no("the map names no goal")
    goals = workspace.places.filter("is_goal")["touchpoint"].unique().sort().to_list()
    return f"yes: {listed(goals)}" if goals else _no("no contact of the log is the map's goal")


def _channels(workspace: Workspace) -> str:
    channels = workspace.places["channel"].unique().sort().to_list()
    return f"yes: {len(channels)} channels" if len(channels) > 1 else _no("there is one only")


def _owners(workspace: Workspace) -> str:
    owners = workspace.places["owner"].drop_nulls().n_unique()
    if owners < 2:
        return _no("the map names no two owners")
    unnamed = workspace.places["owner"].null_count()
    note = f"; {plural_exact(unnamed, 'place')} have none" if unnamed else ""
    return f"yes: {owners} owners{note}"


def _ratings(touchpoints: Touchpoints) -> str:
    row = touchpoints.whole.row(0, named=True)
    if not row["rating_n"]:
        return _no("the log has no ratings")
    return f"yes: {row['rating_n']:,} ratings, after {share(row['response'])} of contacts"


def _segments(workspace: Workspace) -> str:
    names = workspace.segment_names
    return f"yes: {listed(names)}" if names else _no("no table of customers was given")


def _dwell(touchpoints: Touchpoints) -> str:
    timed = touchpoints.whole["dwell_n"][0]
    part = timed / touchpoints.contacts if touchpoints.contacts else 0
    return f"yes, for {share(part)} of contacts" if timed else _no("the log has no end times")


def _cost(touchpoints: Touchpoints) -> str:
    return "yes" if touchpoints.whole["cost"][0] else _no("the log has no costs")


def _plan(workspace: Workspace) -> str:
    planned = len(workspace.journey_map.planned_handoffs)
    return f"yes: {planned} planned handoffs" if planned else _no("the map plans no handoff")


def say_log_sure(report: IngestReport, workspace: Workspace) -> str:
    """Say what the figures of the other notebooks rest on, and where they may be off."""
    facts = [
        f"{report.without_offset:,} times carry no offset and were read as {report.time_zone} time."
        if report.without_offset
        else "Every time carries its own offset, or is an instant."
    ]
    if report.moved or report.twice:
        facts.append(
            f"{report.moved:,} times fall into the hour that the change to summer time leaves out, "
            f"{report.twice:,} into the one that occurs twice."
        )
    facts.append(f"{share(report.midnight_share)} of contacts are at exactly midnight.")
    if report.robots:
        facts.append(
            f"{plural_exact(report.robots, 'customer')} with more contacts a day than a person has "
            "were taken for robots and set aside."
        )
    facts.append(_say_busiest(workspace))
    unmapped = sum(u.contacts for u in report.unmapped)
    part = share(unmapped / report.contacts) if report.contacts else share(None)
    facts.append(
        f"{part} of contacts are at touchpoints the map does not know; they are kept."
        if unmapped
        else "The map knows every touchpoint of the log."
    )
    if report.customers_without_segment:
        facts.append(
            f"{report.customers_without_segment:,} of {report.customers or 0:,} customers are in "
            'no table of customers; their segment is "unknown".'
        )
    return bullets(facts)


def _say_busiest(workspace: Workspace) -> str:
    contacts = workspace.customers().select("contacts").collect()["contacts"]
    half, most = contacts.quantile(0.5), int(contacts.sort()[-1])
    return (
        f"Half of the customers have at most {half:,.0f} contacts, the busiest has {most:,}; a "
        "customer with hundreds may be a robot or a shared device, and widens the intervals."
    )


def say_what_to_mend(report: IngestReport, workspace: Workspace) -> str:
    """Say what to mend in the export and in the map before relying on the answers."""
    tasks = []
    for unmapped in report.unmapped[:5]:
        meant = f" (did you mean {md(repr(unmapped.nearest))}?)" if unmapped.nearest else ""
        tasks.append(
            f"Add {md(repr(unmapped.name))} to the touchpoints: "
            f"{unmapped.contacts:,} contacts{meant}."
        )
    for reason, rows in sorted(report.set_aside.items(), key=lambda item: (-item[1], item[0])):
        if reason != "robot" and rows > 0.001 * report.rows_in:
            tasks.append(f"Ask who makes the export about {rows:,} rows set aside: {md(reason)}.")
    rule = workspace.journey_map.journey
    if not rule.goal:
        tasks.append("Name the goal in the map (journey: goal); without it nothing is a success.")
    if rule.gap is None and not rule.lost:
        tasks.append("Name in the map what ends a journey without the goal (journey: gap, lost).")
    tasks += [f"Look at this: {md(_without_folders(hint))}" for hint in report.hints]
    return bullets(tasks or ["Nothing: go on with the next notebook."])


def _without_folders(hint: str) -> str:
    first, *rest = hint.split(" ")
    return " ".join([Path(first).name if "/" in first else first, *rest])
