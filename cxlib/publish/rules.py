"""What is published: a line per measure; everything else follows from the columns of its result.

A measure is a function marked with `cxlib.results.answers`, of which the result's columns are
declared (`cxlib.columns`). ``docs/publishing.md`` says how to add one, and how each kind of column
is protected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pkgutil import resolve_name
from typing import Any

import polars as pl

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
from cxlib.publish.influence import Influence
from cxlib.publish.selections import Choices
from cxlib.publish.small_groups import Kind, Rule
from cxlib.statistics.resampling import dense_counts
from cxlib.summary import OPEN, Summary

__all__ = ["PUBLISHED", "Published", "derive_rules", "measure_named"]

_WEIGHTS = {None, "customers", "contacts", "journeys", "ratings", "comments", "dwells", "cost"}
_KEYS = {
    "places": ("place",),
    "stages": ("stage",),
    "channels": ("channel",),
    "moves": ("source", "target"),
    "first_places": ("place",),
    "first_channels": ("channel",),
    "whole": (),
}
_TOTALS = {n: Rule(Kind.COUNT, heaviest="total") for n in ("total", "open_n")}
_KNOWN = ("observed_until", "where")
_OF_PLACES = ("touchpoint", "channel", "stage", "owner")


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table of a result: its rules, and what bounds one customer's weight in it.

    Parameters
    ----------
    rules
        A rule for every column, ends of intervals excepted.
    key
        Columns that name a row; only rows that may be shown for everybody and the whole time are
        ever named.
    influence
        The frame of `cxlib.publish.influence.Influence` that belongs to its rows.
    on
        Columns that both share. Without `influence` they are told by `at`.
    at
        Columns of the key that tell the places a row is about, and which column of the places they
        hold: ``{"group": "touchpoint"}``. Without any, a customer's weight in the whole log counts.
    customers
        The column with the distinct customers behind a row, where there is one.
    keep_hidden
        Whether a row that may not be shown in a selection stays, without figures.
    totals
        Counts in what all its rows together are, of a part of the summary: one row for each value
        of the key columns that it has. They are rounded like counts of the table, and left out.
    """

    rules: Mapping[str, Rule]
    key: tuple[str, ...]
    influence: str | None = None
    on: tuple[str, ...] = ()
    at: Mapping[str, str] = field(default_factory=dict)
    customers: str | None = "customers"
    keep_hidden: bool = True
    totals: Callable[[Summary], pl.DataFrame] | None = None

    @property
    def first(self) -> str:
        """The first figure: where it is null, the row is not shown."""
        return self.customers or next(c for c, r in self.rules.items() if r.kind is Kind.COUNT)

    def weights(self, influence: Influence, rows: pl.DataFrame) -> pl.DataFrame:
        """Return what the k-1 heaviest customers add to the rows: one row for each value of `on`.

        Parameters
        ----------
        influence
            Of the log.
        rows
            Rows of the table.
        """
        if self.influence is not None:
            found: pl.DataFrame = getattr(influence, self.influence)
            return found
        return influence.at(rows.select(self.on).unique(), self.at)


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
    by_segment
        Whether it is answered for every segment, where the measure takes ``where``.
    rows
        Which rows are published; None: all.
    hidden
        Fields with texts that may say exact figures: they are published empty.
    by_period
        Whether it is answered for every range of periods, too; only what is measured on the summary
        can be.
    weights
        For tables of which `cxlib.publish.influence` knows the rows: the name of its frame.
    totals
        Counts in what all rows of the table together are, of a part of the summary: one row for
        each value of the key columns that it has. Shares may be of them.
    names
        Fields with names, and the table and column in which those that may be shown stand.
    keep_hidden
        Whether a row that may not be shown in a selection stays, without figures.
    """

    name: str
    measure: str
    options: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    adds_up: bool = True
    plain: tuple[str, ...] = ()
    by_segment: bool = True
    rows: pl.Expr | None = None
    hidden: tuple[str, ...] = ()
    by_period: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    totals: Callable[[Summary], pl.DataFrame] | None = None
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    keep_hidden: bool = False

    def derive(self) -> PublishedMeasure:
        """Derive from the declared columns of the result how each is protected.

        Raises
        ------
        InputError
            A table does not say how many customers are behind a row, a plain number is of a kind
            that cannot be protected by itself, or nothing says what a field is.
        """
        measure = resolve_name(self.measure)
        made = measure.made
        figures = {n: c for n, c in made.figures.items() if n not in self.plain}
        known = {*made.tables, *figures, *self.names, *self.plain, *self.hidden, *_KNOWN}
        if unruled := {f.name for f in fields(made)} - known:
            raise InputError(
                f"nothing says how {made.__name__}.{min(unruled)} may be published: declare it in "
                "`figures`, or name it in `plain` if it is about no customers."
            )
        for name, column in figures.items():
            if not isinstance(column, Count):
                raise InputError(
                    f"{made.__name__}.{name} cannot be published: a plain number that is no count "
                    "says nothing of its cases; make it a column of a table."
                )
        return PublishedMeasure(
            line=self,
            measure=partial(measure, **self.options),
            result=made,
            tables={n: self._table(n, c, f"{made.__name__}.{n}") for n, c in made.tables.items()},
            numbers={n: _rule(c, None) for n, c in figures.items()},
            by_segment=self.by_segment and "where" in inspect.signature(measure).parameters,
        )

    def _table(self, name: str, columns: Columns, what: str) -> PublishedTable:
        further = _TOTALS if self.totals is not None else {}
        rules = derive_rules(columns, what, further=further)
        key = tuple(
            n
            for n, c in columns.items()
            if rules[n].kind is Kind.LABEL and isinstance(c, Label | Level | Day)
            if not isinstance(c, Text)
        )
        influence = self.weights.get(name)
        known = _KEYS[influence] if influence else (*_OF_PLACES, *self.at)
        at = {n: self.at.get(n, n) for n in key if n in known}
        return PublishedTable(
            rules=rules,
            key=key,
            influence=influence,
            on=tuple(at),
            at=at,
            customers=next((n for n, c in columns.items() if _counts_people(c)), None),
            keep_hidden=self.keep_hidden or not key,
            totals=self.totals,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PublishedMeasure:
    """A measure whose answers are published, with what follows from its line of `PUBLISHED`.

    Parameters
    ----------
    line
        What is declared.
    measure, result
        The function and what it returns.
    tables
        The result's frames by field.
    numbers
        Its plain numbers by field; `heaviest` names a column of the influence frame ``whole``.
    by_segment
        Whether it is answered for every segment; else for everybody only.
    """

    line: Published
    measure: Callable[..., Any]
    result: type[Any]
    tables: Mapping[str, PublishedTable]
    numbers: Mapping[str, Rule]
    by_segment: bool

    @property
    def name(self) -> str:
        """By which `Snapshot.table` gives it back."""
        return self.line.name

    @property
    def by_period(self) -> bool:
        """Whether it is answered for every range of periods, from the summary."""
        return self.line.by_period

    def asked(self, k: int) -> Callable[..., Any]:
        """The function, which is told the smallest group where it asks for that."""
        takes_k = "k" in inspect.signature(self.measure).parameters
        return partial(self.measure, k=k) if takes_k else self.measure

    def choices(self, choices: Choices) -> Choices:
        """What is answered of all that may be chosen."""
        segments = choices.segments if self.by_segment else ()
        periods, spans = (choices.periods, choices.spans) if self.by_period else ((), ())
        return replace(choices, segments=segments, periods=periods, spans=spans)


def _counts_people(column: Column) -> bool:
    """Whether it counts the customers behind a row, and not those of part of it."""
    return isinstance(column, Customers) and not column.adds_up


def derive_rules(
    columns: Columns, what: str, *, further: Mapping[str, Rule] | None = None
) -> dict[str, Rule]:
    """Derive from what the columns of a table are how they are protected.

    Parameters
    ----------
    columns
        As declared.
    what
        Whose they are, for errors.
    further
        Rules of counts that are no columns of it, yet shares are of them.

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
    people = next((n for n in counts if _counts_people(columns[n])), (*counts, None)[0])
    further = further or {}
    if people is None:
        raise InputError(
            f"{what} cannot be published: no column counts the customers behind a row; declare one "
            "(Customers, or Count with `each`)."
        )
    if unknown := sorted(filter(None, weights - _WEIGHTS)):
        raise InputError(
            f"{what} cannot be published: nothing says how many {unknown[0]} one customer may "
            f"have; `each` is one of {', '.join(sorted(filter(None, _WEIGHTS)))}."
        )
    for name, column in columns.items():
        if column.of is not None and column.of not in counts and not isinstance(column, Rank):
            raise InputError(
                f"{what} cannot be published: {column.of}, the cases of {name}, is no count in it."
            )
    known = {*counts, *further}
    found = {n: replace(_rule(c, people), ends=columns.ends(n) or None) for n, c in columns.items()}
    for name, rule in found.items():
        if rule.kind is Kind.SHARE and rule.of not in known:  # so coarse that it tells nothing more
            found[name] = replace(rule, of=columns[name].of, cases=(), open=None)
    return found | {n: rule for n, rule in further.items() if n not in found}


def _rule(column: Column, people: str | None) -> Rule:
    """Derive the rule of one column; what has no cases of its own is of the row's customers."""
    return _RULES[type(column)](column, column.of or people)


def _judged(column: Any, of: str | None) -> Rule:
    return Rule(Kind.JUDGED, of=of) if column.of else Rule(Kind.LABEL)


def _share(column: Any, of: str | None) -> Rule:
    if column.total is not None:
        return Rule(Kind.SHARE, of=column.total, cases=(column.of,), open=column.open)
    whole = {"of": of, "cases": column.cases, "open": column.open, "settled": column.settled}
    return Rule(Kind.SHARE, **whole)


def _money(column: Any, of: str | None) -> Rule:
    if column.of is None:  # an amount of which nothing says what one customer adds stays here
        return Rule(Kind.SUM if column.each else Kind.HIDDEN, heaviest=column.each)
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
    Rank: lambda column, _: Rule(Kind.RANK if column.of else Kind.ORDER, of=column.of),
    Share: _share,
    Points: lambda _, of: Rule(Kind.STEPS, of=of),
    Wait: lambda column, of: (
        Rule(Kind.RATIO, heaviest=column.each, of=of)
        if column.each == "dwell_seconds"  # a mean: one customer may have most of the time
        else Rule(Kind.TIME, of=of)
    ),
    Rating: lambda column, of: Rule(Kind.MEAN, of=of, width=column.width),
    Money: _money,
    Amount: _amount,
    Chance: lambda _, of: Rule(Kind.CHANCE, of=of),
    Instant: lambda *_: Rule(Kind.HIDDEN),
    Value: lambda *_: Rule(Kind.HIDDEN),
}


def _contacts_at_source(log: Summary) -> pl.DataFrame:
    n = pl.col("n").cast(pl.Int64)
    return log.steps.group_by(source=pl.col("place").cast(pl.Int64)).agg(
        total=n.sum(), open_n=n.filter(pl.col("next") == OPEN).sum()
    )


def _journeys_begun(log: Summary) -> pl.DataFrame:
    part = log.part_of[log.starts["place"].to_numpy()]
    return pl.DataFrame({"total": dense_counts({"part": (part, log.parts)}, log.starts["n"])}).cast(
        pl.Int64
    )


MOST_PATHS = 200
"""So many that the paths which everybody takes often are among those of every segment."""

PUBLISHED: tuple[Published, ...] = (
    Published(
        "touchpoints",
        "cxlib.measures.touchpoints:measure_touchpoints",
        by_period=True,
        keep_hidden=True,
        weights={"table": "places", "by_stage": "stages", "by_channel": "channels"},
        names={"channels": ("by_channel", "channel"), "stages": ("by_stage", "stage")},
    ),
    Published(
        "transitions",
        "cxlib.measures.transitions:measure_transitions",
        options={"by": "place"},
        by_period=True,
        weights={"table": "moves"},
        totals=_contacts_at_source,
    ),
    Published(
        "first_contacts",
        "cxlib.measures.first_contacts:measure_first_contacts",
        by_period=True,
        keep_hidden=True,
        weights={"table": "first_places", "by_channel": "first_channels", "whole": "whole"},
        totals=_journeys_begun,
        plain=("within",),
    ),
    Published(
        "stage_funnel",
        "cxlib.measures.stage_funnel:measure_stage_funnel",
        by_period=True,
        keep_hidden=True,
        weights={"table": "stages"},
    ),
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
        options={"classes": True},
        at={"group": "touchpoint"},
        plain=("by",),
    ),
    Published("consistency", "cxlib.measures.experience:measure_consistency", by_segment=False),
    Published(
        "preferences",
        "cxlib.measures.preferences:measure_preferences",
        by_segment=False,
        plain=("of",),
        rows=pl.col("by") == "all",
    ),
    Published(
        "comments",
        "cxlib.measures.comments:measure_comments",
        at={"group": "touchpoint"},
        by_segment=False,
        plain=("by",),
        hidden=("notes",),
    ),
    Published(
        "path_trees",
        "cxlib.measures.path_tree:measure_path_trees",
        at={"start": "touchpoint"},
    ),
    Published("paths", "cxlib.measures.paths:measure_paths", options={"top": MOST_PATHS}),
    Published(
        "priorities",
        "cxlib.opportunities.priorities:list_priorities",
        adds_up=False,
        plain=("findings",),
    ),
)
"""Everything that follows from its columns; the order is that in which it is published."""

NAMES: tuple[str, ...] = tuple(published.name for published in PUBLISHED)


@cache
def measure_named(name: str) -> PublishedMeasure:
    """Return what is published under a name of `NAMES`."""
    return next(p for p in PUBLISHED if p.name == name).derive()
