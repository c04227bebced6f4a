"""What is published beside the journey map: a line per measure; the rest follows from its columns.

A measure is a function marked with `cxlib.results.answers`, of which the result's columns are
declared (`cxlib.columns`). ``docs/publishing.md`` says how to add one, and how each kind of column
is protected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pkgutil import resolve_name
from typing import Any

from cxlib.columns import (
    Amount,
    Chance,
    Column,
    Columns,
    Count,
    Customers,
    Day,
    Flag,
    Instant,
    Label,
    Level,
    Money,
    Points,
    Rank,
    Rating,
    Share,
    Text,
    Value,
    Wait,
)
from cxlib.errors import InputError
from cxlib.publish.rules import MEASURES, PublishedMeasure, PublishedTable
from cxlib.publish.small_groups import Kind, Rule

__all__ = ["PUBLISHED", "Published", "derive_rules", "measure_named"]

_WEIGHTS = {None, "customers", "contacts", "journeys", "ratings", "dwells", "cost"}
_OF_PLACES = ("touchpoint", "channel", "stage", "owner")


@dataclass(frozen=True, slots=True)
class Published:
    """A measure that is published, for everybody and, where it takes ``where``, every segment.

    Parameters
    ----------
    name
        By which `Snapshot.table` gives it back.
    measure
        Where it is: ``"package.module:function"``; loaded when it is published or read.
    options
        What it is asked with: ``{"by": "stage"}``.
    at
        Labels that tell the places a row is about, and what they are of these: ``{"group":
        "touchpoint"}``. Those that are called touchpoint, channel, stage or owner are known.
    adds_up
        Whether its counts for the values of a segment add up to those for everybody, as counts of
        customers and contacts do, and estimates do not.
    plain
        Fields of the result that are about no customers, such as what was asked for.
    """

    name: str
    measure: str
    options: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    adds_up: bool = True
    plain: tuple[str, ...] = ()

    def derive(self) -> PublishedMeasure:
        """Derive from the declared columns of the result how each is protected.

        Raises
        ------
        InputError
            A table does not say how many customers are behind a row, or a plain number is of a kind
            that cannot be protected by itself.
        """
        measure = resolve_name(self.measure)
        made = measure.made
        for name, column in made.figures.items():
            if not isinstance(column, Count):
                raise InputError(
                    f"{made.__name__}.{name} cannot be published: a plain number that is no count "
                    "says nothing of its cases; make it a column of a table."
                )
        return PublishedMeasure(
            name=self.name,
            measure=partial(measure, **self.options),
            result=made,
            tables={n: self._table(c, f"{made.__name__}.{n}") for n, c in made.tables.items()},
            numbers={n: _rule(c, None) for n, c in made.figures.items()},
            by_segment="where" in inspect.signature(measure).parameters,
            by_period=False,
            adds_up=self.adds_up,
            plain=self.plain,
        )

    def _table(self, columns: Columns, what: str) -> PublishedTable:
        rules = derive_rules(columns, what)
        key = tuple(
            n
            for n, c in columns.items()
            if rules[n].kind is Kind.LABEL and isinstance(c, Label | Level | Day)
            if not isinstance(c, Text)
        )
        known = {n: n for n in _OF_PLACES} | dict(self.at)
        at = {n: known[n] for n in key if n in known}
        return PublishedTable(
            rules=rules,
            key=key,
            on=tuple(at),
            at=at,
            customers=next((n for n, c in columns.items() if isinstance(c, Customers)), None),
            keep_hidden=not key,
        )


def derive_rules(columns: Columns, what: str) -> dict[str, Rule]:
    """Derive from what the columns of a table are how they are protected.

    Parameters
    ----------
    columns
        As declared.
    what
        Whose they are, for errors.

    Returns
    -------
    dict
        A rule for each column.

    Raises
    ------
    InputError
        No column counts the customers, or the cases, behind a row; or the cases of a column are not
        counted by one.

    Examples
    --------
    >>> rules = derive_rules(Columns(
    ...     name=Label("of the channel"), customers=Customers("seen"), rating=Rating("mean")), "it")
    >>> [rule.kind.name for rule in rules.values()], rules["rating"].of
    (['LABEL', 'CUSTOMERS', 'MEAN'], 'customers')
    """
    counts = [n for n, c in columns.items() if isinstance(c, Count)]
    weights = {c.each for c in columns.values() if isinstance(c, Count | Amount)}
    people = next((n for n in counts if isinstance(columns[n], Customers)), (*counts, None)[0])
    if people is None:
        raise InputError(
            f"{what} cannot be published: no column counts the customers behind a row; declare one "
            "(Customers, or Count with `each`)."
        )
    if unknown := weights - _WEIGHTS:
        raise InputError(
            f"{what} cannot be published: nothing says how many {min(unknown)} one customer may "
            f"have; `each` is one of {', '.join(sorted(filter(None, _WEIGHTS)))}."
        )
    for name, column in columns.items():
        if column.of is not None and column.of not in counts:
            raise InputError(
                f"{what} cannot be published: {column.of}, the cases of {name}, is no count in it."
            )
    return {n: replace(_rule(c, people), ends=columns.ends(n) or None) for n, c in columns.items()}


def _rule(column: Column, people: str | None) -> Rule:
    """Derive the rule of one column; what has no cases of its own is of the row's customers."""
    return _RULES[type(column)](column, column.of or people)


def _judged(column: Any, of: str | None) -> Rule:
    return Rule(Kind.JUDGED, of=of) if column.of else Rule(Kind.LABEL)


def _share(column: Any, of: str | None) -> Rule:
    if column.total is None:
        return Rule(Kind.SHARE, of=of, cases=column.cases)
    return Rule(Kind.SHARE, of=column.total, cases=(column.of,))


def _money(column: Any, of: str | None) -> Rule:
    if column.of is None:
        return Rule(Kind.SUM, heaviest=column.each or "cost")
    return Rule(Kind.RATIO, heaviest="cost", of=of)


def _amount(column: Any, of: str | None) -> Rule:
    if column.each is None:
        return Rule(Kind.FIGURE, of=of)
    return Rule(Kind.TOTAL, heaviest=None if column.each == "customers" else column.each, of=of)


_RULES: dict[type[Column], Callable[[Any, str | None], Rule]] = {
    Label: _judged,
    Day: _judged,
    Level: lambda *_: Rule(Kind.LABEL),
    Flag: lambda _, of: Rule(Kind.JUDGED, of=of),
    Text: lambda column, _: Rule(Kind.LABEL if column.fixed else Kind.HIDDEN),
    Customers: lambda column, _: Rule(Kind.CUSTOMERS, adds_up=column.adds_up),
    Count: lambda column, _: Rule(Kind.COUNT, heaviest=column.each),
    Rank: lambda *_: Rule(Kind.ORDER),
    Share: _share,
    Points: lambda _, of: Rule(Kind.STEPS, of=of),
    Wait: lambda _, of: Rule(Kind.TIME, of=of),
    Rating: lambda column, of: Rule(Kind.MEAN, of=of, width=column.width),
    Money: _money,
    Amount: _amount,
    Chance: lambda _, of: Rule(Kind.CHANCE, of=of),
    Instant: lambda *_: Rule(Kind.HIDDEN),
    Value: lambda *_: Rule(Kind.HIDDEN),
}


PUBLISHED: tuple[Published, ...] = (
    Published(
        "perception",
        "cxlib.measures.perception:measure_perception",
        at={"group": "touchpoint"},
        plain=("by",),
    ),
    Published("experience_curve", "cxlib.measures.experience:measure_experience_curve"),
    Published(
        "spectrum",
        "cxlib.measures.experience:measure_spectrum",
        at={"group": "touchpoint"},
        plain=("by",),
    ),
    Published(
        "priorities",
        "cxlib.opportunities.priorities:list_priorities",
        adds_up=False,
        plain=("findings",),
    ),
)
"""Everything that follows from its columns; the order is that in which it is published."""

NAMES: tuple[str, ...] = (*(m.name for m in MEASURES), *(p.name for p in PUBLISHED))


@cache
def measure_named(name: str) -> PublishedMeasure:
    """Return what is published under a name of `NAMES`."""
    known: dict[str, Any] = {m.name: m for m in MEASURES} | {p.name: p for p in PUBLISHED}
    found = known[name]
    return found.derive() if isinstance(found, Published) else found
