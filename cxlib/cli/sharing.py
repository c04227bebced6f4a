"""What leaves the analyst's side: what is published, served, exported and handed out."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Option

import cxlib as cx
from cxlib.cli.selecting import Asked, Segment, WorkspaceFolder, about_all, read_segment
from cxlib.cli.terminal import echo, print_json, print_table, say, working
from cxlib.errors import InputError, UnknownNameError, WorkspaceError

if TYPE_CHECKING:
    from cxlib.publish import Snapshot


def publish_views(
    workspace: WorkspaceFolder,
    view: list[str] | None = Option(
        None,
        "--view",
        metavar="NAME",
        help="Publish only this dashboard, by the name of its notebook; may be repeated.",
    ),
    k: int = Option(10, "--k", help="Smallest number of customers a figure may be about."),
    predictions: bool = Option(
        True,
        "--predictions/--no-predictions",
        help="Say what could break next, and how good such forecasts were; without it "
        "publishing takes about a quarter less.",
    ),
) -> None:
    """Publish a snapshot for the dashboards.

    It holds finished answers, small groups suppressed, and nothing about a single customer.
    """
    publish_snapshot(workspace, k=k, views=view, predictions=predictions)
    say(f"Next: cx serve {workspace}")


def publish_snapshot(
    folder: Path, *, k: int, views: list[str] | None = None, predictions: bool = True
) -> None:
    """Publish a snapshot of a workspace, and say what was published."""
    from cxlib.store import Workspace

    opened = Workspace.open(folder)
    with working("Publishing") as tell:
        snapshot = cx.publish(opened, k=k, views=views, predictions=predictions, progress=tell)
    echo(f"Published: {snapshot.line()}", *snapshot.facts())
    if views:
        echo(f"Dashboards in it: {', '.join(dict.fromkeys(views))}.")


@about_all
def print_snapshots(asked: Asked) -> None:
    """List what was published, oldest first."""
    from cxlib.publish import list_snapshots

    found = list_snapshots(asked.workspace.path)
    named = ("name", "published_at", "observed_until", "customers", "whole", "served")
    if asked.as_json:
        print_json([{name: getattr(record, name) for name in named} for record in found])
    elif not found:
        here = asked.workspace.path
        say(f"Nothing is published in {here} yet: run cx publish {here}")
    else:
        rows = [
            {
                "snapshot": r.name,
                "published": f"{r.published_at:%Y-%m-%d %H:%M}" if r.published_at else "–",
                "data to": f"{r.observed_until:%Y-%m-%d}" if r.observed_until else "–",
                "customers": f"{r.customers:,}" if r.customers is not None else "–",
                "state": "served" if r.served else "" if r.whole else "broken: cannot be opened",
            }
            for r in found
        ]
        print_table(rows, title="Snapshots, oldest first")


@about_all
def print_changes(
    asked: Asked,
    *,
    since: str | None = Option(
        None,
        metavar="SNAPSHOT|DATE",
        help="Compare with this snapshot, or with what was published on that day; "
        "the one before the newest where not given.",
    ),
    segment: Segment = None,
) -> None:
    """Say what changed between an older snapshot and the newest one."""
    from cxlib.publish import Snapshot, compare_snapshots

    newer = Snapshot.open(asked.workspace.path)
    older = _snapshot_since(asked.workspace.path, newer, since)
    found = compare_snapshots(older, newer, segment=read_segment(segment, asked.workspace))
    if asked.as_json:
        named = ("older", "newer", "since", "until", "notes")
        told: dict[str, Any] = {name: getattr(found, name) for name in named}
        print_json(told | {"changes": found.table})
        return
    echo(f"Since the snapshot {found.older} (data to {found.since:%Y-%m-%d}):")
    echo(*(f"- {sentence}" for sentence in found.sentences()))
    say(*found.notes)


def _snapshot_since(folder: Path, newer: Snapshot, since: str | None) -> Snapshot:
    """The snapshot that `since` names, by name or day, or the last one before `newer`."""
    from cxlib.publish import Snapshot, list_snapshots

    records = list_snapshots(folder)
    for record in records:
        if record.name == since:
            return Snapshot.open(record.folder)
    dated = [(r.published_at, r) for r in records if r.published_at is not None]
    before = [
        (at, r) for at, r in dated if at <= newer.published_at and r.name != newer.folder.name
    ]
    if since is not None:
        try:
            day = datetime.combine(date.fromisoformat(since), time.max, UTC)
        except ValueError:
            raise UnknownNameError("snapshot or date", since, [r.name for r in records]) from None
        before = [(at, r) for at, r in before if at < day]
    if not before:
        told = f"the end of {since}" if since else f"{newer.folder.name}, the newest"
        raise InputError(f"nothing was published before {told}; see cx snapshots")
    return Snapshot.open(before[-1][1].folder)


def serve(
    workspace: WorkspaceFolder,
    *,
    port: int | None = Option(None, help="Port to serve at; the first free one from 8866."),
    ip: str = Option(
        "127.0.0.1", help="Address to listen on; any but this machine's own needs a token."
    ),
    token: str | None = Option(
        None, envvar="CX_TOKEN", help="What visitors must know; better given in CX_TOKEN."
    ),
    open_browser: bool = Option(
        False, "--open", help="Show the home page in this machine's browser."
    ),
    base_url: str = Option("/", help="Path under which a reverse proxy shows the dashboards."),
    public_url: list[str] | None = Option(
        None,
        help="Address visitors see behind a proxy, such as https://figures.example; may be "
        "repeated. Other names are not answered to.",
    ),
    snapshot: str | None = Option(
        None, metavar="NAME", help="Serve this older snapshot (see cx snapshots), not the newest."
    ),
) -> None:
    """Serve the dashboards, until Ctrl-C."""
    from cxlib.publish import Snapshot, find_snapshot
    from cxlib.serve.launch import ServerSettings
    from cxlib.store import Workspace

    if not (workspace / "published").is_dir():
        # Where dashboards are shown there may be the published snapshots and nothing else.
        Workspace.open(workspace)
    served = workspace if snapshot is None else find_snapshot(workspace, snapshot).folder
    try:
        Snapshot.open(served)
    except WorkspaceError as error:  # one that is published later is taken up
        say(f"Nothing to show yet: {error}")
    settings = ServerSettings(base_url=base_url, public_url=public_url or ())
    options: dict[str, Any] = {"ip": ip, "token": token, "open_browser": open_browser}
    serve_workspace(served, port=port, settings=settings, **options)


def serve_workspace(folder: Path, **options: Any) -> None:
    """Serve the dashboards beside the package, or in the folder ``dashboards`` of this place."""
    from cxlib.front.sharing import dashboards_folder
    from cxlib.serve import serve_dashboards

    serve_dashboards(folder, dashboards_dir=dashboards_folder(), **options)


def export_views(
    workspace: WorkspaceFolder,
    view: list[str] | None = Option(
        None, "--view", metavar="NAME", help="Only this dashboard; may be repeated."
    ),
    out: Path = Option(Path("exported"), metavar="FOLDER", help="Where the files go."),
) -> None:
    """Write the published dashboards as HTML files that need no server.

    Each is one file of about 3 MB with every filter's answer in it; mail it, or put it on a share.
    """
    with working("Recording") as tell:
        written = cx.export(workspace, out, views=view, progress=tell)
    echo(*(f"{path} ({path.stat().st_size / 1e6:.1f} MB)" for path in written))
    say("Open a file in any browser of 2024 or later; it loads nothing and sends nothing.")


def write_report(
    workspace: WorkspaceFolder,
    out: Path = Option(Path("brief.html"), metavar="FILE", help="The HTML file."),
    pdf: bool = Option(False, "--pdf", help="Print it as PDF beside that, with a Chromium."),
    k: int | None = Option(
        None, "--k", help="Publish anew, with this smallest number of customers."
    ),
) -> None:
    """Write the brief: one page for people who open no dashboard, at most four of paper.

    It says what was published last; where nothing was, it is published first.
    """
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Publishing") as tell:
        page = cx.report(opened, out, k=k, pdf=pdf, progress=tell)
    for path in (page, page.with_suffix(".pdf"))[: 1 + pdf]:
        echo(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
