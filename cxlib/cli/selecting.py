"""What the options of `cx` name: workspaces, segments, channels, periods and steps, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxlib.errors import InputError

if TYPE_CHECKING:
    from cxlib.periods import Periods
    from cxlib.store import Workspace
    from cxlib.summary import Selection

__all__ = [
    "Channel",
    "Json",
    "Period",
    "Segment",
    "WorkspaceFolder",
    "read_period",
    "read_segment",
    "read_selection",
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

_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def read_selection(
    workspace: Workspace, *, segment: str | None, channel: str | None, period: str | None
) -> Selection | None:
    """Return the part of the workspace that the options name; None for all of it.

    Raises
    ------
    InputError
        An option cannot be read, or names a time outside the log.
    UnknownNameError
        There is no such segment, value or channel; raised by the measure that is asked.
    """
    from cxlib.summary import Selection

    pair = None if segment is None else read_segment(segment)
    span = None if period is None else read_period(workspace.periods, period)
    where = Selection(segment=pair, period=span, channel=channel)
    return None if where == Selection() else where


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


def read_period(periods: Periods, text: str) -> tuple[int, int]:
    """Return the first and last period number that a text such as ``2025-03..2025-06`` covers.

    Either end may be a year, a month or a day, or be left out; one of them alone is that time
    only. A period counts when any of its days is named.

    Raises
    ------
    InputError
        The text cannot be read, ends before it begins, or lies outside the log.

    Examples
    --------
    >>> from cxlib.periods import Periods
    >>> months = Periods("month", (date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)), "UTC")
    >>> read_period(months, "2025-02.."), read_period(months, "2025-02-14")
    ((1, 2), (1, 1))
    >>> read_period(months, "2024-12..2025")
    (0, 2)
    """
    first_text, is_range, last_text = text.partition("..")
    last_text = last_text if is_range else first_text
    first = _span(first_text, text)[0] if first_text.strip() else date.min
    last = _span(last_text, text)[1] if last_text.strip() else date.max
    if last < first:
        raise InputError(f"--period {text!r} ends before it begins")
    inside = [
        number
        for number, start in enumerate(periods.starts)
        if start <= last
        and (number + 1 == len(periods.starts) or first < periods.starts[number + 1])
    ]
    if not inside or first > _last_day(periods):
        raise InputError(
            f"--period {text!r} lies outside the log, which runs from "
            f"{periods.starts[0]} to {_last_day(periods)}"
        )
    return inside[0], inside[-1]


def _last_day(periods: Periods) -> date:
    days = {"day": 1, "week": 7, "month": 31, "quarter": 92}[periods.unit]
    beyond = periods.starts[-1] + timedelta(days=days)
    if periods.unit in ("month", "quarter"):
        beyond = beyond.replace(day=1)
    return beyond - timedelta(days=1)


def _span(text: str, whole: str) -> tuple[date, date]:
    """Return the first and last day of a year, a month or a day."""
    found = _DAY.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        year, month, day = (int(part) if part else None for part in found.groups())
        assert year is not None
        first = date(year, month or 1, day or 1)
        if day is not None:
            return first, first
        following = date(year + 1, 1, 1) if month in (None, 12) else date(year, month + 1, 1)
    except ValueError:
        raise InputError(
            f"--period {whole!r} cannot be read; write 2025-03..2025-06, 2025-03 or 2025-03-14"
        ) from None
    return first, following - timedelta(days=1)


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
