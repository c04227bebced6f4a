"""Is one row of an unknown log one contact? Wide tables and order lines are found here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from cxlib.ingest.evidence import Column, varying, vocabulary
from cxlib.ingest.instants import guess_time_format, read_instants
from cxlib.ingest.roles import (
    is_step_time,
    names_contacts,
    rank_touchpoints,
    strong_touchpoint,
)
from cxlib.map_shapes import Unpivot

__all__ = ["Shape", "find_shape"]

_ITEM = vocabulary("product sku item lineitem stock stockcode description article artikel asin ean")
_BASKET = vocabulary(
    "order invoice basket transaction receipt bon cart rechnung bestellung purchase"
)
_FILLER = vocabulary(
    "at date time timestamp on dt ts tstamp utc datetime datum zeit zeitpunkt tijd when "
    "is has flag did"
)
_RECORDS = vocabulary("create created start started event hs time stamp order visit")
_TRUE = {"1", "1.0", "true", "t", "yes", "y", "ja", "x"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What one row of a log is; both None: a contact."""

    unpivot: Unpivot | None = None
    one_per: str | None = None
    why_unpivot: str = ""
    why_one_per: str = ""


def find_shape(
    rows: pl.DataFrame,
    columns: Mapping[str, Column],
    customer: str,
    varies: Mapping[str, float],
) -> Shape:
    """Say what one row of a log is.

    Parameters
    ----------
    rows
        Raw rows, every column as text.
    columns
        What `profile` says of them.
    customer
        The column of the customer.
    varies
        What `vary_labels` says of the columns.
    """
    ranked = rank_touchpoints(columns, varies)
    score, best = ranked[0] if ranked else (0.0, None)
    if best is not None and strong_touchpoint(best) and score >= 2:
        return Shape()
    is_long = best is not None and score >= 2 and names_contacts(best)
    times = [c for c in columns.values() if is_step_time(c)]
    one_per, why_one_per = _order_lines(rows, columns, customer, times)
    spoken = [c for c in times if set(c.words) - _FILLER - _RECORDS]
    if len(times) >= 3 or (len(times) == len(spoken) == 2 and not is_long):
        steps = _in_order(rows, {_step(c, times): c for c in times})
        why = f"each row has {len(steps)} times, one for each step; no column names a contact"
        later = [c.name for c in columns.values() if c.kind == "time" and c not in times]
        why += f"; {', '.join(later)}: no step, but a plan or a record" if later else ""
        return Shape(Unpivot(times=steps), one_per, why, why_one_per)
    flags = _funnel(rows, columns, customer) if not is_long else {}
    if flags and times:
        why = f"each row has {len(flags)} flags, each true only where the one before it is"
        return Shape(Unpivot(flags=flags), one_per, why, why_one_per)
    return Shape(None, one_per if not is_long else None, "", why_one_per)


def _step(column: Column, times: list[Column]) -> str:
    """Name a step by what its column is called and the others are not."""
    shared = set.intersection(*(set(c.words) for c in times)) if len(times) > 1 else set()
    words = [w for w in column.words if w not in _FILLER and w not in shared]
    return " ".join(words) or column.name


def _in_order(rows: pl.DataFrame, steps: Mapping[str, Column]) -> dict[str, str]:
    """Return the columns by step, in the order in which the steps are taken."""
    head = rows.head(20_000)
    read = {}
    for step, column in steps.items():
        texts = head[column.name]
        guessed = guess_time_format(texts.drop_nulls().head(1000).to_list())
        pattern = guessed[0] if guessed is not None else None
        read[step] = read_instants(texts, where="", time_format=pattern, refuse=False).values
    times = pl.DataFrame(read)
    first = pl.min_horizontal(times.columns)
    after = times.select((pl.col(c) - first).dt.total_seconds().mean() for c in times.columns).row(
        0
    )
    order = sorted(range(len(after)), key=lambda i: (after[i] is None, after[i] or 0.0))
    names = list(steps)
    return {names[i]: steps[names[i]].name for i in order}


def _funnel(rows: pl.DataFrame, columns: Mapping[str, Column], customer: str) -> dict[str, str]:
    """Return flags of which each is set only where the one before it is: steps, not properties."""
    if columns[customer].each > 1.2:
        return {}
    flags = [c for c in columns.values() if c.kind == "flag"]
    if len(flags) < 3:
        return {}
    is_set = rows.select(
        pl.col(c.name).str.to_lowercase().is_in(list(_TRUE)).fill_null(False) for c in flags
    )
    order = sorted(flags, key=lambda c: -int(is_set[c.name].sum()))
    chain = [order[0]]
    for column in order[1:]:
        inside = is_set.filter(pl.col(column.name))[chain[-1].name]
        if len(inside) and inside.mean() >= 0.95:  # type: ignore[operator]
            chain.append(column)
    if len(chain) < 3:
        return {}
    return {_step(c, chain): c.name for c in chain}


def _order_lines(
    rows: pl.DataFrame, columns: Mapping[str, Column], customer: str, times: list[Column]
) -> tuple[str | None, str]:
    """Return the column of which each value is one contact, where rows are lines of baskets."""
    items = [c.name for c in columns.values() if set(c.words) & _ITEM and c.distinct > 1]
    if not items:
        return None, ""
    baskets = _BASKET | (
        {"name"} if any("lineitem" in c.words for c in columns.values()) else set()
    )
    for column in columns.values():
        if column.name == customer or column.kind == "time" or not set(column.words) & baskets:
            continue
        has_digits = column.counts["value"].str.contains(r"\d").mean()
        if column.name in items or column.each < 1.1 or column.distinct < 5 or not has_digits:
            continue
        found = varying(rows, column.name, [customer, *(c.name for c in times), *items], unseen=0.0)
        one = [customer, *(c.name for c in times)]
        if all(found[c] < 0.02 for c in one) and any(found[c] > 0.3 for c in items):
            counted = f"{column.filled:,} lines are {column.distinct:,} baskets"
            return column.name, f"{counted}, each of one customer at one time"
    return None, ""
