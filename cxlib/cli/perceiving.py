"""Commands about what customers say: `cx perception`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, read_selection
from cxlib.cli.terminal import as_records, print_json, print_written
from cxlib.errors import InputError

if TYPE_CHECKING:
    from cxlib.results import Result

__all__ = ["print_perception"]

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
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    asked: dict[str, Any] = {"scale": scale, "where": where}
    if curve + spectrum + consistency > 1:
        raise InputError("--curve, --spectrum and --consistency are answers of their own: give one")
    if (curve or consistency) and by != "touchpoint":
        raise InputError("--by goes with the ratings themselves and with --spectrum only")
    found: Result
    if curve:
        found = measure_experience_curve(opened, **asked)
    elif consistency:
        found = measure_consistency(opened, **asked)
    else:
        found = (measure_spectrum if spectrum else measure_perception)(opened, by=by, **asked)
    if as_json:
        # a segment may be called like a column of the answer
        called = {} if by in found.table.columns else {"group": by}
        print_json(as_records(found.table.rename(called, strict=False)))
        return
    grouped = f", by {by}" if "group" in found.columns else ""
    print_written(
        found.columns.written(found.table),
        title=f"{opened.journey_map.name}: {found.title[0].lower()}{found.title[1:]}{grouped}",
        note=[_NOTES[type(found).__name__], *found.sentences()],
    )
