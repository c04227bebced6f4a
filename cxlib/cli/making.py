"""Commands that make a workspace: `cx demo`, `cx init`, `cx check`, `cx ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import cxlib as cx
from cxlib.cli.selecting import Json
from cxlib.cli.terminal import echo, print_file, print_json, say, working
from cxlib.errors import InputError, WorkspaceError

Logs = Annotated[
    list[Path],
    Argument(
        metavar="LOG...",
        help="Files, folders or globs: CSV, TSV, JSON, Parquet, XES or Excel, also compressed.",
        show_default=False,
    ),
]
MapFile = Annotated[
    Path, Option("--map", metavar="MAP", help="The journey map (YAML).", show_default=False)
]
Separator = Annotated[
    str | None, Option(help="Between columns of text files; detected where not given.")
]
Encoding = Annotated[
    str | None, Option(help="Of text files, such as latin-1; detected where not given.")
]


def init_map(
    logs: Logs,
    out: Path | None = Option(
        None, metavar="MAP", help="File to write; to stdout where not given."
    ),
    separator: Separator = None,
    encoding: Encoding = None,
    force: bool = Option(False, "--force", help="Replace the file MAP."),
) -> None:
    """Propose a journey map for a log.

    Every guess in it is marked, for you to look at; it can be used as it stands.
    """
    from cxlib.ingest import propose_map

    if out is not None and out.exists() and not force:
        raise InputError(f"{out} is there already; name another file, or replace it with --force")
    with working("Looking at the log"):
        proposal = propose_map(logs, separator=separator, encoding=encoding)
    if out is None:
        print_file(proposal.text)
        return
    out.write_text(proposal.text, "utf-8")
    said = [line for line in proposal.text.splitlines() if line.startswith("# ")][1:]
    say(*(line.removeprefix("# ") for line in said))
    named = " ".join(str(log) for log in logs)
    say(f"Wrote {out}. Read it through, its guesses are marked; then: cx check {named} --map {out}")


def check_log(
    logs: Logs,
    journey_map: MapFile,
    separator: Separator = None,
    encoding: Encoding = None,
    strict: bool = Option(
        False, "--strict", help="Exit with 1 also when rows are set aside or touchpoints unmapped."
    ),
    as_json: Json = False,
) -> None:
    """Say what would become of every row of a log.

    Nothing is written. The exit code is 1 when the log or the map cannot be read.
    """
    from cxlib.ingest import read_events

    asked = cx.read_journey_map(journey_map)
    with working("Checking the log") as tell:
        ingested = read_events(logs, asked, separator=separator, encoding=encoding, progress=tell)
        report = ingested.checked()
    if as_json:
        print_json(report.to_dict())
    else:
        echo(*report.to_text().split("\n"))
    if strict and (report.set_aside or report.unmapped or report.unknown_stages):
        say("Error: not every row is clean, and --strict asks for that")
        raise typer.Exit(1)


def ingest_log(
    logs: Logs,
    journey_map: MapFile,
    out: Path = Option(
        ..., metavar="WORKSPACE", help="Folder to write or replace.", show_default=False
    ),
    *,
    customers: Path | None = Option(
        None, help="Table of customers; every column but the customer is a segment."
    ),
    ratings: Path | None = Option(None, help="Table of ratings: customer, rated_at, rating."),
    separator: Separator = None,
    encoding: Encoding = None,
    engine: str = Option(
        "local", help="What counts: local, or spark (an installed or running Spark 4)."
    ),
) -> None:
    """Read a log into a workspace.

    The contacts are split into journeys, sorted, counted, and ready to be asked.
    """
    tables = {"customers": customers, "ratings": ratings}
    _make(logs, cx.read_journey_map(journey_map), out, tables, engine, separator, encoding)
    say("", f"The workspace is {out}. Next: cx map {out}, cx publish {out}, cx lab {out}")


def _make(
    logs: list[Path],
    asked: cx.JourneyMap,
    out: Path,
    beside: Mapping[str, Path | None],
    engine: str = "local",
    separator: str | None = None,
    encoding: str | None = None,
) -> None:
    """Make a workspace, and print what became of every row."""
    from cxlib.ingest import IngestReport, read_customers, read_events, read_ratings, tables_beside

    text = {"separator": separator, "encoding": encoding}
    with working("Reading the log") as tell:
        tables, among = {}, tables_beside(logs, asked)
        named = {n: [*among.get(n, []), *filter(None, [file])] for n, file in beside.items()}
        if named["customers"]:
            tables["customers"] = read_customers(named["customers"], asked, **text)
        if named["ratings"]:
            tables["ratings"] = read_ratings(named["ratings"], asked, beside=logs, **text)
        log = read_events(logs, asked, progress=tell, **text)
        workspace = cx.build(log, out, **tables, engine=engine, progress=tell)
    echo(*IngestReport.from_dict(workspace.report).to_text().split("\n"))


def demo(
    workspace: Path = Option(
        Path("workspace"),
        "--workspace",
        "--out",
        metavar="FOLDER",
        help="Where to make the workspace.",
    ),
    port: int | None = Option(None, help="Port to serve at; the first free one from 8866."),
    no_serve: bool = Option(False, "--no-serve", help="Stop when the dashboards are published."),
) -> None:
    """Go from the sample's raw log to served dashboards."""
    from cxlib.cli.sharing import publish_snapshot, serve_workspace
    from cxlib.datasets import sample_paths

    sample = sample_paths()
    asked = cx.read_journey_map(sample.journey_map)
    if (workspace / "workspace.json").is_file():
        name = cx.open(workspace).manifest["name"]
        if name != asked.name:
            raise WorkspaceError(
                f"{workspace} holds the workspace {name!r}, which the sample would replace; "
                "name another folder with --workspace"
            )
    beside = {"customers": sample.customers, "ratings": sample.ratings}
    _make([sample.contacts], asked, workspace, beside)
    echo("")
    publish_snapshot(workspace, k=10)
    if not no_serve:
        serve_workspace(workspace, port=port)
