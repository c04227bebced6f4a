"""What a signal is, what a ground is, and how they are registered: one of each in one file.

A *signal* says what went wrong (customers left, waited, were sent back), a *ground* with what it is
compared. Whoever adds one writes one file that ends in ``register(...)``; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import polars as pl

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals
    from cxlib.grounds.faults import Fault


Unit = Literal["place", "transition", "stage_step"]
Family = Literal["share", "wait", "rating"]
Judge = Callable[["Arrivals"], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Counts:
    """Columns of a table of arrivals that count a signal, by where, when and for whom.

    Attributes
    ----------
    table
        Name of the table: one of `cxlib.arrivals.histories`.
    n, total
        Cases, and those with the outcome (waits: counted by ``bin``; ratings: their sum).
    squares
        Sum of the squares (ratings).
    around, steps
        The same by environment column; the same for steps between stages. Empty: not counted.
    places
        From the places table: where the signal can occur. None: everywhere.
    sources
        The same of where customers come from.
    units
        What is judged by these counts.
    grounds
        The grounds that may compare them.
    warm_up
        Whether the first silence of the log is left out: nothing before it is known.
    """

    table: str
    n: str = "n"
    total: str = ""
    squares: str = ""
    around: str = ""
    steps: str = ""
    places: Callable[[pl.DataFrame], pl.Series] | None = None
    sources: Callable[[pl.DataFrame], pl.Series] | None = None
    units: tuple[Unit, ...] = ("place", "transition")
    grounds: tuple[str, ...] = ("past", "groups")
    warm_up: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One thing that can go wrong.

    Attributes
    ----------
    name, number
        As in the findings; place in the list of `docs/signals`.
    title
        What it means to a customer, in few words.
    unit
        Of the effect. Its first word is the family: share, ratio, rating.
    family
        How it is counted: a share of cases, waits, or ratings.
    least
        Smallest effect worth a finding: a share; the ratio of waits; a share of the scale's width.
    enough
        Cases that a judgement needs, in words.
    needs
        Why the log cannot be judged; empty where it can.
    counts
        What the grounds *past* and *groups* compare. None: these do not judge it.
    judge
        What the ground *like* says. None: it does not judge it.
    plan
        What the ground *plan* says. None: it does not judge it.
    past
        What the ground *past* says instead of what the counts let it say (columns of
        `cxlib.grounds.judged.JUDGED`).
    settings
        The same at other reasonable settings: a finding must keep its sign there.
    says
        What is more at the place than expected, around "{}" for how many.
    advice
        What to ask ``{owner}``.
    tells
        Short verb of what became of customers, for changes between snapshots.
    fault
        What a self-test plants. None: nothing.
    follows_customers
        Whether customers have to be linked across channels.
    shuffles
        Whether shuffled touchpoints are a fair test of it.
    sends_back
        Whether it tells of customers who went back.
    repeats
        Whether it tells of something done again.
    of_records
        Whether it tells of what was recorded, and not of what customers did.
    compares_alone
        Whether "the same" is not the same at another source: each has its own way back, or plan.
    filters
        Why arrivals do not count, in order (`cxlib.fragmentation.filters.FILTERS`).
    draws
        The curve behind a finding: silence, waits, where customers went next, or none.
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
    past: Judge | None = None
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


class _Judging(Protocol):
    def __call__(
        self, part: Arrivals, signals: Mapping[str, Signal]
    ) -> list[pl.DataFrame]: ...  # pragma: no cover


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """One thing that a signal is compared with.

    Attributes
    ----------
    name
        As in the findings.
    number
        Its place in the list.
    compared_with
        In words, where a row does not say it itself.
    judge
        Judges the signals that can be judged on it: one frame for each.
    needs
        Why the log cannot be judged on it; empty where it can.
    says
        What the expectation is, in a sentence: "than {} do"; ``{with_}`` is ``compared_with``.
    """

    name: str
    number: int
    compared_with: str
    judge: _Judging
    needs: Callable[[Arrivals], str] = field(default=lambda _: "")
    says: str = ""

    def __str__(self) -> str:
        return self.name


Kind = TypeVar("Kind", Signal, Ground)


class Registry(Generic[Kind]):
    """Signals or grounds by name, in the order of their numbers."""

    def __init__(self) -> None:
        self._known: dict[str, Kind] = {}

    def register(self, kind: Kind) -> Kind:
        """Add one; of the same name only the last."""
        self._known[kind.name] = kind
        self._known = dict(sorted(self._known.items(), key=lambda item: item[1].number))
        return kind

    def remove(self, name: str) -> None:
        """Take one out again, where it is known."""
        self._known.pop(name, None)

    def __getitem__(self, name: str) -> Kind:
        return self._known[name]

    def get(self, name: Any) -> Kind | None:
        """The one of this name, if there is one."""
        return self._known.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def values(self) -> list[Kind]:
        """All of them, in order."""
        return list(self._known.values())
