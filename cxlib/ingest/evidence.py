"""What an unknown log holds: its columns, and what names mean, by the words of ``words.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
import yaml

from cxlib.ingest.instants import guess_time_format, read_instants

VALUES = 20_000  # most different values of a column that are looked at one by one
SETTLED = 0.9  # share of rows with the label of most at their place, from which on it is settled
MANY = 250_000  # rows of some customers, all of each, that tell what varies within customers
COLUMNS = 300  # most columns that are looked at, those whose names say something before others
_SURELY_TIMES = (
    r"^(?:19[7-9]\d|20[0-4]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$",
    r"^1\d{9}(?:\d{3}|\d{6})?$",
)
"""Numbers that are a time where all of a column are such: dates, and epochs from 2001 to 2033."""

_COMPOUND = re.compile(r"(\w{3,}?)n?(nummer|nr|karte|konto|kennung|datum|zeit|typ)$")

_FLAGS = {"0", "1", "true", "false", "yes", "no", "y", "n", "t", "f", "ja", "nein", "nee", "0.0",
          "1.0"}  # fmt: skip
_NAMES = ("id", "person", "errand", "contact", "time", "channel", "owner", "stage", "special")


class Guess(NamedTuple):
    """What was guessed, and why: a reader of the proposed map can judge it."""

    value: str
    why: str


@cache
def _vocabulary() -> dict[str, Any]:
    return dict(yaml.safe_load(Path(__file__).with_name("words.yaml").read_bytes()))


@cache
def words(key: str) -> frozenset[str]:
    """Return the words of an entry of the vocabulary, to look others up in."""
    return frozenset(_vocabulary()[key].split())


@cache
def phrases(key: str) -> tuple[str, ...]:
    """Return the phrases of an entry of the vocabulary, in their order."""
    return tuple(_vocabulary()[key])


@cache
def groups(key: str) -> Mapping[Any, tuple[str, ...]]:
    """Return the entries under an entry of the vocabulary, each as words or phrases in order."""
    found = _vocabulary()[key].items()
    return {name: tuple(v.split() if isinstance(v, str) else v) for name, v in found}


def words_of(name: str, *, hyphens: bool = False) -> list[str]:
    """Return the words of a name in lower case; with `hyphens`, what they join is one word."""
    spaced = re.sub(r"(?<=[a-zß-ÿ])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    word = r"[^\W_\d]+"
    return re.findall(f"{word}(?:-{word})*" if hyphens else word, spaced.lower())


def guess_by_words(name: str, key: str) -> str | None:
    """Return the first group of the vocabulary of which a word stands in a name."""
    parts, known = words_of(name, hyphens=True), groups(key)
    for said in (set(parts) - words("generic"), set(parts)):
        for group, spoken in known.items():
            if said & set(spoken):
                return str(group)
    # German and Dutch join words: look for longer ones inside.
    joined = "".join(parts)
    inside = (g for g, spoken in known.items() if any(len(w) > 5 and w in joined for w in spoken))
    return next(inside, None)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a log; `counts`: its values, of many those of rows spread over the log.

    `each`: rows for a value; `share`: of the rows that are `filled`; `words`: those of its name;
    `of_case`: it is the same in all rows of a case; `is_new`: another column says what it was
    before.
    """

    name: str
    words: tuple[str, ...]
    rows: int
    filled: int
    distinct: int
    each: float
    share: float
    counts: pl.DataFrame
    sample: pl.Series
    of_case: bool = False
    is_new: bool = False

    @cached_property
    def kind(self) -> Literal["empty", "flag", "time", "number", "text"]:
        """What the values are; a number is a time only where the name says so."""
        if not self.filled:
            return "empty"
        if self.distinct <= 3 and {v.lower() for v in self.sample} <= _FLAGS:
            return "flag"
        digits = self.sample.str.contains(r"^[-+]?\d+(?:[.,]\d+)?$").mean()
        few_digits = not digits or digits < 0.1  # type: ignore[operator]
        if self.sample.str.contains(r"\d").any() and (few_digits or self.says("time_words")):
            # a few from all of them tell what is none, at little cost
            few = self.sample.gather_every(len(self.sample) // 400 + 1)
            if _are_times(few, unread=0.5) and _are_times(self.sample, unread=0.1):
                return "time"
        is_named = any(map(self.says, ("id", "person", "errand", "item")))
        surely = (self.sample.str.contains(pattern).all() for pattern in _SURELY_TIMES)
        if digits and not is_named and any(surely):
            return "time"
        is_number = r"^[-+]?[\d.,']*\d[\d.,]*(?:[eE][-+]?\d+)?$"
        return "number" if self._weigh(is_number) >= 0.9 else "text"

    def _weigh(self, pattern: str) -> float:
        fitting = self.counts.filter(pl.col("value").str.contains(pattern))
        return int(fitting["count"].sum()) / max(int(self.counts["count"].sum()), 1)

    @cached_property
    def numbers(self) -> pl.Series:
        """The distinct values as numbers, those that are none left out."""
        as_text = self.sample.str.replace(",", ".", literal=True)
        return as_text.cast(pl.Float64, strict=False).drop_nulls()

    @cached_property
    def speaks(self) -> float:
        """Share of the rows, among those filled, in which the value has a letter in it."""
        return self._weigh(r"\pL")

    @property
    def is_nameless(self) -> bool:
        """Whether the file has no header, so that the name says nothing."""
        return re.fullmatch(r"column \d+", self.name) is not None

    def says(self, key: str) -> bool:
        """Whether a word of an entry of the vocabulary stands in its name."""
        return not words(key).isdisjoint(self.words)

    def is_label(self, *, most: int, share: float) -> bool:
        """Whether the values are a few that speak, in a share of the rows at least."""
        few = self.kind == "text" and 2 <= self.distinct <= most
        return few and self.share >= share and self.speaks >= 0.5

    def said(self) -> str:
        """Return the evidence in words."""
        return f"{self.distinct:,} values in {self.filled:,} rows"


def _are_times(texts: pl.Series, *, unread: float) -> bool:
    """Whether all but a share of some texts are times, or could be if it were known how."""
    left = texts.filter(read_instants(texts, where="", refuse=False).unread)
    return len(left) <= unread * len(texts) or guess_time_format(left) is not None


def profile(rows: pl.DataFrame, columns: Iterable[str] | None = None) -> dict[str, Column]:
    """Return the evidence about each column of raw rows, all of them text; of many, `COLUMNS`."""
    names = list(columns or rows.columns)
    if len(names) > COLUMNS:
        spoken = frozenset(w for key in _NAMES for w in re.findall(r"\w+", str(_vocabulary()[key])))
        known = sorted(names, key=lambda name: spoken.isdisjoint(words_of(name)))[:COLUMNS]
        names = [name for name in names if name in set(known)]
    found = {}
    for name in names:
        values = rows[name].drop_nulls().alias("value")
        some = values.gather_every(-(-len(values) // VALUES) or 1)
        # counted at once where a look over all of them finds few
        counted = values.value_counts() if 2 * some.n_unique() <= VALUES else None
        distinct = values.n_unique() if counted is None else len(counted)
        if counted is None or distinct > VALUES:
            counted = (some if distinct > VALUES else values).value_counts()
        counted = counted.sort(["count", "value"], descending=[True, False])
        each, share = len(values) / max(distinct, 1), len(values) / max(rows.height, 1)
        size = (rows.height, len(values), distinct, each, share)
        parts = [p for w in words_of(name) for p in _COMPOUND.sub(r"\1 \2", w).split()]
        found[name] = Column(name, tuple(parts), *size, counted, counted["value"])
    now = [[w for w in c.words if w not in words("before")] for c in found.values()]
    old = {tuple(n) for n, c in zip(now, found.values(), strict=True) if len(n) < len(c.words)}
    is_new = {name for name, c in found.items() if c.words in old and not c.says("before")}
    return {name: replace(c, is_new=name in is_new) for name, c in found.items()}


def rank_labels(counted: pl.DataFrame, by: str, label: str) -> pl.DataFrame:
    """The labels by what they stand at, the most frequent first, from counts ``len``: lists of the
    labels and counts, ``all`` of these, and how many are ``others`` than the first.
    """
    summed = counted.drop_nulls([by, label]).group_by(by, label).agg(pl.col("len").sum())
    largest = summed.sort("len", label, descending=[True, False])
    ranked = largest.group_by(by, maintain_order=True).agg(label, "len")
    every = pl.col("len").list.sum()
    return ranked.with_columns(all=every, others=every - pl.col("len").list.first())


def share_of_main(ranked: pl.DataFrame) -> float:
    """Share of all rows that have the most frequent label of what they stand at (`rank_labels`)."""
    rows, others = (int(ranked[name].sum()) for name in ("all", "others"))
    return (rows - others) / rows if rows else 1.0


def varying(
    rows: pl.DataFrame, customer: str, columns: Iterable[str], *, unseen: float = 1.0
) -> dict[str, float]:
    """Return by column the share of customers for whom it has several values."""
    names = [c for c in columns if c != customer]
    if not names:
        return {}
    # numbers for the values: whether the least and the most differ is quickly found
    code = pl.when(pl.col(customer, *names).is_not_null()).then(pl.col(customer, *names).hash())
    known = rows.lazy().drop_nulls(customer)
    # of many rows those of a part of the customers, each whole
    part = pl.col(customer).hash(1) % (rows.height // MANY + 1) == 0
    coded = (known.filter(part) if rows.height >= 2 * MANY else known).select(code)
    several = [(pl.col(c).min() != pl.col(c).max()).alias(f"\x01{i}") for i, c in enumerate(names)]
    counts = [pl.col(c).count().alias(f"\x00{i}") for i, c in enumerate(names)]
    by_customer = coded.group_by(customer).agg(*counts, *several)
    shares = (
        pl.col(f"\x01{i}").filter(pl.col(f"\x00{i}") > 1).mean().fill_null(unseen).alias(c)
        for i, c in enumerate(names)
    )
    return by_customer.select(shares).collect(engine="streaming").row(0, named=True)
