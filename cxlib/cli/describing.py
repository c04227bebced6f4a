"""Commands that describe a log: what happens, how it feels, and what goes with coming back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

import cxlib as cx
from cxlib.cli.selecting import (
    Asked,
    about_a_part,
    about_all,
    read_pair,
    read_span,
    read_steps,
    segments_of,
)
from cxlib.cli.terminal import echo, print_json, print_written
from cxlib.errors import InputError
from cxlib.numbers import decimal, plural
from cxlib.tables import as_records


@about_a_part
def print_map(asked: Asked) -> None:
    """Print every touchpoint by stage, and what follows."""
    found = asked.ask(cx.measure_touchpoints)
    asked.show(
        found,
        f"{found.customers:,} customers, {found.journeys:,} journeys, {found.contacts:,} contacts",
        rows=found.table.drop("place"),
        first=("lost", "customers"),
    )


@about_a_part
def print_transitions(asked: Asked) -> None:
    """Print what directly follows what, and how soon.

    The wait is a median that allows for transitions still to come, with its interval. With --json
    also ``median_wait``: of those that happened, exactly. Where the map has opening hours, the
    open wait stands beside it: the median of the time for which the target was open meanwhile.
    """
    from cxlib.columns import Columns

    found, seen = asked.ask(cx.measure_transitions), asked.ask(cx.measure_waits)
    both = seen.table.select("source", "target", "open_wait", median_wait="wait")
    table = found.table.rename({"n": "count"})
    table = table.join(both, on=["source", "target"], how="left", maintain_order="left")
    if asked.as_json:
        print_json([row | {"median_wait": row["median_wait_seconds"]} for row in as_records(table)])
        return
    shown = {"source": "source", "target": "target", "count": "n", "share": "share", "wait": "wait"}
    columns = {name: found.columns[of] for name, of in shown.items()}
    if table["open_wait"].count():
        columns["open_wait"] = seen.columns["open_wait"]
    title = asked.title(f"{len(table):,} kinds of transitions")
    print_written(Columns(**columns).written(table), title=title, most=40)


@about_a_part
def print_first_contacts(asked: Asked) -> None:
    """Print where journeys begin, and how often and how soon they reach the goal from there."""
    found = asked.ask(cx.measure_first_contacts)
    asked.show(found, "where journeys begin", rows=found.table.drop("place"), most=40)


@about_a_part
def print_stages(asked: Asked) -> None:
    """Print the stages of the map: who comes to each, and how many go on from there."""
    asked.show(asked.ask(cx.measure_stages), "stage by stage")


@about_a_part
def print_funnel(
    asked: Asked,
    *,
    steps: str | None = Option(
        None, metavar="A,B,C", help="Touchpoints (or stages, channels), in order."
    ),
    step: list[str] | None = Option(None, metavar="A", help="One step; give it once per step."),
) -> None:
    """Print how many reach each step, in this order."""
    places, journey_map = asked.workspace.places, asked.workspace.journey_map
    known = [*places["touchpoint"], *(t.name for t in journey_map.touchpoints)]
    known = list(dict.fromkeys([*known, *journey_map.stages, *places["channel"]]))
    found = asked.ask(cx.measure_funnel, steps=read_steps(steps, step or [], known))
    table = found.table.rename({"step": "number", "name": "step"})
    asked.show(
        found,
        f"{found.customers:,} customers, {found.journeys:,} journeys",
        rows=table.with_columns(low="share_low", high="share_high"),
        note="So far: share of the journeys at the first step. Of the step before: chance of "
        "getting here from there, open journeys allowed for.",
    )


@about_a_part
def print_paths(
    asked: Asked,
    *,
    start: str | None = Option(
        None, "--from", metavar="NAME", help="What follows this touchpoint."
    ),
    goal: str | None = Option(
        None, "--to", metavar="NAME", help="What comes before this touchpoint."
    ),
    by: Literal["touchpoint", "channel", "stage", "owner"] = Option(
        "touchpoint", help="What a contact is called."
    ),
    depth: int = Option(3, min=1, max=8, help="Steps."),
) -> None:
    """Print the ways from or to a touchpoint, or the most frequent whole paths."""
    if start is not None and goal is not None:
        raise InputError(
            "--from and --to are two questions: give one; for how many go from the one to the "
            "other ask cx funnel --step A --step B"
        )
    middle = goal if start is None else start
    if middle is None:
        paths = asked.ask(cx.measure_paths, by=by)
        rest = f"{paths.others:,} rarer paths of {plural(paths.others_journeys, 'journey')}"
        asked.show(
            paths,
            f"{plural(paths.paths, 'path')} of {plural(paths.journeys, 'journey')}",
            note=f"Not shown: {rest} ({paths.others_share:.0%}).",
        )
        return
    forwards = start is not None
    tree = asked.ask(cx.measure_path_tree, start=middle, forwards=forwards, depth=depth, by=by)
    asked.show(
        tree,
        tree.sentences()[0],
        note=f"{plural(tree.journeys, 'journey')} of {tree.all_journeys:,} come through {middle}, "
        f"each counted {'from its first' if forwards else 'to its last'} contact there. "
        "Branches of one step add up to the step before.",
    )


_PART = (
    "channel=NAME, period=FROM..TO, a segment such as persona=explorer, or (touchpoints only) an "
    "environment such as app=4.9; give it again for more, or not at all for the whole log."
)


@about_all
def compare_parts(
    asked: Asked,
    *,
    first: list[str] | None = Option(
        None, "--a", metavar="NAME=VALUE", help=f"The first part: {_PART}"
    ),
    second: list[str] | None = Option(None, "--b", metavar="NAME=VALUE", help="The second part."),
    measure: Literal[
        "touchpoints", "transitions", "handoffs", "first-contacts", "stages", "perception"
    ] = Option("touchpoints", help="What is measured of both."),
) -> None:
    """Put two parts of the log side by side, each difference with its interval."""
    from cxlib.comparing import environments_of
    from cxlib.front.showing import cautions

    around = set(environments_of(asked.workspace)) - set(asked.workspace.segment_names)
    known = [*segments_of(asked.workspace), *(f"{name}=VALUE" for name in sorted(around))]
    known += ["channel=NAME", "period=FROM..TO"]
    told = {"--a": first or [], "--b": second or []}
    parts = [_read_part(option, conditions, known, around) for option, conditions in told.items()]
    measured = getattr(cx, f"measure_{measure.replace('-', '_')}")
    found = cx.compare(asked.workspace, *parts, measure=measured)
    a, b = (" and ".join(part or ["the whole log"]) for part in told.values())
    asked.show(
        found,
        f"{a} (first) beside {b} (second)",
        note=[f"{found.sentence}.", *cautions(found)],
        first=("difference", "what"),
        most=60,
    )


def _read_part(option: str, told: list[str], known: list[str], around: set[str]) -> cx.Where | None:
    asked: dict[str, Any] = {}
    for name, value in (read_pair(condition, option, *known) for condition in told):
        new: dict[str, Any] = {"environment" if name in around else "segment": {name: value}}
        if name == "channel":
            new = {"channel": value}
        elif name == "period":
            new = read_span(value)
        if twice := new.keys() & asked.keys():
            raise InputError(f"{option} names {min(twice)} twice; give each condition once")
        asked |= new
    return cx.Where(**asked) if asked else None


By = Annotated[
    str,
    Option(
        metavar="NAME",
        help="touchpoint, stage, transition, channel, owner, period, or a segment or environment.",
    ),
]


@about_a_part
def print_perception(
    asked: Asked,
    *,
    by: By = "touchpoint",
    scale: str | None = Option(None, help="Ratings of this scale only."),
    curve: bool = Option(False, "--curve", help="How it feels along the journey, instead."),
    spectrum: bool = Option(False, "--spectrum", help="Every answer's share, instead."),
    consistency: bool = Option(False, "--consistency", help="The gap between channels, instead."),
) -> None:
    """Print what customers say, by touchpoint or another group, with who answers beside it."""
    if curve + spectrum + consistency > 1:
        raise InputError("--curve, --spectrum and --consistency are answers of their own: give one")
    if (curve or consistency) and by != "touchpoint":
        raise InputError("--by goes with the ratings themselves and with --spectrum only")
    if curve:
        found = asked.ask(cx.measure_experience_curve, scale=scale)
        note = "Change: from the touchpoint before on the curve, in the order of the map."
    elif consistency:
        found = asked.ask(cx.measure_consistency, scale=scale)
        note = (
            "Gap: between the channels rated lowest and highest; q allows for how many touchpoints "
            "and stages were compared."
        )
    elif spectrum:
        found = asked.ask(cx.measure_spectrum, by=by, scale=scale)
        note = (
            "Low, middle and high: 0 to 6, 7 and 8, 9 and 10 of a scale from 0 to 10; else thirds "
            "of the scale."
        )
    else:
        found = asked.ask(cx.measure_perception, by=by, scale=scale)
        note = (
            "Weighted: if everybody had answered, as far as the log knows who does not. Bound: by "
            "how many points those would have to differ for another verdict."
        )
    _show_groups(asked, found, by, note)


@about_a_part
def print_comments(asked: Asked, *, by: By = "touchpoint") -> None:
    """Print what customers write about, and how pleased it sounds; never a comment itself."""
    note = (
        "Share: of the comments of the group in the language. Personal data was masked when the "
        "log was read."
    )
    _show_groups(asked, asked.ask(cx.measure_comments, by=by), by, note)


@about_a_part
def print_preferences(
    asked: Asked,
    *,
    of: str = Option("channel", help="channel or touchpoint."),
    audience: str | None = Option(None, metavar="NAME", help="List who clearly prefers this one."),
    to: Path | None = Option(None, help="CSV file for the audience."),
    hold_back: float = Option(
        0.0, metavar="SHARE", help="Of the audience, drawn by lot: not addressed."
    ),
    came_of: Path | None = Option(None, metavar="FILE", help="What came of an audience, instead."),
) -> None:
    """Print which channels or touchpoints customers prefer, by behaviour and by rating."""
    if (audience is None) != (to is None):
        raise InputError("an audience goes to a file: give both --audience NAME and --to FILE")
    if came_of is not None:
        note = "Since the audience was drawn. Difference: of the addressed to the others."
        _show_groups(asked, cx.measure_audience(asked.workspace, file=came_of), "group", note)
    elif audience is None or to is None:
        note = (
            "Of contacts that customers begin. Prefer: more than half of a customer's, drawn to "
            "everybody's habits. Lift: points above the same customers' other answers."
        )
        _show_groups(asked, asked.ask(cx.measure_preferences, of=of), "group", note)
    else:
        asked_of: Any = of
        listed = cx.list_audience(asked.workspace, audience, of=asked_of, where=asked.where)
        n = cx.write_audience(asked.workspace, listed, to, name=audience, hold_back=hold_back)
        held = f"; {decimal(len(listed) - n)} held back by lot" if n < len(listed) else ""
        echo(f"{to}: {plural(n, 'customer')} who clearly prefer {audience}, by their ids{held}")


def _show_groups(asked: Asked, found: Any, by: str, note: str) -> None:
    # a segment may be called like a column of the answer
    called = {} if by in found.table.columns else {"group": by}
    grouped = f", by {by}" if "group" in found.columns else ""
    asked.show(
        found,
        f"{found.title[0].lower()}{found.title[1:]}{grouped}",
        rows=found.table.rename(called, strict=False),
        note=[note, *found.sentences()],
    )


_LARGE = 30  # customers of the smallest group that `cx loyalty` prints


@about_a_part
def print_loyalty(asked: Asked) -> None:
    """Print who comes back and who reaches the goal again, by when, and what it is worth."""
    import polars as pl

    found, large = _with_findings(asked, cx.measure_loyalty), pl.col("n") >= _LARGE
    asked.show(
        found,
        "who comes back",
        rows=_in_order(found, ["by", "group", "outcome", "days", "n", "share", "low", "high"]),
        shown=found.table.filter((pl.col("by") == "all") | ((pl.col("days") == 90) & large)),
        note=[
            "Days after the first journey (return) or the first goal (repeat_goal); who has not "
            f"come back is followed to {found.observed_until:%Y-%m-%d}. Differences are to all "
            "other customers, of findings to their like. --json has all days, and groups of fewer "
            f"than {_LARGE} customers.",
            *found.sentences(),
        ],
    )


@about_a_part
def print_drivers(asked: Asked) -> None:
    """Print what goes with ratings and with coming back: kinds of contact, waits, repeats."""
    found = _with_findings(asked, cx.measure_drivers)
    asked.show(
        found,
        "what goes with ratings and with coming back",
        rows=_in_order(found, ["outcome", "driver", "share", "low", "high"]),
        note=[
            "Share: of the outcome's differences (relative weights). Drivers are associated with "
            "the outcome, which is not to say that they cause it.",
            *found.sentences(),
        ],
    )


def _with_findings(asked: Asked, measure: Callable[..., Any]) -> Any:
    from cxlib.fragmentation import measure_fragmentation

    return asked.ask(measure, findings=asked.ask(measure_fragmentation).found)


def _in_order(found: Any, order: list[str]) -> Any:
    """Rows for JSON, these columns first; the share's interval is ``low`` and ``high``."""
    rows = found.table.rename({"share_low": "low", "share_high": "high"})
    return rows.select(*order, *(c for c in rows.columns if c not in order))
