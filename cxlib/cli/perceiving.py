"""Commands about what customers say: `cx perception`."""

from __future__ import annotations

from typing import Annotated

import typer

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, read_selection
from cxlib.cli.terminal import as_records, print_json, print_written

__all__ = ["print_perception"]

By = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="touchpoint, stage, transition, channel, owner, period, or a segment or environment.",
    ),
]
Scale = Annotated[str | None, typer.Option(help="Ratings of this scale only.")]


def print_perception(
    workspace: WorkspaceFolder,
    by: By = "touchpoint",
    scale: Scale = None,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what customers say, by touchpoint or another group, with who answers beside it."""
    from cxlib.measures.perception import measure_perception
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    found = measure_perception(opened, by=by, scale=scale, where=where)
    if as_json:
        # a segment may be called like a column of the answer
        called = {} if by in found.table.columns else {"group": by}
        print_json(as_records(found.table.rename(called)))
        return
    print_written(
        found.columns.written(found.table),
        title=f"{opened.journey_map.name}: what customers say, by {by}",
        note=[
            "Weighted: if everybody had answered, as far as the log knows who does not. Bound: by "
            "how many points those would have to differ for another verdict.",
            *found.sentences(),
        ],
    )
