"""What the columns of an unknown log hold: evidence that guesses rest on, from all of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl

from cxlib.ingest.instants import guess_time_format, read_instants

__all__ = ["Column", "phrases", "profile", "varying", "vocabulary", "words_of"]


def vocabulary(words: str) -> frozenset[str]:
    """Return the words of a text, to look others up in."""
    return frozenset(words.split())


def phrases(listed: str) -> tuple[str, ...]:
    """Return phrases that bars part, in their order."""
    return tuple(listed.split("|"))


VALUES = 20_000
"""Most different values of a column that are looked at one by one."""

_FLAGS = {
    "0",
    "1",
    "true",
    "false",
    "yes",
    "no",
    "y",
    "n",
    "t",
    "f",
    "ja",
    "nein",
    "nee",
    "0.0",
    "1.0",
}
_TIME_WORDS = vocabulary(
    "time timestamp date datetime at ts zeit zeitpunkt datum tijd tijdstip when created "
    "start started tstamp epoch on day occurred"
)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a log: how full it is, and its distinct values with their counts.

    Parameters
    ----------
    name
        As the file calls it.
    rows, filled
        Rows of the log, and those in which the column holds something.
    distinct
        Number of different values.
    counts
        ``value`` String and ``count``, the commonest first: all values, or where there are many
        those of rows spread over the whole log.
    """

    name: str
    rows: int
    filled: int
    distinct: int
    counts: pl.DataFrame

    @property
    def each(self) -> float:
        """Rows for each value."""
        return self.filled / max(self.distinct, 1)

    @property
    def share(self) -> float:
        """Share of the rows in which the column holds something."""
        return self.filled / max(self.rows, 1)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of its name, in lower case."""
        return tuple(words_of(self.name))

    @property
    def sample(self) -> pl.Series:
        """Different values, at most some thousands, spread over the log."""
        return self.counts["value"]

    @cached_property
    def kind(self) -> Literal["empty", "flag", "time", "number", "text"]:
        """What the values are; a number is a time only where the name says so."""
        if not self.filled:
            return "empty"
        if self.distinct <= 3 and {v.lower() for v in self.sample} <= _FLAGS:
            return "flag"
        digits = self.sample.str.contains(r"^[-+]?\d+(?:[.,]\d+)?$").mean()
        named = bool(set(self.words) & _TIME_WORDS)
        if (not digits or named) and self._is_time():
            return "time"
        is_number = pl.col("value").str.contains(r"^[-+]?[\d.,']*\d[\d.,]*(?:[eE][-+]?\d+)?$")
        numeric = int(self.counts.filter(is_number)["count"].sum())
        return "number" if numeric >= 0.9 * int(self.counts["count"].sum()) else "text"

    def _is_time(self) -> bool:
        if not self.sample.str.contains(r"\d").mean():
            return False
        read = read_instants(self.sample, where="", refuse=False)
        unread = self.sample.filter(read.unread)
        if len(unread) <= 0.1 * len(self.sample):
            return True
        guessed = guess_time_format(unread.to_list())
        return guessed is not None

    @cached_property
    def numbers(self) -> pl.Series:
        """The distinct values as numbers, those that are none left out."""
        as_text = self.counts["value"].str.replace(",", ".", literal=True)
        return as_text.cast(pl.Float64, strict=False).drop_nulls()

    @cached_property
    def speaks(self) -> float:
        """Share of the rows, among those filled, in which the value has a letter in it."""
        spoken = self.counts.filter(pl.col("value").str.contains(r"\pL"))
        return int(spoken["count"].sum()) / max(int(self.counts["count"].sum()), 1)

    def said(self) -> str:
        """Return the evidence in words."""
        return f"{self.distinct:,} values in {self.filled:,} rows"


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case.

    Examples
    --------
    >>> words_of("Kunden-Nr"), words_of("clientId"), words_of("case:concept:name")
    (['kunden', 'nr'], ['client', 'id'], ['case', 'concept', 'name'])
    """
    spaced = re.sub(r"(?<=[a-zß-ÿ])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W_\d]+", spaced.lower())


def profile(rows: pl.DataFrame, columns: Iterable[str] | None = None) -> dict[str, Column]:
    """Return the evidence about each column of raw rows, all of them text."""
    found = {}
    for name in columns or rows.columns:
        values = rows[name].drop_nulls().alias("value")
        distinct = values.n_unique()
        some = values if distinct <= VALUES else values.gather_every(-(-len(values) // VALUES))
        counted = some.value_counts().sort(["count", "value"], descending=[True, False])
        found[name] = Column(name, rows.height, len(values), distinct, counted)
    return found


def varying(
    rows: pl.DataFrame, customer: str, columns: Iterable[str], *, unseen: float = 1.0
) -> dict[str, float]:
    """Return by column the share of customers for whom it has several values.

    Of the customers with two rows or more in which the column holds something; without any,
    `unseen`.
    """
    names = [c for c in columns if c != customer]
    if not names:
        return {}
    found = (
        rows.lazy()
        .filter(pl.col(customer).is_not_null())
        .group_by(customer)
        .agg(
            *(pl.col(c).count().alias(f"\x00{i}") for i, c in enumerate(names)),
            *(pl.col(c).drop_nulls().n_unique().alias(f"\x01{i}") for i, c in enumerate(names)),
        )
        .select(
            (pl.col(f"\x01{i}") > 1)
            .filter(pl.col(f"\x00{i}") > 1)
            .mean()
            .fill_null(unseen)
            .alias(c)
            for i, c in enumerate(names)
        )
        .collect(engine="streaming")
    )
    return found.row(0, named=True)
