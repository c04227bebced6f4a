"""Commands about what is published: `cx publish`, `cx snapshots`, `cx changes`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxlib.cli.selecting import Json, Segment, WorkspaceFolder, read_segment
from cxlib.cli.terminal import as_records, echo, print_json, print_table, say, working
from cxlib.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from cxlib.publish import Snapshot, SnapshotRecord

__all__ = ["print_changes", "print_snapshots", "publish_snapshot", "publish_views"]


def publish_views(
    workspace: WorkspaceFolder,
    view: Annotated[
        list[str] | None,
        typer.Option(
            "--view",
            metavar="NAME",
            help="Publish only this dashboard, by the name of its notebook; may be repeated.",
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", help="Smallest number of customers a figure may be about.")
    ] = 10,
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions/--no-predictions",
            help="Say what could break next, and how good such forecasts were; without it "
            "publishing takes about a quarter less.",
        ),
    ] = True,
) -> None:
    """Publish a snapshot for the dashboards.

    It holds finished answers, small groups suppressed, and nothing about a single customer.
    """
    publish_snapshot(workspace, k=k, views=view, predictions=predictions)
    say(f"Next: cx serve {workspace}")


def publish_snapshot(
    folder: Path, *, k: int, views: Sequence[str] | None = None, predictions: bool = True
) -> None:
    """Publish a snapshot of the workspace at `folder`, and say what was published.

    Parameters
    ----------
    folder
        The workspace.
    k
        Smallest number of customers a figure may be about.
    views
        Names of the dashboards to publish; all of them where None are named.
    predictions
        Whether to publish what could break next.
    """
    from cxlib.front.sharing import publish
    from cxlib.store import Workspace

    opened = Workspace.open(folder)
    with working("Publishing") as tell:
        snapshot = publish(opened, k=k, views=views, predictions=predictions, progress=tell)
    echo(f"Published: {snapshot.line()}", *snapshot.facts())
    if views:
        echo(f"Dashboards in it: {', '.join(dict.fromkeys(views))}.")


def print_snapshots(workspace: WorkspaceFolder, as_json: Json = False) -> None:
    """List what was published, oldest first."""
    from cxlib.publish import list_snapshots
    from cxlib.store import Workspace

    found = list_snapshots(Workspace.open(workspace).path)
    if as_json:
        print_json([_plain(record) for record in found])
        return
    if not found:
        say(f"Nothing is published in {workspace} yet: run cx publish {workspace}")
        return
    print_table([_snapshot_row(record) for record in found], title="Snapshots, oldest first")


def _plain(record: SnapshotRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "published_at": record.published_at,
        "observed_until": record.observed_until,
        "customers": record.customers,
        "whole": record.whole,
        "served": record.served,
    }


def _snapshot_row(record: SnapshotRecord) -> dict[str, str]:
    state = "served" if record.served else "" if record.whole else "broken: cannot be opened"
    return {
        "snapshot": record.name,
        "published": f"{record.published_at:%Y-%m-%d %H:%M}" if record.published_at else "–",
        "data to": f"{record.observed_until:%Y-%m-%d}" if record.observed_until else "–",
        "customers": f"{record.customers:,}" if record.customers is not None else "–",
        "state": state,
    }


def print_changes(
    workspace: WorkspaceFolder,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="SNAPSHOT|DATE",
            help="Compare with this snapshot, or with what was published on that day; "
            "the one before the newest where not given.",
        ),
    ] = None,
    segment: Segment = None,
    as_json: Json = False,
) -> None:
    """Say what changed between an older snapshot and the newest one."""
    from cxlib.publish import Snapshot, compare_snapshots, list_snapshots
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    newer = Snapshot.open(opened.path)
    older = _snapshot_since(list_snapshots(opened.path), newer, since)
    pair = None if segment is None else read_segment(segment)
    found = compare_snapshots(older, newer, segment=pair)
    if as_json:
        print_json(
            {
                "older": found.older,
                "newer": found.newer,
                "since": found.since,
                "until": found.until,
                "notes": found.notes,
                "changes": as_records(found.table),
            }
        )
        return
    echo(f"Since the snapshot {found.older} (data to {found.since:%Y-%m-%d}):")
    for sentence in found.sentences():
        echo(f"- {sentence}")
    for note in found.notes:
        say(note)


def _snapshot_since(
    records: Sequence[SnapshotRecord], newer: Snapshot, since: str | None
) -> Snapshot:
    """Open the snapshot that `since` names, or the last one before `newer`."""
    from cxlib.publish import Snapshot

    earlier = [
        r
        for r in records
        if r.published_at and r.name != newer.folder.name and r.published_at <= newer.published_at
    ]
    if since is None:
        if not earlier:
            raise InputError(
                f"{newer.folder.name} is the only snapshot; what changed can be said from the "
                "second one on."
            )
        return Snapshot.open(earlier[-1].folder)
    named = next((r for r in records if r.name == since), None)
    if named is not None:
        return Snapshot.open(named.folder)
    day = _end_of_day(since, [r.name for r in records])
    before = [r for r in earlier if r.published_at and r.published_at < day]
    if not before:
        raise InputError(f"nothing was published before the end of {since}; see cx snapshots.")
    return Snapshot.open(before[-1].folder)


def _end_of_day(since: str, names: Sequence[str]) -> datetime:
    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise UnknownNameError("snapshot or date", since, names) from None
    return datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, tzinfo=UTC)
