"""After which silence a customer has left."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cxlib.store import Workspace
from cxlib.store.walk import look_back

FALLBACK_SILENCE = timedelta(days=30)  # counts as having left where no gap ends journeys
_SHORTER = (timedelta(days=14), timedelta(days=7))
MOST_COME_BACK = 0.5  # share of the silent who come back, beyond which silence tells nothing
_NEEDED = ("customer", "journey", "place", "period", "sequence", "occurred_at")


def choose_silence(span: timedelta, wanted: timedelta | None) -> timedelta:
    """Choose the silence that counts as having left: it must fit three times into the log."""
    wanted = wanted or FALLBACK_SILENCE
    shorter = [d for d in _SHORTER if d < wanted]
    return next((d for d in (wanted, *shorter) if 3 * d <= span), min((wanted, *shorter)))


def silence_of(workspace: Workspace) -> tuple[timedelta, float]:
    """Return the silence that counts as having left, and the share of the silent who come back.

    Where a gap ends journeys it is the gap, and nobody comes back to the same one. Elsewhere the
    shortest, 30 days at least, of which no more come back than stay away: a ticket that a rule
    closes after six weeks was not left after four.
    """
    span = workspace.observed_until - datetime.fromisoformat(workspace.manifest["first_at"])
    if workspace.gap is not None:
        return choose_silence(span, workspace.gap), 0.0
    ends = workspace.places.filter(pl.col("is_goal") | pl.col("is_lost"))["place"]
    seen = look_back(workspace.store().select(_NEEDED), scope=workspace.scope).collect()
    last = seen.group_by("journey").agg(pl.col("place", "followed_for").last())
    last = last.filter(~pl.col("place").is_in(ends.implode()))
    waits, silences = (
        np.sort(times.drop_nulls().dt.total_seconds().to_numpy()) / 86_400
        for times in (seen["waited"], last["followed_for"])
    )
    shortest = choose_silence(span, None)
    days = np.arange(shortest.days, max(span.days // 3, shortest.days) + 1)
    back = len(waits) - np.searchsorted(waits, days, side="right")
    left = len(silences) - np.searchsorted(silences, days, side="left")
    coming_back = back / np.maximum(back + left, 1)
    chosen = int(np.argmax(coming_back <= MOST_COME_BACK))
    return timedelta(days=int(days[chosen])), float(coming_back[chosen])
