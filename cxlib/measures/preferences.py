"""What customers prefer: where they go, and where they rate better than elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl

from cxlib.columns import Columns, Count, Customers, Label, Rating, Share, Tables
from cxlib.contracts import DIMENSION
from cxlib.errors import InputError, NotMeasurableError
from cxlib.numbers import decimal, rating, share
from cxlib.results import Result, answers, interval_row, of_workspace, result
from cxlib.segments import segment_names
from cxlib.sequences import choose_contacts, name_groups, own_places
from cxlib.statistics.multiple_testing import shrink_effects
from cxlib.statistics.rates import Interval
from cxlib.statistics.scores import mean_score, share_of_group
from cxlib.store import Workspace
from cxlib.summary import Selection

Of = Literal["channel", "touchpoint"]

PRIOR = 4.0
"""Contacts that everybody's habits count for where one customer's are told."""

CLEAR = 0.5
"""Least share of a customer's contacts, drawn to everybody's, that makes a preference."""

EVERYBODY = "all"

_FEWEST = 5
"""Customers who rated a place and another, from whom on it is told how far they lie apart."""


@result
class Preferences(Result):
    """What `measure_preferences` returns; it is ``of`` channels or touchpoints."""

    of: str

    title = "What customers prefer"
    tables = Tables(
        table=Columns(
            "one row per group of customers and channel (or touchpoint), all customers first",
            by=Label("all, or the segment that the group is a value of"),
            group=Label("of the customers"),
            name=Label("of the channel or touchpoint"),
            n=Count("contacts that the customers began", each="contacts"),
            customers=Customers("who were there"),
            share=Share("of the group's contacts", each="contacts", interval=True),
            prefer=Customers("who clearly prefer it: most of their contacts, chance allowed for"),
            rated=Count("answers there", each="ratings", detail=True),
            lift=Rating(
                "points that customers rate it above their own other answers, drawn to the mean of "
                "all groups where few answered",
                of="rated",
                each="ratings",
                interval=True,
            ),
        ),
    )

    def sentences(self) -> list[str]:
        """Say what most go to, what is rated better than elsewhere, and which groups differ."""
        rows = self.table.filter(pl.col("by") == EVERYBODY)
        if len(rows) < 2:
            there = "".join(f", {name}" for name in rows["name"])
            return [f"All contacts that customers begin are in one {self.of}{there}: no choice"]
        most = rows.sort("share", descending=True).row(0, named=True)
        said = [
            f"Most contacts that customers begin are in {most['name']} "
            f"({share(most['share'], most['share_low'], most['share_high'])}); "
            f"{decimal(most['prefer'])} of {decimal(most['customers'])} customers there clearly "
            "prefer it"
        ]
        for better, end in ((True, "lift_low"), (False, "lift_high")):
            clear = rows.filter(pl.col(end) > 0 if better else pl.col(end) < 0)
            said += [
                f"Customers rate {row['name']} {_points(row)} points "
                f"{'above' if better else 'below'} their own other answers"
                for row in clear.sort("lift", descending=better).head(1).to_dicts()
            ]
        return said


def _points(row: dict[str, Any]) -> str:
    ends = sorted(abs(row[f"lift_{end}"]) for end in ("low", "high"))
    return rating(abs(row["lift"]), *ends)


@answers(Preferences)
def measure_preferences(
    workspace: Workspace, *, of: Of = "channel", where: Selection | None = None
) -> Preferences:
    r"""Measure which channels or touchpoints customers prefer, by behaviour and by rating.

    By behaviour: contacts that customers begin themselves (what the company sends, and what is
    delivered, prefers nobody).
    A customer clearly prefers what holds more than half of his contacts once :data:`PRIOR`
    contacts with everybody's habits are added. By rating: how far customers rate it from their own
    other answers on the same scale, which leaves out who is hard to please. Of several groups
    these are drawn to their mean by how little is known of each (empirical Bayes).

    Parameters
    ----------
    of
        "channel" or "touchpoint".
    where
        Segment, periods and channel of the contact.

    Raises
    ------
    NotMeasurableError, InputError
        No contact was begun by a customer; for another `of`.
    """
    names, contacts = _begun(workspace, of, where)
    prefer = _preferred(contacts, len(names))
    rows = []
    for by, groups, member in _groupings(workspace, contacts):
        part: list[dict[str, Any]] = []
        for i, group in enumerate(groups):
            own = contacts.filter(member == i)
            told = _counted(own, prefer, names)
            part += ({"by": by, "group": group, **row} for row in told)
        rows += _with_lifts(part)
    return Preferences(
        table=Preferences.tables["table"].frame(rows),
        of=of,
    )


@of_workspace
def list_audience(
    workspace: Workspace, name: str, *, of: Of = "channel", where: Selection | None = None
) -> pl.DataFrame:
    """List the customers who clearly prefer a channel or touchpoint, for whoever addresses them.

    The list holds ids: it stays on the analyst's side and is never published.

    Returns
    -------
    polars.DataFrame
        ``customer`` (the id of the log), ``contacts`` and ``share`` (of them there, drawn to that
        of everybody), the clearest first.

    Raises
    ------
    InputError
        There is no such channel or touchpoint; says which there are.
    """
    names, contacts = _begun(workspace, of, where)
    if name not in names:
        raise InputError(f"there is no {of} {name!r}; there are: {', '.join(names[:20])}")
    prefer = _preferred(contacts, len(names)).filter(pl.col("cell") == names.index(name))
    ids = workspace.customers().select("customer", id="name").collect()
    return (
        prefer.join(ids, on="customer")
        .select(customer="id", contacts="all", share="drawn")
        .sort("share", "customer", descending=[True, False])
    )


def _begun(
    workspace: Workspace, of: str, where: Selection | None
) -> tuple[list[str], pl.DataFrame]:
    """Contacts that customers began, with the number of their channel and the answer given."""
    if of not in ("channel", "touchpoint"):
        raise InputError(f"preferences are of channels or touchpoints, not of {of!r}")
    rows = workspace.store().select("customer", "place", "segment", "period").collect()
    rows = rows.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    names, group = name_groups(workspace, rows, of)
    kept = choose_contacts(workspace, rows.with_columns(cell=group), where)
    kept = kept.filter(own_places(workspace))
    if kept.is_empty():
        raise NotMeasurableError("no contact of this part of the log was begun by a customer")
    said = workspace.ratings().filter("is_counted").select("row", "scale", "rating").collect()
    return names, kept.join(said, on="row", how="left", maintain_order="left")


def _preferred(contacts: pl.DataFrame, cells: int) -> pl.DataFrame:
    """Customers with what they clearly prefer: ``customer``, ``cell``, ``all``, ``drawn``."""
    once = contacts.unique("row")
    usual = np.bincount(once["cell"].to_numpy(), minlength=cells) / len(once)
    counted = once.group_by("customer", "cell").agg(n=pl.len())
    counted = counted.with_columns(all=pl.col("n").sum().over("customer"))
    prior = PRIOR * pl.lit(pl.Series(usual)).gather(pl.col("cell"))
    drawn = (pl.col("n") + prior) / (pl.col("all") + PRIOR)
    return counted.with_columns(drawn=drawn).filter(pl.col("drawn") > CLEAR)


def _groupings(
    workspace: Workspace, contacts: pl.DataFrame
) -> Iterator[tuple[str, list[str], pl.Series]]:
    """Ways to tell customers apart, the groups, and the number of each contact's."""
    yield EVERYBODY, [EVERYBODY], pl.Series([0]).new_from_index(0, len(contacts))
    for name in segment_names(workspace.segments):
        by = DIMENSION + name
        yield by, *name_groups(workspace, contacts, by)


def _counted(own: pl.DataFrame, prefer: pl.DataFrame, names: list[str]) -> Iterator[dict[str, Any]]:
    once = own.unique("row", maintain_order=True)
    who, cell = (once[c].to_numpy().astype(np.int64) for c in ("customer", "cell"))
    chosen = prefer.join(own.select("customer").unique(), on="customer", how="semi")["cell"]
    rated = own.drop_nulls("rating")
    for i, name in enumerate(names):
        here = cell == i
        if here.any():
            yield {
                "name": name,
                "n": int(here.sum()),
                "customers": len(np.unique(who[here])),
                **interval_row("share", share_of_group(here, who)),
                "prefer": int((chosen == i).sum()),
                "rated": int((rated["cell"] == i).sum()),
                "lift": _lift(rated, i),
            }


def _lift(said: pl.DataFrame, cell: int) -> Interval | None:
    """How far customers rate a cell from their own other answers on the scale; paired."""
    here = pl.col("cell") == cell
    apart = (
        said.group_by("customer", "scale")
        .agg(off=pl.col("rating").filter(here).mean() - pl.col("rating").filter(~here).mean())
        .drop_nulls()
        .group_by("customer")
        .agg(pl.col("off").mean())
    )
    if len(apart) < _FEWEST:
        return None
    off = apart["off"].to_numpy()
    width = float(said["rating"].max() - said["rating"].min())  # type: ignore[operator, arg-type]
    return mean_score([len(off)], [off.sum()], [(off**2).sum()], scale=(-width, width))


def _with_lifts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the lifts out, those of several groups at one place drawn to their mean."""
    several = len({row["group"] for row in rows}) > 1
    lifts = [row.pop("lift") for row in rows]
    for name in {row["name"] for row in rows}:
        there = [i for i, row in enumerate(rows) if row["name"] == name and lifts[i] is not None]
        drawn = shrink_effects(
            [lifts[i].estimate[0] for i in there], [lifts[i].se[0] for i in there]
        )
        for n, i in enumerate(there):
            rows[i] |= interval_row("lift", drawn, n) if several else interval_row("lift", lifts[i])
    return rows
