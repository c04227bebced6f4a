"""How good the predictions are: made again at several past dates, and held against what came.

Nothing later than a date T enters what is predicted at T: journeys are learned from contacts whose
whole label window lay before T (the embargo), handoffs from spans of time that were fully followed
at T. What is reported is what was found, also where it is poor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.errors import InputError
from cxlib.fragmentation.arrivals import Arrivals, read_arrivals
from cxlib.fragmentation.features import read_contacts_at_risk
from cxlib.fragmentation.forecast import MIN_HISTORY, forecast_excess, judge_spans
from cxlib.fragmentation.risk import (
    MIN_LABELLED,
    MIN_OUTCOMES,
    calibration_error,
    choose_horizon,
    choose_model,
    why_not_learnable,
)
from cxlib.results import Result, interval_columns
from cxlib.statistics.rates import Interval, mean_interval, rate, ratio
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    Estimates,
    dense_counts,
    effective_buckets,
    jackknife,
)

if TYPE_CHECKING:
    from cxlib.store import Workspace

Floats = NDArray[np.float64]

FORECAST, LAST, RAW, COUNT, NOTHING = (
    "forecast",
    "same as last period",
    "raw drop-off",
    "most drop-offs",
    "no excess",
)
"""Ways to name the handoffs that will be worst: ours, the excess of the latest followed span, the
share of arrivals with the signal, their number; and for sizes, that there is no excess at all."""

_MIN_TESTED = 200
_MIN_HANDOFFS = 10
_GROUPS = 10
_PREDICTIONS = {
    "fold": pl.Int64,
    "bucket": pl.Int64,
    "customer": pl.UInt32,
    "fragmented": pl.Float64,
    "risk": pl.Float64,
    "base": pl.Float64,
    "habit": pl.Float64,
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Backtest(Result):
    """What `backtest_risk` returns.

    Attributes
    ----------
    table
        Journeys, one row per date and one for all (``fold`` "all"): ``from``, ``until`` (test
        contacts), ``trained_on`` (contacts), ``contacts``, ``customers``, ``model``, ``base_rate``
        (share that fragmented in training), ``fragmented`` (in the test), ``predicted``,
        ``calibration_error`` (mean distance of the two in ten groups), and each with ``_low``
        and ``_high``, over customers: ``brier``; ``skill`` = 1 − Brier / Brier of the base rate;
        ``gain`` = 1 − Brier / Brier of the handoff's own past rate (drawn to its touchpoint's).
    calibration
        Ten groups of equally many predictions, lowest first: ``contacts``, ``predicted``,
        ``observed`` with its interval, ``inside`` (the interval holds the prediction).
    handoffs
        One row per date and method: ``from``, ``until``, ``method``, ``handoffs`` (that could be
        compared), ``k``, ``hits`` (of the k named, how many were among the k worst), ``by_chance``,
        ``cases`` (above expectation that the k named then had), ``rmse`` (of the excess, weighted
        by arrivals; null for rankings), ``covered`` (share of handoffs whose measured excess lay in
        the forecast's interval, sampling error included).
    overlap
        One row per method, over all dates: ``hits``, ``of``, ``overlap``, ``fewest``, ``most``
        (hits at one date), ``by_chance``, ``cases``, ``rmse``.
    horizon
        Label window, and length of the embargo.
    signal
        Of the handoffs.
    reason, handoff_reason
        Why journeys, or handoffs, could not be tested; None where they were.
    """

    calibration: pl.DataFrame
    handoffs: pl.DataFrame
    overlap: pl.DataFrame
    horizon: timedelta
    signal: str
    reason: str | None = None
    handoff_reason: str | None = None

    title: ClassVar[str] = "Predictions held against what came"

    @property
    def sentence(self) -> str:
        """How good the prediction of journeys is, in words."""
        if self.reason is not None:
            return f"Journeys: not measurable, because {self.reason}."
        row = self.table.row(-1, named=True)
        inside = int(self.calibration["inside"].sum())
        apart = ", ".join(f"{d:.3f}" for d in self.table["calibration_error"][:-1])
        return (
            f"Journeys: the prediction is {_compare(row, 'skill', 'the base rate')} and "
            f"{_compare(row, 'gain', 'the past rate of the handoff alone')} "
            f"(Brier score {row['brier']:.3f}). "
            f"In {inside} of {len(self.calibration)} groups the predicted share lay within the "
            f"interval of the observed one{'' if inside >= 8 else ': not well calibrated'} (mean "
            f"distance by date: {apart})."
        )

    @property
    def handoff_sentence(self) -> str:
        """How good the forecast of handoffs is, in words."""
        if self.handoff_reason is not None:
            return f"Handoffs: not measurable, because {self.handoff_reason}."
        rows = {row["method"]: row for row in self.overlap.iter_rows(named=True)}
        ours, last, raw = rows[FORECAST], rows[LAST], rows[RAW]
        # at most hits(ours) + hits(last) picks can differ, and each is a coin toss by chance
        margin = 1.96 * (ours["hits"] + last["hits"]) ** 0.5
        better = ours["hits"] - last["hits"] > margin
        return (
            f"Handoffs: of {ours['of']} that turned out worst the forecast had named "
            f"{ours['hits']}, last period {last['hits']}, the raw drop-off {raw['hits']}, chance "
            f"would name {ours['by_chance']:.1f}; those named then had {ours['cases']:,.0f}, "
            f"{last['cases']:,.0f} and {raw['cases']:,.0f} cases above expectation. The ranking is "
            f"{'better' if better else 'no better (beyond chance)'} than last period. "
            f"{self._say_sizes()} (root mean square error {ours['rmse']:.3f}, {last['rmse']:.3f}, "
            f"{rows[NOTHING]['rmse']:.3f})."
        )

    def _say_sizes(self) -> str:
        errors = self.handoffs.pivot("method", index="from", values="rmse")
        closer = [other for other in (LAST, NOTHING) if (errors[FORECAST] < errors[other]).all()]
        names = {LAST: "those of last period", NOTHING: "no excess at all"}
        if not closer:
            return "Its sizes were no closer, at every date, than last period's or no excess at all"
        return f"At every date its sizes were closer than {' and '.join(names[c] for c in closer)}"

    def _repr_html_(self) -> str:
        head = f"<p>{self.sentence}</p><p>{self.handoff_sentence}</p>"
        return head + Result._repr_html_(self)


def _compare(row: dict[str, Any], name: str, other: str) -> str:
    value, low, high = (100 * (row[f"{name}{end}"] or 0.0) for end in ("", "_low", "_high"))
    span = f"{value:.1f} % (95 %: {low:.1f} to {high:.1f})"
    if low > 0:
        return f"better than {other} by {span}"
    return f"{'worse' if high < 0 else 'no better'} than {other} ({span})"


def backtest_risk(
    workspace: Workspace,
    *,
    horizon: timedelta | None = None,
    signal: str = "abandonment",
    folds: int = 3,
    k: int = 10,
    seed: int = 0,
) -> Backtest:
    """Predict again at several past dates, and hold the predictions against what came.

    Parameters
    ----------
    workspace
        The log.
    horizon
        As in `cxlib.fragmentation.risk.predict_journey_risk`; also the embargo.
    signal
        As in `cxlib.fragmentation.risk.predict_handoffs`.
    folds
        Dates at which journeys are predicted again, 1 to 10; the test windows follow one another
        and end where labels end.
    k
        How many handoffs are named; fewer where fewer than four times as many can be compared.
    seed
        As in `predict_journey_risk`.

    Returns
    -------
    Backtest
        With reasons and empty tables where nothing can be tested.

    Raises
    ------
    InputError
        For folds or k out of range, or a horizon that is not positive.

    References
    ----------
    Brier (1950). doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    if not 1 <= folds <= 10 or k < 1:
        msg = f"folds is {folds} and k is {k}; give 1 to 10 folds and at least 1 for k"
        raise InputError(msg)
    horizon = choose_horizon(workspace, horizon)
    labelled, _, _ = read_contacts_at_risk(workspace, horizon, seed=seed)
    reason = why_not_learnable(workspace, labelled, horizon)
    tests = [] if reason else replay_journeys(labelled, horizon=horizon, folds=folds, seed=seed)
    if reason is None and not tests:
        reason = (
            f"no date leaves {MIN_LABELLED:,} contacts followed for {horizon.days} days before it "
            f"and {_MIN_TESTED} after it"
        )
    replayed, handoff_reason = replay_handoffs(read_arrivals(workspace), signal=signal, k=k)
    predictions = [t.predictions for t in tests]
    together = pl.concat(predictions) if tests else pl.DataFrame(schema=_PREDICTIONS)
    return Backtest(
        table=_score_tests(tests),
        observed_until=workspace.observed_until,
        calibration=calibration_table(together),
        handoffs=replayed,
        overlap=_add_up(replayed),
        horizon=horizon,
        signal=signal,
        reason=reason,
        handoff_reason=handoff_reason,
    )


@dataclass(frozen=True, slots=True, eq=False)
class JourneyTest:
    """Predictions made at one date: ``predictions`` has the columns of `_PREDICTIONS`."""

    start: datetime
    end: datetime
    trained_on: int
    model: str
    predictions: pl.DataFrame


def replay_journeys(
    labelled: pl.DataFrame, *, horizon: timedelta, folds: int, seed: int = 0
) -> list[JourneyTest]:
    """Learn before T minus the embargo, predict the contacts of the window after T; several T.

    The windows are the last sixth to half of the time with labels (one sixth each, at most half
    in all); dates with too little before or after them are left out.
    """
    first: datetime = labelled["occurred_at"].min()  # type: ignore[assignment]
    last: datetime = labelled["occurred_at"].max()  # type: ignore[assignment]
    width = min((last - first) / 6, (last - first) / (2 * folds))
    tests = []
    for fold in range(folds):
        start = last - (folds - fold) * width
        end = start + width
        instant = pl.col("occurred_at")
        train = labelled.filter(instant < start - horizon)
        newest = fold == folds - 1
        test = labelled.filter(
            (instant >= start) & ((instant <= end) if newest else (instant < end))
        )
        broken = int((train["outcome"] > 0).sum())
        if (
            len(train) < MIN_LABELLED
            or len(test) < _MIN_TESTED
            or min(broken, len(train) - broken) < MIN_OUTCOMES
        ):
            continue
        model, _ = choose_model(train, horizon=horizon, seed=seed)
        predictions = test.select(
            fold=pl.lit(fold + 1, pl.Int64),
            bucket=pl.col("bucket").cast(pl.Int64),
            customer="customer",
            fragmented=(pl.col("outcome") > 0).cast(pl.Float64),
            risk=pl.Series(1 - model.predict(test)[:, 0]),
            base=pl.lit(broken / len(train), pl.Float64),
            habit=pl.Series(past_rate(train, test)),
        )
        tests.append(JourneyTest(start, end, len(train), model.kind, predictions))
    return tests


def past_rate(train: pl.DataFrame, test: pl.DataFrame, *, weight: float = 50.0) -> Floats:
    """The handoff's own share in training, drawn towards its touchpoint's, and that to the mean.

    What a table of past drop-off rates would predict; ``weight`` is the number of contacts that
    the coarser rate counts for.
    """
    broken = (pl.col("outcome") > 0).cast(pl.Float64)
    mean = float(train.select(broken.mean()).item())
    at = train.group_by("place").agg(n=pl.len(), s=broken.sum())
    at = at.select("place", place_rate=(pl.col("s") + weight * mean) / (pl.col("n") + weight))
    pair = train.group_by("source", "place").agg(n=pl.len(), s=broken.sum())
    joined = (
        test.select("source", "place")
        .join(at, on="place", how="left", maintain_order="left")
        .join(pair, on=["source", "place"], how="left", maintain_order="left")
        .with_columns(pl.col("place_rate").fill_null(mean), pl.col("n", "s").fill_null(0))
    )
    shares = joined.select(p=(pl.col("s") + weight * pl.col("place_rate")) / (pl.col("n") + weight))
    return shares["p"].to_numpy().astype(np.float64)


def _score_tests(tests: Sequence[JourneyTest]) -> pl.DataFrame:
    """One row per test and one for all."""
    rows = [(str(i), [t]) for i, t in enumerate(tests, start=1)]
    rows += [("all", list(tests))] if tests else []
    frames = []
    for name, part in rows:
        predictions = pl.concat([t.predictions for t in part])
        scores = brier_scores(predictions)
        frames.append(
            pl.DataFrame(
                {
                    "fold": [name],
                    "from": [part[0].start],
                    "until": [part[-1].end],
                    "trained_on": [part[-1].trained_on],
                    "contacts": [len(predictions)],
                    "customers": [predictions["customer"].n_unique()],
                    "model": [", ".join(sorted({t.model for t in part}))],
                    "base_rate": [float(predictions["base"].mean())],  # type: ignore[arg-type]
                    "fragmented": [float(predictions["fragmented"].mean())],  # type: ignore[arg-type]
                    "predicted": [float(predictions["risk"].mean())],  # type: ignore[arg-type]
                    "calibration_error": [_calibration_error(predictions)],
                }
            ).with_columns(
                *(
                    column
                    for score, interval in scores.items()
                    for column in interval_columns(score, interval).values()
                )
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame()


def _calibration_error(predictions: pl.DataFrame) -> float:
    return calibration_error(
        predictions["fragmented"].to_numpy(), predictions["risk"].to_numpy(), groups=_GROUPS
    )


def brier_scores(predictions: pl.DataFrame) -> dict[str, Interval]:
    """Brier score, skill against the base rate and gain over the past rate, over customers."""
    y = predictions["fragmented"].to_numpy()
    bucket = predictions["bucket"].to_numpy()

    def losses(column: str) -> Counts:
        values = (predictions[column].to_numpy() - y) ** 2
        return dense_counts({"bucket": (bucket, BUCKETS)}, values)[None, :]

    n = dense_counts({"bucket": (bucket, BUCKETS)}, np.ones(len(y)))[None, :]
    ours = losses("risk")
    return {
        "brier": ratio(ours, n),
        "skill": _one_minus(ours, losses("base"), n),
        "gain": _one_minus(ours, losses("habit"), n),
    }


def _one_minus(ours: Counts, theirs: Counts, n: Counts) -> Interval:
    def skill(sums: Counts) -> Estimates:
        return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1e-12)

    estimate, se = jackknife(np.stack([ours, theirs], axis=-1), skill)
    low, high = mean_interval(estimate, se, buckets=effective_buckets(n))
    return Interval(estimate, low, high, se)


def calibration_table(predictions: pl.DataFrame, *, groups: int = _GROUPS) -> pl.DataFrame:
    """Predicted and observed share in groups of equally many predictions (see `Backtest`)."""
    order = np.argsort(predictions["risk"].to_numpy(), kind="stable")
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.arange(len(order)) * groups // max(len(order), 1)
    bucket = predictions["bucket"].to_numpy()
    axes = {"group": (group, groups), "bucket": (bucket, BUCKETS)}
    n = dense_counts(axes, np.ones(len(order)))
    broken = dense_counts(axes, predictions["fragmented"].to_numpy())
    summed = np.bincount(group, predictions["risk"].to_numpy(), minlength=groups)
    observed = rate(broken, n)
    table = pl.DataFrame(
        {
            "group": np.arange(1, groups + 1),
            "contacts": n.sum(1).astype(np.int64),
            "predicted": summed / np.maximum(n.sum(1), 1),
            **interval_columns("observed", observed),
        }
    ).filter(pl.col("contacts") > 0)
    within = pl.col("predicted").is_between(pl.col("observed_low"), pl.col("observed_high"))
    return table.with_columns(inside=within)


def replay_handoffs(
    arrivals: Arrivals, *, signal: str = "abandonment", k: int = 10
) -> tuple[pl.DataFrame, str | None]:
    """Forecast every span that can be judged from the spans fully followed when it began."""
    spans = judge_spans(arrivals, signal=signal)
    until = arrivals.settings.observed_until
    frames = []
    for index, target in enumerate(spans):
        if target.known_at > until:
            continue
        past = [i for i, s in enumerate(spans) if s.known_at <= target.start]
        history = [spans[i] for i in past]
        if sum(len(s.judged) > 0 for s in history) < MIN_HISTORY:
            continue
        table, _ = forecast_excess(history, ahead=index - past[-1])
        compared = compare_rankings(table, target.judged, k=k)
        if compared is not None:
            dates = (pl.lit(target.start.date()), pl.lit(target.end.date()))
            frames.append(
                compared.select(dates[0].alias("from"), dates[1].alias("until"), pl.all())
            )
    if frames:
        return pl.concat(frames), None
    s = arrivals.settings
    followed = sum(s.known_at <= until for s in spans)
    return _no_comparison(), (
        f"the log has {followed} fully followed spans of time ({s.silence.days} days of silence "
        f"have to pass after each), and to forecast one takes {MIN_HISTORY} that were fully "
        f"followed when it began, and {_MIN_HANDOFFS} handoffs judged in both"
    )


def compare_rankings(forecast: pl.DataFrame, came: pl.DataFrame, *, k: int) -> pl.DataFrame | None:
    """Hold the forecast and simpler rankings of handoffs against what came; None if too few.

    The worst are those with the most cases above expectation (arrivals × excess), as measured:
    what was measured is itself uncertain, so that no method can name them all.
    """
    both = forecast.join(
        came.select("source", "target", "effect", "variance", arrived="n"),
        on=["source", "target"],
        how="inner",
    ).sort("source", "target")
    if len(both) < _MIN_HANDOFFS:
        return None
    k = min(k, max(len(both) // 4, 1))
    n, last = both["n"].to_numpy(), both["last"].fill_null(0.0).to_numpy()
    excess, raw = both["excess"].to_numpy(), both["raw"].to_numpy()
    arrived, effect = both["arrived"].to_numpy(), both["effect"].to_numpy()
    noise = 1.959964 * np.sqrt(both["variance"].to_numpy())
    half_low = np.hypot(excess - both["excess_low"].to_numpy(), noise)
    half_high = np.hypot(both["excess_high"].to_numpy() - excess, noise)
    covered = float(((effect >= excess - half_low) & (effect <= excess + half_high)).mean())
    worst = top(arrived * effect, k)
    scores = {FORECAST: n * excess, LAST: n * last, RAW: raw, COUNT: n * raw}
    sizes = {FORECAST: excess, LAST: last, NOTHING: np.zeros(len(both))}
    rows = []
    for method in (FORECAST, LAST, RAW, COUNT, NOTHING):
        hits = cases = None
        if method in scores:
            named = top(scores[method], k)
            hits = len(worst & named)
            cases = float((arrived * effect)[sorted(named)].sum())
        error = None
        if method in sizes:
            error = float(np.sqrt(np.average((sizes[method] - effect) ** 2, weights=arrived)))
        rows.append(
            (
                method,
                len(both),
                k,
                hits,
                k * k / len(both),
                cases,
                error,
                covered if method == FORECAST else None,
            )
        )
    schema = dict(list(_no_comparison().schema.items())[2:])
    return pl.DataFrame(rows, schema=schema, orient="row")


def top(score: Floats, k: int) -> set[int]:
    """Positions of the k largest; of equal ones the first.

    Examples
    --------
    >>> sorted(top(np.array([1.0, 3.0, 2.0, 3.0]), 2))
    [1, 3]
    """
    return set(np.argsort(-score, kind="stable")[:k].tolist())


def _add_up(replayed: pl.DataFrame) -> pl.DataFrame:
    return replayed.group_by("method", maintain_order=True).agg(
        hits=_total("hits"),
        of=pl.col("k").sum(),
        overlap=_total("hits") / pl.col("k").sum(),
        fewest=pl.col("hits").min(),
        most=pl.col("hits").max(),
        by_chance=pl.col("by_chance").sum(),
        cases=_total("cases"),
        rmse=(pl.col("rmse") ** 2).mean().sqrt(),
    )


def _total(column: str) -> pl.Expr:
    """Sum that stays null where nothing was counted."""
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum())


def _no_comparison() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "from": pl.Date,
            "until": pl.Date,
            "method": pl.String,
            "handoffs": pl.Int64,
            "k": pl.Int64,
            "hits": pl.Int64,
            "by_chance": pl.Float64,
            "cases": pl.Float64,
            "rmse": pl.Float64,
            "covered": pl.Float64,
        }
    )
