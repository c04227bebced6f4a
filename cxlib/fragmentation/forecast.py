"""The excess of each handoff in the next span of time, from what it was in the spans before.

`predict_handoffs` follows each handoff's excess over its expectation from span to span and draws it
towards that of all others, the more the less it is known. How good that is is measured by
`cxlib.fragmentation.backtest`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.columns import (
    Amount,
    Columns,
    Count,
    Day,
    Flag,
    Label,
    Points,
    Rank,
    Share,
    Tables,
)
from cxlib.errors import UnknownNameError
from cxlib.fragmentation.features import say_days
from cxlib.grounds.expectation import MIN_N
from cxlib.grounds.strata import with_strata
from cxlib.results import Result, result
from cxlib.signals.abandonment import judge_abandonment
from cxlib.signals.backtracking import judge_backtracking
from cxlib.statistics.resampling import number_cells
from cxlib.summary import Selection

if TYPE_CHECKING:
    from cxlib.store import Workspace

Floats = NDArray[np.float64]

MIN_HISTORY = 2
"""Fully followed spans of time below which handoffs are not forecast."""

LEAST_EXCESS = 0.05
"""Excess that counts as broken: 5 of 100 arrivals more than like handoffs."""

SIGNALS: Mapping[str, Callable[[Arrivals], pl.DataFrame]] = {
    "abandonment": judge_abandonment,
    "backtracking": judge_backtracking,
}
"""Signals whose excess can be forecast."""


@result
class HandoffForecast(Result):
    """What `predict_handoffs` returns.

    Attributes
    ----------
    signal
        "abandonment" or "backtracking".
    change_rate
        Estimated probability that a handoff's true excess changes, per span.
    reason
        Why there is no forecast; None where there is one.
    """

    signal: str
    change_rate: float
    spans: pl.DataFrame
    reason: str | None = None

    title = "Handoffs that could break next"
    tables = Tables(
        table=Columns(
            "one row per handoff judged in the history, most customers first",
            source=Label("what is left"),
            target=Label("what follows it"),
            source_channel=Label("of the source", detail=True),
            target_channel=Label("of the target", detail=True),
            stage=Label("of the target", detail=True),
            owner=Label("of the target"),
            spans=Count("of time in which it was judged", detail=True),
            n=Amount(
                "arrivals to expect in the next span: the mean of the latest three",
                heading="arrivals",
            ),
            raw=Share("of arrivals with the signal so far", detail=True),
            last=Points("excess in the latest span; null if it was not judged there"),
            excess=Points("in the next span, over like handoffs", interval=True),
            customers=Amount("n x excess", interval=True),
            chance=Share("probability that the excess is above `LEAST_EXCESS`"),
            could_break=Flag("a chance above one half", detail=True),
            source_place=Label("number of the place", detail=True),
            target_place=Label("number of the place", detail=True),
        ),
        spans=Columns(
            "one row per span of the history",
            **{
                "span": Rank("from 0"),
                "from": Day("its first day"),
                "until": Day("its end"),
                "handoffs": Count("judged"),
            },
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
        likely = self.table.filter("could_break")
        if likely.is_empty():
            return (
                f"Of {len(self.table)} handoffs none is more likely than not to be at least "
                f"{100 * LEAST_EXCESS:.0f} points worse than like ones ({self.signal})."
            )
        top = likely.row(0, named=True)
        return (
            f"{top['source']} → {top['target']} is expected to have {top['customers']:,.0f} more "
            f"cases of {self.signal} than like handoffs (95 %: {top['customers_low']:,.0f} to "
            f"{top['customers_high']:,.0f}). Of {len(self.table)} handoffs {len(likely)} "
            f"{'is' if len(likely) == 1 else 'are'} more likely than not to be at least "
            f"{100 * LEAST_EXCESS:.0f} points worse than like ones."
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
            f"followed for {say_days(s.silence)}, handoffs with {MIN_N} of them); {MIN_HISTORY} "
            "are needed"
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
    """Periods in a span: the fewest that let most handoffs be judged, and leave at least 4 spans.

    Most: 20, or half of those with `MIN_N` arrivals in the whole log where these are fewer.
    """
    whole = counts.group_by("source", "target").agg(pl.col("n").sum())
    wanted = min(20, int((whole["n"] >= MIN_N).sum()) / 2)
    size = 1
    while periods // (2 * size) >= 4:
        span = (pl.col("period") // size).alias("span")
        large = counts.group_by(span, "source", "target").agg(pl.col("n").sum())
        judged = large.filter(pl.col("n") >= MIN_N).group_by("span").len()["len"]
        if len(judged) and float(judged.median() or 0) >= wanted:  # type: ignore[arg-type]
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
