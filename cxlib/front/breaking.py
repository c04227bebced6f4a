"""Findings, and what could break next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cxlib.errors import InputError
from cxlib.where import Where, read_days

if TYPE_CHECKING:
    from cxlib.fragmentation import (
        Backtest,
        Findings,
        HandoffForecast,
        JourneyRisk,
        SelfTest,
        Watch,
    )
    from cxlib.store import Workspace

__all__ = ["backtest", "check", "find_breaks", "predict_breaks", "predict_journeys", "watch"]


def find_breaks(workspace: Workspace, *, where: Where | None = None) -> Findings:
    """Find where journeys break: what is worse than it would be without a fault, and for sure.

    Everything that can be judged is judged, and the false-discovery rate is controlled over all of
    it (Benjamini-Hochberg); `docs/signals` says how each signal is defined.

    Parameters
    ----------
    workspace
        The workspace.
    where
        A part of the log; all of it by default.

    Returns
    -------
    Findings
        ``found``: the findings, most customers affected first; ``table``: everything judged.
    """
    from cxlib.fragmentation import measure_fragmentation

    return measure_fragmentation(workspace, where=None if where is None else where.of(workspace))


def watch(workspace: Workspace, *, since: str | date) -> Watch:
    """Say which findings are new since a day, growing, mended, or going on as before.

    Parameters
    ----------
    workspace
        The workspace.
    since
        First day that counts as new, such as "2025-07-01".
    """
    from cxlib.fragmentation import watch_findings

    try:
        day = since if isinstance(since, date) else read_days(since)[0]
    except ValueError:
        raise InputError(f"since={since!r} is not a date; write 2025-07-01") from None
    return watch_findings(workspace, since=day)


def check(
    workspace: Workspace,
    *,
    shuffles: int = 3,
    signals: Collection[str] | None = None,
    seed: int = 0,
) -> SelfTest:
    """Test the method on this very log: shuffled, nothing may be found; planted faults must be.

    Parameters
    ----------
    workspace
        The workspace.
    shuffles
        How many shuffled copies to judge.
    signals
        Of which to plant a fault; None: of every one that can be planted.
    seed
        Of the shuffles, and of the faults planted.
    """
    from cxlib.fragmentation import check_fragmentation

    return check_fragmentation(workspace, shuffles=shuffles, signals=signals, seed=seed)


def predict_breaks(workspace: Workspace, *, signal: str = "abandonment") -> HandoffForecast:
    """Forecast by how much each handoff will be worse than like handoffs in the next period.

    Parameters
    ----------
    workspace
        The workspace.
    signal
        "abandonment" or "backtracking".
    """
    from cxlib.fragmentation import predict_handoffs

    return predict_handoffs(workspace, signal=signal)


def predict_journeys(workspace: Workspace, *, horizon: timedelta | None = None) -> JourneyRisk:
    """Predict which customers now under way will fall silent or be sent back.

    Parameters
    ----------
    workspace
        The workspace.
    horizon
        Silence that counts as having left; the gap of the journey map by default.
    """
    from cxlib.fragmentation import predict_journey_risk

    return predict_journey_risk(workspace, horizon=horizon)


def backtest(workspace: Workspace, *, signal: str = "abandonment") -> Backtest:
    """Make the predictions again at past dates, and hold them against what came.

    Parameters
    ----------
    workspace
        The workspace.
    signal
        Of the handoffs: "abandonment" or "backtracking".
    """
    from cxlib.fragmentation import backtest_risk

    return backtest_risk(workspace, signal=signal)
