"""Commands about what to do: `cx attribution`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, read_selection
from cxlib.cli.terminal import as_records, print_json, print_table, working
from cxlib.errors import InputError
from cxlib.numbers import decimal, share

__all__ = ["print_attribution"]


def _duration(text: str | None, option: str) -> timedelta | None:
    from cxlib.map_model import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def print_attribution(
    workspace: WorkspaceFolder,
    by: Annotated[str, typer.Option(help="channel or touchpoint.")] = "channel",
    horizon: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From a journey's first contact, such as 30d."),
    ] = None,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print which share of the conversions each channel gets, beside its exposure and chance."""
    from cxlib.measures.attribution import measure_attribution
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    options: dict[str, Any] = {"by": by, "horizon": _duration(horizon, "--horizon")}
    with working("Leaving outcomes to chance"):
        found = measure_attribution(opened, where=where, **options)
    if as_json:
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
