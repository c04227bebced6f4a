"""Ids that are no ids, and spellings that only a machine tells apart: reported, never mended."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

__all__ = ["hints_on_ids", "hints_on_spellings", "is_no_customer"]

_PLACEHOLDER = (
    r"^(?:\(?(?:null|none|nil|nan|undefined|unknown|not set|not provided|other|empty|missing)\)?"
    r"|anonymous|anonym|guest|#?n/a|<na>|#value!|-{1,3}|\?+|blank|no id|unbekannt|inconnu"
    r"|desconocido|sconosciuto|onbekend|00000000-0000-0000-0000-000000000000)$"
)
_ZEROS = r"^(?:0+|-1|9{5,}|1234567890?|[0-]{8,})$"
"""Numbers that stand for none, where they hold many times the rows of an id."""


def is_no_customer(customers: pl.Series, names: tuple[str, ...]) -> pl.Series:
    """Whether an id is one of those that the map says are none, in any case."""
    return customers.str.to_lowercase().is_in([name.lower() for name in names]).fill_null(False)


def hints_on_ids(customers: pl.Series) -> Iterator[str]:
    """Say which ids read like a placeholder, and how many differ by case only.

    Parameters
    ----------
    customers
        The id of each contact, as text.
    """
    counted = customers.to_frame("id").group_by("id").len("rows")
    low = pl.col("id").str.to_lowercase()
    others = (customers.len() - pl.col("rows")) / max(counted.height - 1, 1)
    many = (pl.col("rows") > 5 * others) & (pl.col("rows") > 5)
    placeholder = low.str.contains(_PLACEHOLDER) | (low.str.contains(_ZEROS) & many)
    for name, rows in (
        counted.filter(placeholder).sort("rows", "id", descending=[True, False]).rows()
    ):
        yield (
            f"customer {name!r} reads like a placeholder and holds {rows:,} of {len(customers):,} "
            f"rows; if it is none, write into the map: not_a_customer: [{name!r}]"
        )
    twins = counted.group_by(low.alias("low")).agg(pl.col("id").sort(), pl.col("rows").sum())
    twins = twins.filter(pl.col("id").list.len() > 1).sort("rows", "low", descending=[True, False])
    if twins.height:
        ids = int(twins["id"].list.len().sum())
        shown = " and ".join(map(repr, twins["id"][0][:2]))
        yield (
            f"{ids:,} customers differ from another by case only, such as {shown} "
            f"({twins['rows'].sum():,} rows); if they are one, write into the map: fold_case: true"
        )


def hints_on_spellings(counted: pl.DataFrame) -> Iterator[str]:
    """Say which touchpoints, channels, stages and owners differ by case only.

    Parameters
    ----------
    counted
        Columns of those names, and ``len``, contacts.
    """
    for role in ("touchpoint", "channel", "stage", "owner"):
        names = counted.drop_nulls(role).group_by(role).agg(pl.col("len").sum())
        low = pl.col(role).str.to_lowercase()
        twins = names.group_by(low.alias("low")).agg(pl.col(role).sort(), pl.col("len").sum())
        twins = twins.filter(pl.col(role).list.len() > 1).sort("low")
        if twins.height:
            shown = ", ".join(" and ".join(map(repr, names)) for names in twins[role][:3].to_list())
            yield (
                f"{role}s that differ by case only: {shown} ({twins['len'].sum():,} contacts); "
                "if they are one, write into the map: fold_case: true"
            )
