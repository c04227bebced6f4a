"""Personas by rules of the journey map: conditions on a customer's contacts and segments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from cxlib.contracts import DIMENSION, UNKNOWN
from cxlib.errors import InputError, UnknownNameError

PERSONA = f"{DIMENSION}persona"
"""The segment that personas are."""

NO_PERSONA = "other"  # customers whom no rule fits

_CONTACTS = re.compile(r"(?P<name>.+) at (?P<end>least|most) (?P<n>\d+) ?(?P<unit>%|times?)")
_NEVER = re.compile(r"never (?P<name>.+)")
_SEGMENT = re.compile(r"(?P<name>.+?) is (?P<other>not )?(?P<value>.+)")
_FORMS = '"phone at least 2 times", "app at most 10 %", "never store", "region is north"'


@dataclass(frozen=True, slots=True)
class PersonaRule:
    """A persona, and the conditions that all hold of its customers.

    NAME (of a touchpoint, channel, stage or owner) ``at least`` or ``at most`` N ``times``, or N
    ``%`` of a customer's contacts; ``never`` NAME; SEGMENT ``is`` or ``is not`` VALUE.
    """

    name: str
    when: tuple[str, ...]


def check_condition(text: str) -> None:
    """Raise ValueError, with what may be written, where a text is no condition."""
    if not any(form.fullmatch(text) for form in (_CONTACTS, _NEVER, _SEGMENT)):
        raise ValueError(f"{text!r} is no condition; write for example {_FORMS}")


def assign_personas(
    rules: Sequence[PersonaRule],
    events: pl.DataFrame,
    places: pl.DataFrame,
    told: pl.DataFrame,
    planned: Iterable[str],
) -> pl.Series:
    """Give each customer the first persona that fits, else `NO_PERSONA`.

    ``events`` and ``told`` (their segments, one row each) are in the order of ``customer``;
    ``planned`` are names of the map, which need not have occurred.
    """
    if PERSONA in told.columns:
        raise InputError(
            "customers have a segment 'persona' already; rename that column of the log or of the "
            "customers table, or leave `personas` out of the map"
        )
    columns = ("touchpoint", "channel", "stage", "owner")
    known = {*planned, *(name for c in columns for name in places[c].drop_nulls())}
    texts = list(dict.fromkeys(text for rule in rules for text in rule.when))

    def contacts(name: str) -> pl.Expr:
        if name not in known:
            raise UnknownNameError("touchpoint, channel, stage or owner", name, sorted(known))
        column = next((c for c in columns if (places[c] == name).any()), "touchpoint")
        return pl.col("place").is_in(places.filter(pl.col(column) == name)["place"].implode())

    def counted(text: str) -> pl.Expr | None:
        if said := _CONTACTS.fullmatch(text):
            share = said["unit"] == "%"
            value = contacts(said["name"]).mean() * 100 if share else contacts(said["name"]).sum()
            return value >= int(said["n"]) if said["end"] == "least" else value <= int(said["n"])
        said = _NEVER.fullmatch(text)
        return None if said is None else ~contacts(said["name"]).any()

    def of_segment(text: str) -> pl.Expr:
        said = _SEGMENT.fullmatch(text)
        assert said is not None
        if (column := DIMENSION + said["name"]) not in told.columns:
            names = [c.removeprefix(DIMENSION) for c in told.columns if c.startswith(DIMENSION)]
            raise UnknownNameError("segment", said["name"], names)
        values = told[column].unique().sort().to_list()
        if said["value"] not in values:
            raise UnknownNameError(f"value of segment {said['name']!r}", said["value"], values)
        if said["other"]:
            return ~pl.col(column).is_in([said["value"], UNKNOWN])
        return pl.col(column) == said["value"]

    of_contacts = {text: test for text in texts if (test := counted(text)) is not None}
    held = events.group_by("customer", maintain_order=True).agg(
        test.alias(text) for text, test in of_contacts.items()
    )
    held = held.drop("customer").with_columns(
        told.select(of_segment(text).alias(text) for text in texts if text not in of_contacts)
    )
    fits = (
        pl.when(pl.all_horizontal(pl.col(text) for text in rule.when)).then(pl.lit(rule.name))
        for rule in rules
    )
    return held.select(pl.coalesce(*fits, pl.lit(NO_PERSONA)).alias(PERSONA)).to_series()
