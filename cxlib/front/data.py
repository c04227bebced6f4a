"""From files to a workspace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from cxlib.arrivals.arrivals import count_arrivals
from cxlib.datasets import sample_paths
from cxlib.errors import InputError, UnknownNameError
from cxlib.ingest import Ingested, IngestedTable, read_customers, read_events, read_ratings
from cxlib.journey_map import JourneyMap, read_journey_map
from cxlib.results import of_workspace
from cxlib.store import Workspace, build_workspace
from cxlib.store.engines import open_engine
from cxlib.summary import summarise

Given = str | Path | pl.DataFrame | IngestedTable
_SAMPLE = "sample"
_ROLES = ("awareness", "exploration", "conversion", "aftersales")


def read_log(
    *files: str | Path,
    map: str | Path | JourneyMap,
    separator: str | None = None,
    encoding: str | None = None,
) -> Ingested:
    """Read exports into contacts; what does not fit is set aside, with the reason.

    Parameters
    ----------
    files
        Files, folders or globs: CSV, TSV, JSON, Parquet, XES or Excel, also compressed.
    map
        The journey map, or its file. ``cx init LOG`` proposes one.
    separator, encoding
        Of text files; detected where not given.

    Returns
    -------
    Ingested
        ``report`` says what became of every row, ``set_aside`` holds the rows that do not fit.

    Raises
    ------
    InputError
        No file is named, or one cannot be read.
    MapError
        The journey map is not one; says the file and the line.
    """
    if not files:
        raise InputError('no file is named; write cx.read_log("sales.csv", map="map.yaml")')
    return read_events(
        [Path(file) for file in files],
        map if isinstance(map, JourneyMap) else read_journey_map(map),
        separator=separator,
        encoding=encoding,
    )


def build(
    log: Ingested,
    folder: str | Path,
    *,
    customers: Given | None = None,
    ratings: Given | None = None,
    engine: str = "local",
    progress: Callable[[str], None] | None = None,
) -> Workspace:
    """Write a workspace: contacts sorted, split into journeys and counted, ready to be asked.

    Parameters
    ----------
    log
        What `read_log` returns.
    folder
        Where to write it; a workspace that is there already is replaced.
    customers
        A table of customers, or its file: every column but the customer is a segment.
    ratings
        A table of answers to surveys, or its file: customer, rated_at, rating.
    engine
        Where it is counted: "local", or "spark" (see ``docs/spark.md``).
    progress
        Called with a line of text at each step.

    Raises
    ------
    InputError
        No contact is left, a table cannot be read, or Spark is missing or does not start.
    WorkspaceError
        The folder is there and is no workspace, or Spark's machines do not see it.
    """
    if not isinstance(log, Ingested):
        raise InputError("cx.build takes what cx.read_log(file, map=...) returns, and a folder")
    journey_map = log.journey_map
    if isinstance(customers, str | Path):
        customers = read_customers(Path(customers), journey_map)
    if isinstance(ratings, str | Path):
        ratings = read_ratings(Path(ratings), journey_map)
    with open_engine(engine) as run:  # before anything is written: it may be missing
        workspace = build_workspace(
            log, folder, customers=customers, ratings=ratings, progress=progress
        )
        if progress is not None:
            progress("counting journeys")
        if run is None:
            workspace.summary()
        else:  # what every answer is read from, while the other machines are there
            summarise(workspace, run=run).write(workspace.log_folder / "summary")
            count_arrivals(workspace, run=run).write(workspace.log_folder / "arrivals")
    return workspace


def open(folder: str | Path | None = None) -> Workspace:
    """Open a workspace made by `build` or ``cx ingest``.

    Parameters
    ----------
    folder
        The workspace; None: the one that CX_WORKSPACE names, or the folder ``workspace`` here or
        one folder up.

    Raises
    ------
    WorkspaceError
        There is none, or it was written by another version of the layout.
    """
    if folder is None:
        here, above = Path("workspace"), Path("..") / "workspace"
        beside = above if not here.is_dir() and above.is_dir() else here
        folder = os.environ.get("CX_WORKSPACE") or beside
    return Workspace.open(folder)


@of_workspace
def find_stages(workspace: Workspace, role: str) -> tuple[str, ...]:
    """Return the stages of the map that play a role, so that a notebook suits any map.

    A stage of that very name plays it. Otherwise the goal decides: its stage is conversion, what
    comes after it aftersales, the first stage awareness and what lies between them exploration;
    without a goal the first four stages play the four roles in turn.

    Parameters
    ----------
    workspace
        The workspace.
    role
        "awareness", "exploration", "conversion" or "aftersales".
    """
    if role not in _ROLES:
        raise UnknownNameError("role of a stage", role, _ROLES)
    journey_map = workspace.journey_map
    stages = journey_map.stages
    named = {stage.casefold(): stage for stage in stages}
    if any(name in named for name in _ROLES):
        return (named[role],) if role in named else ()
    goals = [journey_map.touchpoint(name) for name in journey_map.journey.goal]
    at = [journey_map.stage_index(goal.stage) for goal in goals if goal is not None]
    last = max((index for index in at if index is not None), default=None)
    if last is None:
        return stages[_ROLES.index(role) :][:1]
    played = (stages[: min(1, last)], stages[1:last], stages[last : last + 1], stages[last + 1 :])
    return played[_ROLES.index(role)]


def sample(folder: str | Path | None = None) -> Workspace:
    """Open the workspace of the sample shop, made at the first call.

    Parameters
    ----------
    folder
        Where it is, or shall be; None: in the user's cache.
    """
    from cxlib import __version__

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "cxlib" / f"{_SAMPLE}-{__version__}" if folder is None else Path(folder)
    if (place / "workspace.json").is_file():
        return Workspace.open(place)
    files = sample_paths()
    place.parent.mkdir(parents=True, exist_ok=True)
    log = read_log(files.contacts, map=files.journey_map)
    return build(log, place, customers=files.customers, ratings=files.ratings)
