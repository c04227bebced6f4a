"""Personas: groups of customers who go through their journeys alike, found or refused.

k-means on principal components of where their contacts are (Hellinger's distance) and how many.
Groups have to come back when customers are drawn anew (Hubert & Arabie 1985,
doi:10.1007/BF01908075; Hennig 2007, doi:10.1016/j.csda.2006.11.025), and to be clearer than in a
log in which everybody goes on by the same chances.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Amount, Columns, Customers, Label, Share, Tables, Text
from cxlib.errors import NotMeasurableError
from cxlib.numbers import decimal, share
from cxlib.results import Result, answers, result
from cxlib.segments import segment_names
from cxlib.sequences import choose_contacts
from cxlib.statistics.rates import wilson
from cxlib.store import Workspace
from cxlib.store.selection import Selection

Floats = NDArray[np.float64]

LEAST_STABLE = 0.75
"""Median adjusted Rand index over resamples from which groups count as there."""

LEAST_CLEARER = 0.03
"""Share of the spread that groups must tell more than in every log of alike customers."""

MOST, COMPONENTS, RESAMPLES, ALIKE, SAMPLE = 6, 6, 20, 9, 3_000
"""Most personas; components they are told apart by; resamples; logs of alike customers; customers
that groups are sought among."""

LEAST_PART = 0.02
"""Share of the customers that the smallest group must have."""

LEAST_CUSTOMERS, LEAST_CONTACTS = 200, 3
"""Customers, and contacts of each, below which a journey says too little of who makes it."""


@result
class Personas(Result):
    """What `find_personas` returns: ``stability`` (median adjusted Rand index over resamples);
    ``clearer`` (share of the spread told, above that of the clearest log of alike customers);
    customers ``left_out`` with too few contacts; the ``reason`` why there are none, else None.
    """

    stability: float
    clearer: float
    left_out: int
    reason: str | None
    members: pl.DataFrame

    title = "Personas"
    tables = Tables(
        table=Columns(
            "one row per persona, the largest first",
            persona=Label("named by what sets it apart"),
            customers=Customers("of it"),
            part=Share("of the customers who could be told", of="customers"),
            contacts=Amount("contacts of a customer before a goal, mean", of="customers"),
            goal=Share("of its customers who reached a goal", of="customers", interval=True),
            apart=Text("what sets it apart: its share of contacts, that of the others"),
        )
    )

    def sentences(self) -> list[str]:
        """Say which there are, or why none can be told."""
        if self.reason is not None:
            return [f"no personas can be told: {self.reason}"]
        return [
            f"{len(self.table)} personas, which come back in resamples (adjusted Rand index "
            f"{self.stability:.2f}); {decimal(self.left_out)} customers have too few contacts",
            *(f"{row['persona']} ({share(row['part'])}): {row['apart']}"
              for row in self.table.to_dicts()),
        ]  # fmt: skip


@answers(Personas)
def find_personas(
    workspace: Workspace, *, where: Selection | None = None, seed: int = 0
) -> Personas:
    """Find groups of customers who go through their journeys alike, or say that there are none.

    Outcomes take no part, nor contacts from a goal on: how often a persona reaches one is an
    answer, and not what it is made of.

    Parameters
    ----------
    where
        Segment, periods and channel of the contacts.
    seed
        Draws the resamples.

    Raises
    ------
    NotMeasurableError
        Too few customers have enough contacts.
    """
    kept = ("customer", "place", "journey", "segment", "period", "reached")
    rows = choose_contacts(workspace, workspace.store().select(kept).collect(), where)
    every = rows["customer"].n_unique()
    won = rows.group_by("customer").agg(pl.col("reached").any())
    rows = rows.filter(~pl.col("reached"))
    rows = rows.filter(pl.len().over("customer") >= LEAST_CONTACTS)
    customers = rows["customer"].unique().sort()
    if len(customers) < LEAST_CUSTOMERS:
        raise NotMeasurableError(
            f"personas take {LEAST_CUSTOMERS} customers with {LEAST_CONTACTS} contacts each; there "
            f"are {len(customers)}"
        )
    size, journey = len(workspace.places), rows["journey"].to_numpy()
    number = rows["customer"].rank("dense").to_numpy().astype(np.int64) - 1
    place = rows["place"].to_numpy().astype(np.int64)
    counts = _counted(number, place, size)
    dice = np.random.default_rng(seed)
    sample = dice.permutation(len(customers))[:SAMPLE]
    points = _project(_features(counts), sample)
    begins = np.append(True, journey[1:] != journey[:-1])
    walked = (_walk_alike(number, place, begins, size, sample, dice) for _ in range(ALIKE))
    alike = [_project(_features(counted), np.arange(len(counted))) for counted in walked]
    groups, stability, clearer = _choose(points[sample], alike, dice)
    labels = groups.predict(points)
    reason = None
    if stability < LEAST_STABLE:
        reason = (
            f"groups do not come back when customers are drawn anew (adjusted Rand index "
            f"{stability:.2f}, it takes {LEAST_STABLE})"
        )
    elif (smallest := np.bincount(groups.labels_).min() / len(groups.labels_)) < LEAST_PART:
        reason = (
            f"all but {share(smallest)} of the customers go through their journeys alike, and "
            f"a group must have {share(LEAST_PART)} of them"
        )
    elif clearer < LEAST_CLEARER:
        reason = (
            "the groups are hardly clearer than where everybody goes on by the same chances: they "
            f"tell {share(max(clearer, 0.0))} more of the spread, and it takes "
            f"{share(LEAST_CLEARER)}"
        )
    reached = customers.to_frame().join(won, on="customer", how="left", maintain_order="left")
    found = [] if reason else _describe(workspace, labels, counts, reached["reached"].to_numpy())
    called = {row.pop("cluster"): row["persona"] for row in found}
    members = pl.DataFrame(
        {"customer": customers, "persona": [called.get(label) for label in labels]},
        schema_overrides={"persona": pl.String},
    )
    return Personas(
        table=Personas.tables["table"].frame(found),
        stability=stability,
        clearer=clearer,
        left_out=every - len(customers),
        reason=reason,
        members=members if reason is None else members.clear(),
    )


def customers_with_personas(workspace: Workspace, personas: Personas) -> pl.DataFrame:
    """The customers table with the personas as one more segment, for ``cx ingest --customers``."""
    taken = segment_names(workspace.segments)
    name = next(n for n in ("persona", "journey_persona", "found_persona") if n not in taken)
    told = workspace.customers().select("customer", "name", "segment").collect()
    told = told.join(workspace.segments, on="segment", how="left", maintain_order="left")
    told = told.join(personas.members, on="customer", how="left", maintain_order="left")
    return told.select(
        "name",
        *(pl.col(f"segment.{n}").alias(n) for n in taken),
        pl.col("persona").fill_null("unknown").alias(name),
    ).rename({"name": "customer"})


def _counted(number: NDArray[Any], place: NDArray[Any], size: int) -> Floats:
    customers = int(number.max()) + 1
    flat = np.bincount(number * size + place, minlength=customers * size)
    return flat.reshape(customers, size).astype(np.float64)


def _features(counts: Floats) -> Floats:
    """Square roots of the shares of places, and the logarithm of the number of contacts."""
    total = counts.sum(1, keepdims=True)
    return np.hstack([np.sqrt(counts / np.maximum(total, 1)), 0.15 * np.log(np.maximum(total, 1))])


def _project(features: Floats, sample: NDArray[Any]) -> Floats:
    """Principal components of a sample, of everybody."""
    among = features[sample]
    _, _, axes = np.linalg.svd(among - among.mean(0), full_matrices=False)
    return np.asarray((features - among.mean(0)) @ axes[:COMPONENTS].T)


def _fit(among: Floats, k: int) -> Any:
    """k-means: the closest of three starts."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(
        action="ignore", category=ConvergenceWarning
    ):  # fewer kinds than k
        return KMeans(k, n_init=3, max_iter=30, random_state=0).fit(among)


def _choose(
    points: Floats, alike: Sequence[Floats], dice: np.random.Generator
) -> tuple[Any, float, float]:
    """The groups that come back and are clearest, how surely, and by how much clearer."""
    from sklearn.metrics import adjusted_rand_score

    def explained(among: Floats, groups: Any) -> float:
        """Share of the spread that lies between the groups."""
        return float(1 - groups.inertia_ / ((among - among.mean(0)) ** 2).sum())

    tried = []
    for k in range(2, MOST + 1):
        groups = _fit(points, k)
        drawn = (points[dice.integers(0, len(points), len(points))] for _ in range(RESAMPLES))
        again = [adjusted_rand_score(groups.labels_, _fit(x, k).predict(points)) for x in drawn]
        usual = max(explained(other, _fit(other, k)) for other in alike)
        tried.append((groups, float(np.median(again)), explained(points, groups) - usual))
    # a handful of odd customers comes back, too, and is no persona
    tried = [
        fit for fit in tried if np.bincount(fit[0].labels_).min() >= LEAST_PART * len(points)
    ] or tried[:1]
    stable = [fit for fit in tried if fit[1] >= LEAST_STABLE]
    return max(stable or tried, key=lambda fit: fit[2] if stable else fit[1])


def _walk_alike(
    number: NDArray[Any],
    place: NDArray[Any],
    begins: NDArray[np.bool_],
    size: int,
    sample: NDArray[Any],
    dice: np.random.Generator,
) -> Floats:
    """Counts of customers with as many contacts, who begin and go on by everybody's chances."""
    first = np.bincount(place[begins], minlength=size).cumsum()
    inner = np.flatnonzero(~begins)
    moves = np.bincount(place[inner - 1] * size + place[inner], minlength=size * size)
    moves = moves.reshape(size, size).cumsum(1)
    chosen = np.isin(number, sample)
    who = np.unique(number[chosen], return_inverse=True)[1]
    starts = begins[chosen]
    # contact by contact: the nth of every customer together
    first_row = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    order = np.arange(len(who)) - first_row[who]
    drawn = np.zeros(len(who), dtype=np.int64)
    for step in range(int(order.max()) + 1):
        at = np.flatnonzero(order == step)
        new = starts[at] | (step == 0)
        cumulated = np.where(new[:, None], first, moves[drawn[at - 1]])
        total = np.where(cumulated[:, -1:] > 0, cumulated[:, -1:], 1)
        drawn[at] = (cumulated <= dice.random(len(at))[:, None] * total).sum(1).clip(0, size - 1)
    return _counted(who, drawn, size)


def _describe(
    workspace: Workspace, labels: NDArray[Any], counts: Floats, reached: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """One row per persona, named by the channels and touchpoints that set it apart most."""
    places = workspace.places
    shares = counts / counts.sum(1, keepdims=True)
    rows: list[dict[str, Any]] = []
    for c in sorted(np.unique(labels), key=lambda c: -(labels == c).sum()):
        mine = labels == c
        told = []
        for column in ("channel", "touchpoint"):
            for name, channel in dict.fromkeys(places.select(column, of="channel").iter_rows()):
                at = (places[column] == name).to_numpy()
                here, others = (float(shares[m][:, at].sum(1).mean()) for m in (mine, ~mine))
                told.append((here - others, str(name), here, others, str(channel)))
        told.sort(reverse=True)
        taken = {row["persona"] for row in rows}
        picked = told[:1]
        for more in told[1:]:
            alone = _called(picked) not in taken
            if alone and (len(picked) > 1 or 2 * more[0] < told[0][0]):
                break
            if not alone or more[4] not in {p[4] for p in picked}:
                picked.append(more)
        n, won = int(mine.sum()), float(reached[mine].mean())
        low, high = (float(end) for end in wilson(won, n))
        rows.append(
            {"cluster": int(c), "persona": _called(picked), "customers": n}
            | {"part": n / len(labels), "contacts": float(counts[mine].sum(1).mean())}
            | {"goal": won, "goal_low": low, "goal_high": high}
            | {"apart": "; ".join(f"{n} {share(a)} of contacts, others {share(b)}"
                                  for _, n, a, b, _ in picked)}
        )  # fmt: skip
    return rows


def _called(picked: Sequence[tuple[Any, ...]]) -> str:
    return "more " + " and ".join(dict.fromkeys(p[1] for p in picked))
