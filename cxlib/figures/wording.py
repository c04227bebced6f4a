"""Words that every figure uses for the same thing: names in a sentence, what an answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxlib.results import Result

__all__ = ["based_on", "named", "of_whom"]


def named(row: Mapping[str, Any]) -> str:
    """Name a touchpoint in a sentence, with its channel where the name does not say it.

    Examples
    --------
    >>> named({"touchpoint": "web basket", "channel": "web"})
    'web basket'
    >>> named({"touchpoint": "basket", "channel": "app"})
    'basket (app)'
    """
    name, channel = row["touchpoint"], row["channel"]
    said = channel.casefold().rstrip("s") in name.casefold()
    return name if said else f"{name} ({channel})"


def of_whom(result: Result) -> str:
    """Return `` of persona explorer`` where a result is about a segment, else nothing."""
    where = result.where
    return f" of {where.segment[0]} {where.segment[1]}" if where and where.segment else ""


def based_on(result: Result, counted: str, *, left_out: str = "", whiskers: bool = True) -> str:
    """Say what an answer rests on: how many, of whom, until when, and what is not shown."""
    until = result.observed_until
    where = result.where
    parts = [f"{counted}{of_whom(result)}"]
    if where is not None and where.channel is not None:
        parts.append(f"channel {where.channel}")
    parts.append(f"observed until {until.day} {until:%b %Y}")
    if left_out:
        parts.append(left_out)
    text = ", ".join(parts)
    return f"{text}; whiskers: 95 % intervals" if whiskers else text
