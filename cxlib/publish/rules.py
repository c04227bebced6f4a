"""What is published, and what every column of it is.

A column that is not named here cannot be published (`cxlib.publish.small_groups.protect` refuses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from cxlib.measures.first_contacts import FirstContacts, measure_first_contacts
from cxlib.measures.stage_funnel import StageFunnel, measure_stage_funnel
from cxlib.measures.touchpoints import Touchpoints, measure_touchpoints
from cxlib.measures.transitions import Transitions, measure_transitions
from cxlib.publish.influence import Influence
from cxlib.publish.selections import Choices
from cxlib.publish.small_groups import Kind, Rule
from cxlib.summary import OPEN, Summary

__all__ = ["MEASURES", "PublishedMeasure", "PublishedTable"]

LABEL = Rule(Kind.LABEL)
CUSTOMERS = Rule(Kind.CUSTOMERS)
CONTACTS = Rule(Kind.COUNT, heaviest="contacts")
JOURNEYS = Rule(Kind.COUNT, heaviest="journeys")
TOTAL = Rule(Kind.COUNT, heaviest="total")


def _share(*cases: str, of: str, open: str | None = "open_n", settled: str | None = None) -> Rule:
    return Rule(Kind.SHARE, of=of, cases=cases, open=open, settled=settled)


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
class PublishedMeasure:
    """A measure whose answers are published.

    Parameters
    ----------
    name
        Of its files, and by which `Snapshot.table` gives it back.
    measure, result
        The function and what it returns.
    tables
        The result's frames by field.
    numbers
        Its plain numbers by field; `heaviest` names a column of the influence frame ``whole``.
    names
        Fields with names, and the table and column in which those that may be shown stand.
    by_segment
        Whether it is answered for every segment; else for everybody only.
    by_period
        Whether it is answered for every range of periods, from the summary; else it is asked of the
        workspace, for everybody and every segment.
    adds_up
        Whether its counts for the values of a segment and the rest add up to those for everybody:
        they are rounded together then, else each by itself.
    plain
        Fields that are about no customers.
    """

    name: str
    measure: Callable[..., Any]
    result: type[Any]
    tables: Mapping[str, PublishedTable]
    numbers: Mapping[str, Rule] = field(default_factory=dict)
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    by_segment: bool = True
    by_period: bool = True
    adds_up: bool = True
    plain: tuple[str, ...] = ()

    def choices(self, choices: Choices) -> Choices:
        """What is answered of all that may be chosen."""
        segments = choices.segments if self.by_segment else ()
        periods, spans = (choices.periods, choices.spans) if self.by_period else ((), ())
        return replace(choices, segments=segments, periods=periods, spans=spans)


_SEQUEL: dict[str, Rule] = {
    "customers": CUSTOMERS,
    "contacts": CONTACTS,
    "go_on": _share("went_on_n", of="contacts"),
    "lost": _share("silent_n", "declined_n", of="contacts", settled="silent_n"),
    "silent": _share("silent_n", of="contacts", settled="silent_n"),
    "declined": _share("declined_n", of="contacts"),
    "done": _share("done_n", of="contacts"),
    "open": _share("open_n", of="contacts", open=None),
    **dict.fromkeys(("went_on_n", "silent_n", "declined_n", "done_n", "open_n"), CONTACTS),
    "next_wait": Rule(Kind.TIME, of="went_on_n"),
    "rating": Rule(Kind.MEAN, of="rating_n"),
    "rating_n": Rule(Kind.COUNT, heaviest="ratings"),
    "response": _share("rating_n", of="contacts", open=None),
    "dwell": Rule(Kind.RATIO, heaviest="dwell_seconds", of="dwell_n"),
    "dwell_n": Rule(Kind.COUNT, heaviest="dwells"),
    "cost": Rule(Kind.SUM, heaviest="cost"),
    "cost_per_contact": Rule(Kind.RATIO, heaviest="cost", of="contacts"),
}

TOUCHPOINTS = PublishedMeasure(
    name="touchpoints",
    measure=measure_touchpoints,
    result=Touchpoints,
    tables={
        "table": PublishedTable(
            {
                **dict.fromkeys(("place", "stage", "touchpoint", "channel", "owner"), LABEL),
                **_SEQUEL,
                "weakest": Rule(Kind.RANK, of="lost"),
            },
            influence="places",
            on=("place",),
            key=("place",),
        ),
        "by_stage": PublishedTable(
            {"stage": LABEL, **_SEQUEL}, influence="stages", on=("stage",), key=("stage",)
        ),
        "by_channel": PublishedTable(
            {"channel": LABEL, **_SEQUEL}, influence="channels", on=("channel",), key=("channel",)
        ),
        "whole": PublishedTable(_SEQUEL, influence="whole", on=(), key=()),
    },
    numbers={"customers": CUSTOMERS, "journeys": JOURNEYS, "contacts": CONTACTS},
    names={"channels": ("by_channel", "channel"), "stages": ("by_stage", "stage")},
)

_ENDS = [
    f"{end}{of}" for end in ("source", "target") for of in ("", "_touchpoint", "_channel", "_stage")
]


def _contacts_at_source(part: Summary) -> pl.DataFrame:
    n = pl.col("n").cast(pl.Int64)
    return part.steps.group_by(source=pl.col("place").cast(pl.Int64)).agg(
        total=n.sum(), open_n=n.filter(pl.col("next") == OPEN).sum()
    )


def _journeys_begun(part: Summary) -> pl.DataFrame:
    return part.starts.select(total=pl.col("n").sum().cast(pl.Int64))


TRANSITIONS = PublishedMeasure(
    name="transitions",
    measure=partial(measure_transitions, by="place"),
    result=Transitions,
    tables={
        "table": PublishedTable(
            {
                **dict.fromkeys(_ENDS, LABEL),
                "n": CONTACTS,
                "share": _share("n", of="total"),
                "wait": Rule(Kind.TIME, of="n"),
                "total": TOTAL,
                "open_n": TOTAL,
            },
            influence="moves",
            on=("source", "target"),
            key=("source", "target"),
            customers=None,
            keep_hidden=False,
            totals=_contacts_at_source,
        )
    },
    numbers={"contacts": CONTACTS},
)

_BEGINNING: dict[str, Rule] = {
    "journeys": JOURNEYS,
    "first_journeys": Rule(Kind.CUSTOMERS, adds_up=True),
    "share": _share("journeys", of="total", open=None),
    "goal": _share("goal_n", of="journeys"),
    "lost": _share("silent_n", "declined_n", of="journeys"),
    "time_to_goal": Rule(Kind.TIME, of="goal_n"),
    **dict.fromkeys(("goal_n", "declined_n", "silent_n", "done_n", "open_n"), JOURNEYS),
    "total": TOTAL,
}

FIRST_CONTACTS = PublishedMeasure(
    name="first_contacts",
    measure=measure_first_contacts,
    result=FirstContacts,
    tables={
        "table": PublishedTable(
            {
                **dict.fromkeys(("place", "stage", "touchpoint", "channel", "owner"), LABEL),
                **_BEGINNING,
            },
            influence="first_places",
            on=("place",),
            key=("place",),
            customers=None,
            totals=_journeys_begun,
        ),
        "by_channel": PublishedTable(
            {"channel": LABEL, **_BEGINNING},
            influence="first_channels",
            on=("channel",),
            key=("channel",),
            customers=None,
            totals=_journeys_begun,
        ),
        "whole": PublishedTable(
            _BEGINNING, influence="whole", on=(), key=(), customers=None, totals=_journeys_begun
        ),
    },
    numbers={"journeys": JOURNEYS},
    plain=("within",),
)

STAGE_FUNNEL = PublishedMeasure(
    name="stage_funnel",
    measure=measure_stage_funnel,
    result=StageFunnel,
    tables={
        "table": PublishedTable(
            {
                "stage": LABEL,
                "customers": CUSTOMERS,
                "journeys": JOURNEYS,
                "began": JOURNEYS,
                "further": _share("progress_n", "goal_n", of="journeys"),
                "progress": _share("progress_n", of="journeys"),
                "goal": _share("goal_n", of="journeys"),
                "lost": _share("silent_n", "declined_n", of="journeys"),
                "done": _share("done_n", of="journeys"),
                "open": _share("open_n", of="journeys", open=None),
                "time": Rule(Kind.TIME, of="progress_n"),
                **dict.fromkeys(
                    ("progress_n", "goal_n", "declined_n", "silent_n", "done_n", "open_n"), JOURNEYS
                ),
            },
            influence="stages",
            on=("stage",),
            key=("stage",),
        )
    },
    numbers={"journeys": JOURNEYS},
)

MEASURES: tuple[PublishedMeasure, ...] = (TOUCHPOINTS, TRANSITIONS, FIRST_CONTACTS, STAGE_FUNNEL)
"""Everything that a snapshot answers."""
