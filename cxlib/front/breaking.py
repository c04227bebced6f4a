"""Findings."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from cxlib.errors import InputError
from cxlib.where import Where, read_days

if TYPE_CHECKING:
    from cxlib.fragmentation import Findings, SelfTest, Watch
    from cxlib.store import Workspace

__all__ = ["check", "find_breaks", "watch"]


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
