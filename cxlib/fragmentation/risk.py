"""What could break next: the risk of each journey now, and the excess of each handoff next period.

`predict_journey_risk` learns from contacts that were followed for the whole horizon what became of
them (went on, fell silent, went back a stage), from what was known at the contact, and scores the
customers who are still within the horizon. `predict_handoffs` draws each handoff's past excess over
its expectation towards that of all others, the more the less it is known. How good both are is
measured by `cxlib.fragmentation.backtest`; a prediction without that table is an opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.arrivals import Arrivals, choose_silence, read_arrivals
from cxlib.fragmentation.expectation import MIN_N
from cxlib.fragmentation.features import NUMBERS, OUTCOMES, read_contacts_at_risk
from cxlib.fragmentation.judged import judge_abandonment, judge_backtracking, with_strata
from cxlib.results import Result
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, dense_counts, number_cells
from cxlib.summary import Selection

if TYPE_CHECKING:
    from cxlib.store import Workspace

Floats = NDArray[np.float64]

MIN_LABELLED = 1_000
"""Followed contacts below which no model is fitted."""

MIN_OUTCOMES = 50
"""Contacts after which journeys fragmented, and after which they went on, below which none is."""

MIN_HISTORY = 2
"""Fully followed spans of time below which handoffs are not forecast."""

TRAINING_CONTACTS = 60_000
"""Contacts a model is fitted to; of more, those of an even sample of customers."""

SIGNALS: Mapping[str, Callable[[Arrivals], pl.DataFrame]] = {
    "abandonment": judge_abandonment,
    "backtracking": judge_backtracking,
}
"""Signals whose excess can be forecast."""

LEAST_EXCESS = 0.05
"""Excess that counts as broken: 5 of 100 arrivals more than like handoffs."""

_RAREST_CLASS = 20
_MOST_CLASSES = 200


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JourneyRisk(Result):
    """What `predict_journey_risk` returns.

    Attributes
    ----------
    table
        One row per customer still within the horizon, highest ``risk_now`` first: ``customer``
        (id), ``journey``, ``occurred_at`` and ``touchpoint``, ``channel``, ``stage`` of the present
        contact, ``source`` (touchpoint before it; null if none), ``silent_for`` (Duration since),
        ``risk_silent``, ``risk_back`` and their sum ``risk`` as known at the contact, and
        ``risk_now``: the same for a customer of whom nothing was heard for ``silent_for``.
    handoffs
        One row per source and touchpoint with such customers: ``customers``, mean ``risk_now``,
        ``expected`` (customers expected to fragment), and ``before``, ``before_low``,
        ``before_high``, ``contacts``: the share of the followed contacts there that fragmented.
    models
        The models tried on the last fifth of the followed contacts, fitted to those before
        (embargo: the horizon): ``model``, ``brier``, ``calibration_error``, ``chosen``.
    horizon
        Silence that counts as having left.
    contacts, customers, sample_step
        Followed contacts learned from, their customers, and k where only every k-th customer was
        learned from (1: all).
    reason
        Why there is no prediction; None where there is one.
    """

    handoffs: pl.DataFrame
    models: pl.DataFrame
    horizon: timedelta
    contacts: int
    customers: int
    sample_step: int
    reason: str | None = None

    title: ClassVar[str] = "Journeys that could fragment next"

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
            f"Of {len(self.table):,} customers still under way, {share:.0%} are expected to fall "
            f"silent for {_days(self.horizon)} or to go back a stage; most of them at {where} "
            f"({worst['expected']:,.0f} of {worst['customers']:,}). Learned from "
            f"{self.contacts:,} contacts{sample}."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>" + Result._repr_html_(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HandoffForecast(Result):
    """What `predict_handoffs` returns.

    Attributes
    ----------
    table
        One row per handoff judged in the history, most ``customers`` first: ``source``,
        ``target``, ``source_channel``, ``target_channel``, ``stage`` and ``owner`` of the target,
        ``spans`` (of time in which it was judged), ``n`` (arrivals to expect in the next span: the
        mean of the latest three), ``raw`` (share of arrivals with the signal so far), ``last``
        (excess in the latest span; null if it was not judged there), ``excess``, ``excess_low``,
        ``excess_high`` (next span's excess over like handoffs, share of arrivals, 95 %),
        ``customers``, ``customers_low``, ``customers_high`` (n × excess), ``chance`` (probability
        that the excess is above `LEAST_EXCESS`), ``could_break`` (a chance above one half),
        ``source_place``, ``target_place``.
    signal
        "abandonment" or "backtracking".
    change_rate
        Estimated probability that a handoff's true excess changes, per span.
    spans
        The history: ``span``, ``from``, ``until`` (dates), ``handoffs`` judged.
    reason
        Why there is no forecast; None where there is one.
    """

    signal: str
    change_rate: float
    spans: pl.DataFrame
    reason: str | None = None

    title: ClassVar[str] = "Handoffs that could break next"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.reason is not None:
            return f"Not measurable, because {self.reason}."
        likely = self.table.filter("could_break")
        if likely.is_empty():
            return f"No handoff is expected to be worse than like handoffs ({self.signal})."
        top = likely.row(0, named=True)
        return (
            f"{top['source']} → {top['target']} is expected to have {top['customers']:,.0f} more "
            f"cases of {self.signal} than like handoffs (95 %: {top['customers_low']:,.0f} to "
            f"{top['customers_high']:,.0f}); {len(likely)} of {len(self.table)} handoffs are "
            "expected to be worse than like ones."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>" + Result._repr_html_(self)


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
            f"the log covers {_days(span)}, and to see what became of a contact takes "
            f"{_days(horizon)}; at least {_days(2 * horizon)} are needed"
        )
    if len(labelled) < MIN_LABELLED:
        return (
            f"{len(labelled):,} contacts were followed for {_days(horizon)}, fewer than "
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
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # on a busy machine, threads that wait for one another cost more than they bring
    with threadpool_limits(1):
        return RiskModel(kind, encoder, estimator.fit(x, y))


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
        classes = [
            c
            for c in ("place", "source", "channel", "stage_high", "handover", "weekday_class")
            if c in frame.columns
        ] + [c for c in frame.columns if c.startswith("segment_")]
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
            risk_now=pl.col("risk_now").mean(),
            expected=pl.col("risk_now").sum(),
        )
        .join(known, on=["_source", "_place"], how="left")
        .sort("expected", "_source", "_place", descending=[True, False, False])
        .drop("_source", "_place")
    )


def predict_handoffs(
    workspace: Workspace | Arrivals, *, signal: str = "abandonment"
) -> HandoffForecast:
    """Forecast by how much each handoff will exceed its expectation in the next span of time.

    Every span (a period of the log, or several where single ones hold too few arrivals) is judged
    by itself, as `cxlib.fragmentation.measure_fragmentation` judges the whole log. The excesses of
    a handoff since it last seems to have changed are averaged and drawn towards those of all
    others, the more the fewer arrivals stand behind them (see `forecast_excess`).

    Parameters
    ----------
    workspace
        The log, or the arrivals counted from it.
    signal
        "abandonment" or "backtracking".

    Returns
    -------
    HandoffForecast
        With a ``reason`` and an empty table where the log is too short or too small.

    Raises
    ------
    UnknownNameError
        For another signal.

    References
    ----------
    Efron & Morris (1975). doi:10.1080/01621459.1975.10479864
    Adams & MacKay (2007), Bayesian online changepoint detection. arXiv:0710.3742
    """
    arrivals = workspace if isinstance(workspace, Arrivals) else read_arrivals(workspace)
    history = judge_spans(arrivals, signal=signal)
    known = [span for span in history if span.known_at <= arrivals.settings.observed_until]
    judged = [span for span in known if len(span.judged)]
    reason = None
    if len(judged) < MIN_HISTORY:
        s = arrivals.settings
        reason = (
            f"{len(judged)} of the log's {len(history)} spans of time can be judged (all arrivals "
            f"followed for {_days(s.silence)}, handoffs with {MIN_N} of them); {MIN_HISTORY} are "
            "needed"
        )
    # spans that cannot be known yet lie between the history and the next one
    ahead = 1 + len(history) - len(known)
    table, change_rate = forecast_excess([] if reason else known, ahead=ahead)
    return HandoffForecast(
        table=_name_handoffs(table, arrivals.places),
        observed_until=arrivals.settings.observed_until,
        signal=signal,
        change_rate=change_rate,
        spans=pl.DataFrame(
            {
                "span": list(range(len(known))),
                "from": [s.start.date() for s in known],
                "until": [s.end.date() for s in known],
                "handoffs": [len(s.judged) for s in known],
            },
            schema={"span": pl.Int64, "from": pl.Date, "until": pl.Date, "handoffs": pl.Int64},
        ),
        reason=reason,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """One span of time: its handoffs, judged by its own arrivals, and when that can be known.

    Attributes
    ----------
    start, end
        From, and until before, in the log's time zone.
    known_at
        End plus the silence: before, some of its arrivals are not yet followed.
    judged
        ``source``, ``target`` (places), ``n``, ``observed``, ``expected``, ``effect``, ``variance``
        (sampling variance of the effect).
    """

    start: datetime
    end: datetime
    known_at: datetime
    judged: pl.DataFrame


def judge_spans(arrivals: Arrivals, *, signal: str = "abandonment") -> list[Span]:
    """Judge every span of time by itself, so that no span's expectation knows of another."""
    if signal not in SIGNALS:
        raise UnknownNameError("signal", signal, SIGNALS)
    counts = (
        arrivals.arrivals.group_by("period", "source", "target")
        .agg(pl.col("n").sum())
        .filter(pl.col("n") > 0)
    )
    size = _span_size(counts, len(arrivals.periods))
    spans = []
    for first in range(0, len(arrivals.periods), size):
        last = min(first + size, len(arrivals.periods)) - 1
        part = arrivals.select(Selection(period=(first, last)))
        start, end = _instants(arrivals, first, last)
        judged = _empty_judged()
        if part.arrivals["n"].sum() >= MIN_N:
            judged = _with_variance(SIGNALS[signal](with_strata(_only(part, signal))))
        spans.append(Span(start, end, end + arrivals.settings.silence, judged))
    return spans


def _only(part: Arrivals, signal: str) -> Arrivals:
    """Leave out what other signals are judged by, so that no strata are fitted for them."""
    unused = ("rating_n", "fresh") if signal == "abandonment" else ("rating_n",)
    table = part.arrivals.with_columns(pl.lit(0, pl.Int64).alias(name) for name in unused)
    return replace(part, arrivals=table, waits=part.waits.clear(), cache={})


def _span_size(counts: pl.DataFrame, periods: int) -> int:
    """Periods in a span: the fewest that let 20 handoffs be judged, and leave at least 4 spans."""
    size = 1
    while periods // (2 * size) >= 4:
        span = pl.col("period") // size
        large = counts.group_by(span.alias("span"), "source", "target").agg(pl.col("n").sum())
        judged = large.filter(pl.col("n") >= MIN_N).group_by("span").len()["len"]
        if len(judged) and float(judged.median() or 0) >= 20:  # type: ignore[arg-type]
            break
        size *= 2
    return size


def _instants(arrivals: Arrivals, first: int, last: int) -> tuple[datetime, datetime]:
    zone = ZoneInfo(arrivals.periods.time_zone)
    starts = arrivals.periods.starts

    def begin(index: int) -> datetime:
        day = starts[index]
        return datetime(day.year, day.month, day.day, tzinfo=zone)

    end = begin(last + 1) if last + 1 < len(starts) else arrivals.settings.observed_until
    return begin(first), end.astimezone(zone)


def _with_variance(judged: pl.DataFrame) -> pl.DataFrame:
    # one arrival as expected keeps the variance of a share of 0 or 1 from vanishing
    seen = (pl.col("observed") * pl.col("n") + pl.col("expected")) / (pl.col("n") + 1)
    seen = seen.clip(1e-3, 1 - 1e-3)
    return judged.with_columns(variance=seen * (1 - seen) / pl.col("n")).select(
        *_empty_judged().columns
    )


def _empty_judged() -> pl.DataFrame:
    numbers = ("n", "observed", "expected", "effect", "variance")
    return pl.DataFrame(
        schema={"source": pl.Int64, "target": pl.Int64} | dict.fromkeys(numbers, pl.Float64)
    )


def forecast_excess(history: Sequence[Span], *, ahead: int = 1) -> tuple[pl.DataFrame, float]:
    """Forecast each handoff's excess from its past spans.

    A handoff's true excess stays what it is until it changes, which it does with the same small
    probability in every span; then it is drawn afresh, either from the narrow distribution of
    handoffs that are like the others or, rarely, from a wide one. How often each happens is
    estimated from the history of all handoffs (empirical Bayes, maximum marginal likelihood).

    Parameters
    ----------
    history
        Judged spans, oldest first.
    ahead
        How many spans after the last one the forecast is for.

    Returns
    -------
    table
        ``source``, ``target``, ``spans``, ``n``, ``raw``, ``last``, ``excess``, ``excess_low``,
        ``excess_high``, ``chance``; sorted by source and target.
    change_rate
        Probability that a handoff's excess changes, per span.

    References
    ----------
    Adams & MacKay (2007), Bayesian online changepoint detection. arXiv:0710.3742
    """
    frames = [s.judged.with_columns(span=pl.lit(i, pl.Int64)) for i, s in enumerate(history)]
    long = pl.concat(frames) if frames else _empty_judged().with_columns(span=pl.lit(0, pl.Int64))
    newest = len(history) - 1
    table = (
        long.sort("source", "target", "span")
        .group_by("source", "target", maintain_order=True)
        .agg(
            spans=pl.len().cast(pl.Int64),
            n=pl.col("n").tail(3).mean(),
            raw=(pl.col("observed") * pl.col("n")).sum() / pl.col("n").sum(),
            last=pl.col("effect").filter(pl.col("span") == newest).first(),
        )
    )
    _, cell = number_cells(long, ["source", "target"])
    span = long["span"].to_numpy()
    effect, variance = np.full((2, len(table), max(len(history), 1)), np.nan)
    effect[cell, span] = long["effect"].to_numpy()
    variance[cell, span] = long["variance"].to_numpy()
    prior = _fit_prior(effect, variance)
    belief = _follow(effect, variance, prior, ahead)[1]
    return table.with_columns(
        excess=pl.Series((belief.weight * belief.mean).sum(1), dtype=pl.Float64),
        excess_low=pl.Series(belief.quantile(0.025), dtype=pl.Float64),
        excess_high=pl.Series(belief.quantile(0.975), dtype=pl.Float64),
        chance=pl.Series(1 - belief.below(np.full(len(table), LEAST_EXCESS)), dtype=pl.Float64),
    ), prior.change_rate


@dataclass(frozen=True, slots=True)
class _Prior:
    """How true excesses are distributed, and how often they change."""

    change_rate: float
    loud_share: float
    quiet_sd: float
    loud_sd: float
    centre: float


@dataclass(frozen=True, slots=True, eq=False)
class _Belief:
    """Mixture of normal laws for each handoff, ``[handoffs, components]``."""

    weight: Floats
    mean: Floats
    sd: Floats

    def below(self, value: Floats) -> Floats:
        """Probability that the excess lies below a value, per handoff."""
        from scipy.special import ndtr

        part: Floats = (self.weight * ndtr((value[:, None] - self.mean) / self.sd)).sum(1)
        return part

    def quantile(self, share: float) -> Floats:
        low, high = np.full((2, len(self.weight)), -2.0)
        high = -low
        for _ in range(40):
            middle = (low + high) / 2
            under = self.below(middle) < share
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2


def _fit_prior(effect: Floats, variance: Floats) -> _Prior:
    """The prior under which the history is most likely, on a grid."""
    known = effect[np.isfinite(effect)]
    centre = float(np.median(known)) if len(known) else 0.0
    grid = [
        _Prior(change, loud, quiet, wide, centre)
        for change in (0.005, 0.02, 0.05, 0.15)
        for loud in (0.01, 0.03, 0.1)
        for quiet in (0.005, 0.015, 0.03, 0.06)
        for wide in (0.12, 0.25)
    ]
    return max(grid, key=lambda prior: _follow(effect, variance, prior, 1)[0])


def _follow(effect: Floats, variance: Floats, prior: _Prior, ahead: int) -> tuple[float, _Belief]:
    """Log likelihood of the history, and what to believe `ahead` spans later.

    Components are the possible starts of the present level, each with a quiet and a loud draw.
    """
    count = len(effect)
    fresh_w = np.tile([1 - prior.loud_share, prior.loud_share], (count, 1))
    fresh_m = np.full((count, 2), prior.centre)
    fresh_v = np.tile([prior.quiet_sd**2, prior.loud_sd**2], (count, 1))
    w, m, v = fresh_w, fresh_m, fresh_v
    total = 0.0
    for span in range(effect.shape[1]):
        if span:
            w, m, v = _renew(w, m, v, (fresh_w, fresh_m, fresh_v), prior.change_rate)
        y, noise = effect[:, span, None], variance[:, span, None]
        seen = np.isfinite(y)
        y, noise = np.where(seen, y, 0.0), np.where(seen, noise, 1.0)
        spread = v + noise
        likely = np.exp(-0.5 * (y - m) ** 2 / spread) / np.sqrt(2 * np.pi * spread)
        w = w * np.where(seen, np.maximum(likely, 1e-300), 1.0)
        mass = w.sum(1, keepdims=True)
        total += float(np.log(mass).sum())
        w = w / mass
        gain = np.where(seen, v / spread, 0.0)
        m, v = m + gain * (y - m), v * (1 - gain)
    changed = 1 - (1 - prior.change_rate) ** ahead
    w, m, v = _renew(w, m, v, (fresh_w, fresh_m, fresh_v), changed)
    return total, _Belief(w, m, np.sqrt(v))


def _renew(
    w: Floats, m: Floats, v: Floats, fresh: tuple[Floats, Floats, Floats], rate_of_change: float
) -> tuple[Floats, Floats, Floats]:
    return (
        np.concatenate([w * (1 - rate_of_change), fresh[0] * rate_of_change], axis=1),
        np.concatenate([m, fresh[1]], axis=1),
        np.concatenate([v, fresh[2]], axis=1),
    )


def _name_handoffs(table: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    source, target = table["source"], table["target"]
    n = pl.col("n")
    return (
        table.rename({"source": "source_place", "target": "target_place"})
        .select(
            source=places["touchpoint"].gather(source),
            target=places["touchpoint"].gather(target),
            source_channel=places["channel"].gather(source),
            target_channel=places["channel"].gather(target),
            stage=places["stage"].gather(target),
            owner=places["owner"].gather(target),
            spans="spans",
            n="n",
            raw="raw",
            last="last",
            excess="excess",
            excess_low="excess_low",
            excess_high="excess_high",
            customers=n * pl.col("excess"),
            customers_low=n * pl.col("excess_low"),
            customers_high=n * pl.col("excess_high"),
            chance="chance",
            could_break=pl.col("chance") > 0.5,
            source_place="source_place",
            target_place="target_place",
        )
        .sort("customers", "source_place", "target_place", descending=[True, False, False])
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


def _days(length: timedelta) -> str:
    days = length.total_seconds() / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
