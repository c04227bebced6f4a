"""What a signal is, what a ground is, and how they are registered: one of each in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.faults import Fault

Unit = Literal["place", "transition", "stage_step"]
UNITS: tuple[Unit, ...] = ("place", "transition", "stage_step")
Family = Literal["share", "wait", "rating"]
Judge = Callable[["Arrivals"], pl.DataFrame]
Judged = Mapping[str, Any]
"""Rows of `cxlib.grounds.judged.JUDGED`: what each column holds, or the one value of all rows."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Columns of a table of arrivals that count a signal, by where, when and for whom.

    ``table``: one of `cxlib.arrivals.histories`; ``n`` cases, ``total`` of them with the outcome
    (waits are counted by ``bin``; ratings: their sum, and ``squares``). ``begun``: a table of the
    same cases at the dates on which they began. ``around``, ``steps``: the same by environment
    column, and for steps between stages. ``places``, ``sources``: where the
    signal can occur, from the places table. ``units``, ``grounds``: what is judged by these counts.
    ``warm_up``: whether the first silence of the log is left out, because nothing before it is
    known.
    """

    table: str
    n: str = "n"
    total: str = ""
    squares: str = ""
    begun: str = ""
    around: str = ""
    steps: str = ""
    places: Callable[[pl.DataFrame], pl.Series] | None = None
    sources: Callable[[pl.DataFrame], pl.Series] | None = None
    units: tuple[Unit, ...] = ("place", "transition")
    grounds: tuple[str, ...] = ("past", "groups")
    warm_up: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One thing that can go wrong. What each field is for: `docs/adding-a-signal.md`.

    ``family``: how it is counted; ``least``: smallest effect worth a finding (a share, a ratio of
    waits, a share of the scale's width). ``needs``: why the log cannot be judged; empty where it
    can. ``judge``, ``plan``, ``past``: what these grounds say beside, or instead of, what
    ``counts`` lets them say; ``settings``: the same at settings at which a finding must keep its
    sign. ``says``: what is more than expected, around "{}" for how many. ``compares_alone``: "the
    same" is not the same at another source. ``of_records``: it tells of what was recorded, not of
    what customers did.
    """

    name: str
    number: int
    title: str
    unit: str
    family: Family = "share"
    least: float = 0.05
    enough: str = "50 arrivals"
    needs: Callable[[Arrivals], str] = field(default=lambda _: "")
    counts: Counts | None = None
    judge: Judge | None = None
    plan: Judge | None = None
    past: Callable[[Arrivals], list[Judged]] | None = None
    settings: Callable[[Arrivals], list[pl.DataFrame]] | None = None
    says: str = ""
    advice: str = ""
    tells: str = ""
    fault: Fault | None = None
    follows_customers: bool = False
    shuffles: bool = False
    sends_back: bool = False
    repeats: bool = False
    of_records: bool = False
    compares_alone: bool = False
    filters: tuple[str, ...] = ("not_followed",)
    draws: Literal["silence", "waits", "next", ""] = ""

    @property
    def harm(self) -> int:
        """Sign of an effect that is harm: ratings fall."""
        return -1 if self.family == "rating" else 1

    @property
    def neutral(self) -> float:
        """The effect of no difference."""
        return 1.0 if self.family == "wait" else 0.0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """One thing that a signal is compared with.

    ``compared_with``: in words, where a row does not say it; ``judge``: what each signal says on
    it; ``needs``: why the log cannot be judged on it; ``says``: the expectation, with ``{with_}``.
    """

    name: str
    number: int
    compared_with: str
    judge: Callable[[Arrivals, Mapping[str, Signal]], list[Judged]]
    needs: Callable[[Arrivals], str] = field(default=lambda _: "")
    says: str = ""

    def __str__(self) -> str:
        return self.name


Kind = TypeVar("Kind", Signal, Ground)


class Registry(dict[str, Kind]):
    """Signals or grounds by name, in the order of their numbers."""

    def register(self, kind: Kind) -> Kind:
        """Add one; of the same name only the last."""
        self[kind.name] = kind
        known = sorted(self.items(), key=lambda item: item[1].number)
        self.clear()
        self.update(known)
        return kind
