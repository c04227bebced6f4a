"""Record every answer on the sample and on real logs, and say which of them a change has altered.

    python tools/golden.py record BEFORE            # a folder: one JSON file per log
    python tools/golden.py record AFTER --workspaces BUILT
    python tools/golden.py compare BEFORE AFTER     # exit code 1 where an answer differs

The logs that are not part of the repository are looked for in ../shared/data; those that are
absent are left out, with a line that says so. Answers are kept as canonical values (numbers with
nine significant digits), so that a comparison names rows and columns, not only hashes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from cxlib.datasets import sample_paths
from cxlib.errors import CxError, InputError
from cxlib.segments import dimension_values
from cxlib.store import Workspace, build_workspace
from cxlib.summary import Selection

ROOT = Path(__file__).resolve().parent.parent
LOGS = ("sample", "bpic2012", "receipt")
STEPS = {
    "sample": ("product page", "web basket", "web checkout"),
    "bpic2012": ("A_SUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "O_SENT", "A_APPROVED"),
    "receipt": ("Confirmation of receipt", "T06 Determine necessity of stop advice"),
}
MOST_NAMED = 5
"""Changes named per answer; all are counted."""


def _build(name: str, out: Path) -> Workspace:
    """Read a log into a workspace."""
    from cxlib.ingest import read_customers, read_events, read_ratings
    from cxlib.journey_map import read_journey_map

    if name != "sample":
        file = next((ROOT.parent / "shared" / "data").glob(f"{name}.*"), None)
        if file is None:
            raise InputError(f"{name} is not in ../shared/data")
        journey_map = read_journey_map(ROOT / "data" / "maps" / f"{name}.yaml")
        return build_workspace(read_events([file], journey_map=journey_map), out)
    paths = sample_paths()
    journey_map = read_journey_map(paths.journey_map)
    return build_workspace(
        read_events([paths.contacts], journey_map=journey_map),
        out,
        customers=read_customers(paths.customers, journey_map=journey_map),
        ratings=read_ratings(paths.ratings, journey_map=journey_map),
    )


def _answers(
    workspace: Workspace, steps: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every answer by name, each asked when it is called."""
    import cxlib as cx
    from cxlib.prediction import predict_breaks

    yield "report", lambda: {k: v for k, v in workspace.report.items() if k != "files"}
    summary = workspace.summary()
    from_summary = {
        "map": cx.measure_touchpoints,
        "overview": cx.measure_overview,
        "transitions": cx.measure_transitions,
        "handoffs": cx.measure_handoffs,
        "first contacts": cx.measure_first_contacts,
        "stages": cx.measure_stages,
    }
    for part, where in _parts(workspace).items():
        for name, measure in from_summary.items():
            if name != "stages" or where is None or where.channel is None:
                yield f"{name}{part}", partial(measure, summary, where=where)
        yield f"waits{part}", partial(cx.measure_waits, workspace, where=where)
        yield f"funnel{part}", partial(cx.measure_funnel, workspace, steps=steps, where=where)
        yield f"findings{part}", partial(_findings, workspace, where)
    yield "predictions", lambda: predict_breaks(workspace)
    yield "paths", lambda: cx.measure_paths(workspace)


def _findings(workspace: Workspace, where: Selection | None) -> dict[str, Any]:
    from cxlib.fragmentation import measure_fragmentation

    found = measure_fragmentation(workspace, where=where)
    return {"table": found.table, "signals": found.signals}


def _parts(workspace: Workspace) -> dict[str, Selection | None]:
    """All of the log, and one filter of each kind."""
    half = len(workspace.periods) // 2
    channel = workspace.summary().channels[0]
    parts: dict[str, Selection | None] = {
        "": None,
        f", channel {channel}": Selection(channel=channel),
    }
    parts[", first half"] = Selection(period=(0, max(half - 1, 0)))
    for name in workspace.segment_names[:1]:
        value = dimension_values(workspace.segments, name).sort()[0]
        parts[f", {name} {value}"] = Selection(segment=(name, value))
    return parts


def _plain(value: Any) -> Any:  # noqa: PLR0911 (one line per kind)
    """A value that is the same text whenever it means the same."""
    if isinstance(value, pl.DataFrame):
        return [_plain(row) for row in value.to_dicts()]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int | bool):
        return value
    if hasattr(value, "table"):
        return _plain(value.table)
    return str(value)


def _ask(question: Callable[[], Any]) -> Any:
    try:
        return _plain(question())
    except CxError as error:
        return {"refused": str(error)}


def _published(workspace: Workspace) -> dict[str, Any]:
    """The files of a snapshot; of tables the values, of all else a hash."""
    from cxlib.publish import publish

    snapshot = publish(workspace, k=10)
    found = {}
    for file in sorted(Path(snapshot.folder).rglob("*")):
        if file.suffix == ".parquet":
            found[str(file.relative_to(snapshot.folder))] = _plain(pl.read_parquet(file))
        elif file.is_file() and file.name != "manifest.json":
            name = str(file.relative_to(snapshot.folder))
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def record(out: Path, *, logs: tuple[str, ...], workspaces: Path, publish: bool) -> None:
    """Write one file of answers per log."""
    out.mkdir(parents=True, exist_ok=True)
    for name in logs:
        try:
            built = _build(name, workspaces / name)
        except CxError as error:
            print(f"{name}: left out: {error}")
            continue
        answers = {answer: _ask(question) for answer, question in _answers(built, STEPS[name])}
        if publish:
            answers |= {f"published {n}": v for n, v in _published(built).items()}
        file = out / f"{name}.json"
        file.write_text(json.dumps(answers, indent=0, ensure_ascii=False), "utf-8")
        print(
            f"{name}: {len(answers)} answers, {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        )


def compare(before: Path, after: Path) -> int:
    """Print what differs between two recordings; 1 where anything does."""
    different = 0
    for file in sorted(before.glob("*.json")):
        if not (after / file.name).is_file():
            print(f"{file.stem}: not in {after}")
            different = 1
            continue
        old, new = (json.loads((f / file.name).read_text("utf-8")) for f in (before, after))
        for answer in sorted({*old, *new}):
            found = list(_differences(old.get(answer), new.get(answer)))
            if found:
                different = 1
                print(f"{file.stem}: {answer}: {len(found)} changes")
                for line in found[:MOST_NAMED]:
                    print(f"    {line}")
    if not different:
        print("all answers are equal")
    return different


def _named(row: dict[str, Any]) -> str:
    """What a row is about: its texts, without sentences."""
    return " · ".join(v for v in row.values() if isinstance(v, str) and len(v) < 40)[:120]


def _differences(old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, list) and isinstance(new, list) and len(old) != len(new):
        yield f"{len(old)} rows, now {len(new)}"
    if isinstance(old, list) and isinstance(new, list):
        for number, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from (f"row {number}: {line}" for line in _differences(a, b))
    elif isinstance(old, dict) and any(isinstance(v, list | dict) for v in old.values()):
        for name in {**old, **(new or {})}:
            for line in _differences(old.get(name), (new or {}).get(name)):
                yield f"{name}: {line}"
    elif isinstance(old, dict) and isinstance(new, dict):
        changed = {k: (old.get(k), new.get(k)) for k in {**old, **new} if old.get(k) != new.get(k)}
        if changed:
            said = ", ".join(f"{k} {str(a)[:60]} → {str(b)[:60]}" for k, (a, b) in changed.items())
            yield f"{_named(old)}: {said}"[:600]
    elif old != new:
        yield f"{str(old)[:80]} → {str(new)[:80]}"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="ask everything and write the answers")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--logs", default=",".join(LOGS))
    recording.add_argument("--workspaces", type=Path, help="where the logs are built")
    recording.add_argument("--publish", action="store_true", help="the published files as well")
    comparing = commands.add_parser("compare", help="name what differs")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "compare":
        return compare(given.before, given.after)
    built = given.workspaces or given.folder / "workspaces"
    record(given.folder, logs=tuple(given.logs.split(",")), workspaces=built, publish=given.publish)
    return 0


if __name__ == "__main__":
    sys.exit(main())
