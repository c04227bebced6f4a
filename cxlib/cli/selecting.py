"""What the options of `cx` name: workspaces, segments, channels, periods and steps, as text."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.terminal import as_records, print_json, print_written
from cxlib.errors import InputError

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Selection

__all__ = [
    "Asked",
    "Json",
    "WorkspaceFolder",
    "about_a_part",
    "read_segment",
    "read_steps",
]

WorkspaceFolder = Annotated[
    Path,
    typer.Argument(
        metavar="WORKSPACE",
        envvar="CX_WORKSPACE",
        help="Folder made by cx ingest.",
        show_default=False,
    ),
]
Segment = Annotated[
    str | None, typer.Option(metavar="NAME=VALUE", help="Only customers of this segment.")
]
Channel = Annotated[str | None, typer.Option(help="Only contacts in this channel.")]
Period = Annotated[
    str | None,
    typer.Option(metavar="FROM..TO", help="Only this time, such as 2025-03..2025-06 or 2025-03."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every question says: of which log, of which part of it, and for whom the answer is.

    ``where`` is None for the whole log. A segment, value or channel that is none is told of by the
    measure that is asked.
    """

    workspace: Workspace
    where: Selection | None
    as_json: bool

    def show(
        self,
        found: Any,
        about: str,
        *,
        note: str | Sequence[str] = (),
        rows: Any = None,
        shown: Any = None,
        most: int | None = None,
    ) -> None:
        """Print a result: its rows as JSON, or as a table under a line that says what about.

        Parameters
        ----------
        found
            The result.
        about
            What the table is about; the log's name comes before it.
        note
            Below the table.
        rows, shown
            Rows for JSON and for the table, where they are not the result's.
        most
            Rows of the table that are shown at most.
        """
        if self.as_json:
            print_json(as_records(found.table if rows is None else rows))
            return
        print_written(
            found.columns.written(found.table if shown is None else shown),
            title=f"{self.workspace.journey_map.name}: {about}",
            note=note,
            most=most,
        )


def _asked(
    workspace: WorkspaceFolder,
    *,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> Asked:
    from cxlib.store import Workspace
    from cxlib.summary import Selection
    from cxlib.where import read_period

    opened = Workspace.open(workspace)
    pair = None if segment is None else read_segment(segment)
    span = None if period is None else read_period(opened.periods, period)
    where = Selection(segment=pair, period=span, channel=channel)
    return Asked(opened, None if where == Selection() else where, as_json)


def about_a_part(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument WORKSPACE and the options that choose a part of the log.

    The command itself takes `Asked` first, and after it options of its own, by name.
    """
    common = inspect.signature(_asked, eval_str=True).parameters
    own = dict(list(inspect.signature(command, eval_str=True).parameters.items())[1:])

    @functools.wraps(command)
    def run(**given: Any) -> None:
        asked = _asked(**{name: given.pop(name) for name in common})
        command(asked, **given)

    workspace, *options = common.values()
    taken = [workspace, *own.values(), *options]
    run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in taken}
    return run


def read_segment(text: str) -> tuple[str, str]:
    """Return the name and value of a segment from a text such as ``persona=explorer``.

    Raises
    ------
    InputError
        It has no ``=``.
    """
    name, is_pair, value = text.partition("=")
    if not is_pair:
        raise InputError(f"--segment {text!r} is not NAME=VALUE; write persona=explorer")
    return name.strip(), value.strip()


def read_steps(listed: str | None, single: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the steps of a funnel from ``--steps A,B,C`` and repeated ``--step A``.

    Names that hold commas themselves are put together again where the log knows them.

    Raises
    ------
    InputError
        No step is named.

    Examples
    --------
    >>> read_steps("visit, till,pay by card, cash", [], ["visit", "till", "pay by card, cash"])
    ['visit', 'till', 'pay by card, cash']
    """
    parts = (listed or "").split(",")
    steps = []
    while parts:
        for size in range(len(parts), 0, -1):
            name = ",".join(parts[:size]).strip()
            if name in known or size == 1:
                steps.extend([name] if name else [])
                del parts[:size]
                break
    steps.extend(single)
    if not steps:
        raise InputError(
            "a funnel needs steps: --steps A,B,C, or --step A --step B; touchpoints here: "
            f"{', '.join(known[:20])}"
        )
    return steps
