"""Commands about what to do: `cx attribution`, `cx what-if`, `cx plan`, `cx expansion` …"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cxlib.cli.selecting import Asked, Json, WorkspaceFolder, about_a_part
from cxlib.cli.terminal import (
    as_records,
    print_file,
    print_json,
    print_table,
    print_written,
    say,
    working,
)
from cxlib.errors import InputError
from cxlib.numbers import amount, decimal, plural, share

__all__ = [
    "print_attribution",
    "print_expansion",
    "print_next",
    "print_personas",
    "print_plan",
    "print_priorities",
    "print_what_if",
]


def _duration(text: str | None, option: str) -> timedelta | None:
    from cxlib.map_model import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


@about_a_part
def print_attribution(
    asked: Asked,
    *,
    by: Annotated[str, typer.Option(help="channel or touchpoint.")] = "channel",
    horizon: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From a journey's first contact, such as 30d."),
    ] = None,
) -> None:
    """Print which share of the conversions each channel gets, beside its exposure and chance."""
    from cxlib.measures.attribution import measure_attribution

    opened, where = asked.workspace, asked.where
    options: dict[str, Any] = {"by": by, "horizon": _duration(horizon, "--horizon")}
    with working("Leaving outcomes to chance"):
        found = measure_attribution(opened, where=where, **options)
    if asked.as_json:
        print_json(as_records(found.table.rename({"group": by})))
        return
    rows = found.table.partition_by("group", maintain_order=True)
    print_table(
        [
            {
                by: part["group"][0],
                "touches": decimal(part["touches"][0]),
                "exposure": share(part["exposure"][0]),
                **{m: share(s) for m, s in part.select("method", "share").iter_rows()},
                "different": "yes" if part["different"][0] else "no",
            }
            for part in rows
        ],
        title=f"{opened.journey_map.name}: what stands beside conversions, by {by}",
        note=found.sentences(),
    )


def _pair(text: str, option: str) -> tuple[str, str]:
    """Both ends of ``A -> B``."""
    parts = [part.strip() for part in text.replace("→", "->").split("->")]
    if len(parts) != 2 or not all(parts):
        raise InputError(f'{option} {text!r} is not a handoff; write "product page -> basket"')
    return parts[0], parts[1]


def _share(text: str, option: str) -> float:
    """Read a share such as 0.2 or 20%."""
    try:
        value = float(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"{option} {text!r} is not a share; write 0.2 or 20%")
    return value


Names = Annotated[list[str] | None, typer.Option(metavar="NAME")]
Pairs = Annotated[list[str] | None, typer.Option(metavar='"A -> B"')]


def print_what_if(
    workspace: WorkspaceFolder,
    *,
    mend: Pairs = None,
    rate: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Of --mend: the share after mending.")
    ] = None,
    to_expected: Annotated[
        bool, typer.Option("--to-expected", help="Of --mend: as similar handoffs (the default).")
    ] = False,
    signal: Annotated[
        str | None, typer.Option(help="What is mended; the finding's, else abandonment.")
    ] = None,
    halve_wait: Pairs = None,
    remove: Names = None,
    move_traffic: Annotated[
        list[str] | None, typer.Option(metavar='"X -> Y:20%"', help="Touchpoints or channels.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate what a change would have brought: conversions, value, time, service contacts."""
    from cxlib.opportunities.what_if import Change, estimate_what_if, mend_to_expected
    from cxlib.store import Workspace

    if rate is not None and (to_expected or not mend):
        raise InputError("--rate goes with --mend, and not with --to-expected")
    opened = Workspace.open(workspace)
    changes = []
    for text in mend or ():
        source, target = _pair(text, "--mend")
        if rate is None:
            with working("Judging every handoff"):
                changes.append(mend_to_expected(opened, source, target, signal=signal))
        else:
            given = Change(kind="mend", source=source, target=target, rate=_share(rate, "--rate"))
            changes.append(given if signal is None else replace(given, signal=signal))
    for text in halve_wait or ():
        source, target = _pair(text, "--halve-wait")
        changes.append(Change(kind="halve_wait", source=source, target=target))
    changes += [Change(kind="remove", source=name) for name in remove or ()]
    for text in move_traffic or ():
        pair, _, part = text.rpartition(":")
        source, target = _pair(pair or text, "--move-traffic")
        moved = _share(part, "--move-traffic")
        changes.append(Change(kind="move_traffic", source=source, target=target, rate=moved))
    found = estimate_what_if(opened, changes)
    if as_json:
        print_json(found.to_dict())
        return
    print_table(
        [
            {
                "": name.replace("_", " "),
                "before": amount(told["before"]),
                "after": amount(told["after"]),
                "gain (95 %)": amount(told["gain"], told["low"], told["high"]),
                "unit": told["unit"],
            }
            for name, told in found.to_dict().items()
            if isinstance(told, dict)
        ],
        title=f"{opened.journey_map.name}: {found.sentence}",
        note=[f"Assumed: {text}." for text in found.assumptions],
    )


@about_a_part
def print_plan(
    asked: Asked,
    *,
    cjml: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A plan drawn in CJML 2, not the map's.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of --cjml, where the map gives none.")
    ] = None,
) -> None:
    """Print what became of every planned handoff: kept, detoured, late, out of order, missing."""
    from cxlib.opportunities.cjml import read_cjml
    from cxlib.opportunities.plan import measure_plan

    opened, where = asked.workspace, asked.where
    if deadline is not None and cjml is None:
        raise InputError("--deadline goes with --cjml; the map gives its own handoffs theirs")
    plan, notes = None, []
    if cjml is not None:
        read = read_cjml(cjml, opened.journey_map, deadline=_duration(deadline, "--deadline"))
        plan = read.handoffs
        notes = [f"not in the journey map, and left out: {name}" for name in read.left_out]
    found = measure_plan(opened, where=where, plan=plan)
    asked.show(found, "the plan against what happened", note=[*found.sentences(), *notes])


@about_a_part
def print_expansion(
    asked: Asked,
    *,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar='"SEGMENT: TREATED / CONTROL"',
            help="Read an experiment whose assigned group is a segment, instead.",
        ),
    ] = None,
) -> None:
    """Print rare ways that go with better outcomes, each with the experiment that would tell."""
    from cxlib.opportunities.expansion import find_expansions
    from cxlib.opportunities.experiments import read_experiment

    opened, where = asked.workspace, asked.where
    if experiment is not None:
        name, _, groups = experiment.partition(":")
        treated, _, control = (part.strip() for part in groups.partition("/"))
        if not name.strip() or not treated or not control:
            raise InputError(f'--experiment {experiment!r}: write "group: new page / old page"')
        if where is not None:
            raise InputError("--experiment is about everybody in both groups; leave filters out")
        read = read_experiment(opened, name.strip(), treated=treated, control=control)
        if asked.as_json:
            named = ("segment", "difference", "low", "high", "p", "mismatch")
            told = {n: getattr(read, n) for n in named}
            print_json(told | {"groups": as_records(read.table)})
            return
        title = f"{opened.journey_map.name}: what came of {name.strip()}"
        print_written(read.columns.written(read.table), title=title, note=read.sentences())
        return
    found = find_expansions(opened, where=where)
    asked.show(found, "ways that few take", note=found.sentences())


@about_a_part
def print_priorities(
    asked: Asked,
    *,
    format: Annotated[str, typer.Option(help="table, md, csv or json.")] = "table",
    owner: Annotated[str | None, typer.Option(help="Only what this owner answers for.")] = None,
) -> None:
    """Print what to do first: one backlog over all that was found, with gains and next steps."""
    from cxlib.opportunities.backtest import backtest_priorities
    from cxlib.opportunities.priorities import list_priorities
    from cxlib.tables import csv_text

    if format not in (known := ("table", "md", "csv", "json")):
        raise InputError(f"--format {format!r} is none of {', '.join(known)}")
    opened, where = asked.workspace, asked.where
    with working("Judging every handoff"):
        found = list_priorities(opened, where=where, owner=owner)
    if asked.as_json or format == "json":
        print_json(as_records(found.table))
    elif format == "csv":
        print_file(csv_text(found.table))
    elif format == "md":
        print_file(found.columns.written(found.table).to_markdown() + "\n")
    else:
        with working("Holding it against what came"):
            held = backtest_priorities(opened).sentences()
        shown = found.table.select(
            "rank", "what", "owner", "customers_affected", "gain", "gain_low", "gain_high",
            "gain_unit", "status", "next_step",
        )  # fmt: skip
        asked.show(found, "what to do first", shown=shown, note=[*found.sentences()[:1], *held])


To = Annotated[Path | None, typer.Option(metavar="FILE", help="CSV with ids; stays with you.")]


@about_a_part
def print_personas(asked: Asked, *, to: To = None) -> None:
    """Print personas found in the journeys, or why there are none.

    --to writes the customers table with the persona of each: give it to `cx ingest --customers`,
    and it is a segment everywhere.
    """
    from cxlib.audience import write_audience
    from cxlib.opportunities.personas import customers_with_personas, find_personas

    with working("Drawing customers anew"):
        found = find_personas(asked.workspace, where=asked.where)
    if to is not None and found.reason is not None:
        raise InputError(f"nothing to write: {found.sentences()[0]}")
    if asked.as_json:
        told = {n: getattr(found, n) for n in ("reason", "stability", "clearer", "left_out")}
        print_json(told | {"personas": as_records(found.table)})
    else:
        asked.show(found, "personas", note=found.sentences())
    if to is not None:
        table = customers_with_personas(asked.workspace, found)
        written = write_audience(asked.workspace, table, to, name="personas")
        say(f"{to}: {plural(written, 'customer')}")


@about_a_part
def print_next(
    asked: Asked,
    *,
    most_contacts: Annotated[int, typer.Option(help="Contact cap, within --within.")] = 3,
    within: Annotated[str, typer.Option(metavar="TIME", help="Of --most-contacts.")] = "7d",
    quiet: Annotated[str, typer.Option(metavar="TIME", help="After any contact.")] = "24h",
    to: To = None,
    hold_back: Annotated[
        float, typer.Option(metavar="SHARE", help="Of --to: drawn by lot, not to be addressed.")
    ] = 0.2,
    came_of: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Say what came of a list that --to wrote, instead."),
    ] = None,
) -> None:
    """Print which touchpoint to offer customers under way next, and how good such advice was."""
    from cxlib.audience import measure_audience, write_audience
    from cxlib.opportunities.next_best import next_best

    opened = asked.workspace
    if came_of is not None:
        came = measure_audience(opened, file=came_of)
        asked.show(came, f"what came of {came_of.name}", note=came.sentences())
        return
    times: dict[str, Any] = {
        "within": _duration(within, "--within"),
        "quiet": _duration(quiet, "--quiet"),
    }
    found = next_best(opened, where=asked.where, most_contacts=most_contacts, **times)
    if asked.as_json:
        tables = {"states": found.table, "test": found.test, "calibration": found.calibration}
        told = {"capped": found.capped, "quiet": found.quiet}
        print_json({n: as_records(table) for n, table in tables.items()} | told)
    else:
        asked.show(found, "what to offer next", note=found.sentences())
    if to is not None:
        written = write_audience(
            opened, found.audience, to, name="next best touchpoint", hold_back=hold_back
        )
        say(f"{to}: {plural(written, 'customer')} to address, by their ids")
