"""What every question to a workspace says: of which log, of which part, for whom the answer is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from cxlib.cli.terminal import print_json, print_written
from cxlib.errors import InputError

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Selection


WorkspaceFolder = Annotated[
    Path,
    Argument(
        metavar="WORKSPACE",
        envvar="CX_WORKSPACE",
        help="Folder made by cx ingest.",
        show_default=False,
    ),
]
Segment = Annotated[
    str | None, Option(metavar="NAME=VALUE", help="Only customers of this segment.")
]
Channel = Annotated[str | None, Option(help="Only contacts in this channel.")]
Period = Annotated[
    str | None,
    Option(metavar="FROM..TO", help="Only this time, such as 2025-03..2025-06 or 2025-03."),
]
Json = Annotated[bool, Option("--json", help="Print JSON and nothing else.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a workspace; ``where`` is None for the whole log."""

    workspace: Workspace
    where: Selection | None
    as_json: bool

    def ask(self, measure: Callable[..., Any], **options: Any) -> Any:
        """Ask a measure about this part."""
        return measure(self.workspace, where=self.where, **options)

    def title(self, about: str) -> str:
        """The log's name, and what a table is about."""
        return f"{self.workspace.journey_map.name}: {about}"

    def show(
        self,
        found: Any,
        about: str,
        *,
        note: str | Sequence[str] | None = None,
        rows: Any = None,
        shown: Any = None,
        first: Sequence[str] = (),
        most: int | None = None,
    ) -> None:
        """Print a result: as JSON, or as a table; `rows` and `shown` where they are not its own.

        Below it stands `note`, or what the result says itself. The columns `first` stay where a
        terminal has no room for all.
        """
        from cxlib.front.showing import cautions

        if self.as_json:
            print_json(found.table if rows is None else rows)
            return
        written = found.columns.written(found.table if shown is None else shown, first=first)
        if note is None:
            note = found.sentences() if hasattr(found, "sentences") else cautions(found)
        print_written(written, title=self.title(about), note=note, most=most)


def _whole(workspace: WorkspaceFolder, *, as_json: Json = False) -> Asked:
    from cxlib.store import Workspace

    return Asked(Workspace.open(workspace), None, as_json)


def _part(
    workspace: WorkspaceFolder,
    *,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> Asked:
    from cxlib.store import Workspace
    from cxlib.where import Where

    opened = Workspace.open(workspace)
    pair = read_segment(segment, opened)
    span = read_span(period) if period is not None else {}
    named = Where(segment=dict([pair]) if pair else None, channel=channel, **span)
    return Asked(opened, named.of(opened), as_json)


def about_a_part(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes `Asked` first, WORKSPACE and the options that choose a part."""
    return _asking(command, _part)


def about_all(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that is about the whole log."""
    return _asking(command, _whole)


def _asking(command: Callable[..., None], read: Callable[..., Asked]) -> Callable[..., None]:
    workspace, *options = inspect.signature(read, eval_str=True).parameters.values()
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def run(**given: Any) -> None:
        asked = read(**{p.name: given.pop(p.name) for p in (workspace, *options)})
        command(asked, **given)

    taken = [workspace, *own, *options]
    run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in taken}
    return run


def read_pair(text: str, option: str, *examples: str) -> tuple[str, str]:
    """Both sides of ``persona=explorer``; else what could be written is suggested."""
    name, _, value = (part.strip() for part in text.partition("="))
    if not name or not value:
        known = ", ".join(examples) or "nothing: this log has no segments"
        raise InputError(f"{option} {text!r} is not NAME=VALUE; known here: {known}")
    return name, value


def read_segment(segment: str | None, workspace: Workspace) -> tuple[str, str] | None:
    """What ``--segment`` says; None where it is not given."""
    if segment is None:
        return None
    return read_pair(segment, "--segment", *segments_of(workspace))


def read_span(text: str) -> dict[str, Any]:
    """First and last time of ``2025-03..2025-06``; either may be left out, one alone is both."""
    since, is_range, until = text.partition("..")
    return {"since": since or None, "until": (until if is_range else since) or None}


def segments_of(workspace: Workspace, most: int = 8) -> list[str]:
    """Return segments of this log as they are asked for, the first of many."""
    names = workspace.segment_names
    values = {name: workspace.segments[f"segment.{name}"].drop_nulls() for name in names}
    pairs = [f"{name}={value}" for name in names for value in values[name].unique().sort()]
    return pairs if len(pairs) <= most else [*pairs[:most], "…"]


def read_duration(text: str | None, option: str) -> timedelta | None:
    """A length of time such as ``7d``."""
    from cxlib.map_model import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def read_steps(listed: str | None, single: Sequence[str], known: Sequence[str]) -> list[str]:
    """Steps of a funnel, of ``--steps A,B,C`` and repeated ``--step A``.

    Names that hold commas themselves are put together again where the log knows them.

    >>> read_steps("visit, till,pay by card, cash", [], ["visit", "till", "pay by card, cash"])
    ['visit', 'till', 'pay by card, cash']
    """
    parts = (listed or "").split(",")
    steps: list[str] = []
    while parts:
        joined = [",".join(parts[:size]).strip() for size in range(1, len(parts) + 1)]
        size = max((i for i, name in enumerate(joined, 1) if name in known), default=1)
        steps += filter(None, [joined[size - 1]])
        del parts[:size]
    steps += single
    if not steps:
        raise InputError(
            "a funnel needs steps: --steps A,B,C, or --step A --step B; touchpoints here: "
            f"{', '.join(known[:20])}"
        )
    return steps
