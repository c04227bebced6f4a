"""Reading a published snapshot: what dashboards see, and all they see.

``WORKSPACE/published/current`` names the folder beside it that counts, and is replaced in one step.
Its manifest has the SHA-256 of each file and of its own text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache, partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.durable import check_files, hash_file, read_sealed, write_over
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.numbers import sentence_case

if TYPE_CHECKING:
    from cxlib.comparing import Comparison
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.prediction import Prediction
    from cxlib.summary import Selection

FOLDER = "published"
CURRENT = "current"
MANIFEST = "manifest.json"
FORMAT = 2
NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_POINTER = re.compile(rf"(?P<name>{NAME.pattern})( (?P<digest>[0-9a-f]{{64}}))?\n?")


def current_folder(workspace: Path) -> Path | None:
    """Return the folder of the published snapshot, or None where nothing is published.

    WorkspaceError: what names it cannot be read, or names another manifest than the one there.
    """
    published = workspace / FOLDER
    try:
        text = (published / CURRENT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    told = _POINTER.fullmatch(text)
    name, digest = (told["name"], told["digest"]) if told else ("", None)
    manifest = published / name / MANIFEST
    if not told or not manifest.is_file():
        raise WorkspaceError(
            f"{published / CURRENT} names no whole snapshot: nothing is published; run: cx publish "
            f"{workspace.name}"
        )
    if digest and digest != hash_file(manifest):
        raise WorkspaceError(f"{name} is not the snapshot that was published; publish again.")
    return published / name


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One snapshot of a workspace; of one that is not `whole`, times and customers are None.

    `served` says whether it is the one that dashboards show.
    """

    name: str
    folder: Path
    whole: bool
    served: bool
    published_at: datetime | None = None
    observed_until: datetime | None = None
    customers: int | None = None


def list_snapshots(workspace: Path | str) -> tuple[SnapshotRecord, ...]:
    """List the snapshots of a workspace, whole or broken, oldest first."""
    published = Path(workspace) / FOLDER
    if not published.is_dir():
        return ()
    try:
        current = current_folder(Path(workspace))
    except WorkspaceError:
        current = None
    folders = [f for f in published.iterdir() if NAME.fullmatch(f.name) and f.is_dir()]
    folders.sort(key=lambda f: (f.name[:16], len(f.name), f.name))  # …-2 before …-10
    return tuple(_record(f, served=f == current) for f in folders)


def _record(folder: Path, *, served: bool) -> SnapshotRecord:
    try:
        manifest = read_manifest(folder)
        at, until = (
            datetime.fromisoformat(manifest[n]) for n in ("published_at", "observed_until")
        )
        customers = int(manifest["customers"])
        return SnapshotRecord(folder.name, folder, True, served, at, until, customers)
    except (WorkspaceError, KeyError, ValueError, TypeError):
        return SnapshotRecord(folder.name, folder, whole=False, served=False)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a snapshot, and check its files.

    WorkspaceError: it cannot be read, is of another version, or a file is not as it was published.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = read_sealed(text, formats=range(FORMAT, FORMAT + 1))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{folder.name} is not a whole snapshot; publish again.") from error
    if manifest["format"] != FORMAT:
        raise WorkspaceError(
            f"snapshot {folder.name} was written by another version of cxlib; publish again."
        )
    try:
        states = [(*file, (folder / file[0]).stat()) for file in manifest["files"].items()]
        _check_once(folder, tuple((n, h, s.st_mtime_ns, s.st_ctime_ns) for n, h, s in states))
    except (OSError, WorkspaceError) as error:
        why = str(error) if isinstance(error, WorkspaceError) else f"{error.filename} is missing"
        raise WorkspaceError(
            f"{folder.name} is not a whole snapshot: {why}; publish again."
        ) from error
    return manifest


@lru_cache(maxsize=64)
def _check_once(folder: Path, files: tuple[tuple[str, str, int, int], ...]) -> None:
    """Check files by their hash, anew only when one of them was written again."""
    check_files(folder, {name: known for name, known, *_ in files})


def switch_to(folder: Path, *, draft: Path) -> None:
    """Make a finished snapshot the one that is served, in one step.

    `draft` is a folder on the same disk for what is written on the way.
    """
    named = f"{folder.name} {hash_file(folder / MANIFEST)}\n"
    write_over(folder.parent / CURRENT, named, draft=draft / CURRENT)


Segment = tuple[str, str] | None
Period = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One published set of finished answers; its manifest says what it was made from, and how."""

    folder: Path
    manifest: dict[str, Any] = field(compare=False, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Snapshot:
        """Open the newest snapshot of a workspace, or one snapshot by its own folder.

        WorkspaceError: nothing is published there, or the snapshot is not whole.
        """
        path, real = Path(path), Path(path).resolve()
        is_one = real.parent.name == FOLDER and NAME.fullmatch(real.name)
        folder = path if is_one else current_folder(path)
        if folder is None:
            raise WorkspaceError(
                f"nothing is published in {path.name}; run: cx publish {path.name}"
            )
        return cls(folder, read_manifest(folder))

    @classmethod
    def newest(cls, workspace: Path) -> Snapshot | None:
        """Return the newest snapshot of a workspace, or None where there is no whole one."""
        try:
            return cls.open(workspace)
        except WorkspaceError:
            return None

    @property
    def published_at(self) -> datetime:
        """When it was published, UTC."""
        return datetime.fromisoformat(self.manifest["published_at"])

    @property
    def observed_until(self) -> datetime:
        """The day to which there is data, as midnight UTC."""
        return datetime.fromisoformat(self.manifest["observed_until"])

    @property
    def k(self) -> int:
        """Smallest number of customers a figure is about."""
        return int(self.manifest["k"])

    @property
    def segments(self) -> tuple[tuple[str, str], ...]:
        """Dimension and value of every segment that can be asked for."""
        return tuple((dimension, value) for dimension, value in self.manifest["segments"])

    @property
    def periods(self) -> tuple[date, ...]:
        """First days of the periods; every range of them can be asked for."""
        return tuple(date.fromisoformat(day) for day in self.manifest["periods"])

    @property
    def period_unit(self) -> str:
        """Length of a period: day, week, month or quarter."""
        return str(self.manifest["period_unit"])

    def shows(self, view: str) -> bool:
        """Whether it was published for a dashboard; without a list of them, for all."""
        return self.manifest["views"] is None or view in self.manifest["views"]

    def findings(self, *, segment: Segment = None) -> FindingDetails:
        """Return the handoffs that break, for everybody or one segment, and what lies behind them.

        WorkspaceError: the snapshot was published without findings.
        """
        from cxlib.fragmentation.details import FindingDetails

        return self._answer("findings", FindingDetails, segment, by_period=False)

    def predictions(self) -> Prediction:
        """Return what could break next, and how good such predictions were, for everybody.

        WorkspaceError: the snapshot was published without predictions.
        """
        from cxlib.prediction import Prediction
        from cxlib.publish.answers import read_answer
        from cxlib.summary import Selection

        found: Prediction = read_answer(self.folder, "predictions", Prediction, 0, Selection())
        return found

    def table(self, measure: str, *, segment: Segment = None, period: Period = None) -> Any:
        """Return a measure's answer for a selection: a result of the class that it returns.

        `period` are positions in `periods`. What small groups do not allow is null, a plain number
        0; rows without any figure are left out, unless they stand for the journey map's places.
        UnknownNameError, InputError: there is no such measure, segment or range of periods.
        """
        from cxlib.publish.rules import PUBLISHED

        published, by_period = self.manifest["measures"], measure in self.manifest["by_period"]
        if measure not in published:
            raise UnknownNameError("published measure", measure, published)
        if segment and measure not in self.manifest["by_segment"]:
            raise InputError(f"{measure} is published for all customers together only.")
        made = PUBLISHED[measure].result
        return self._answer(measure, made, segment, period, by_period=by_period)

    # what is asked for most, by its name
    touchpoints = partialmethod(table, "touchpoints")
    transitions = partialmethod(table, "transitions")
    first_contacts = partialmethod(table, "first_contacts")
    stage_funnel = partialmethod(table, "stage_funnel")

    def _answer(
        self,
        name: str,
        result: type[Any],
        segment: Segment,
        period: Period = None,
        *,
        by_period: bool,
    ) -> Any:
        """Read an answer by the number of its selection (`cxlib.publish.selections`)."""
        from cxlib.publish.answers import read_answer
        from cxlib.publish.selections import list_selections
        from cxlib.summary import Selection

        if segment is not None and tuple(segment) not in self.segments:
            known = [f"{dimension}: {value}" for dimension, value in self.segments]
            raise UnknownNameError("published segment", ": ".join(segment), known)
        count = len(self.periods)
        if period is not None and not 0 <= period[0] <= period[1] < count:
            raise InputError(
                f"periods {period} are not among the {count} published, 0 to {count - 1}."
            )
        wanted = Selection(
            segment=None if segment is None else (segment[0], segment[1]),
            period=None if period == (0, count - 1) else period,
        )
        if wanted.period is not None and not by_period:
            raise InputError(f"{name} is published for the whole time only.")
        numbered = list_selections(self.segments, count if by_period else 0)
        where = replace(wanted, period=period)
        return read_answer(self.folder, name, result, numbered.index(wanted), where)

    def compare(
        self,
        measure: str,
        first: Selection | None,
        second: Selection | None,
        *,
        environments: tuple[Segment, Segment] = (None, None),
    ) -> Comparison:
        """Put the published answers of two selections side by side, with the difference.

        Of a channel its row in ``by_channel`` is compared; `environments` (name and value) are
        those of the contacts of either side, over the whole time, of touchpoints alone.
        UnknownNameError, InputError: one of them is not published, or both are the same.
        """
        from cxlib.comparing import side_by_side

        if (first, environments[0]) == (second, environments[1]):
            raise InputError("both parts are the same: there is nothing to compare")
        sides = zip((first, second), environments, strict=True)
        one, two = (
            self._part(measure, where) if around is None else self._around(where, around)
            for where, around in sides
        )
        return side_by_side(one, two)

    def _around(self, where: Selection | None, environment: tuple[str, str]) -> Any:
        """Return the touchpoints in an environment, as published."""
        segment, period, channel = (
            getattr(where, name, None) for name in ("segment", "period", "channel")
        )
        if period is not None:
            raise InputError("environments are published for the whole time only.")
        there = [pl.col("environment") == environment[0], pl.col("value") == environment[1]]
        around = self.table("environments", segment=segment)
        if around.whole.filter(there).is_empty():
            known = around.whole.select(pl.format("{}: {}", "environment", "value")).to_series()
            raise UnknownNameError("published environment", ": ".join(environment), known)
        table, whole = (
            frame.filter(there).drop("environment", "value")
            for frame in (around.table, around.whole)
        )
        if channel is not None:
            table, whole = table.filter(channel=channel), whole.clear()
        found = self.table("touchpoints", segment=segment)
        names = ("stage", "touchpoint", "channel")
        places = found.table.select("place", *names)
        table = table.drop("place").join(places, on=names).select(found.table.columns)
        return replace(found, where=where, table=table, whole=whole)

    def _part(self, measure: str, where: Selection | None) -> Any:
        """Return a published answer; of one channel the row of all its contacts together."""
        if where is None:
            return self.table(measure)
        found = self.table(measure, segment=where.segment, period=where.period)
        if where.channel is None:
            return found
        if "by_channel" not in found.tables:
            raise InputError(f"{measure} is not published by channel.")
        row = found.by_channel.filter(pl.col("channel") == where.channel)
        if row.is_empty():
            raise UnknownNameError("published channel", where.channel, found.by_channel["channel"])
        return replace(
            found, where=where, table=found.table.clear(), whole=row.select(found.whole.columns)
        )

    def line(self) -> str:
        """Return the one line about this snapshot that stands on every page."""
        return f"{self._data_to()} · published {long_day(self.published_at)}"

    def facts(self) -> tuple[str, ...]:
        """Return what a visitor may want to know about the figures, in sentences."""
        manifest = self.manifest
        customers = manifest["customers"]
        # of a small log the number is published as 0, and not told
        counted = f"{customers:,} customers" if customers else "too few customers to count"
        return (
            f"{sentence_case(manifest['name'])}: {counted}. {self._data_to()}.",
            f"Published {long_day(self.published_at)}. Figures about fewer than "
            f"{manifest['k']} customers are not shown, and counts are rounded to {manifest['k']}.",
        )

    def _data_to(self) -> str:
        return f"Data to {long_day(self.observed_until)}"

    def first_paint(self, view: str) -> str | None:
        """Return the picture of a view that its page shows until it is live, as HTML, or None."""
        path = self.folder / "first_paint" / f"{view}.html"
        return path.read_text(encoding="utf-8") if path.is_file() else None


def long_day(instant: datetime) -> str:
    """Write a day in full: ``3 May 2026``."""
    return f"{instant.day} {instant:%B %Y}"


def find_snapshot(workspace: Path | str, name: str) -> Snapshot:
    """Open a snapshot of a workspace by its name; UnknownNameError: none, or a broken one."""
    whole = {record.name: record.folder for record in list_snapshots(workspace) if record.whole}
    if name not in whole:
        raise UnknownNameError("snapshot", name, whole)
    return Snapshot.open(whole[name])
