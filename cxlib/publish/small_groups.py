"""The rule for small groups: what a figure must go through before it may be published.

See ``docs/decisions/0001-small-groups.md`` for why these rules and what they promise.

- A number of customers is a multiple of k and shown from 2k on. What is not shown may be nobody, a
  few, or k and more (`smallest_shown`): a blank says nothing about small groups. Where a table
  holds several selections its counts come rounded already, together (`cxlib.publish.coherent`).
- A row that is not shown has no figures at all, as if nobody stood behind it.
- A number one customer can add to more than once (contacts, journeys, ratings, cost) is a multiple
  of more than what the k-1 heaviest customers together add to it (`cxlib.publish.influence`).
- A share moves in steps of k of the customers behind it, and is withheld where it or what it leaves
  over rounds to less than two steps; 0 and 1 are shown where no selection has anything else. Its
  interval is widened to whole steps.
- A mean of ratings moves in steps in which k-1 people answering the other way are lost; times and
  costs per contact keep two digits. Both need more answers than k-1 customers can give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

import polars as pl

from cxlib.errors import InputError
from cxlib.publish.answers import NUMBER
from cxlib.publish.rounding import rounding_base, smallest_shown

__all__ = [
    "EXACT",
    "SETTLED",
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

SETTLED = f"{EXACT}settled"
"""Whether a row is about a time that nothing can still be open of."""

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
    """A probability, with ``_low`` and ``_high`` where they are there."""
    SHARE_OF = auto()
    """A share of a count: `of` is the numerator, `total` bounds the denominator."""
    MEAN = auto()
    """A mean on the rating scale; `of` is the column with the number of answers."""
    TWO_DIGITS = auto()
    """A median time, or a mean of times or costs; `of` is the column with the number of cases."""
    SUM = auto()
    """An amount; `heaviest` says what the k-1 heaviest customers add."""
    RANK = auto()
    """A place in an order; shown where `of` is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one column is protected.

    Parameters
    ----------
    kind
        What the column is.
    heaviest
        For counts and sums: the column of the influence frame with what k-1 customers add.
    of
        The column this one depends on (see `Kind`).
    total
        For shares of a count: the column of the influence frame with what k-1 customers add to the
        denominator.
    adds_up
        For customers: whether each is counted in one period only, so that periods add up.
    settles
        For shares: whether it is 0 by nature in times long past (the column `SETTLED` says which),
        so that a 0 there is no figure about anybody.
    """

    kind: Kind
    heaviest: str | None = None
    of: str | None = None
    total: str | None = None
    adds_up: bool = False
    settles: bool = False


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
    rounded = ((count + base // 2) // base) * base
    return pl.when((rounded > 0) & (count >= smallest_shown(k))).then(rounded)


def protect_effect(name: str, step: pl.Expr) -> dict[str, pl.Expr]:
    """Round an effect to steps, and widen its interval (``_low``, ``_high``) to whole ones.

    Examples
    --------
    >>> given = pl.DataFrame({"effect": [0.23], "effect_low": [0.11], "effect_high": [0.31]})
    >>> given.with_columns(**protect_effect("effect", pl.lit(0.05))).row(0)
    (0.25, 0.1, 0.35)
    """
    ends = [f"{name}_low", f"{name}_high"]
    return _in_steps(name, ends, pl.lit(True), step, upper=None)


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
    spread: float = 1.0,
) -> pl.DataFrame:
    """Protect every column of a table of figures, in the same columns, order and dtypes.

    Parameters
    ----------
    table
        One row per touchpoint, channel …; exact figures. With a column `NUMBER` it holds several
        selections, and `on` names a row in all of them: a share that is 0 or 1 in every one of them
        is no figure about a group, and is shown. Counts may be rounded already; the exact ones are
        then in columns of the same names with `EXACT` before them, and are left out of the result.
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
        Width of the rating scale.

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
    if customers is None:
        column, rule = next((c, r) for c, r in rules.items() if r.kind is Kind.COUNT)
        people, unit = _rounded_count(column, rule, k=k), _base(rule.heaviest, k=k)
        # More than k-1 customers can make it: at least k stand behind it.
        shown = people.is_not_null() & (pl.col(column) >= unit)
    else:
        column, unit = customers, pl.lit(k)
        people = protect_customers(pl.col(customers).cast(pl.Int64), k=k)
        shown = people.is_not_null()
    enough = shown & (_exact(column, table.schema) >= unit)
    frame = frame.with_columns(
        _people=people,
        _unit=unit,
        _shown=shown.fill_null(value=False),
        _enough=enough.fill_null(value=False),
    )
    same = on if NUMBER in table.columns else None
    # Shares first: what depends on them must see whether they are shown.
    made: dict[str, pl.Expr] = {}
    for column, rule in rules.items():
        made |= _protected(column, rule, table.schema, k=k, spread=spread, same=same)
    result = frame.with_columns(**made)
    depending = {
        c: pl.when(pl.col(r.of).is_not_null()).then(pl.col(c))
        for c, r in rules.items()
        if r.kind is Kind.RANK and r.of is not None
    }
    kept = [pl.col(c).cast(d) for c, d in table.schema.items() if not c.startswith(EXACT)]
    return result.with_columns(**depending).select(kept)


def _check_complete(table: pl.DataFrame, rules: Mapping[str, Rule]) -> None:
    shares = {c for c, r in rules.items() if r.kind not in (Kind.LABEL,)}
    ends = {f"{c}{end}" for c in shares for end in ("_low", "_high")}
    unruled = [
        c for c in table.columns if c not in rules and c not in ends and not c.startswith(EXACT)
    ]
    if unruled:
        raise InputError(
            f"no rule says how {', '.join(unruled)} may be published; "
            "add it to `cxlib.publish.rules`."
        )


def _protected(
    column: str,
    rule: Rule,
    schema: pl.Schema,
    *,
    k: int,
    spread: float,
    same: tuple[str, ...] | None,
) -> dict[str, pl.Expr]:
    """Return the protected expressions of a column and of the ends of its interval."""
    if column not in schema or rule.kind is Kind.LABEL:
        return {}
    if rule.kind in (Kind.CUSTOMERS, Kind.COUNT, Kind.SUM, Kind.RANK):
        return {column: pl.when(pl.col("_shown")).then(_number(column, rule, k=k))}
    ends = [c for c in (f"{column}_low", f"{column}_high") if c in schema]
    if rule.kind is Kind.SHARE:
        settled = pl.col(SETTLED) if rule.settles and SETTLED in schema else pl.lit(False)
        return _share(column, ends, settled=settled, same=same)
    if rule.kind is Kind.SHARE_OF:
        return _share_of(column, ends, rule, schema, k=k)
    return _estimate(column, ends, rule, schema, k=k, spread=spread)


def _number(column: str, rule: Rule, *, k: int) -> pl.Expr:
    value = pl.col(column)
    if rule.kind is Kind.CUSTOMERS:
        return protect_customers(value.cast(pl.Int64), k=k)
    if rule.kind is Kind.COUNT:
        return _rounded_count(column, rule, k=k)
    if rule.kind is Kind.SUM:
        step = _round_up_to_digit(pl.col(f"_k_{rule.heaviest}").fill_null(0.0))
        return pl.when(value > step).then((value / step).round() * step)
    return value


def _share(
    column: str, ends: list[str], *, settled: pl.Expr, same: tuple[str, ...] | None
) -> dict[str, pl.Expr]:
    """Round a share to steps of so many customers (or cases) as one figure may tell apart."""
    value, people, unit = pl.col(column), pl.col("_people"), pl.col("_unit")
    step = (unit / people).clip(_FINEST_SHARE)
    # Less than one step and a half is blank, whether it is nothing or little.
    large = ((value.clip(None, 1 - value) * people) >= 1.5 * unit - 1e-9) | settled
    if same is not None:
        lowest, highest = value.min(), value.max()
        if same:
            lowest, highest = lowest.over(same), highest.over(same)
        large = large | (highest <= 0) | (lowest >= 1)
    return _in_steps(column, ends, pl.col("_enough") & large, step, upper=1.0)


def _share_of(
    column: str, ends: list[str], rule: Rule, schema: pl.Schema, *, k: int
) -> dict[str, pl.Expr]:
    """Divide the rounded count by the rounded total: whoever divides back gets what is published.

    The exact share would give away the exact total, and with it differences of a few.
    """
    whole = _exact(rule.of or column, schema) / pl.when(pl.col(column) > 0).then(pl.col(column))
    base = _base(rule.total, k=k)
    total = protect_count(whole.round().cast(pl.Int64), base, k=k)
    cases = _rounded_count(rule.of or column, rule, k=k)
    kept = pl.col("_enough") & cases.is_not_null() & total.is_not_null()
    value = ((cases / total / _FINEST_SHARE).round() * _FINEST_SHARE).clip(0, 1)
    step = (_base(rule.heaviest, k=k) / total).clip(_FINEST_SHARE)
    found = _in_steps(column, ends, kept, step, upper=1.0)
    found[column] = pl.when(kept).then(value.round(4))
    for end in ends:
        # Rounded apart from its ends, the share may have come to lie a hair beyond one of them.
        bound = pl.min_horizontal if end.endswith("_low") else pl.max_horizontal
        found[end] = pl.when(kept).then(bound(found[end], found[column]))
    return found


def _estimate(
    column: str, ends: list[str], rule: Rule, schema: pl.Schema, *, k: int, spread: float
) -> dict[str, pl.Expr]:
    cases = _rounded_count(rule.of or column, rule, k=k)
    # More cases than k-1 customers can have: at least k stand behind the figure.
    enough = _exact(rule.of or column, schema) >= _base(rule.heaviest, k=k)
    kept = pl.col("_enough") & enough & cases.is_not_null()
    if rule.kind is Kind.MEAN:
        step = (spread * k / (2 * cases)).clip(_FINEST_MEAN)
        return _in_steps(column, ends, kept, step, upper=None)
    return {c: pl.when(kept).then(_two_digits(c, schema[c])) for c in (column, *ends)}


def _exact(column: str, schema: pl.Schema) -> pl.Expr:
    return pl.col(f"{EXACT}{column}" if f"{EXACT}{column}" in schema else column)


def _base(heaviest: str | None, *, k: int) -> pl.Expr:
    return rounding_base(pl.col(f"_k_{heaviest}").fill_null(0), k=k)


def _rounded_count(column: str, rule: Rule, *, k: int) -> pl.Expr:
    return protect_count(pl.col(column).cast(pl.Int64), _base(rule.heaviest, k=k), k=k)


def _in_steps(
    column: str, ends: list[str], kept: pl.Expr, step: pl.Expr, *, upper: float | None
) -> dict[str, pl.Expr]:
    """Round an estimate to whole steps, and its interval outwards."""
    found = {column: (pl.col(column) / step).round() * step}
    for end in ends:
        steps = pl.col(end) / step
        # A hair off, so that an end that lies on a step by rounding of floats stays on it.
        whole = (steps + 1e-9).floor() if end.endswith("_low") else (steps - 1e-9).ceil()
        found[end] = whole * step
    bounded = {c: e.clip(0, upper) if upper is not None else e for c, e in found.items()}
    return {c: pl.when(kept).then(e.round(4)) for c, e in bounded.items()}


def _two_digits(column: str, dtype: pl.DataType) -> pl.Expr:
    """Keep two significant digits of a number or a duration."""
    if isinstance(dtype, pl.Duration):
        return (
            pl.col(column).to_physical().cast(pl.Float64).round_sig_figs(2).round().cast(pl.Int64)
        )
    return pl.col(column).cast(pl.Float64).round_sig_figs(2)


def _round_up_to_digit(value: pl.Expr) -> pl.Expr:
    """Round an amount up to one, two or five times a power of ten."""
    power = pl.lit(10.0).pow(value.clip(0.01).log10().floor())
    lead = value / power
    return power * pl.when(lead < 2).then(2.0).when(lead < 5).then(5.0).otherwise(10.0)
