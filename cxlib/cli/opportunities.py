"""Commands about what to do: `cx attribution`, `cx what-if`, `cx plan`, `cx expansion` …"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from typer import Option

import cxlib as cx
from cxlib.cli.selecting import Asked, about_a_part, about_all, read_duration
from cxlib.cli.terminal import (
    print_file,
    print_json,
    print_table,
    print_written,
    say,
    working,
)
from cxlib.errors import InputError
from cxlib.numbers import amount, decimal, plural, share, spelled
from cxlib.tables import csv_text

Names = Annotated[list[str] | None, Option(metavar="NAME")]
Pairs = Annotated[list[str] | None, Option(metavar='"A -> B"')]
To = Annotated[Path | None, Option(metavar="FILE", help="CSV with ids; stays with you.")]


@about_a_part
def print_attribution(
    asked: Asked,
    *,
    by: str = Option("channel", help="channel or touchpoint."),
    horizon: str | None = Option(
        None, metavar="TIME", help="From a journey's first contact, such as 30d."
    ),
) -> None:
    """Print which share of the conversions each channel gets, beside its exposure and chance."""
    span = read_duration(horizon, "--horizon")
    with working("Leaving outcomes to chance"):
        found = asked.ask(cx.measure_attribution, by=by, horizon=span)
    if asked.as_json:
        print_json(found.table.rename({"group": by}))
        return
    rows = [
        {
            by: part["group"][0],
            "touches": decimal(part["touches"][0]),
            "exposure": share(part["exposure"][0]),
            **{method: share(s) for method, s in part.select("method", "share").iter_rows()},
            "different": "yes" if part["different"][0] else "no",
        }
        for part in found.table.partition_by("group", maintain_order=True)
    ]
    title = asked.title(f"what stands beside conversions, by {by}")
    print_table(rows, title=title, note=found.sentences())


def _handoff(text: str, option: str) -> dict[str, Any]:
    """Both ends of ``A -> B``."""
    parts = [part.strip() for part in text.replace("→", "->").split("->")]
    if len(parts) != 2 or not all(parts):
        raise InputError(f'{option} {text!r} is not a handoff; write "product page -> basket"')
    return {"source": parts[0], "target": parts[1]}


def _share(text: str, option: str) -> float:
    """Read a share such as 0.2 or 20%."""
    try:
        value = float(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"{option} {text!r} is not a share; write 0.2 or 20%")
    return value


def _part_of(text: str, option: str) -> dict[str, Any]:
    """Both ends and the share of ``A -> B:20%``."""
    pair, _, part = text.rpartition(":")
    return _handoff(pair or text, option) | {"rate": _share(part, option)}


@about_all
def print_what_if(
    asked: Asked,
    *,
    mend: Pairs = None,
    rate: str | None = Option(None, metavar="SHARE", help="Of --mend: the share after mending."),
    to_expected: bool = Option(
        False, "--to-expected", help="Of --mend: as similar handoffs (the default)."
    ),
    signal: str | None = Option(None, help="What is mended; the finding's, else abandonment."),
    halve_wait: Pairs = None,
    remove: Names = None,
    add: list[str] | None = Option(
        None, metavar='"A -> B:20%"', help="Offer B at A, which so many take."
    ),
    move_traffic: list[str] | None = Option(
        None, metavar='"X -> Y:20%"', help="Touchpoints or channels."
    ),
) -> None:
    """Estimate what a change would have brought: conversions, value, time, service contacts."""
    from cxlib.opportunities.what_if import estimate_what_if

    if rate is not None and (to_expected or not mend):
        raise InputError("--rate goes with --mend, and not with --to-expected")
    changes = []
    for ends in (_handoff(text, "--mend") for text in mend or ()):
        if rate is None:
            with working("Judging every handoff"):
                changes.append(cx.mend_to_expected(asked.workspace, **ends, signal=signal))
        else:
            given = cx.Change(kind="mend", rate=_share(rate, "--rate"), **ends)
            changes.append(given if signal is None else replace(given, signal=signal))
    for text in halve_wait or ():
        changes.append(cx.Change(kind="halve_wait", **_handoff(text, "--halve-wait")))
    changes += [cx.Change(kind="remove", source=name) for name in remove or ()]
    changes += [cx.Change(kind="add", **_part_of(text, "--add")) for text in add or ()]
    for text in move_traffic or ():
        changes.append(cx.Change(kind="move_traffic", **_part_of(text, "--move-traffic")))
    found = estimate_what_if(asked.workspace, changes)
    told = found.to_dict()
    if asked.as_json:
        print_json(told)
        return
    rows = [
        {
            "": spelled(name),
            "before": amount(figure["before"]),
            "after": amount(figure["after"]),
            "gain (95 %)": amount(figure["gain"], figure["low"], figure["high"]),
            "unit": figure["unit"],
        }
        for name, figure in told.items()
        if isinstance(figure, dict)
    ]
    notes = [f"Assumed: {text}." for text in found.assumptions]
    print_table(rows, title=asked.title(found.sentence), note=notes)


@about_a_part
def print_plan(
    asked: Asked,
    *,
    cjml: Path | None = Option(None, metavar="FILE", help="A plan drawn in CJML 2, not the map's."),
    deadline: str | None = Option(
        None, metavar="TIME", help="Of --cjml, where the map gives none."
    ),
) -> None:
    """Print what became of every planned handoff: kept, detoured, late, out of order, missing."""
    from cxlib.opportunities.cjml import read_cjml

    if deadline is not None and cjml is None:
        raise InputError("--deadline goes with --cjml; the map gives its own handoffs theirs")
    plan, notes = None, []
    if cjml is not None:
        due = read_duration(deadline, "--deadline")
        plan, left_out = read_cjml(cjml, asked.workspace.journey_map, deadline=due)
        notes = [f"not in the journey map, and left out: {name}" for name in left_out]
    found = asked.ask(cx.measure_plan, plan=plan)
    asked.show(found, "the plan against what happened", note=[*found.sentences(), *notes])


@about_a_part
def print_expansion(
    asked: Asked,
    *,
    experiment: str | None = Option(
        None,
        metavar='"SEGMENT: TREATED / CONTROL"',
        help="Read an experiment whose assigned group is a segment, instead.",
    ),
) -> None:
    """Print rare ways that go with better outcomes, each with the experiment that would tell."""
    if experiment is None:
        found = asked.ask(cx.find_expansions)
        asked.show(found, "ways that few take")
        return
    name, _, groups = (part.strip() for part in experiment.partition(":"))
    treated, _, control = (part.strip() for part in groups.partition("/"))
    if not name or not treated or not control:
        raise InputError(f'--experiment {experiment!r}: write "group: new page / old page"')
    if asked.where is not None:
        raise InputError("--experiment is about everybody in both groups; leave filters out")
    read = cx.read_experiment(asked.workspace, name, treated=treated, control=control)
    if asked.as_json:
        named = ("segment", "difference", "low", "high", "p", "mismatch")
        told: dict[str, Any] = {n: getattr(read, n) for n in named}
        print_json(told | {"groups": read.table})
        return
    title = asked.title(f"what came of {name}")
    print_written(read.columns.written(read.table), title=title, note=read.sentences())


@about_a_part
def print_priorities(
    asked: Asked,
    *,
    format: str = Option("table", help="table, md, csv, json or issues (CSV for Jira, Linear …)."),
    owner: str | None = Option(None, help="Only what this owner answers for."),
) -> None:
    """Print what to do first: one backlog over all that was found, with gains and next steps."""
    from cxlib.opportunities.backtest import backtest_priorities
    from cxlib.opportunities.issues import as_issues
    from cxlib.opportunities.priorities import say_gain

    if format not in (known := ("table", "md", "csv", "json", "issues")):
        raise InputError(f"--format {format!r} is none of {', '.join(known)}")
    with working("Judging every handoff"):
        found = asked.ask(cx.list_priorities, owner=owner)
    if asked.as_json or format == "json":
        print_json(found.table)
    elif format == "csv":
        print_file(csv_text(found.table))
    elif format == "issues":
        print_file(csv_text(as_issues(found, say_gain)))
    elif format == "md":
        print_file(found.columns.written(found.table).to_markdown() + "\n")
    else:
        with working("Holding it against what came"):
            held = backtest_priorities(asked.workspace).sentences()
        shown = found.table.select(
            "rank", "what", "owner", "customers_affected", "gain", "gain_low", "gain_high",
            "gain_unit", "status", "next_step",
        )  # fmt: skip
        first = ("rank", "what", "gain", "gain_unit")
        notes = [*found.sentences()[:1], *held]
        asked.show(found, "what to do first", shown=shown, note=notes, first=first)


@about_a_part
def print_personas(asked: Asked, *, to: To = None) -> None:
    """Print personas found in the journeys, or why there are none.

    --to writes the customers table with the persona of each: give it to `cx ingest --customers`,
    and it is a segment everywhere.
    """
    from cxlib.opportunities.personas import customers_with_personas

    with working("Drawing customers anew"):
        found = asked.ask(cx.find_personas)
    if to is not None and found.reason is not None:
        raise InputError(f"nothing to write: {found.sentences()[0]}")
    if asked.as_json:
        told = {n: getattr(found, n) for n in ("reason", "stability", "clearer", "left_out")}
        print_json(told | {"personas": found.table})
    else:
        asked.show(found, "personas")
    if to is not None:
        table = customers_with_personas(asked.workspace, found)
        written = cx.write_audience(asked.workspace, table, to, name="personas")
        say(f"{to}: {plural(written, 'customer')}")


@about_a_part
def print_next(
    asked: Asked,
    *,
    most_contacts: int = Option(3, help="Contact cap, within --within."),
    within: str = Option("7d", metavar="TIME", help="Of --most-contacts."),
    quiet: str = Option("24h", metavar="TIME", help="After any contact."),
    to: To = None,
    hold_back: float = Option(
        0.2, metavar="SHARE", help="Of --to: drawn by lot, not to be addressed."
    ),
    came_of: Path | None = Option(
        None, metavar="FILE", help="Say what came of a list that --to wrote, instead."
    ),
) -> None:
    """Print which touchpoint to offer customers under way next, and how good such advice was."""
    if came_of is not None:
        came = cx.measure_audience(asked.workspace, file=came_of)
        asked.show(came, f"what came of {came_of.name}")
        return
    times = {
        "within": read_duration(within, "--within"),
        "quiet": read_duration(quiet, "--quiet"),
    }
    found = asked.ask(cx.next_best, most_contacts=most_contacts, **times)
    if asked.as_json:
        told = {"states": found.table, "test": found.test, "calibration": found.calibration}
        print_json(told | {"capped": found.capped, "quiet": found.quiet})
    else:
        asked.show(found, "what to offer next")
    if to is not None:
        about: dict[str, Any] = {"name": "next best touchpoint", "hold_back": hold_back}
        written = cx.write_audience(asked.workspace, found.audience, to, **about)
        say(f"{to}: {plural(written, 'customer')} to address, by their ids")
