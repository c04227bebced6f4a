"""The excess of each handoff in the next span of time, from what it was in the spans before.

From span to span it keeps a share of its size and is drawn towards 0 (a first-order autoregression,
followed by a Kalman filter), as estimated from the history of all. Efron & Morris (1975),
doi:10.1080/01621459.1975.10479864; Durbin & Koopman (2012), ISBN 978-0-19-964117-8
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.columns import Amount, Columns, Flag, Label, Points, Share
from cxlib.grounds.expectation import MIN_N
from cxlib.grounds.strata import with_strata
from cxlib.prediction.record import PREDICTED
from cxlib.signals import SIGNALS
from cxlib.statistics.resampling import BUCKETS, number_cells
from cxlib.summary import Selection

Floats = NDArray[np.float64]

LAST, NOTHING = "same as last period", "expecting nothing unusual"
"""What the forecast is held against."""

MIN_HISTORY = 2
"""Fully followed spans of time below which handoffs are not forecast."""

LEAST_EXCESS = 0.05
"""Excess that counts as broken: 5 of 100 arrivals more than similar handoffs."""

HANDOFFS = Columns(
    "one row per handoff judged in the history, most cases to expect first",
    source=Label("what is left"),
    target=Label("what follows it"),
    source_channel=Label("of the source", detail=True),
    target_channel=Label("of the target", detail=True),
    stage=Label("of the target", detail=True),
    owner=Label("of the target"),
    n=Amount("arrivals to expect: the mean of the latest three spans", heading="arrivals"),
    excess=Points("to expect, over similar handoffs", interval=True),
    chance=Share("probability that the excess is above `LEAST_EXCESS`"),
    could_break=Flag("a chance above one half, and an excess surely above 0"),
    source_place=Label("number of the place", detail=True, optional=True),
    target_place=Label("number of the place", detail=True, optional=True),
)

_JUDGED = {"source": pl.Int64, "target": pl.Int64} | dict.fromkeys(
    ("n", "effect", "variance"), pl.Float64
)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """One span of time, its handoffs judged by its own arrivals, with their sampling ``variance``.

    ``known_at``: end plus the silence; before, some of its arrivals are not yet followed.
    """

    start: datetime
    end: datetime
    known_at: datetime
    judged: pl.DataFrame


def can_be_forecast() -> list[str]:
    """Names of the signals whose excess can be forecast: shares of the arrivals of a period."""
    shares = [n for n in SIGNALS if SIGNALS[n].judge is not None and SIGNALS[n].family == "share"]
    counts = {name: SIGNALS[name].counts for name in shares}
    return [n for n, told in counts.items() if told is not None and told.table == "histories"]


def judge_spans(arrivals: Arrivals, signal: str) -> list[Span]:
    """Judge every span of time by itself."""
    counts = arrivals.arrivals.group_by("period", "source", "target").agg(pl.col("n").sum())
    judge = SIGNALS[signal].judge
    size, zone = _span_size(counts, len(arrivals.periods)), ZoneInfo(arrivals.periods.time_zone)
    starts = [datetime(d.year, d.month, d.day, tzinfo=zone) for d in arrivals.periods.starts]
    starts.append(arrivals.settings.observed_until.astimezone(zone))
    spans = []
    for first in range(0, len(arrivals.periods), size):
        last = min(first + size, len(arrivals.periods)) - 1
        part = arrivals.select(Selection(period=(first, last)))
        start, end = starts[first], starts[last + 1]
        judged = pl.DataFrame(schema=_JUDGED)
        if judge is not None and part.arrivals["n"].sum() >= MIN_N:
            judged = _with_variance(judge(with_strata(part)))
        spans.append(Span(start, end, end + arrivals.settings.silence, judged))
    return spans


def _span_size(counts: pl.DataFrame, periods: int) -> int:
    """Periods in a span: the fewest that let most handoffs be judged and leave at least 4 spans."""
    whole = counts.group_by("source", "target").agg(pl.col("n").sum())
    wanted = min(20, int((whole["n"] >= MIN_N).sum()) / 2)
    size = 1
    while periods // (2 * size) >= 4:
        span = (pl.col("period") // size).alias("span")
        large = counts.group_by(span, "source", "target").agg(pl.col("n").sum())
        judged = large.filter(pl.col("n") >= MIN_N).group_by("span").len()["len"]
        if len(judged) and float(np.median(judged.to_numpy())) >= wanted:
            break
        size *= 2
    return size


def _with_variance(judged: pl.DataFrame) -> pl.DataFrame:
    # one arrival as expected keeps the variance of a share of 0 or 1 from vanishing
    seen = (pl.col("observed") * pl.col("n") + pl.col("expected")) / (pl.col("n") + 1)
    seen = seen.clip(1e-3, 1 - 1e-3)
    return judged.select(
        *("source", "target", "n", "effect"), variance=seen * (1 - seen) / pl.col("n")
    ).cast(_JUDGED)  # type: ignore[arg-type]


def forecast_excess(history: Sequence[Span], *, ahead: int = 1) -> pl.DataFrame:
    """Forecast each handoff's excess `ahead` spans after the last of its history, oldest first.

    ``last``: of the newest span, null where not judged there.
    """
    from scipy.special import ndtr

    nothing = pl.DataFrame(schema=_JUDGED | {"span": pl.Int64})
    frames = [s.judged.with_columns(span=pl.lit(i, pl.Int64)) for i, s in enumerate(history)]
    long = pl.concat([nothing, *frames])
    cells, cell = number_cells(long, ["source", "target"])
    shape = (len(cells), max(len(history), 1))
    effect, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    span = long["span"].to_numpy()
    effect[cell, span], variance[cell, span] = long["effect"], long["variance"]
    keeps, apart = max(
        product((0.3, 0.6, 0.8, 0.9, 0.97, 0.995), np.geomspace(0.005, 0.3, 9)),
        key=lambda prior: follow(effect, variance, *prior)[0],
    )
    _, mean, spread = follow(effect, variance, keeps, apart, ahead=ahead)
    table = long.group_by("source", "target").agg(pl.col("n").sort_by("span").tail(3).mean())
    return cells.join(table, on=["source", "target"], how="left", maintain_order="left").select(
        *("source", "target", "n"),
        last=pl.Series(effect[:, -1], dtype=pl.Float64).fill_nan(None),
        excess=pl.Series(mean, dtype=pl.Float64),
        excess_low=pl.Series(mean - 1.959964 * spread, dtype=pl.Float64),
        excess_high=pl.Series(mean + 1.959964 * spread, dtype=pl.Float64),
        chance=pl.Series(1 - ndtr((LEAST_EXCESS - mean) / spread), dtype=pl.Float64),
    )


def follow(
    effect: Floats, variance: Floats, keeps: float, apart: float, *, ahead: int = 1
) -> tuple[float, Floats, Floats]:
    """Follow the excess of every handoff, ``[handoffs, spans]``; NaN where it was not judged.

    ``keeps``: correlation from span to span; ``apart``: standard deviation over handoffs. Gives the
    log likelihood, and mean and spread `ahead` spans later.
    """
    mean, var, total = np.zeros(len(effect)), np.full(len(effect), apart**2), 0.0
    for span in range(effect.shape[1]):
        if span:
            mean, var = keeps * mean, keeps**2 * var + (1 - keeps**2) * apart**2
        seen = np.isfinite(effect[:, span])
        off = np.where(seen, effect[:, span] - mean, 0.0)
        whole = var + np.where(seen, variance[:, span], 1.0)
        total -= 0.5 * float((np.log(2 * np.pi * whole) + off**2 / whole)[seen].sum())
        gain = np.where(seen, var / whole, 0.0)
        mean, var = mean + gain * off, var * (1 - gain)
    kept = keeps**ahead
    return total, kept * mean, np.sqrt(kept**2 * var + (1 - kept**2) * apart**2)


def replay_handoffs(spans: Sequence[Span], *, until: datetime) -> pl.DataFrame:
    """Forecast every span that can be judged from the spans fully followed when it began."""
    found = [pl.DataFrame(schema=PREDICTED | dict.fromkeys((LAST, NOTHING), pl.Float64))]
    for index, target in enumerate(spans):
        past = [i for i, s in enumerate(spans) if s.known_at <= target.start]
        history = [spans[i] for i in past]
        if target.known_at > until or sum(len(s.judged) > 0 for s in history) < MIN_HISTORY:
            continue
        forecast = forecast_excess(history, ahead=index - past[-1])
        came = target.judged.select("source", "target", came="effect", weight="n")
        handoff = pl.struct("source", "target").hash(0)
        found.append(
            forecast.join(came, on=["source", "target"]).select(
                at=pl.lit(target.start.date()),
                bucket=(handoff % BUCKETS).cast(pl.Int64),
                weight="weight",
                came="came",
                predicted="excess",
                **{LAST: pl.col("last").fill_null(0.0), NOTHING: pl.lit(0.0)},
            )
        )
    return pl.concat(found)


def name_handoffs(forecast: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Give the forecast in the columns of `HANDOFFS`."""

    def of(column: str, end: str) -> pl.Expr:
        return pl.lit(places[column]).gather(pl.col(end).cast(pl.UInt32))

    return forecast.sort(
        pl.col("n") * pl.col("excess"), "source", "target", descending=[True, False, False]
    ).select(
        source=of("touchpoint", "source"),
        target=of("touchpoint", "target"),
        source_channel=of("channel", "source"),
        target_channel=of("channel", "target"),
        stage=of("stage", "target"),
        owner=of("owner", "target"),
        **{name: pl.col(name) for name in ("n", "excess", "excess_low", "excess_high", "chance")},
        could_break=(pl.col("chance") > 0.5) & (pl.col("excess_low") > 0),
        source_place="source",
        target_place="target",
    )
