"""Cases of a signal as arrays: at which unit, when and for whom.

Each table of a part is coded and sorted once; what a signal counts is added up along that order,
under every column that splits the log at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.histories import first_block
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.grounds.additive import Codes, Floats, add_up
from cxlib.grounds.kinds import Counts, Signal, Unit
from cxlib.segments import dimension_values, segment_names
from cxlib.statistics.resampling import number_cells
from cxlib.store.tables import NONE

_TWO_KINDS, _LEAST_KIND, _APART = 0.78, 0.05, 2.0
"""Share of the variance of log waits that lies between two kinds (of one normal law: 0.64), the
share that the rarer kind must have, and how far apart their means must lie, for them to be two."""

_ENDS = (0.02, 0.98)
"""Quantiles of the waits of a unit to which those beyond are drawn in. Nearer ones would take from
a group that waits longer what it waits longer."""

Kept = TypeVar("Kept")
Parallel = TypeVar("Parallel", bound=tuple[Any, ...])


def kept(known: dict[Any, Any], name: object, make: Callable[[], Kept]) -> Kept:
    """What is worked out once, of a part of the log or of all of it."""
    if name not in known:
        known[name] = make()
    value: Kept = known[name]
    return value


def once(make: Callable[[Arrivals], Kept]) -> Callable[[Arrivals], Kept]:
    """Work something out once for each part of the log."""
    return wraps(make)(lambda part: kept(part.cache, make, lambda: make(part)))


def once_per_log(make: Callable[[Arrivals], Kept]) -> Callable[[Arrivals], Kept]:
    """Work something out once for all parts of the log."""
    return wraps(make)(lambda part: kept(part.of_log, make, lambda: make(part)))


def take(columns: Parallel, chosen: NDArray[np.bool_]) -> Parallel:
    """Some of the rows of parallel columns."""
    some = [column[chosen] for column in columns]
    return type(columns)(some) if type(columns) is tuple else type(columns)(*some)


@once_per_log
def touchpoint_codes(part: Arrivals) -> tuple[Codes, list[str]]:
    """Number of the touchpoint of each place, whatever its channel; and their names."""
    names = part.places["touchpoint"].unique(maintain_order=True).to_list()
    code = {name: number for number, name in enumerate(names)}
    return np.array([code[n] for n in part.places["touchpoint"]], dtype=np.int64), names


class Split(NamedTuple):
    """A column that splits the log: what says which value, the values, and which each has."""

    name: str | None
    key: str
    values: Sequence[str | None]
    codes: Codes


@once_per_log
def split_segments(part: Arrivals) -> list[Split]:
    """Each segment dimension."""
    values = {n: dimension_values(part.segments, n) for n in segment_names(part.segments)}
    return [Split(name, "segment", *_number_values(found)) for name, found in values.items()]


@once_per_log
def split_columns(part: Arrivals) -> list[Split]:
    """Each column that splits the log: segments, and channel and owner where touchpoints do."""
    found = [split for split in split_segments(part) if len(split.values) > 1]
    for name in ("channel", "owner"):
        values = part.places[name].fill_null("unknown")
        at = part.places.select("touchpoint", v=values)
        if at.n_unique() > at["touchpoint"].n_unique():
            found.append(Split(name, "target", *_number_values(values)))
    return found


def _number_values(values: pl.Series) -> tuple[list[str], Codes]:
    """The values in order, and the number of each row's."""
    names = values.unique().sort()
    codes = values.cast(pl.Enum(names)).to_physical()
    return names.to_list(), codes.to_numpy().astype(np.int64)


class Rows(NamedTuple):
    """Rows of a table at units of one kind: the number of the unit among `units`, and the rest.

    ``units``: source touchpoint × 65,536 + target touchpoint; places have no source; steps the
    stage. ``source``: touchpoint, `NONE` where there is none; ``came_from`` and ``target`` places.
    """

    name: str
    table: pl.DataFrame
    units: Codes
    unit: Codes
    source: Codes
    came_from: Codes
    target: Codes
    segment: Codes
    period: Codes
    block: Codes


def _read_rows(part: Arrivals, name: str, unit: Unit) -> Rows:
    table: pl.DataFrame = getattr(part, name)
    touch = touchpoint_codes(part)[0]

    def column(key: str, missing: int = 0) -> Codes:
        if key not in table.columns:
            return np.full(len(table), missing)
        return table[key].to_numpy().astype(np.int64)

    came_from, target = column("source", NONE), column("target")
    source = np.append(touch, NONE)[np.minimum(came_from, len(touch))]
    u = column("stage") if unit == "stage_step" else touch[target]
    if unit == "transition":
        moved = (source != NONE) & (source != u)
        table, came_from, target, source = table.filter(moved), *(
            x[moved] for x in (came_from, target, source)
        )  # fmt: skip
        u = source * 65_536 + touch[target]
    units, number = np.unique(u, return_inverse=True)
    block = column("block")
    if "block" in table.columns:
        block = np.maximum(block - first_block(part.periods, part.settings.span), 0)
    segment, period = column("segment"), column("period")
    return Rows(name, table, units, number, source, came_from, target, segment, period, block)


class Cases(NamedTuple):
    """By row: cases (0: not counted), the sum of their outcome, and of its squares."""

    rows: Rows
    n: Floats
    s: Floats
    q: Floats


def read_cases(
    part: Arrivals, signal: Signal, unit: Unit, *, around: bool = False, begun: bool = False
) -> Cases | None:
    """Cases of a signal at units of one kind; None: none are counted.

    `around`: by environment; `begun`: at the dates on which they began.
    """
    counts = signal.counts
    if counts is None or unit not in (*counts.units, *(("stage_step",) if counts.steps else ())):
        return None
    name = counts.around if around else counts.begun if begun else counts.table
    if unit == "stage_step":
        name = f"environment_{counts.steps}" if around else counts.steps
    if not name:
        return None
    waits = signal.family == "wait"
    along: Unit = "transition" if waits else unit
    rows = kept(part.cache, (name, along), lambda: _read_rows(part, name, along))
    n = rows.table[counts.n].to_numpy().astype(np.float64)
    n = np.where(_can_occur(part, signal, counts, rows, unit), n, 0.0)
    if not n.any():
        return None
    if waits:
        drawn = _draw_in_waits(rows, n)
        return _by_place_left(drawn) if unit == "place" else drawn
    s = rows.table[counts.total].to_numpy().astype(np.float64)
    q = rows.table[counts.squares].to_numpy().astype(np.float64) if counts.squares else s
    return Cases(rows, n, s, q)


def _can_occur(
    part: Arrivals, signal: Signal, counts: Counts, rows: Rows, unit: Unit
) -> NDArray[np.bool_]:
    """Whether the signal can occur where a row lies."""
    fair = np.ones(len(rows.table), dtype=bool)
    if unit != "stage_step" and counts.places is not None:
        fair &= counts.places(part.places).to_numpy()[rows.target]
    if unit != "stage_step" and counts.sources is not None:
        known = np.append(counts.sources(part.places).to_numpy(), [True])
        fair &= known[np.minimum(rows.came_from, len(part.places))]
    hours = part.settings.open_hours
    if signal.family == "wait" and hours is not None:
        fair &= ~np.isin(rows.target, hours.misfits)
    return fair


_EDGES = np.array(BIN_EDGES)
_MIDDLE = np.sqrt(np.maximum(_EDGES[:-1], 0.25) * _EDGES[1:])
LOG_MIDDLE = np.log(np.append(_MIDDLE, _EDGES[-1] * 1.15))
"""Logarithm of the middle of each bin of waits, in seconds."""


def _draw_in_waits(rows: Rows, n: Floats) -> Cases:
    """Turn binned waits of the more frequent kind into sums of their logarithms, drawn in."""
    bins, size = rows.table["bin"].to_numpy().astype(np.int64), len(rows.units)
    waits = add_up(n, rows.unit * N_BINS + bins, size * N_BINS).reshape(-1, N_BINS)
    early = add_up(n * _before_the_middle(rows, n), rows.unit * N_BINS + bins, size * N_BINS)
    keep = _more_frequent_kind(waits, early.reshape(-1, N_BINS))
    frequent = np.where(keep, waits, 0.0)
    reached = frequent.cumsum(1) / np.maximum(frequent.sum(1, keepdims=True), 1e-9)
    low = LOG_MIDDLE[np.argmax(reached >= _ENDS[0], axis=1)]
    high = LOG_MIDDLE[np.argmax(reached >= _ENDS[1], axis=1)]
    value = np.clip(LOG_MIDDLE[bins], low[rows.unit], high[rows.unit])
    n = np.where(keep[rows.unit, bins], n, 0.0)
    return Cases(rows, n, n * value, n * value**2)


def _by_place_left(cases: Cases) -> Cases:
    """Waits by the touchpoint that is left: each way on is a stratum, held against itself."""
    units, number = np.unique(cases.rows.source, return_inverse=True)
    return cases._replace(rows=cases.rows._replace(units=units, unit=number))


def _before_the_middle(rows: Rows, n: Floats) -> NDArray[np.bool_]:
    """Rows of each unit up to the block in which half of its cases have come."""
    blocks, size = int(rows.block.max(initial=0)) + 1, len(rows.units)
    by_block = add_up(n, rows.unit * blocks + rows.block, size * blocks).reshape(-1, blocks)
    reached = by_block.cumsum(1)
    middle = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
    return rows.block <= middle[rows.unit]


def _more_frequent_kind(waits: Floats, early: Floats) -> NDArray[np.bool_]:
    """Bins of the more frequent kind of waits of each unit; all, where there is one kind.

    Of two kinds each is there all the time (`early`: the waits of the first half): where one takes
    the place of the other, waits have changed.
    """
    n, total = waits.cumsum(1), (waits * LOG_MIDDLE).cumsum(1)
    whole, whole_total = np.maximum(n[:, -1:], 1e-9), total[:, -1:]
    square = (waits * LOG_MIDDLE**2).sum(1, keepdims=True)
    rest = whole - n
    apart = (total * whole - n * whole_total) ** 2 / np.maximum(n * rest * whole, 1e-9)
    border = np.argmax(apart, axis=1)[:, None]
    spread = np.maximum(square - whole_total**2 / whole, 1e-9)
    below = np.take_along_axis(n, border, 1) / whole
    two = np.take_along_axis(apart, border, 1) / spread >= _TWO_KINDS
    middle = np.take_along_axis(total, border, 1) / np.maximum(below * whole, 1e-9)
    others = (whole_total - below * whole * middle) / np.maximum((1 - below) * whole, 1e-9)
    two &= (others - middle >= _APART) & (np.minimum(below, 1 - below) >= _LEAST_KIND)
    for part in (early, waits - early):
        held, size = part.cumsum(1), part.sum(1, keepdims=True)
        lower = np.take_along_axis(held, border, 1) / np.maximum(size, 1e-9)
        two &= (np.minimum(lower, 1 - lower) >= _LEAST_KIND) | (size == 0)
    lower = np.arange(waits.shape[1])[None, :] <= border
    return ~two | (lower == (below >= 0.5))


class Columns(NamedTuple):
    """Rows under every column, and the number of the value there, among the values of all columns.

    By that number: the ``column`` (its number), its ``group`` (the name; None: everybody), and what
    the value is called.
    """

    row: Codes
    value: Codes
    column: Codes
    group: NDArray[np.object_]
    label: NDArray[np.object_]


def stack_columns(
    part: Arrivals, rows: Rows, *, at_most: int | None = None, everybody: bool = False
) -> Columns:
    """Rows under each column that splits the log, of `at_most` so many values."""
    splits = [s for s in split_columns(part) if at_most is None or len(s.values) <= at_most]
    count = len(rows.unit)
    none = Split(None, "segment", [None], np.zeros(len(part.segments), dtype=np.int64))
    splits = [none, *splits] if everybody else splits
    sizes = [len(s.values) for s in splits]
    starts = np.cumsum(sizes) - sizes
    values = [a + s.codes[getattr(rows, s.key)] for a, s in zip(starts, splits, strict=True)]
    return Columns(
        np.tile(np.arange(count), len(splits)),
        np.concatenate([np.zeros(0, dtype=np.int64), *values]),
        np.repeat(np.arange(len(splits)), sizes),
        np.array([s.name for s in splits for _ in s.values], dtype=object),
        np.array([value for s in splits for value in s.values], dtype=object),
    )


def environment_columns(rows: Rows) -> Columns:
    """Rows of a table by environment: each is under one column."""
    names, value = number_cells(rows.table, ["column", "value"])
    group, label = (names[c].to_numpy().astype(object) for c in ("column", "value"))
    column = names["column"].rank("dense").to_numpy().astype(np.int64) - 1
    return Columns(np.arange(len(value)), value, column, group, label)


class Order(NamedTuple):
    """Rows under every column, sorted: numbers of three levels of keys, the last one finest."""

    columns: Columns
    row: Codes
    value: Codes
    levels: tuple[Codes, Codes, Codes]


def sort_rows(columns: Columns, *levels: Sequence[Codes]) -> Order:
    """Sort rows under every column by the keys of three levels."""
    code, codes = np.zeros(len(columns.row), dtype=np.int64), []
    for keys in levels:
        code = combine(code, *keys)
        codes.append(code)
    order = np.argsort(code)
    first, second, third = (count_up(c[order]) for c in codes)
    return Order(columns, columns.row[order], columns.value[order], (first, second, third))


def combine(*keys: Codes) -> Codes:
    """One number for several keys, in the order of the keys."""
    code, size = keys[0], int(keys[0].max(initial=0)) + 1
    for key in keys[1:]:
        width = int(key.max(initial=0)) + 1
        if size * width >= 2**62:
            found, code = np.unique(code, return_inverse=True)
            size = len(found)
        code, size = code * width + key, size * width
    return code


def count_up(ordered: Codes) -> Codes:
    """Number sorted codes from 0."""
    return (np.diff(ordered, prepend=ordered[:1]) != 0).cumsum()


def firsts(ordered: Codes) -> Codes:
    """Where each of sorted codes comes first."""
    return np.flatnonzero(np.diff(ordered, prepend=-1))
