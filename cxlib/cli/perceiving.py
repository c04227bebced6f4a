"""Commands about what customers say and write: perception, comments, preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, open_part
from cxlib.cli.terminal import as_records, echo, print_json, print_written
from cxlib.errors import InputError
from cxlib.numbers import decimal, plural

__all__ = ["print_comments", "print_perception", "print_preferences"]

By = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="touchpoint, stage, transition, channel, owner, period, or a segment or environment.",
    ),
]
Scale = Annotated[str | None, typer.Option(help="Ratings of this scale only.")]
Curve = Annotated[bool, typer.Option("--curve", help="How it feels along the journey, instead.")]
Spectrum = Annotated[bool, typer.Option("--spectrum", help="Every answer's share, instead.")]
Consistency = Annotated[
    bool, typer.Option("--consistency", help="The gap between channels, instead.")
]

_NOTES = {
    "Perception": "Weighted: if everybody had answered, as far as the log knows who does not. "
    "Bound: by how many points those would have to differ for another verdict.",
    "ExperienceCurve": "Change: from the touchpoint before on the curve, in the order of the map.",
    "Spectrum": "Low, middle and high: 0 to 6, 7 and 8, 9 and 10 of a scale from 0 to 10; else "
    "thirds of the scale.",
    "Consistency": "Gap: between the channels rated lowest and highest; q allows for how many "
    "touchpoints and stages were compared.",
    "Comments": "Share: of the comments of the group in the language. Personal data was masked "
    "when the log was read.",
    "Preferences": "Of contacts that customers begin. Prefer: more than half of a customer's, "
    "drawn to everybody's habits. Lift: points above the same customers' other answers.",
    "AudienceOutcome": "Since the audience was drawn. Difference: of the addressed to the others.",
}


def print_perception(
    workspace: WorkspaceFolder,
    *,
    by: By = "touchpoint",
    scale: Scale = None,
    curve: Curve = False,
    spectrum: Spectrum = False,
    consistency: Consistency = False,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what customers say, by touchpoint or another group, with who answers beside it."""
    from cxlib.measures.experience import (
        measure_consistency,
        measure_experience_curve,
        measure_spectrum,
    )
    from cxlib.measures.perception import measure_perception

    opened, where = open_part(workspace, segment=segment, channel=channel, period=period)
    asked: dict[str, Any] = {"scale": scale, "where": where}
    if curve + spectrum + consistency > 1:
        raise InputError("--curve, --spectrum and --consistency are answers of their own: give one")
    if (curve or consistency) and by != "touchpoint":
        raise InputError("--by goes with the ratings themselves and with --spectrum only")
    found: Any
    if curve:
        found = measure_experience_curve(opened, **asked)
    elif consistency:
        found = measure_consistency(opened, **asked)
    else:
        found = (measure_spectrum if spectrum else measure_perception)(opened, by=by, **asked)
    _print(found, opened.journey_map.name, by, as_json)


def print_comments(
    workspace: WorkspaceFolder,
    *,
    by: By = "touchpoint",
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what customers write about, and how pleased it sounds; never a comment itself."""
    from cxlib.measures.comments import measure_comments

    opened, where = open_part(workspace, segment=segment, channel=channel, period=period)
    _print(measure_comments(opened, by=by, where=where), opened.journey_map.name, by, as_json)


def print_preferences(
    workspace: WorkspaceFolder,
    *,
    of: Annotated[str, typer.Option(help="channel or touchpoint.")] = "channel",
    audience: Annotated[
        str | None, typer.Option(metavar="NAME", help="List who clearly prefers this one.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="CSV file for the audience.")] = None,
    hold_back: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the audience, drawn by lot: not addressed.")
    ] = 0.0,
    came_of: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What came of an audience, instead.")
    ] = None,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print which channels or touchpoints customers prefer, by behaviour and by rating."""
    from cxlib.audience import measure_audience, write_audience
    from cxlib.measures.preferences import list_audience, measure_preferences

    opened, where = open_part(workspace, segment=segment, channel=channel, period=period)
    asked: dict[str, Any] = {"of": of, "where": where}
    if (audience is None) != (to is None):
        raise InputError("an audience goes to a file: give both --audience NAME and --to FILE")
    if came_of is not None:
        _print(measure_audience(opened, file=came_of), opened.journey_map.name, "group", as_json)
        return
    if audience is None or to is None:
        _print(measure_preferences(opened, **asked), opened.journey_map.name, "group", as_json)
        return
    listed = list_audience(opened, audience, **asked)
    n = write_audience(opened, listed, to, name=audience, hold_back=hold_back)
    held = f"; {decimal(len(listed) - n)} held back by lot" if n < len(listed) else ""
    echo(f"{to}: {plural(n, 'customer')} who clearly prefer {audience}, by their ids{held}")


def _print(found: Any, log: str, by: str, as_json: bool) -> None:
    if as_json:
        # a segment may be called like a column of the answer
        called = {} if by in found.table.columns else {"group": by}
        print_json(as_records(found.table.rename(called, strict=False)))
        return
    grouped = f", by {by}" if "group" in found.columns else ""
    print_written(
        found.columns.written(found.table),
        title=f"{log}: {found.title[0].lower()}{found.title[1:]}{grouped}",
        note=[_NOTES[type(found).__name__], *found.sentences()],
    )
