"""The rule for small groups: what a figure must go through before it may be published.

What is done to a column follows from its kind; everything rests on rounded counts. Why these rules,
and what they promise: ``docs/decisions/0001-small-groups.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cxlib import columns as kinds
from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER
from cxlib.errors import InputError
from cxlib.publish.answers import NUMBER

FINEST_SHARE = 0.005


def smallest_shown(k: int) -> int:
    """Return the smallest number that is shown: the first that is rounded to 2k.

    Were it k, a blank would say "below k", and beside the figure of everybody often "but not 0".

    >>> smallest_shown(10), smallest_shown(3)
    (15, 5)
    """
    return 2 * k - k // 2


def rounding_base(heaviest: pl.Expr, *, k: int) -> pl.Expr:
    """Return the smallest ``k * 2**j`` above what the k-1 heaviest customers add.

    The steps of two keep the base itself from telling their sum.

    >>> heaviest = pl.lit(pl.Series([9, 10, 39, 40]))
    >>> pl.select(rounding_base(heaviest, k=10)).to_series().to_list()
    [10, 20, 40, 80]
    """
    doublings = ((heaviest + 1) / k).clip(1).log(2).ceil()
    return (k * pl.lit(2.0).pow(doublings)).cast(pl.Int64)


def rounded(count: pl.Expr, base: pl.Expr | int) -> pl.Expr:
    """Round a number to the nearest multiple of `base`."""
    return ((count + base // 2) // base) * base


def protect_count(count: pl.Expr, base: pl.Expr | int, *, k: int) -> pl.Expr:
    """Round a number to a multiple of `base` (k of customers); null where less than 2k is left.

    >>> given = pl.lit(pl.Series([0, 14, 15, 24, 61]))
    >>> pl.select(protect_count(given, 10, k=10)).to_series().to_list()
    [None, None, 20, 20, 60]
    """
    near = rounded(count, base)
    return pl.when(near >= 2 * k).then(near)


def protect_number(exact: int, base: int, *, k: int) -> int:
    """Protect a plain number as `protect_count` does; 0 where it may not be shown."""
    near = (exact + base // 2) // base * base
    return near if near >= 2 * k else 0


def steps_of_shares(cases: pl.Expr, *, k: int) -> pl.Expr:
    """Steps in which shares of so many customers go: of k of them, rounded, but no finer."""
    return (k / protect_count(cases, k, k=k)).clip(FINEST_SHARE)


def in_steps(name: str, ends: Sequence[str], step: pl.Expr) -> dict[str, pl.Expr]:
    """Round a figure to steps, and widen the ends of its interval to whole ones.

    >>> given = pl.DataFrame({"effect": [0.23], "low": [0.11], "high": [0.31]})
    >>> given.with_columns(**in_steps("effect", ("low", "high"), pl.lit(0.05))).row(0)
    (0.25, 0.1, 0.35)
    """
    found = {name: (pl.col(name) / step).round() * step}
    for end, down in zip(ends, (True, False), strict=False):
        found[end] = outwards(pl.col(end), step, down=down)
    return {c: e.round(4) for c, e in found.items()}


def outwards(end: pl.Expr, step: pl.Expr, *, down: bool) -> pl.Expr:
    """Move an end of an interval to a whole step, away from the estimate."""
    steps = end / step
    # A hair off, so that an end that lies on a step by rounding of floats stays on it.
    return ((steps + 1e-9).floor() if down else (steps - 1e-9).ceil()) * step


EXACT = "_exact_"
"""Before the name of a count that is rounded already: its exact value."""

LEAST_STEPS = 3
"""Bases that the rounded cases of a share, mean, median or amount make up at least (dominance): the
k-1 heaviest customers are then less than two fifths of it."""

_FINEST_MEAN = 0.1
_ADDS_AT_MOST: Mapping[str | None, int] = {None: 1, "customers": 1, "arrivals": MAX_PER_CUSTOMER}
"""How often one customer counts where that is bounded; else the heaviest of the log are asked."""


def is_name(column: kinds.Column) -> bool:
    """Whether it names its row, and is no figure."""
    match column:
        case kinds.Text():
            return column.fixed
        case kinds.Level():
            return True
        case kinds.Label() | kinds.Day():
            return column.of is None
    return False


def who_is_behind(columns: Mapping[str, kinds.Column]) -> str | None:
    """Name the column with the customers behind a row, else the first count, if there is any.

    Customers of part of a row (which add up over periods) are not all who are behind it.
    """
    people = [n for n, c in columns.items() if isinstance(c, kinds.Customers) and not c.adds_up]
    counts = [n for n, c in columns.items() if isinstance(c, kinds.Count)]
    return (*people, *counts, None)[0]


def cases_of(column: kinds.Column, columns: Mapping[str, kinds.Column]) -> str:
    """Name the count that a figure rests on: for a share of a count the whole, if that is told."""
    if isinstance(column, kinds.Share) and column.total is not None and column.total in columns:
        return column.total
    return column.of or who_is_behind(columns) or ""


def base_of(column: kinds.Column, *, k: int) -> pl.Expr:
    """What a count is a multiple of, in a frame of `with_influence`."""
    if column.each in _ADDS_AT_MOST:
        return pl.lit(k * _ADDS_AT_MOST[column.each])
    return rounding_base(pl.col(f"_k_{column.each}").fill_null(0), k=k)


def with_influence(rows: pl.DataFrame, added: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """Join what the heaviest customers add to rows, in columns with ``_k_`` before the name."""
    named = added.rename({c: f"_k_{c}" for c in added.columns if c not in on})
    how = {"on": list(on), "how": "left"} if on else {"how": "cross"}
    return rows.join(named, maintain_order="left", **how)


def protect(
    table: pl.DataFrame,
    columns: kinds.Columns,
    *,
    k: int,
    influence: pl.DataFrame | None = None,
    on: tuple[str, ...] = (),
    spread: float | pl.Expr = 1.0,
) -> pl.DataFrame:
    """Protect every column of a table of exact figures, in the same columns, order and dtypes.

    With a column `NUMBER` it holds several selections, the one of everybody and the whole time
    first, and `on` names a row in all of them. Counts that are rounded already have the exact ones
    beside them, in columns with `EXACT` before the name. `influence` is what the k-1 heaviest
    customers add (a row for each key `on`, or a single row), `spread` the width of the rating
    scale. A column that is not declared is an InputError: nothing is published by accident.
    """
    known = {*columns.names, NUMBER}
    if unruled := [c for c in table.columns if c not in known and not c.startswith(EXACT)]:
        raise InputError(
            f"nothing says how {', '.join(unruled)} may be published: declare it in `tables`."
        )
    frame = table if influence is None else with_influence(table, influence, on)
    asked = _Asked(frame.schema, columns, on if NUMBER in frame.columns else None, k, spread)
    frame = frame.with_columns(**asked.bases()).with_columns(**asked.counts())
    unit, people = asked.base(asked.people), asked.count(asked.people)
    frame = frame.with_columns(_shown=people >= pl.max_horizontal(unit, 2 * k))
    made: dict[str, pl.Expr] = {}
    for name, column in columns.items():
        if name in table.columns:
            made |= asked.figures(name, column)
    result = frame.with_columns(**{c: pl.when("_shown").then(e) for c, e in made.items()})
    ranks = {n: asked.rank(n, c, on) for n, c in columns.items() if isinstance(c, kinds.Rank)}
    kept = [pl.col(c).cast(d) for c, d in table.schema.items() if not c.startswith(EXACT)]
    return result.with_columns(**ranks).select(kept)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A table to protect; `same` names a row in all selections, None where it holds one."""

    schema: pl.Schema
    columns: kinds.Columns
    same: tuple[str, ...] | None
    k: int
    spread: float | pl.Expr

    @property
    def people(self) -> str:
        return who_is_behind(self.columns) or ""

    def figures(self, name: str, column: kinds.Column) -> dict[str, pl.Expr]:
        """Return the protected expressions of a column and of the ends of its interval."""
        ends = [c for c in self.columns.ends(name) if c in self.schema]
        match column:
            case _ if is_name(column) or isinstance(column, kinds.Rank):
                return {}
            case kinds.Text() | kinds.Instant() | kinds.Value() | kinds.Money():
                return {c: pl.lit(None) for c in (name, *ends)}
            case kinds.Wait(each="dwell_seconds"):  # a mean: one customer may have most of the time
                return {c: pl.lit(None) for c in (name, *ends)}
            case kinds.Count():
                return {name: protect_count(self.count(name), self.base(name), k=self.k)}
            case kinds.Share():
                return self._share(name, ends, column)
        return self._estimate(name, ends, column)

    def _estimate(self, name: str, ends: list[str], column: kinds.Column) -> dict[str, pl.Expr]:
        of = cases_of(column, self.columns)
        values = {c: self._value(c, of) for c in (name, *ends)}
        step = None
        match column:
            case kinds.Wait():
                values = {c: _two_digits(e, self.schema[c]) for c, e in values.items()}
            case kinds.Rating():
                width = column.width or self.spread
                step = (width * self.base(of) / (2 * self.count(of))).clip(_FINEST_MEAN)
            case kinds.Points():
                step = (self.base(of) / self.count(of)).clip(FINEST_SHARE)
            case kinds.Amount() if column.each is not None:
                step = self.base(name)
            case kinds.Amount() | kinds.Chance():
                digits = 1 if isinstance(column, kinds.Chance) else 2
                values = {c: e.cast(pl.Float64).round_sig_figs(digits) for c, e in values.items()}
            case kinds.Flag() | kinds.Label() | kinds.Day():  # judged from the cases
                pass
            case _:
                raise InputError(f"nothing says how a {column.kind} is protected: {name}.")
        if step is not None:
            values[name] = (values[name] / step).round() * step
            for end in ends:
                down = end == self.columns.ends(name)[0]
                values[end] = outwards(values[end], step, down=down)
            values = {c: e.round(4) + 0.0 for c, e in values.items()}
        return {c: pl.when(self._enough(of)).then(e) for c, e in values.items()}

    def bases(self) -> dict[str, pl.Expr]:
        """What counts are multiples of; everything else rests on them, so they are found once."""
        return {
            f"_base_{n}": base_of(c, k=self.k)
            for n, c in self.columns.items()
            if isinstance(c, kinds.Count) or (isinstance(c, kinds.Amount) and c.each)
        }

    def counts(self) -> dict[str, pl.Expr]:
        """Every count, rounded."""
        return {
            f"_n_{n}": rounded(pl.col(n).fill_null(0).cast(pl.Int64), self.base(n))
            for n, c in self.columns.items()
            if isinstance(c, kinds.Count) and n in self.schema
        }

    def base(self, column: str) -> pl.Expr:
        return pl.col(f"_base_{column}")

    def count(self, column: str) -> pl.Expr:
        return pl.col(f"_n_{column}")

    def _enough(self, of: str) -> pl.Expr:
        return self.count(of) >= LEAST_STEPS * self.base(of)

    def _value(self, column: str, of: str) -> pl.Expr:
        """Return a figure; that of everybody where rounding made few cases look like enough."""
        exact = f"{EXACT}{of}"
        if self.same is None or exact not in self.schema:
            return pl.col(column)
        whole = pl.col(column).first()
        of_everybody = whole.over(self.same) if self.same else whole
        few = pl.col(exact) < (LEAST_STEPS - 1) * self.base(of)
        return pl.when(~few).then(column).otherwise(of_everybody)

    def _share(self, name: str, ends: list[str], column: kinds.Share) -> dict[str, pl.Expr]:
        """Between the rounded cases known, and these with all that are open, of the rounded whole.

        In steps of one base: so 0 % means "less than half a base, or none".
        """
        of, cases, still_open = cases_of(column, self.columns), column.cases, column.open
        if column.total is not None:
            known = of == column.total
            cases, still_open = ((column.of or "",), still_open) if known else ((), None)
        whole, enough = self.count(of), self._enough(of)
        step = (self.base((*cases, of)[0]) / whole).clip(FINEST_SHARE)
        opened = self.count(still_open) if still_open else pl.lit(0)
        low, high, value = pl.lit(0.0), pl.lit(1.0), self._value(name, of)
        if cases:
            met = pl.sum_horizontal(self.count(c) for c in cases)
            low, high = (met / whole).clip(0, 1), ((met + opened) / whole).clip(0, 1)
            # a figure that no row has is not known of this log: no gap, no losses, no goal
            value = pl.when(pl.col(name).is_not_null().any()).then(value.fill_null(low))
        if column.settled:
            enough &= (self.count(column.settled) > 0) | (opened == 0)
        value = ((value / step).round() * step).clip(low, high)
        found = {name: value}
        for end in ends:
            down = end == self.columns.ends(name)[0]
            given = self._value(end, of).fill_null(0 if down else 1)
            bound = pl.min_horizontal if down else pl.max_horizontal
            widened = bound(outwards(given, step, down=down).clip(0, 1), value)
            found[end] = pl.when(value.is_not_null()).then(widened)
        return {c: pl.when(enough).then(e.round(4)) for c, e in found.items()}

    def rank(self, name: str, column: kinds.Rank, on: tuple[str, ...]) -> pl.Expr:
        """Order the rows that are shown anew: by what is published of them, where it says of what.

        Of the rows of each selection those that were ranked in any.
        """
        if column.of is None:
            place = pl.when("_shown").then(name).rank("ordinal")
        else:
            ranked = pl.col(name).is_not_null().any()
            ranked = ranked.over(on) if on else ranked
            sure = self.count(self.people) * pl.col(f"{column.of}_low")
            order = pl.when(ranked & pl.col("_shown") & (sure > 0)).then(sure)
            place = order.rank("ordinal", descending=True)
        return place.over(NUMBER) if NUMBER in self.schema else place


def _two_digits(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Duration):
        return value.to_physical().cast(pl.Float64).round_sig_figs(2).round().cast(pl.Int64)
    return value.cast(pl.Float64).round_sig_figs(2)
