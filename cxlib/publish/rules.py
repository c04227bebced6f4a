"""What is published, and what every column of it is.

A column that is not named here cannot be published (`cxlib.publish.small_groups.protect` refuses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cxlib.measures.first_contacts import FirstContacts, measure_first_contacts
from cxlib.measures.stage_funnel import StageFunnel, measure_stage_funnel
from cxlib.measures.touchpoints import Touchpoints, measure_touchpoints
from cxlib.measures.transitions import Transitions, measure_transitions
from cxlib.publish.small_groups import Kind, Rule

__all__ = ["MEASURES", "PublishedMeasure", "PublishedTable"]

LABEL = Rule(Kind.LABEL)
CUSTOMERS = Rule(Kind.CUSTOMERS)
SHARE = Rule(Kind.SHARE)
CONTACTS = Rule(Kind.COUNT, heaviest="contacts")
JOURNEYS = Rule(Kind.COUNT, heaviest="journeys")


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table of a result: its rules, and what bounds one customer's weight in it.

    Parameters
    ----------
    rules
        A rule for every column, ends of intervals excepted.
    influence
        The frame of `cxlib.publish.influence.Influence` that belongs to its rows.
    on
        Columns that both share.
    key
        Columns that name a row; only rows that may be shown for everybody and the whole time are
        ever named.
    customers
        The column with the distinct customers behind a row, where there is one.
    keep_hidden
        Whether a row that may not be shown in a selection stays, without figures.
    """

    rules: Mapping[str, Rule]
    influence: str
    on: tuple[str, ...]
    key: tuple[str, ...]
    customers: str | None = "customers"
    keep_hidden: bool = True

    @property
    def first(self) -> str:
        """The first figure: where it is null, the row is not shown."""
        return next(c for c, rule in self.rules.items() if rule.kind is not Kind.LABEL)


@dataclass(frozen=True, slots=True)
class PublishedMeasure:
    """A measure whose answers are published.

    Parameters
    ----------
    name
        Of its files, and of the method of `Snapshot` that gives it back.
    measure, result
        The function and what it returns.
    tables
        The result's frames by field.
    numbers
        Its plain numbers by field; `heaviest` names a column of the influence frame ``whole``.
    names
        Fields with names, and the table and column in which those that may be shown stand.
    """

    name: str
    measure: Callable[..., Any]
    result: type[Any]
    tables: Mapping[str, PublishedTable]
    numbers: Mapping[str, Rule] = field(default_factory=dict)
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_SEQUEL: dict[str, Rule] = {
    "customers": CUSTOMERS,
    "contacts": CONTACTS,
    "go_on": SHARE,
    "lost": SHARE,
    "silent": SHARE,
    "declined": SHARE,
    "done": SHARE,
    "open": Rule(Kind.SHARE, settles=True),
    "went_on_n": CONTACTS,
    "silent_n": CONTACTS,
    "declined_n": CONTACTS,
    "done_n": CONTACTS,
    "open_n": CONTACTS,
    "next_wait": Rule(Kind.TWO_DIGITS, heaviest="contacts", of="went_on_n"),
    "rating": Rule(Kind.MEAN, heaviest="ratings", of="rating_n"),
    "rating_n": Rule(Kind.COUNT, heaviest="ratings"),
    "response": SHARE,
    "dwell": Rule(Kind.TWO_DIGITS, heaviest="dwells", of="dwell_n"),
    "dwell_n": Rule(Kind.COUNT, heaviest="dwells"),
    "cost": Rule(Kind.SUM, heaviest="cost"),
    "cost_per_contact": Rule(Kind.TWO_DIGITS, heaviest="contacts", of="contacts"),
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

TRANSITIONS = PublishedMeasure(
    name="transitions",
    measure=partial(measure_transitions, by="place"),
    result=Transitions,
    tables={
        "table": PublishedTable(
            {
                **dict.fromkeys(_ENDS, LABEL),
                "n": CONTACTS,
                "share": Rule(Kind.SHARE_OF, heaviest="contacts", of="n", total="total"),
                "wait": Rule(Kind.TWO_DIGITS, heaviest="contacts", of="n"),
            },
            influence="moves",
            on=("source", "target"),
            key=("source", "target"),
            customers=None,
            keep_hidden=False,
        )
    },
    numbers={"contacts": CONTACTS},
)

_BEGINNING: dict[str, Rule] = {
    "journeys": JOURNEYS,
    "first_journeys": Rule(Kind.CUSTOMERS, adds_up=True),
    "share": Rule(Kind.SHARE_OF, heaviest="journeys", of="journeys", total="total"),
    "goal": SHARE,
    "lost": SHARE,
    "time_to_goal": Rule(Kind.TWO_DIGITS, heaviest="journeys", of="goal_n"),
    **dict.fromkeys(("goal_n", "declined_n", "silent_n", "done_n", "open_n"), JOURNEYS),
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
        ),
        "by_channel": PublishedTable(
            {"channel": LABEL, **_BEGINNING},
            influence="first_channels",
            on=("channel",),
            key=("channel",),
            customers=None,
        ),
        "whole": PublishedTable(_BEGINNING, influence="whole", on=(), key=(), customers=None),
    },
    numbers={"journeys": JOURNEYS},
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
                **dict.fromkeys(("further", "progress", "goal", "lost", "done", "open"), SHARE),
                "time": Rule(Kind.TWO_DIGITS, heaviest="journeys", of="journeys"),
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
