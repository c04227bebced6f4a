"""The rule for small groups: what a figure must go through before it may be published.

See ``docs/decisions/0001-small-groups.md`` for why these rules and what they promise. Everything
rests on rounded counts, never on exact ones: whether a figure is shown, and between which bounds a
share lies. So a log rebuilt from the published counts would be published with the same blanks.

- A number of customers is a multiple of k and shown from 2k on. Where a table holds several
  selections its counts come rounded already, together (`cxlib.publish.coherent`).
- A row that is not shown has no figures at all, as if nobody stood behind it.
- A number one customer can add to more than once (contacts, journeys, ratings, cost) is a multiple
  of a base above what the k-1 heaviest customers together add to it (`cxlib.publish.influence`).
- **Dominance.** A share, mean, median or amount is shown where the rounded number of its cases is
  at least three bases: the k-1 heaviest customers are then less than two fifths of it (an (n, k)
  rule with n = k-1). Where rounding alone made a part of the log look that large, it is given the
  figure of everybody and the whole time.
- A share lies between the rounded cases that are known and these with all that are still open,
  divided by the rounded whole, in steps of one base. So 0 % means "less than half a base, or none".
- A mean of ratings moves in steps in which k-1 people answering the other way are lost; times and
  costs keep two digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

import polars as pl

from cxlib.errors import InputError
from cxlib.publish.answers import NUMBER
from cxlib.publish.rounding import rounding_base

__all__ = [
    "EXACT",
    "LEAST_STEPS",
    "Kind",
    "Rule",
    "protect",
    "protect_count",
    "protect_customers",
    "protect_effect",
    "protect_number",
]

EXACT = "_exact_"
"""Before the name of a count that is rounded already: its exact value."""

LEAST_STEPS = 3
"""Bases that the rounded cases of a share, mean, median or amount make up at least."""

_FINEST_SHARE = 0.005
_FINEST_MEAN = 0.1


class Kind(Enum):
    """What a column is, as far as small groups go."""

    LABEL = auto()
    """A name or number of a touchpoint, channel, stage or period: no figure."""
    CUSTOMERS = auto()
    """Distinct customers."""
    COUNT = auto()
    """Something one customer can add to more than once; `heaviest` says how much."""
    SHARE = auto()
    """A probability, with ``_low`` and ``_high``: `cases` of `of`, where `open` are not known yet;
    of the customers behind the row, each once, where `of` is None."""
    MEAN = auto()
    """A mean on the rating scale; `of` is the column with the number of answers."""
    TIME = auto()
    """A median time; `of` is the column with the number of cases."""
    SUM = auto()
    """An amount; `heaviest` says what the k-1 heaviest customers add."""
    RATIO = auto()
    """An amount per case of `of`; `heaviest` as for an amount."""
    RANK = auto()
    """An order by what is published: customers of the row times the lower end of `of`."""
    ORDER = auto()
    """A place in an order: that among the rows which are shown."""
    STEPS = auto()
    """A difference of shares of `of` cases."""
    TOTAL = auto()
    """An estimated number of things of which `heaviest` says how many one customer may have."""
    FIGURE = auto()
    """Any other figure, such as a mean; `of` is the column with the number of cases."""
    CHANCE = auto()
    """A p or q value of `of` cases."""
    JUDGED = auto()
    """A word or a yes that is judged from `of` cases."""
    HIDDEN = auto()
    """What is never published: an instant, a text with figures."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one column is protected.

    Parameters
    ----------
    kind
        What the column is.
    heaviest
        For counts and amounts: the column of the influence frame with what k-1 customers add.
    each
        For counts without such a column: how often one customer counts at most.
    of
        The count that this column is about: its number of cases.
    cases
        For shares: the counts that together are its numerator.
    open
        For shares: the count of cases that may yet come to be among `cases`.
    settled
        For shares: the count without which it is not known while cases are open.
    adds_up
        For customers: whether each is counted in one period only, so that periods add up.
    width
        For means: of their scale, where it is not that of the log.
    ends
        Names of the ends of its interval, where they are not the column's with ``_low``, ``_high``.
    """

    kind: Kind
    heaviest: str | None = None
    each: int = 1
    of: str | None = None
    cases: tuple[str, ...] = ()
    open: str | None = None
    settled: str | None = None
    adds_up: bool = False
    width: float | None = None
    ends: tuple[str, ...] | None = None


def protect_customers(count: pl.Expr, *, k: int) -> pl.Expr:
    """Round a number of distinct customers to a multiple of k; null below 2k.

    Examples
    --------
    >>> given = pl.lit(pl.Series([0, 9, 14, 15, 24, 25]))
    >>> pl.select(protect_customers(given, k=10)).to_series().to_list()
    [None, None, None, 20, 20, 30]
    """
    return protect_count(count, pl.lit(k), k=k)


def protect_count(count: pl.Expr, base: pl.Expr, *, k: int) -> pl.Expr:
    """Round a number to a multiple of `base`; null where little or nothing is left of it.

    Examples
    --------
    >>> given = pl.lit(pl.Series([0, 14, 19, 20, 61]))
    >>> pl.select(protect_count(given, pl.lit(40), k=10)).to_series().to_list()
    [None, None, None, 40, 80]
    """
    rounded = _rounded(count, base)
    return pl.when(rounded >= 2 * k).then(rounded)


def _rounded(count: pl.Expr, base: pl.Expr) -> pl.Expr:
    return ((count + base // 2) // base) * base


def protect_effect(name: str, step: pl.Expr) -> dict[str, pl.Expr]:
    """Round an effect to steps, and widen its interval (``_low``, ``_high``) to whole ones.

    Examples
    --------
    >>> given = pl.DataFrame({"effect": [0.23], "effect_low": [0.11], "effect_high": [0.31]})
    >>> given.with_columns(**protect_effect("effect", pl.lit(0.05))).row(0)
    (0.25, 0.1, 0.35)
    """
    found = {name: (pl.col(name) / step).round() * step}
    for end in (f"{name}_low", f"{name}_high"):
        found[end] = _outwards(pl.col(end), step, down=end.endswith("low"))
    return {c: e.round(4) for c, e in found.items()}


def protect_number(exact: int, base: int, *, k: int) -> int:
    """Protect a plain number as `protect_count` does; 0 where it may not be shown."""
    found = pl.select(protect_count(pl.lit(exact), pl.lit(base), k=k)).item()
    return int(found or 0)


def protect(
    table: pl.DataFrame,
    rules: Mapping[str, Rule],
    *,
    customers: str | None,
    k: int,
    influence: pl.DataFrame | None = None,
    on: tuple[str, ...] = (),
    spread: float | pl.Expr = 1.0,
) -> pl.DataFrame:
    """Protect every column of a table of figures, in the same columns, order and dtypes.

    Parameters
    ----------
    table
        One row per touchpoint, channel …; exact figures. With a column `NUMBER` it holds several
        selections, the one of everybody and the whole time first, and `on` names a row in all of
        them. Its counts are rounded already then; the exact ones are in columns of the same names
        with `EXACT` before them, and are left out of the result.
    rules
        A rule for every column; ends of an interval (``_low``, ``_high``) go with their estimate.
    customers
        The column with the distinct customers behind a row. Where there is none, the first count
        must be more than k-1 customers can make it.
    k
        Smallest group that may be shown.
    influence
        What the k-1 heaviest customers add: a row per key `on`, or a single row.
    on
        Key columns of `influence`.
    spread
        Width of the rating scale, or of each row's.

    Raises
    ------
    InputError
        A column without a rule: nothing is published by accident.
    """
    _check_complete(table, rules)
    frame = table
    if influence is not None:
        added = influence.rename({c: f"_k_{c}" for c in influence.columns if c not in on})
        frame = (
            frame.join(added, on=list(on), how="left", maintain_order="left")
            if on
            else (frame.join(added, how="cross", maintain_order="left"))
        )
    asked = _Asked(frame.schema, rules, on if NUMBER in frame.columns else None, k, spread)
    first = customers or next(c for c, r in rules.items() if r.kind is Kind.COUNT)
    frame = frame.with_columns(**asked.bases()).with_columns(**asked.counts())
    frame = frame.with_columns(_people=asked.count(first), _unit=asked.base(first)).with_columns(
        _shown=(pl.col("_people") >= pl.max_horizontal("_unit", 2 * k))
    )
    made: dict[str, pl.Expr] = {}
    for column, rule in rules.items():
        if column in table.columns:
            made |= asked.protected(column, rule)
    result = frame.with_columns(**{c: pl.when("_shown").then(e) for c, e in made.items()})
    ranks = {c: _rank(c, r, result, on) for c, r in rules.items() if r.kind is Kind.RANK}
    ranks |= {c: _order(c, result) for c, r in rules.items() if r.kind is Kind.ORDER}
    kept = [pl.col(c).cast(d) for c, d in table.schema.items() if not c.startswith(EXACT)]
    return result.with_columns(**ranks).select(kept)


def _check_complete(table: pl.DataFrame, rules: Mapping[str, Rule]) -> None:
    ends = {end for c, r in rules.items() if r.kind is not Kind.LABEL for end in _ends(c, r)}
    unruled = [
        c for c in table.columns if c not in rules and c not in ends and not c.startswith(EXACT)
    ]
    if unruled:
        raise InputError(
            f"no rule says how {', '.join(unruled)} may be published; "
            "add it to `cxlib.publish.rules`."
        )


def _ends(column: str, rule: Rule) -> tuple[str, ...]:
    return rule.ends or (f"{column}_low", f"{column}_high")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A table that is to be protected: an expression for each of its figures.

    Attributes
    ----------
    schema
        Its columns, those of the influence frame among them (``_k_…``).
    rules
        The rule of every column.
    same
        What names a row in all selections; None where the table holds one selection.
    """

    schema: pl.Schema
    rules: Mapping[str, Rule]
    same: tuple[str, ...] | None
    k: int
    spread: float | pl.Expr

    def protected(self, column: str, rule: Rule) -> dict[str, pl.Expr]:
        """Return the protected expressions of a column and of the ends of its interval."""
        ends = [c for c in _ends(column, rule) if c in self.schema]
        match rule.kind:
            case Kind.CUSTOMERS | Kind.COUNT:
                return {column: protect_count(self.count(column), self.base(column), k=self.k)}
            case Kind.SUM:
                amount, enough = self._amount(column, rule)
                return {column: pl.when(enough).then(amount)}
            case Kind.RATIO:
                return self._ratio(column, ends, rule)
            case Kind.SHARE:
                return self._share(column, ends, rule)
            case Kind.MEAN | Kind.TIME:
                return self._estimate(column, ends, rule)
            case Kind.STEPS | Kind.TOTAL | Kind.FIGURE | Kind.CHANCE | Kind.JUDGED:
                return self._figure(column, ends, rule)
            case Kind.HIDDEN:
                return {c: pl.lit(None) for c in (column, *ends)}
            case _:
                return {}

    def bases(self) -> dict[str, pl.Expr]:
        """What counts are multiples of; everything else rests on them, so they are found once."""
        found = {}
        for column, rule in self.rules.items():
            if rule.kind in (Kind.CUSTOMERS, Kind.COUNT, Kind.TOTAL):
                base = pl.lit(self.k * rule.each)
                if rule.heaviest is not None:
                    base = rounding_base(pl.col(f"_k_{rule.heaviest}").fill_null(0), k=self.k)
                found[f"_base_{column}"] = base
        return found

    def counts(self) -> dict[str, pl.Expr]:
        """Every count, rounded."""
        return {
            f"_n_{c}": _rounded(pl.col(c).fill_null(0).cast(pl.Int64), self.base(c))
            for c, rule in self.rules.items()
            if rule.kind in (Kind.CUSTOMERS, Kind.COUNT) and c in self.schema
        }

    def base(self, column: str) -> pl.Expr:
        """What a count is a multiple of."""
        return pl.col(f"_base_{column}")

    def count(self, column: str) -> pl.Expr:
        """A count, rounded."""
        return pl.col(f"_n_{column}")

    def _enough(self, of: str) -> pl.Expr:
        return self.count(of) >= LEAST_STEPS * self.base(of)

    def _of_everybody(self, column: str) -> pl.Expr:
        """Return a figure of everybody and the whole time, on every row."""
        value = pl.col(column)
        return value.first().over(self.same) if self.same else value.first()

    def _value(self, column: str, of: str) -> pl.Expr:
        """Return a figure; that of everybody where rounding made few cases look like enough."""
        exact = f"{EXACT}{of}"
        if self.same is None or exact not in self.schema:
            return pl.col(column)
        few = pl.col(exact) < (LEAST_STEPS - 1) * self.base(of)
        return pl.when(~few).then(column).otherwise(self._of_everybody(column))

    def _share(self, column: str, ends: list[str], rule: Rule) -> dict[str, pl.Expr]:
        if rule.of is None:  # of the customers behind the row, each of whom counts once
            step = (pl.col("_unit") / pl.col("_people")).clip(_FINEST_SHARE)
            low, high = pl.lit(0.0), pl.lit(1.0)
            value, enough = pl.col(column), pl.col("_people") >= LEAST_STEPS * pl.col("_unit")
        else:
            whole, enough = self.count(rule.of), self._enough(rule.of)
            step = (self.base((*rule.cases, rule.of)[0]) / whole).clip(_FINEST_SHARE)
            still_open = self.count(rule.open) if rule.open else pl.lit(0)
            low, high, value = pl.lit(0.0), pl.lit(1.0), self._value(column, rule.of)
            if rule.cases:
                known = pl.sum_horizontal(self.count(c) for c in rule.cases)
                low = (known / whole).clip(0, 1)
                high = ((known + still_open) / whole).clip(0, 1)
                # a figure that no row has is not known of this log: no gap, no losses, no goal
                is_known = pl.col(column).is_not_null().any()
                value = pl.when(is_known).then(value.fill_null(low))
            if rule.settled:
                enough &= (self.count(rule.settled) > 0) | (still_open == 0)
        value = ((value / step).round() * step).clip(low, high)
        found = {column: value}
        for end in ends:
            down = end == _ends(column, rule)[0]
            given = pl.col(end) if rule.of is None else self._value(end, rule.of)
            whole_steps = _outwards(given.fill_null(0 if down else 1), step, down=down)
            bound = pl.min_horizontal if down else pl.max_horizontal
            found[end] = pl.when(value.is_not_null()).then(bound(whole_steps.clip(0, 1), value))
        return {c: pl.when(enough).then(e.round(4)) for c, e in found.items()}

    def _estimate(self, column: str, ends: list[str], rule: Rule) -> dict[str, pl.Expr]:
        of = rule.of or column
        values = {c: self._value(c, of) for c in (column, *ends)}
        if rule.kind is Kind.TIME:
            made = {c: _two_digits(e, self.schema[c]) for c, e in values.items()}
        else:
            width = rule.width or self.spread
            step = width * self.base(of) / (2 * self.count(of))
            step = step.clip(_FINEST_MEAN)
            made = {column: ((values[column] / step).round() * step).round(4) + 0.0}
            for end in ends:
                made[end] = _outwards(values[end], step, down=end == _ends(column, rule)[0]).round(
                    4
                )
        return {c: pl.when(self._enough(of)).then(e) for c, e in made.items()}

    def _figure(self, column: str, ends: list[str], rule: Rule) -> dict[str, pl.Expr]:
        of = rule.of or column
        values = {c: self._value(c, of) for c in (column, *ends)}
        if rule.kind in (Kind.STEPS, Kind.TOTAL):
            step = self.base(column)
            if rule.kind is Kind.STEPS:
                step = (self.base(of) / self.count(of)).clip(_FINEST_SHARE)
            values[column] = (values[column] / step).round() * step
            for end in ends:
                values[end] = _outwards(values[end], step, down=end == _ends(column, rule)[0])
            values = {c: e.round(4) + 0.0 for c, e in values.items()}
        elif rule.kind is not Kind.JUDGED:
            digits = 1 if rule.kind is Kind.CHANCE else 2
            values = {c: e.cast(pl.Float64).round_sig_figs(digits) for c, e in values.items()}
        return {c: pl.when(self._enough(of)).then(e) for c, e in values.items()}

    def _amount(self, column: str, rule: Rule, times: pl.Expr | None = None) -> tuple[pl.Expr, ...]:
        """Return an amount in steps of what k-1 customers add, and whether it is many of them."""
        step = _round_up_to_digit(pl.col(f"_k_{rule.heaviest}").fill_null(0.0))
        value = _seconds(column, self.schema) * (pl.lit(1.0) if times is None else times)
        amount = (value / step).round() * step
        return amount, amount.abs() >= LEAST_STEPS * step

    def _ratio(self, column: str, ends: list[str], rule: Rule) -> dict[str, pl.Expr]:
        """Divide the rounded amount by the rounded cases; its interval is shifted with it."""
        of = rule.of or column
        exact = pl.col(f"{EXACT}{of}" if f"{EXACT}{of}" in self.schema else of)
        amount, enough = self._amount(column, rule, exact)
        kept = enough & self._enough(of)
        value = amount / self.count(of)
        factor = value / _seconds(column, self.schema)
        made = {column: value} | {e: _seconds(e, self.schema) * factor for e in ends}
        return {
            c: pl.when(kept).then(_two_digits(_from_seconds(e, self.schema[c]), self.schema[c]))
            for c, e in made.items()
        }


def _rank(column: str, rule: Rule, frame: pl.DataFrame, on: tuple[str, ...]) -> pl.Expr:
    """Order the rows of each selection that were ranked in any by what is published of them."""
    ranked = pl.col(column).is_not_null().any()
    ranked = ranked.over(on) if on else ranked
    sure = pl.col("_people") * pl.col(f"{rule.of}_low")
    order = pl.when(ranked & pl.col("_shown") & (sure > 0)).then(sure)
    place = order.rank("ordinal", descending=True)
    return place.over(NUMBER) if NUMBER in frame.columns else place


def _order(column: str, frame: pl.DataFrame) -> pl.Expr:
    """Number anew the rows that are shown."""
    place = pl.when("_shown").then(column).rank("ordinal")
    return place.over(NUMBER) if NUMBER in frame.columns else place


def _outwards(end: pl.Expr, step: pl.Expr, *, down: bool) -> pl.Expr:
    """Move an end of an interval to a whole step, away from the estimate."""
    steps = end / step
    # A hair off, so that an end that lies on a step by rounding of floats stays on it.
    return ((steps + 1e-9).floor() if down else (steps - 1e-9).ceil()) * step


def _seconds(column: str, schema: pl.Schema) -> pl.Expr:
    """Return a number, or a duration in seconds."""
    if isinstance(schema[column], pl.Duration):
        return pl.col(column).dt.total_microseconds() / 1e6
    return pl.col(column).cast(pl.Float64)


def _from_seconds(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return (value * 1e6).cast(pl.Int64) if isinstance(dtype, pl.Duration) else value


def _two_digits(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Keep two significant digits of a number or a duration."""
    if isinstance(dtype, pl.Duration):
        return value.to_physical().cast(pl.Float64).round_sig_figs(2).round().cast(pl.Int64)
    return value.cast(pl.Float64).round_sig_figs(2)


def _round_up_to_digit(value: pl.Expr) -> pl.Expr:
    """Round an amount up to one, two or five times a power of ten."""
    power = pl.lit(10.0).pow(value.clip(0.01).log10().floor())
    lead = value / power
    return power * pl.when(lead < 2).then(2.0).when(lead < 5).then(5.0).otherwise(10.0)
