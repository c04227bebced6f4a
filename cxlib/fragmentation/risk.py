"""The risk of each journey now: learned from what became of earlier contacts.

`predict_journey_risk` learns from contacts that were followed for the whole horizon what became of
them (went on, fell silent, went back a stage), from what was known at the contact, and scores the
customers who are still within the horizon. How good that is is measured by
`cxlib.fragmentation.backtest`; a prediction without that table is an opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import choose_silence
from cxlib.columns import (
    Amount,
    Columns,
    Count,
    Customers,
    Flag,
    Instant,
    Label,
    Share,
    Tables,
    Wait,
)
from cxlib.errors import InputError
from cxlib.fragmentation.features import (
    CLASSES,
    NUMBERS,
    OUTCOMES,
    read_contacts_at_risk,
    say_days,
)
from cxlib.results import Result, result
from cxlib.segments import DIMENSION
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, dense_counts, number_cells

if TYPE_CHECKING:
    from polars._typing import ClosedInterval

    from cxlib.store import Workspace

Floats = NDArray[np.float64]

MIN_LABELLED = 1_000
"""Followed contacts below which no model is fitted."""

MIN_OUTCOMES = 50
"""Contacts after which journeys fragmented, and after which they went on, below which none is."""

TRAINING_CONTACTS = 60_000
"""Contacts a model is fitted to; of more, those of an even sample of customers."""

_RAREST_CLASS = 20
_MOST_CLASSES = 200


@result
class JourneyRisk(Result):
    """What `predict_journey_risk` returns.

    Attributes
    ----------
    horizon
        Silence that counts as having left.
    contacts, customers, sample_step
        Followed contacts learned from, their customers, and k where only every k-th customer was
        learned from (1: all).
    reason
        Why there is no prediction; None where there is one.
    """

    by_risk: pl.DataFrame
    handoffs: pl.DataFrame
    models: pl.DataFrame
    horizon: timedelta
    contacts: int
    customers: int
    sample_step: int
    reason: str | None = None

    title = "Journeys that could fragment next"
    tables = Tables(
        table=Columns(
            "one row per customer still within the horizon, highest risk_now first",
            customer=Label("id"),
            journey=Label("its number", detail=True),
            occurred_at=Instant("time of the present contact"),
            source=Label("touchpoint before it; null if none", detail=True),
            touchpoint=Label("of the present contact"),
            channel=Label("of the present contact"),
            stage=Label("of the present contact", detail=True),
            silent_for=Wait("since the present contact"),
            risk_silent=Share("chance of silence, as known at the contact", detail=True),
            risk_back=Share("chance of going back a stage, as known at the contact", detail=True),
            risk=Share("their sum"),
            risk_now=Share("the same for a customer not heard of for `silent_for`"),
        ),
        by_risk=Columns(
            "four equal bands of risk_now",
            at_least=Share("lower end"),
            below=Share("upper end; the last one: up to 1"),
            customers=Customers("in the band"),
            share=Share("of those under way"),
            expected=Amount("customers expected to fragment"),
        ),
        handoffs=Columns(
            "one row per source and touchpoint with such customers",
            source=Label("touchpoint before the present one"),
            touchpoint=Label("of the present contact"),
            channel=Label("of the present contact"),
            stage=Label("of the present contact"),
            customers=Customers("there now"),
            risk=Share("mean, as known at the contact"),
            risk_now=Share("mean, after the silence since"),
            expected=Amount("customers expected to fragment"),
            contacts=Count("followed contacts there", each="contacts"),
            before=Share("of these, fragmented", of="contacts", interval=True),
        ),
        models=Columns(
            "the models tried on the last fifth of the followed contacts, fitted to those before",
            model=Label("its kind"),
            brier=Amount("score on held-out contacts"),
            calibration_error=Amount("mean distance of predicted and observed shares"),
            chosen=Flag("whether it is the one used"),
        ),
    )

    @property
    def headlines(self) -> Sequence[str]:
        """The answer in words."""
        return (self.sentence,)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.reason is not None:
            return f"Not measurable, because {self.reason}."
        if self.table.is_empty():
            return "No customer is still within the horizon: there is nothing to predict."
        worst = self.handoffs.row(0, named=True)
        where = worst["touchpoint"]
        if worst["source"] is not None:
            where = f"{worst['source']} → {where}"
        share = self.table["risk_now"].sum() / len(self.table)
        sample = "" if self.sample_step == 1 else f" of every {self.sample_step}th customer"
        return (
            f"Of {len(self.table):,} customers still under way {100 * share:.0f} % are expected to "
            "fall "
            f"silent for {say_days(self.horizon)} or to go back a stage; most of them at {where} "
            f"({worst['expected']:,.0f} of {worst['customers']:,}). Learned from "
            f"{self.contacts:,} contacts{sample}."
        )


def predict_journey_risk(
    workspace: Workspace, *, horizon: timedelta | None = None, seed: int = 0
) -> JourneyRisk:
    """Predict for each customer under way whether the journey fragments after the present contact.

    It fragments when the customer makes no contact within the horizon, or when the next one lies in
    an earlier stage than was reached. Both shares come from one model of three outcomes (penalised
    multinomial regression with an effect for each handoff, or boosted trees: whichever had the
    lower Brier score on held-out later contacts; the regression where they are as good).

    ``risk_now`` allows for the silence d since the contact: of those who will return, the share
    S(d) has not yet done so, hence P(silent | d) = P(silent) / (P(silent) + Σ P(other) S(d)).

    Parameters
    ----------
    workspace
        The log.
    horizon
        Silence that counts as having left; None: the journey map's gap (30 days if none), or 14 or
        7 days where that does not fit three times into the log.
    seed
        Draws the sample of a large log and the trees.

    Returns
    -------
    JourneyRisk
        With a ``reason`` and empty tables where nothing can be learned.

    Raises
    ------
    InputError
        For a horizon that is not positive.
    """
    horizon = choose_horizon(workspace, horizon)
    labelled, present, step = read_contacts_at_risk(workspace, horizon, seed=seed)
    reason = why_not_learnable(workspace, labelled, horizon)
    model, models = None, _no_models()
    if reason is None:
        model, models = choose_model(labelled, horizon=horizon, seed=seed)
    else:
        present = present.clear()
    table = _score(present, model, labelled, workspace)
    return JourneyRisk(
        table=table.drop("_source", "_place"),
        observed_until=workspace.observed_until,
        by_risk=_by_risk(table),
        handoffs=_by_handoff(table, labelled, workspace.places),
        models=models,
        horizon=horizon,
        contacts=len(labelled),
        customers=labelled["customer"].n_unique(),
        sample_step=step,
        reason=reason,
    )


def choose_horizon(workspace: Workspace, horizon: timedelta | None) -> timedelta:
    """Give the horizon to use; raise InputError for one that is not positive."""
    if horizon is not None and horizon <= timedelta(0):
        msg = f"horizon is {horizon}; give a positive duration, for example timedelta(days=30)"
        raise InputError(msg)
    first = datetime.fromisoformat(workspace.manifest["first_at"])
    return horizon or choose_silence(workspace.observed_until - first, workspace.gap)


def why_not_learnable(
    workspace: Workspace, labelled: pl.DataFrame, horizon: timedelta
) -> str | None:
    """Say why nothing can be learned from these contacts; None where it can."""
    first = datetime.fromisoformat(workspace.manifest["first_at"])
    span = workspace.observed_until - first
    if span < 2 * horizon:
        return (
            f"the log covers {say_days(span)}, and to see what became of a contact takes "
            f"{say_days(horizon)}; at least {say_days(2 * horizon)} are needed"
        )
    if len(labelled) < MIN_LABELLED:
        return (
            f"{len(labelled):,} contacts were followed for {say_days(horizon)}, fewer than "
            f"{MIN_LABELLED:,}"
        )
    broken = int((labelled["outcome"] > 0).sum())
    if min(broken, len(labelled) - broken) < MIN_OUTCOMES:
        return (
            f"after {broken:,} of {len(labelled):,} contacts the journey fragmented; "
            f"{MIN_OUTCOMES} of either outcome are needed"
        )
    return None


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """A fitted model of what becomes of a contact."""

    kind: str
    encoder: _Encoder
    estimator: Any

    def predict(self, frame: pl.DataFrame) -> Floats:
        """Probabilities ``[contacts, 3]`` of `OUTCOMES`."""
        found = np.zeros((len(frame), len(OUTCOMES)))
        if len(frame):
            with _one_thread():
                shares = self.estimator.predict_proba(self.encoder.encode(frame, self.kind))
            found[:, self.estimator.classes_.astype(np.int64)] = shares
        return found


def choose_model(
    labelled: pl.DataFrame, *, horizon: timedelta, seed: int = 0
) -> tuple[RiskModel, pl.DataFrame]:
    """Fit both models to earlier contacts, measure them on later ones, refit the better one.

    The later fifth of the contacts is held out, with an embargo of one horizon before it. The trees
    must beat the regression by a Brier score of one standard error over customers.
    """
    sample = thin_out(labelled, TRAINING_CONTACTS, seed)
    cut = sample["occurred_at"].sort().gather(int(0.8 * len(sample)))[0]
    early = sample.filter(pl.col("occurred_at") < cut - horizon)
    late = sample.filter(pl.col("occurred_at") >= cut)
    broken = int((early["outcome"] > 0).sum())
    if min(broken, len(early) - broken) < MIN_OUTCOMES or len(late) < 200:
        return fit_model(sample, "regression", seed=seed), _no_models()
    y = (late["outcome"] > 0).to_numpy().astype(np.float64)
    rows, losses = [], {}
    for kind in ("regression", "trees"):
        p = 1 - fit_model(early, kind, seed=seed).predict(late)[:, 0]
        losses[kind] = (p - y) ** 2
        rows.append((kind, float(losses[kind].mean()), calibration_error(y, p)))
    bucket = late["bucket"].to_numpy().astype(np.int64)
    gain = np.bincount(bucket, losses["regression"] - losses["trees"], minlength=BUCKETS)
    enough = gain.sum() > np.sqrt(((gain - gain.mean()) ** 2).sum())
    chosen = "trees" if enough else "regression"
    table = pl.DataFrame(
        [(*row, row[0] == chosen) for row in rows], schema=_no_models().schema, orient="row"
    )
    return fit_model(sample, chosen, seed=seed), table


def fit_model(labelled: pl.DataFrame, kind: str, *, seed: int = 0) -> RiskModel:
    """Fit one model ("regression" or "trees") to labelled contacts."""
    frame = thin_out(labelled, TRAINING_CONTACTS, seed)
    encoder = _Encoder.fit(frame)
    x, y = encoder.encode(frame, kind), frame["outcome"].to_numpy()
    if kind == "trees":
        from sklearn.ensemble import HistGradientBoostingClassifier

        estimator = HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.1,
            max_leaf_nodes=12,
            min_samples_leaf=max(20, min(100, len(frame) // 50)),
            l2_regularization=1.0,
            early_stopping=False,
            categorical_features=encoder.is_class,
            random_state=seed,
        )
    else:
        from sklearn.linear_model import LogisticRegression

        estimator = LogisticRegression(C=0.3, max_iter=2_000, tol=1e-3)
    with _one_thread():
        return RiskModel(kind, encoder, estimator.fit(x, y))


def _one_thread() -> AbstractContextManager[Any]:
    """On a busy machine, threads that wait for one another cost more than they bring."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def thin_out(frame: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Keep the contacts of every k-th customer, k the least that leaves about `most` contacts."""
    step = -(-len(frame) // most)
    if step <= 1:
        return frame
    customer = number_cells(frame, ["customer"])[1]
    return frame.filter(pl.Series(customer % step == seed % step))


def calibration_error(y: Floats, p: Floats, *, groups: int = 10) -> float:
    """Mean distance of predicted and observed share over groups of equally many predictions.

    Examples
    --------
    >>> calibration_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9, 0.9]), groups=2)
    0.1
    """
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, groups) if len(part)]
    gaps = [abs(float(p[i].mean() - y[i].mean())) * len(i) for i in parts]
    return round(sum(gaps) / max(len(p), 1), 12)


@dataclass(frozen=True, slots=True, eq=False)
class _Encoder:
    """Contacts to numbers, by what the training contacts had: rare classes are one class, 0."""

    codes: Mapping[str, Mapping[str, int]]
    pairs: Mapping[str, int]
    middle: Floats
    spread: Floats

    @classmethod
    def fit(cls, frame: pl.DataFrame) -> _Encoder:
        classes = [*CLASSES, *(c for c in frame.columns if c.startswith(DIMENSION))]
        codes = {c: _frequent(frame[c].cast(pl.String)) for c in classes}
        numbers = frame.select(pl.col(c).cast(pl.Float64) for c in NUMBERS).fill_null(0.0)
        values = numbers.to_numpy()
        return cls(codes, _frequent(_pair(frame)), values.mean(0), np.maximum(values.std(0), 1e-9))

    @property
    def is_class(self) -> list[bool]:
        return [True] * len(self.codes) + [False] * len(NUMBERS)

    def encode(self, frame: pl.DataFrame, kind: str) -> Any:
        coded = [_code(frame[c].cast(pl.String), known) for c, known in self.codes.items()]
        numbers = frame.select(pl.col(c).cast(pl.Float64) for c in NUMBERS)
        if kind == "trees":
            return np.column_stack([*coded, numbers.to_numpy()]).astype(np.float64)
        import scipy.sparse as sp

        sizes = [len(known) + 1 for known in self.codes.values()]
        coded.append(_code(_pair(frame), self.pairs))
        sizes.append(len(self.pairs) + 1)
        row = np.arange(len(frame))
        hot = [
            sp.csr_matrix((np.ones(len(frame)), (row, code)), shape=(len(frame), size))
            for code, size in zip(coded, sizes, strict=True)
        ]
        scaled = (numbers.fill_null(0.0).to_numpy() - self.middle) / self.spread
        return sp.hstack([*hot, sp.csr_matrix(scaled)]).tocsr()


def _frequent(values: pl.Series) -> dict[str, int]:
    counted = values.value_counts().filter(pl.col("count") >= _RAREST_CLASS)
    name = values.name
    kept = counted.sort(["count", name], descending=[True, False]).head(_MOST_CLASSES)
    return {v: i for i, v in enumerate(kept[name].to_list(), start=1) if v is not None}


def _code(values: pl.Series, known: Mapping[str, int]) -> NDArray[np.int64]:
    if not known:
        return np.zeros(len(values), dtype=np.int64)
    return (
        values.replace_strict(known, default=0, return_dtype=pl.Int64)
        .fill_null(0)
        .to_numpy()
        .astype(np.int64)
    )


def _pair(frame: pl.DataFrame) -> pl.Series:
    return frame.select(pair=pl.format("{} {}", "source", "place"))["pair"]


def _score(
    present: pl.DataFrame, model: RiskModel | None, labelled: pl.DataFrame, workspace: Workspace
) -> pl.DataFrame:
    """Probabilities of the present contacts, at the contact and now."""
    shares = model.predict(present) if model is not None else np.zeros((len(present), 3))
    until = pl.lit(workspace.observed_until)
    silent_for = present.select(d=(until - pl.col("occurred_at")).dt.total_microseconds() / 1e6)
    now = update_for_silence(shares, silent_for["d"].to_numpy(), labelled)
    places = workspace.places
    source = present["source"].to_numpy()
    touchpoints = places["touchpoint"].to_list()
    names = workspace.customers().select("customer", "name").collect()
    return (
        present.select("customer", "journey", "occurred_at", "place", "source")
        .with_columns(
            touchpoint=places["touchpoint"].gather(present["place"]),
            channel=places["channel"].gather(present["place"]),
            stage=places["stage"].gather(present["place"]),
            source=pl.Series([touchpoints[s] if s >= 0 else None for s in source], dtype=pl.String),
            silent_for=(until - pl.col("occurred_at")).cast(pl.Duration("us")),
            risk_silent=pl.Series(shares[:, 1], dtype=pl.Float64),
            risk_back=pl.Series(shares[:, 2], dtype=pl.Float64),
            risk=pl.Series(shares[:, 1] + shares[:, 2], dtype=pl.Float64),
            risk_now=pl.Series(now[:, 1] + now[:, 2], dtype=pl.Float64),
            _source=pl.Series(source, dtype=pl.Int32),
            _place=pl.col("place").cast(pl.Int32),
        )
        .join(names, on="customer", how="left", maintain_order="left")
        .with_columns(customer=pl.col("name"))
        .drop("name", "place")
        .sort("risk_now", "customer", descending=[True, False])
    )


def update_for_silence(shares: Floats, silent_for: Floats, labelled: pl.DataFrame) -> Floats:
    """Probabilities of the outcomes, given that nothing was heard for ``silent_for`` seconds.

    How long those take who go on or go back is taken from the labelled contacts.
    """
    still = shares.copy()
    for outcome in (0, 2):
        times = labelled.filter(pl.col("outcome") == outcome)["return_after"].sort().to_numpy()
        later = len(times) - np.searchsorted(times, silent_for, side="right")
        # half a customer keeps a share from becoming exactly 0
        still[:, outcome] *= (later + 0.5) / (len(times) + 0.5)
    total = still.sum(1, keepdims=True)
    return np.divide(still, total, out=np.zeros_like(still), where=total > 0)


def _by_risk(scored: pl.DataFrame) -> pl.DataFrame:
    """Customers under way in bands of their risk now."""
    edges = [0.0, 0.25, 0.5, 0.75, 1.0]
    rows = []
    for low, high in pairwise(edges):
        closed: ClosedInterval = "both" if high == edges[-1] else "left"
        band = scored.filter(pl.col("risk_now").is_between(low, high, closed))["risk_now"]
        rows.append((low, high, len(band), len(band) / max(len(scored), 1), float(band.sum())))
    schema = {
        "at_least": pl.Float64,
        "below": pl.Float64,
        "customers": pl.Int64,
        "share": pl.Float64,
        "expected": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _by_handoff(scored: pl.DataFrame, labelled: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    keys = ["source", "place"]
    cells, index = number_cells(labelled, keys)
    bucket = labelled["bucket"].to_numpy().astype(np.int64)
    axes = {"cell": (index, len(cells)), "bucket": (bucket, BUCKETS)}
    n = dense_counts(axes, np.ones(len(labelled)))
    broken = dense_counts(axes, (labelled["outcome"] > 0).to_numpy().astype(np.float64))
    before = rate(broken, n)
    known = cells.select(
        pl.col("source").cast(pl.Int32).alias("_source"),
        pl.col("place").cast(pl.Int32).alias("_place"),
    ).with_columns(
        contacts=pl.Series(n.sum(1).astype(np.int64)),
        before=pl.Series(before.estimate),
        before_low=pl.Series(before.low),
        before_high=pl.Series(before.high),
    )
    return (
        scored.group_by("_source", "_place")
        .agg(
            pl.col("source").first(),
            pl.col("touchpoint").first(),
            pl.col("channel").first(),
            pl.col("stage").first(),
            customers=pl.len().cast(pl.Int64),
            risk=pl.col("risk").mean(),
            risk_now=pl.col("risk_now").mean(),
            expected=pl.col("risk_now").sum(),
        )
        .join(known, on=["_source", "_place"], how="left")
        .sort("expected", "_source", "_place", descending=[True, False, False])
        .drop("_source", "_place")
    )


def _no_models() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "model": pl.String,
            "brier": pl.Float64,
            "calibration_error": pl.Float64,
            "chosen": pl.Boolean,
        }
    )
