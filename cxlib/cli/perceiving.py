"""Commands about what customers say and write: perception, comments, preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cxlib.cli.selecting import Asked, about_a_part
from cxlib.cli.terminal import echo
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


@about_a_part
def print_perception(
    asked: Asked,
    *,
    by: By = "touchpoint",
    scale: Scale = None,
    curve: Curve = False,
    spectrum: Spectrum = False,
    consistency: Consistency = False,
) -> None:
    """Print what customers say, by touchpoint or another group, with who answers beside it."""
    from cxlib.measures.experience import (
        measure_consistency,
        measure_experience_curve,
        measure_spectrum,
    )
    from cxlib.measures.perception import measure_perception

    options: dict[str, Any] = {"scale": scale, "where": asked.where}
    if curve + spectrum + consistency > 1:
        raise InputError("--curve, --spectrum and --consistency are answers of their own: give one")
    if (curve or consistency) and by != "touchpoint":
        raise InputError("--by goes with the ratings themselves and with --spectrum only")
    found: Any
    if curve:
        found = measure_experience_curve(asked.workspace, **options)
    elif consistency:
        found = measure_consistency(asked.workspace, **options)
    else:
        found = (measure_spectrum if spectrum else measure_perception)(
            asked.workspace, by=by, **options
        )
    _print(found, asked, by)


@about_a_part
def print_comments(
    asked: Asked,
    *,
    by: By = "touchpoint",
) -> None:
    """Print what customers write about, and how pleased it sounds; never a comment itself."""
    from cxlib.measures.comments import measure_comments

    _print(measure_comments(asked.workspace, by=by, where=asked.where), asked, by)


@about_a_part
def print_preferences(
    asked: Asked,
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
) -> None:
    """Print which channels or touchpoints customers prefer, by behaviour and by rating."""
    from cxlib.audience import measure_audience, write_audience
    from cxlib.measures.preferences import list_audience, measure_preferences

    options: dict[str, Any] = {"of": of, "where": asked.where}
    if (audience is None) != (to is None):
        raise InputError("an audience goes to a file: give both --audience NAME and --to FILE")
    if came_of is not None:
        _print(measure_audience(asked.workspace, file=came_of), asked, "group")
        return
    if audience is None or to is None:
        _print(measure_preferences(asked.workspace, **options), asked, "group")
        return
    listed = list_audience(asked.workspace, audience, **options)
    n = write_audience(asked.workspace, listed, to, name=audience, hold_back=hold_back)
    held = f"; {decimal(len(listed) - n)} held back by lot" if n < len(listed) else ""
    echo(f"{to}: {plural(n, 'customer')} who clearly prefer {audience}, by their ids{held}")


def _print(found: Any, asked: Asked, by: str) -> None:
    # a segment may be called like a column of the answer
    called = {} if by in found.table.columns else {"group": by}
    grouped = f", by {by}" if "group" in found.columns else ""
    asked.show(
        found,
        f"{found.title[0].lower()}{found.title[1:]}{grouped}",
        rows=found.table.rename(called, strict=False),
        note=[_NOTES[type(found).__name__], *found.sentences()],
    )
