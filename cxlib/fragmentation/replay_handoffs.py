"""Handoffs forecast again at past dates, and held against simpler rankings and what came."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.fragmentation.forecast import MIN_HISTORY, forecast_excess, judge_spans

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

_MIN_HANDOFFS = 10


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
    return no_comparison(), (
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
    schema = dict(list(no_comparison().schema.items())[2:])
    return pl.DataFrame(rows, schema=schema, orient="row")


def top(score: Floats, k: int) -> set[int]:
    """Positions of the k largest; of equal ones the first.

    Examples
    --------
    >>> sorted(top(np.array([1.0, 3.0, 2.0, 3.0]), 2))
    [1, 3]
    """
    return set(np.argsort(-score, kind="stable")[:k].tolist())


def add_up(replayed: pl.DataFrame) -> pl.DataFrame:
    """Add the comparisons of all dates up, one row per method (see `Backtest`)."""
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


def no_comparison() -> pl.DataFrame:
    """Give the table of comparisons without a row."""
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
