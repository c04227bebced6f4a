"""How good the predictions are: made again at several past dates, and held against what came.

Nothing later than a date T enters what is predicted at T: journeys are learned from contacts whose
whole label window lay before T (the embargo), handoffs from spans of time that were fully followed
at T. What is reported is what was found, also where it is poor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.columns import (
    Amount,
    Columns,
    Count,
    Customers,
    Day,
    Flag,
    Instant,
    Label,
    Rank,
    Share,
    Tables,
)
from cxlib.errors import InputError
from cxlib.fragmentation.features import read_contacts_at_risk
from cxlib.fragmentation.replay_handoffs import (
    FORECAST,
    LAST,
    NOTHING,
    RAW,
    add_up,
    replay_handoffs,
)
from cxlib.fragmentation.replay_journeys import (
    MIN_TESTED,
    PREDICTIONS,
    calibration_table,
    replay_journeys,
    score_tests,
    score_under_way,
)
from cxlib.fragmentation.risk import MIN_LABELLED, choose_horizon, why_not_learnable
from cxlib.results import Result, result

if TYPE_CHECKING:
    from cxlib.store import Workspace


_CALIBRATION = Columns(
    "ten groups of equally many predictions, lowest first",
    group=Rank("from 0"),
    contacts=Count("in the group", each="contacts"),
    predicted=Share("mean"),
    observed=Share("that fragmented", of="contacts", interval=True),
    inside=Flag("the interval holds the prediction"),
)


@result
class Backtest(Result):
    """What `backtest_risk` returns.

    Attributes
    ----------
    under_way
        Customers under way at each date, one row per date and one for all: ``at``, ``customers``,
        ``base_rate``, ``predicted`` (mean ``risk_now`` of `JourneyRisk`, as of that date),
        ``fragmented``, ``calibration_error``, and as in ``table`` ``brier``, ``skill`` (against the
        silence alone) and ``gain`` (against the silence and the handoff's past rate).
    horizon
        Label window, and length of the embargo.
    signal
        Of the handoffs.
    reason, handoff_reason
        Why journeys, or handoffs, could not be tested; None where they were.
    """

    calibration: pl.DataFrame
    under_way: pl.DataFrame
    under_way_calibration: pl.DataFrame
    handoffs: pl.DataFrame
    overlap: pl.DataFrame
    horizon: timedelta
    signal: str
    reason: str | None = None
    handoff_reason: str | None = None

    title = "Predictions held against what came"
    tables = Tables(
        table=Columns(
            'journeys, one row per date and one for all (fold "all")',
            **{
                "fold": Label("number of the date"),
                "from": Instant("first test contact"),
                "until": Instant("last test contact"),
                "trained_on": Count("contacts learned from", each="contacts", detail=True),
                "contacts": Count("tested", each="contacts"),
                "model": Label("its kind", detail=True),
                "customers": Customers("tested"),
                "base_rate": Share("that fragmented in training", detail=True),
                "fragmented": Share("in the test"),
                "predicted": Share("mean"),
                "calibration_error": Amount("mean distance of the two in ten groups"),
                "brier": Amount("score", interval=True),
                "skill": Amount("1 - Brier / Brier of the base rate", interval=True),
                "gain": Amount(
                    "1 - Brier / Brier of the handoff's own past rate (drawn to its touchpoint's)",
                    interval=True,
                ),
            },
        ),
        calibration=_CALIBRATION,
        under_way_calibration=_CALIBRATION,
        handoffs=Columns(
            "one row per date and method",
            **{
                "from": Day("first day"),
                "until": Day("end"),
                "method": Label("how handoffs were named"),
                "handoffs": Count("that could be compared"),
                "k": Count("handoffs named"),
                "hits": Count("of these, how many were among the k worst"),
                "by_chance": Amount("hits to be had by chance"),
                "cases": Amount("above expectation that the k named then had"),
                "rmse": Amount("of the excess, weighted by arrivals; null for rankings"),
                "covered": Share("of handoffs whose measured excess lay in the interval"),
            },
        ),
        overlap=Columns(
            "one row per method, over all dates",
            method=Label("how handoffs were named"),
            hits=Count("among the k worst"),
            of=Count("handoffs named"),
            overlap=Share("the hits are of them"),
            fewest=Count("hits at one date"),
            most=Count("hits at one date"),
            by_chance=Amount("hits to be had by chance"),
            cases=Amount("above expectation that those named then had"),
            rmse=Amount("of the excess"),
        ),
    )

    @property
    def headlines(self) -> Sequence[str]:
        """The answer in words."""
        return (self.sentence, self.under_way_sentence, self.handoff_sentence)

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
    def under_way_sentence(self) -> str:
        """How good the prediction for customers under way is, in words."""
        if self.reason is not None:
            return f"Customers under way: not measurable, because {self.reason}."
        if self.under_way.is_empty():
            return (
                f"Customers under way: not measurable, because at no date {MIN_TESTED} of the "
                "customers learned from were."
            )
        row = self.under_way.row(-1, named=True)
        dates = len(self.under_way) - 1
        worst = max(self.under_way["calibration_error"][:-1].to_list())
        return (
            f"Customers under way: of {row['customers']:,} at {dates} past "
            f"{'date' if dates == 1 else 'dates'} {100 * row['predicted']:.1f} % were expected to "
            f"fragment and {100 * row['fragmented']:.1f} % did (Brier score {row['brier']:.3f}; "
            f"{_compare(row, 'skill', 'their silence alone')}; mean distance of predicted from "
            f"observed share at most {worst:.3f} at any date)."
        )

    @property
    def handoff_sentence(self) -> str:
        """How good the forecast of handoffs is, in words."""
        if self.handoff_reason is not None:
            return f"Handoffs: not measurable, because {self.handoff_reason}."
        rows = {row["method"]: row for row in self.overlap.iter_rows(named=True)}
        ours, last, raw = rows[FORECAST], rows[LAST], rows[RAW]
        return (
            f"Handoffs: of {ours['of']} that turned out worst the forecast had named "
            f"{ours['hits']}, last period {last['hits']}, the raw drop-off {raw['hits']}, chance "
            f"would name {ours['by_chance']:.1f}; those named then had {ours['cases']:,.0f}, "
            f"{last['cases']:,.0f} and {raw['cases']:,.0f} cases above expectation. The ranking is "
            f"{_rank(ours['hits'], last['hits'])} than last period and "
            f"{_rank(ours['hits'], raw['hits'])} than the raw drop-off. {self._say_sizes()} (root "
            f"mean square error {ours['rmse']:.3f}, {last['rmse']:.3f}, "
            f"{rows[NOTHING]['rmse']:.3f})."
        )

    def _say_sizes(self) -> str:
        errors = self.handoffs.pivot("method", index="from", values="rmse")
        closer = [other for other in (LAST, NOTHING) if (errors[FORECAST] < errors[other]).all()]
        names = {LAST: "those of last period", NOTHING: "no excess at all"}
        if not closer:
            return "Its sizes were no closer, at every date, than last period's or no excess at all"
        return f"At every date its sizes were closer than {' and '.join(names[c] for c in closer)}"


def _rank(ours: int, theirs: int) -> str:
    """Compare two numbers of handoffs named, of the same handoffs that turned out worst."""
    # at most ours + theirs of the named can differ, and each is a coin toss by chance
    if abs(ours - theirs) <= 1.96 * (ours + theirs) ** 0.5:
        return "neither better nor worse (beyond chance)"
    return "better" if ours > theirs else "worse"


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
            f"and {MIN_TESTED} after it"
        )
    replayed, handoff_reason = replay_handoffs(read_arrivals(workspace), signal=signal, k=k)
    nothing = pl.DataFrame(schema=PREDICTIONS)
    contacts = pl.concat([nothing, *(t.predictions for t in tests)])
    waiting = pl.concat([nothing, *(t.under_way for t in tests)])
    return Backtest(
        table=score_tests(tests),
        observed_until=workspace.observed_until,
        calibration=calibration_table(contacts),
        under_way=score_under_way(tests),
        under_way_calibration=calibration_table(waiting),
        handoffs=replayed,
        overlap=add_up(replayed),
        horizon=horizon,
        signal=signal,
        reason=reason,
        handoff_reason=handoff_reason,
    )
