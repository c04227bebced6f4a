"""Two parts of a log side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxlib import numbers
from cxlib.columns import (
    Amount,
    ColumnName,
    Columns,
    Count,
    Label,
    Money,
    Rating,
    Share,
    Tables,
    Value,
    Wait,
)
from cxlib.errors import InputError, UnknownNameError
from cxlib.measures.touchpoints import Touchpoints, measure_touchpoints
from cxlib.numbers import decimal, plural
from cxlib.results import Result, answers, of_workspace, result
from cxlib.store import Workspace
from cxlib.store.engines import Count as Counting
from cxlib.store.engines import Frames, count_here
from cxlib.store.selection import Selection
from cxlib.summary import Summary, summarise
from cxlib.where import Where

ALL = "all together"
"""What the row is called that holds the whole part."""

_KINDS = (Share, Wait, Rating, Money, Amount, Count)
_WRITTEN: dict[str, Callable[..., str]] = {
    "share": numbers.share,
    "wait": numbers.duration,
    "rating": numbers.rating,
    "money": numbers.money,
    "count": numbers.decimal,
    "customers": numbers.decimal,
}


@result
class Comparison(Result):
    """What `compare` returns.

    Attributes
    ----------
    first_where, second_where
        The two parts.
    """

    first_where: Where | Selection | None
    second_where: Where | Selection | None

    title = "Side by side"

    @property
    def headlines(self) -> Sequence[str]:
        """The answer in words."""
        return (self.sentence,)

    @property
    def sentence(self) -> str:
        """How many figures differ."""
        known, sure = self._differing()
        many = decimal(len(sure)) if len(sure) else "none"
        of = plural(len(known), "figure")
        return f"Beyond chance, one by one, differ {many} of {of} that both parts have"

    @property
    def details(self) -> tuple[str, ...]:
        """The clearest differences, one a sentence."""
        _, sure = self._differing()
        written = self.columns.written(sure, most=8)
        return tuple(f"{w}, {f}: {a} and {b}; {d}" for w, f, a, b, d in written.rows)

    @property
    def clearest(self) -> pl.DataFrame:
        """The figures that both parts have with an interval, the clearest differences first."""
        known, sure = self._differing()
        return pl.concat([sure, known.join(sure, on=["what", "figure"], how="anti")])

    def _differing(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Figures known of both parts with an interval; those that differ, the clearest first."""
        known = self.table.drop_nulls(["difference_low", "difference_high"])
        low, high = pl.col("difference_low"), pl.col("difference_high")
        clearest = pl.col("difference").abs() / (high - low)
        apart = known.filter((low > 0) | (high < 0))
        return known, apart.sort(clearest, descending=True, maintain_order=True)

    tables = Tables(
        table=Columns(
            "one row per row and figure of the measure, in the order of the first part",
            what=Label("the row: its names, joined by commas"),
            figure=ColumnName("name of the column"),
            unit=Label("its kind; waits are in seconds", detail=True),
            first=Value("in the first part", interval=True, written=_WRITTEN),
            second=Value("in the second part", interval=True, written=_WRITTEN),
            difference=Value(
                "second less first; null where one is not known",
                interval=True,
                written={
                    **_WRITTEN,
                    "share": numbers.points,
                    **dict.fromkeys(("count", "customers"), numbers.signed),
                },
            ),
        )
    )


@of_workspace
def compare(
    workspace: Workspace,
    first: Where | None,
    second: Where | None,
    *,
    measure: Callable[..., Result] = measure_touchpoints,
    **options: Any,
) -> Comparison:
    r"""Measure two parts of a log and put them side by side, with the difference.

    The interval of a difference d = y - x is made of the two intervals (method of variance
    estimates recovery), as if the parts had no customer in common:

    .. math:: d - \sqrt{(x_{high} - x)^2 + (y - y_{low})^2}, \;
              d + \sqrt{(x - x_{low})^2 + (y_{high} - y)^2}

    A difference is an association: the parts may differ in more than their name.

    Parameters
    ----------
    workspace
        The workspace.
    first, second
        The two parts; None for the whole log.
    measure
        Any measure with a table, such as `cx.measure_transitions`.
    options
        Of the measure.

    Raises
    ------
    InputError
        Both parts are the same.

    References
    ----------
    Zou & Donner (2008), doi:10.1002/sim.3095; for shares Newcombe (1998),
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """
    if first == second:
        raise InputError(f"both parts are {first or 'the whole log'}: there is nothing to compare")
    one, two = (_measure(workspace, where, measure, options) for where in (first, second))
    return replace(side_by_side(one, two), first_where=first, second_where=second)


_HERE, _ELSEWHERE = "here", "elsewhere"
_MOST_VALUES, _MOST_PLACES = 12, 2**16
_NAMED = {"environment": Label("its name"), "value": Label("its value")}


def _measure(
    workspace: Workspace, where: Where | None, measure: Callable[..., Result], options: Any
) -> Result:
    if where is None or where.environment is None or measure is not measure_touchpoints:
        return measure(workspace, where=where, **options)
    return _touchpoints_in(workspace, where)


def _touchpoints_in(workspace: Workspace, where: Where) -> Touchpoints:
    """Measure the contacts of one environment, whatever the environment of what comes next.

    Every place is counted as two, one there and one elsewhere, and the two are channels of a log
    that is otherwise the same.
    """
    ((name, value),) = (where.environment or {}).items()
    column, known = f"environment.{name}", environments_of(workspace)
    if name not in known:
        raise UnknownNameError("environment", name, list(known))
    if value not in known[name]:
        raise UnknownNameError(f"value of {name}", value, known[name])
    rest = replace(where, environment=None).of(workspace) or Selection()
    channels = workspace.places["channel"]
    here = pl.col(column).cast(pl.String) == value
    if rest.channel is not None:
        here &= pl.lit(channels == rest.channel).gather(pl.col("place").cast(pl.UInt32))
    summary = _counted_apart(workspace, pl.when(here).then(0).otherwise(1), (_HERE, _ELSEWHERE))
    found = measure_touchpoints(summary, where=replace(rest, channel=_HERE))
    named = pl.lit(channels).gather(pl.col("place").cast(pl.UInt32))
    return replace(
        found, table=found.table.with_columns(channel=named), by_channel=found.by_channel.clear()
    )


def _counted_apart(workspace: Workspace, side: pl.Expr, sides: Sequence[str]) -> Summary:
    """Count every place once for each side that a contact may be on: a channel of its own."""
    places = workspace.places
    told = (pl.col("place") + side * len(places)).cast(pl.UInt16)

    def run(paths: Sequence[Path], counting: Counting) -> list[Frames]:
        return count_here(paths, lambda rows: counting(rows.with_columns(place=told)), at_once=2)

    apart = pl.concat(
        places.with_columns(pl.col("place") + n * len(places), channel=pl.lit(name))
        for n, name in enumerate(sides)
    ).cast(pl.Schema(places.schema))
    return summarise(workspace, run=run, scope=replace(workspace.scope, places=apart))


@result
class Environments(Result):
    """What `measure_environments` returns."""

    whole: pl.DataFrame

    title = "Touchpoints by environment"
    tables = Tables(
        table=Columns(
            "one row per environment, its value, and touchpoint, in the order of the map",
            **_NAMED,
            **Touchpoints.tables["table"],
        ),
        whole=Columns("all contacts in an environment", **_NAMED, **Touchpoints.tables["whole"]),
    )


@answers(Environments)
def measure_environments(workspace: Workspace, *, where: Selection | None = None) -> Environments:
    """Measure the touchpoints in every environment by itself, as `compare` does of one.

    Of each environment column the values with most contacts are measured, at most 12.

    Parameters
    ----------
    where
        Segment to look at; all by default.

    Raises
    ------
    InputError
        The log has no environments.
    """
    if not (counted := _environments(workspace)):
        raise InputError("the log has no environments: name their columns in the journey map")
    # what is counted apart has an environment's value for a channel
    everywhere = None if where is None else replace(where, channel=None)
    tables: dict[str, list[pl.DataFrame]] = {"table": [], "whole": []}
    for name, (values, summary) in counted.items():
        found = measure_touchpoints(summary, where=everywhere)
        side = pl.col("channel").cast(pl.UInt32)
        named = pl.lit(name).alias("environment"), pl.lit(pl.Series("value", values)).gather(side)
        for part, frame in (("table", found.table), ("whole", found.by_channel)):
            tables[part].append(frame.filter(side < len(values)).select(*named, pl.all()))
    number = pl.col("place").cast(pl.UInt32) % len(workspace.places)
    table = pl.concat(tables["table"]).with_columns(
        place=number.cast(pl.UInt16),
        channel=pl.lit(workspace.places["channel"]).gather(number),
        weakest=pl.col("weakest").rank().over("environment", "value").cast(pl.UInt32),
    )
    return Environments(table=table, whole=pl.concat(tables["whole"]).drop("channel"))


def _environments(workspace: Workspace) -> dict[str, tuple[list[str], Summary]]:
    """The commonest values of every environment column, and the log counted by them."""

    def count() -> dict[str, tuple[list[str], Summary]]:
        found = {}
        store = workspace.store()
        for own in store.select(pl.col(r"^environment\..*$")).collect_schema():
            column = pl.col(own).cast(pl.String)
            seen = store.select(value=column).drop_nulls().group_by("value").len().collect()
            common = seen.sort("len", "value", descending=[True, False])["value"]
            most = min(_MOST_VALUES, _MOST_PLACES // max(len(workspace.places), 1) - 1)
            values = common.head(most).to_list()
            if values:
                side = column.replace_strict(values, range(len(values)), default=len(values))
                sides = [f"{number}" for number in range(len(values) + 1)]
                named = own.removeprefix("environment.")
                found[named] = values, _counted_apart(workspace, side, sides)
        return found

    return workspace.keep("environments", workspace.log_folder / "places.parquet", count)


def environments_of(workspace: Workspace) -> dict[str, list[str]]:
    """Return the values of every environment column of a log."""
    columns = workspace.store().select(pl.col(r"^environment\..*$").cast(pl.String))
    values = columns.unique().collect() if columns.collect_schema() else pl.DataFrame()
    return {
        name.removeprefix("environment."): values[name].drop_nulls().unique().sort().to_list()
        for name in values.columns
    }


def side_by_side(one: Result, two: Result) -> Comparison:
    """Put two answers of one measure side by side, row by row; see `compare`."""
    keys = [n for n, c in one.columns.items() if type(c) is Label and n in one.table.columns]
    tables = [_with_whole(found, keys) for found in (one, two)]
    both = tables[0].join(
        tables[1],
        on=keys,
        how="full",
        coalesce=True,
        nulls_equal=True,
        suffix=":second",
        maintain_order="left_right",
    )
    shown = [n for n in keys if not one.columns[n].detail] or keys
    names = [pl.col(n).cast(pl.String) for n in shown]
    words = pl.concat_str(names, separator=", ", ignore_nulls=True)
    nameless = pl.all_horizontal(name.is_null() for name in names)
    what = pl.when(nameless).then(pl.lit(ALL)).otherwise(words)
    parts = [
        both.select(what=what, figure=pl.lit(n), unit=pl.lit(c.kind), **_figures(n, one.columns))
        for n, c in one.columns.items()
        if isinstance(c, _KINDS) and not c.detail and n in both.columns
    ]
    rows = pl.concat([part.with_row_index("row") for part in parts])
    order = rows.sort("row", maintain_order=True).drop("row")
    known = pl.any_horizontal(pl.col("first", "second").is_not_null())
    return Comparison(
        table=_with_difference(order.filter(known)),
        first_where=one.where,
        second_where=two.where,
        observed_until=one.observed_until,
    )


def _with_whole(found: Result, keys: list[str]) -> pl.DataFrame:
    """The table of a result; above it the row of all together, without a name, where it has one."""
    if "whole" not in found.tables:
        return found.table
    whole: pl.DataFrame = found.whole  # type: ignore[attr-defined]
    return pl.concat([whole, found.table], how="diagonal").select(found.table.columns)


def _figures(name: str, columns: Columns) -> dict[str, pl.Expr]:
    """A figure and the ends of its interval in both parts, as plain numbers."""
    found, ends = {}, columns.ends(name) or (None, None)
    for part, suffix in (("first", ""), ("second", ":second")):
        for column, end in zip((name, *ends), ("", "_low", "_high"), strict=True):
            value = (
                pl.lit(None, pl.Float64) if column is None else _plain(pl.col(f"{column}{suffix}"))
            )
            found[f"{part}{end}"] = value
    return found


def _plain(column: pl.Expr) -> pl.Expr:
    return column.map_batches(
        lambda s: s.dt.total_microseconds() / 1e6 if s.dtype == pl.Duration else s.cast(pl.Float64),
        return_dtype=pl.Float64,
    )


def _with_difference(table: pl.DataFrame) -> pl.DataFrame:
    x, x_low, x_high, y, y_low, y_high = (
        table[f"{part}{end}"].to_numpy()
        for part in ("first", "second")
        for end in ("", "_low", "_high")
    )
    gap = y - x
    ends = {
        "difference": gap,
        "difference_low": gap - np.hypot(x_high - x, y - y_low),
        "difference_high": gap + np.hypot(x - x_low, y_high - y),
    }
    return table.with_columns(
        pl.Series(name, values, dtype=pl.Float64, nan_to_null=True) for name, values in ends.items()
    )
