"""Drivers: what goes with ratings and with coming back, and how much of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Amount, Columns, Count, Customers, Flag, Label, Share, Tables
from cxlib.errors import InputError, NotMeasurableError
from cxlib.journeys import NO_STAGE
from cxlib.numbers import decimal, plural, share
from cxlib.results import Result, answers, result
from cxlib.sequences import (
    ENVIRONMENT,
    choose_contacts,
    comes_late,
    is_kept,
    meets_finding,
    own_places,
)
from cxlib.statistics.importance import cross_products, driver_shares, slopes
from cxlib.statistics.rates import divide, mean_interval
from cxlib.statistics.resampling import BUCKETS, effective_buckets, jackknife_se
from cxlib.store import Workspace
from cxlib.store.walk import around, changes
from cxlib.summary import Selection

MOST_GROUPS = 8
"""Kinds of contact or channels, environments and findings met that are drivers of their own."""

MOST_ENVIRONMENTS = 3
"""Environments that are drivers of their own."""

FEWEST = 20
"""Fewest customers behind an outcome."""

PER_DRIVER = 3
"""Fewest ratings per driver: with fewer, chance alone explains a third of the differences."""

_TOGETHER = "other"
_GIVEN = 5
"""Columns of contacts before their drivers."""


@result
class Drivers(Result):
    """What `measure_drivers` returns; ``notes`` say why an outcome has no drivers."""

    days: int
    notes: tuple[str, ...]

    title = "What goes with it"
    tables = Tables(
        table=Columns(
            "one row per outcome and driver, the largest share first",
            outcome=Label("scale of the ratings, or return within so many days"),
            driver=Label(
                "contacts of a kind or channel, waits, repeats, changes, backtracks, findings met, "
                "planned steps that came late, environments"
            ),
            n=Count("contacts rated, or customers followed so long", each="ratings"),
            customers=Customers("who had more of it than who had least", detail=True),
            share=Share("of the outcome's variance; they add up to r2", of="n", interval=True),
            r=Amount("plain correlation with the outcome", of="n"),
            slope=Amount("of the outcome per unit, the others held", of="n", interval=True),
            suppression=Flag("the slope clearly runs against r: others hide what it adds"),
            r2=Amount("of all drivers together", of="n"),
            r2_later=Amount(
                "out of time: the last third told from the first two; below 0: not", of="n"
            ),
        ),
    )

    def sentences(self) -> list[str]:
        """Say what goes with each outcome, and how far that holds later."""
        said = []
        for (outcome,), rows in self.table.group_by("outcome", maintain_order=True):
            clear = rows.filter((pl.col("slope_low") > 0) | (pl.col("slope_high") < 0)).head(3)
            named = ", ".join(
                f"{'more' if row['slope'] > 0 else 'less'} with {row['driver']} "
                f"({share(row['share'], row['share_low'], row['share_high'])})"
                for row in clear.to_dicts()
            )
            first = rows.row(0, named=True)
            later = first["r2_later"]
            holds = "not told" if later is None else f"{100 * later:.0f} %" if later > 0 else "none"
            said.append(
                f"{outcome}: {named or 'nothing clearly goes with it'}; all drivers together "
                f"{share(first['r2'])} of its differences, out of time {holds} "
                f"(n = {decimal(first['n'])}; associated, which is not caused by)"
            )
            said += [
                f"{outcome}: {row['driver']} alone shows nothing, or the opposite "
                f"(r = {row['r']:.2f}): others that it comes with hide what it adds (suppression)"
                for row in rows.filter("suppression").head(2).to_dicts()
            ]
        return [*said, *self.notes]


@answers(Drivers)
def measure_drivers(
    workspace: Workspace,
    *,
    days: int = 90,
    findings: pl.DataFrame | None = None,
    where: Selection | None = None,
) -> Drivers:
    r"""Measure what goes with each rating scale and with coming back, and how much of it.

    A rated contact has what came before it in its journey, itself included: contacts of each
    ``kind`` of the map (where it gives none: of each channel), the wait before it and the longest
    so far, repeats of a touchpoint, changes of channel, backtracks to an earlier stage, findings
    met (contacts where, when and in the group that one is about); whether its planned step came
    late (after the promised date, or the deadline); and whether it was in one of the commonest
    environments. A customer has the same at the end of his first journey; the outcome is 1 where he
    came by his own act (no delivery, and nothing that the company begins) in a later journey within
    `days`, of those who are followed that long. Counts and hours enter as log(1 + x).

    Shares are Johnson's relative weights: they add up to R². Where ``slope`` and ``r`` clearly
    disagree, other drivers hide what this one adds (suppression: Tzelgov & Henik 1991,
    doi:10.1037/0033-2909.109.3.524). Drivers are associated with the outcome.

    Parameters
    ----------
    days
        Days within which a customer counts as having come back.
    findings
        Findings that customers may have met: ``cx.find_breaks(workspace).found``.
    where
        Segment, periods and channel of the rated contact, or of the last one of the first journey;
        what came before it counts wherever it was.

    Raises
    ------
    NotMeasurableError, InputError
        No outcome has enough ratings or customers, or differences among them; days below 1.
    """
    if days < 1:
        raise InputError("days must be a whole number from 1 on, such as 90")
    contacts = _contacts(workspace, findings) if findings is not None else _kept(workspace)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for outcome, unit, cases in _outcomes(workspace, contacts, days, where):
        drivers = [c for c in cases.columns[_GIVEN:-1] if cases[c].n_unique() > 1]
        if reason := _missing(outcome, unit, cases, drivers):
            notes.append(reason)
        else:
            rows += ({"outcome": outcome, **row} for row in explain_differences(cases, drivers))
    if not rows:
        raise NotMeasurableError("; ".join(notes))
    return Drivers(
        table=Drivers.tables["table"].frame(rows),
        days=days,
        notes=tuple(notes),
    )


def _kept(workspace: Workspace) -> pl.DataFrame:
    """Contacts with their drivers, whatever part is asked about: of a small log they are kept."""
    if not is_kept(workspace):
        return _contacts(workspace)
    file = workspace.log_folder / "places.parquet"
    return workspace.keep("drivers", file, lambda: _contacts(workspace))


def _contacts(workspace: Workspace, findings: pl.DataFrame | None = None) -> pl.DataFrame:
    """Every contact with its drivers, which are all columns after ``journey``."""
    there = _environments(workspace)
    met = {} if findings is None else {"findings met": meets_finding(workspace, findings)}
    places, store = workspace.places, workspace.store()
    rows = store.select("customer", "bucket", "occurred_at", "place", "journey").collect()
    known = places["kind"].null_count() < len(places)
    called = (places["kind"] if known else places["channel"]).fill_null(_TOGETHER)
    counted = called.gather(rows["place"].cast(pl.UInt32)).value_counts(name="n")
    common = counted.filter(pl.col(called.name) != _TOGETHER).sort(
        "n", called.name, descending=[True, False]
    )[called.name]
    own = common.head(MOST_GROUPS - there.width - len(met)).to_list()
    called = called.replace_strict({n: n for n in own}, default=_TOGETHER)
    groups = own + ([_TOGETHER] if (called == _TOGETHER).any() else [])

    def of_place(values: pl.Series) -> pl.Expr:
        return pl.lit(values).gather(pl.col("place").cast(pl.UInt32))

    def so_far(flag: pl.Expr) -> pl.Expr:
        return flag.cast(pl.Float64).cum_sum().over("journey").log1p()

    new = changes("journey")
    stage, channel = of_place(places["stage_index"].cast(pl.Int64)), of_place(places["channel"])
    before = around(stage, -1)
    since = pl.col("occurred_at") - around("occurred_at", -1)
    seen = pl.int_range(pl.len()).over("journey", "place") > 0
    waited = since.dt.total_seconds().fill_null(0) / 3_600
    back = ~new & (stage < before) & (stage != NO_STAGE) & (before != NO_STAGE)
    # what looks at the row before is worked out over all rows, and only then by journey
    rows = rows.with_columns(
        _waited=waited, _back=back, _changed=~new & (channel != around(channel, -1)), **met
    )
    return rows.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        *("customer", "bucket", "occurred_at", "journey"),
        *(so_far(of_place(called == name)).alias(f"{name} contacts") for name in groups),
        pl.col("_waited").log1p().alias("wait before"),
        pl.col("_waited").cum_max().over("journey").log1p().alias("longest wait"),
        so_far(seen & ~of_place(places["repeatable"])).alias("repeats"),
        so_far(pl.col("_changed")).alias("channel changes"),
        so_far(pl.col("_back")).alias("backtracks"),
        *(so_far(pl.col(name)).alias(name) for name in met),
        comes_late(workspace).fill_null(False).cast(pl.Float64).alias("late"),
    ).hstack(there)


def _environments(workspace: Workspace) -> pl.DataFrame:
    """Whether each contact was in one of the commonest environments, which not most share."""
    store = workspace.store()
    columns = [c for c in store.collect_schema().names() if c.startswith(ENVIRONMENT)]
    told = store.select(pl.col(columns).cast(pl.String)).collect()
    common = []
    for column in columns:
        counts = told[column].drop_nulls().value_counts().sort("count", column, descending=True)
        # the rarest is what the others are compared with
        common += [(n, column, value) for value, n in counts[:-1].iter_rows() if 2 * n <= len(told)]
    common.sort(key=lambda one: (-one[0], one[1], one[2]))
    return told.select(
        (pl.col(c) == value)
        .fill_null(False)
        .cast(pl.Float64)
        .alias(f"{c[len(ENVIRONMENT) :]} {value}")
        for _, c, value in common[:MOST_ENVIRONMENTS]
    )


def _outcomes(
    workspace: Workspace, contacts: pl.DataFrame, days: int, where: Selection | None
) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Outcomes, what a case of each is, and the cases: contacts with the outcome (``value``)."""
    kept = workspace.store().select("segment", "period", "place").collect()
    kept = kept.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
    chosen = contacts.join(
        choose_contacts(workspace, kept, where), on="row", how="semi", maintain_order="left"
    )
    ratings = workspace.ratings().filter("is_counted")
    said = ratings.select("scale", pl.col("row").cast(pl.Int64), value="rating").collect()
    for scale in said["scale"].value_counts(sort=True)["scale"]:
        given = said.filter(pl.col("scale") == scale).drop("scale")
        yield scale, "rating", chosen.join(given, on="row").sort("row")
    is_first = pl.col("journey") == pl.col("journey").first().over("customer")
    own = kept.select(own_places(workspace)).to_series()
    later = contacts.filter(~is_first & own)
    again = later.group_by("customer").agg(again=pl.col("occurred_at").min())
    ends = contacts.filter(is_first).unique("customer", keep="last", maintain_order=True)
    within = timedelta(days=days)
    came = (pl.col("again") - pl.col("occurred_at") <= within).fill_null(False)
    first = (
        chosen.join(ends, on="row", how="semi", maintain_order="left")
        .filter(pl.col("occurred_at") + within <= workspace.observed_until)
        .join(again, on="customer", how="left", maintain_order="left")
        .with_columns(value=came.cast(pl.Float64))
    )
    yield f"return within {days} days", "customer", first.drop("again")


def _missing(outcome: str, unit: str, cases: pl.DataFrame, drivers: list[str]) -> str | None:
    """Why nothing can be said of an outcome; None where something can."""
    n, people = len(cases), cases["customer"].n_unique()
    least = max(FEWEST, PER_DRIVER * len(drivers))
    if n < least or people < FEWEST:
        return (
            f"{outcome}: {plural(n, unit)} of {plural(people, 'customer')} are too few to tell "
            f"what goes with it (at least {least}, of {FEWEST} customers)"
        )
    if cases["value"].n_unique() < 2 or not drivers:
        return f"{outcome}: all {n} {unit}s are alike, so nothing goes with it"
    return None


def explain_differences(cases: pl.DataFrame, drivers: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of `Drivers` for one outcome; cases have ``customer``, ``bucket``, ``value``."""
    design = cases.select(*drivers, "value").to_numpy().astype(np.float64)
    # centred: sums of squares of what barely moves would else drown in rounding
    design = design - design.mean(axis=0)
    products = cross_products(design, cases["bucket"].to_numpy(), buckets=BUCKETS)
    shares, r2 = driver_shares(products)
    whole = products.sum(axis=0)
    slope = slopes(whole)
    without = np.stack([slopes(whole - part) for part in products], axis=1)
    units = np.repeat(effective_buckets(products[None, :, 0, 0]), len(drivers))
    low, high = mean_interval(slope, jackknife_se(slope, without), buckets=units)
    spread = np.sqrt(np.diag(whole)[1:])
    r = divide(whole[1:-1, -1], spread[:-1] * spread[-1])
    against = ((low > 0) & (r < 0)) | ((high < 0) & (r > 0))
    columns = {
        "share": shares.estimate,
        "share_low": shares.low,
        "share_high": np.minimum(shares.high, 1.0),
        "r": r,
        "slope": slope,
        "slope_low": low,
        "slope_high": high,
    }
    head = {
        "n": len(cases),
        "r2": r2,
        "r2_later": _out_of_time(design, cases["occurred_at"].to_physical().to_numpy()),
    }
    for i in np.argsort(-shares.estimate, kind="stable"):
        told = {c: float(v[i]) if np.isfinite(v[i]) else None for c, v in columns.items()}
        more = cases.filter(pl.col(drivers[i]) > pl.col(drivers[i]).min())["customer"].n_unique()
        head |= {"driver": drivers[i], "customers": more}
        yield {**head, "suppression": bool(against[i]), **told}


def _out_of_time(design: NDArray[np.float64], at: NDArray[np.int64]) -> float | None:
    """R² in the last third of time of what the first two thirds tell; None where unknown."""
    late = at > np.quantile(at, 2 / 3)
    early, outcome = design[~late], design[:, -1]
    # constant to the last bit: a variance would be rounding, and not 0
    if min(late.sum(), len(early)) < FEWEST or not (np.ptp(early[:, -1]) and np.ptp(outcome[late])):
        return None
    [products] = cross_products(early, np.zeros(len(early), dtype=np.int64), buckets=1)
    off = design[late] - early.mean(axis=0)
    error = off[:, -1] - off[:, :-1] @ slopes(products)
    return 1 - float((error**2).sum()) / float(outcome[late].var() * len(off))
