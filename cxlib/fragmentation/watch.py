"""What is new since a date, growing or mended: the time before and since, judged apart."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.columns import Amount, Columns, Label, Tables
from cxlib.errors import InputError
from cxlib.fragmentation.findings import ROW, Findings, measure_fragmentation
from cxlib.grounds.expectation import MIN_N
from cxlib.grounds.judged import Z95
from cxlib.grounds.strata import with_strata
from cxlib.results import Result, of_workspace, result
from cxlib.signals import signal_named
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.where import read_days

STATUSES = ("new", "growing", "ongoing", "shrinking", "mended", "unclear")
"""What becomes of findings, those to look at first. New: found since the date, and not before;
where it was suspect then (worse than expected beyond chance, if not enough for a finding), it must
have grown beyond chance. Growing, shrinking: larger or smaller than before, beyond chance. Mended:
no finding any more, and below half of what it was, beyond chance. Unclear: no finding any more, but
that may be chance, or there were too few cases since."""

ALERTS = ("new", "growing")
"""Statuses that a scheduler has to tell people about."""

_TOLD = ("source", "target", "signal", "n", "effect", "q", "sentence")


@result
class Watch(Result):
    """What `watch_findings` returns.

    Attributes
    ----------
    since
        First day of the period that the date falls in.
    reason
        Why nothing can be said; empty otherwise.
    """

    title: ClassVar[str] = "What is new"
    tables: ClassVar[Tables] = Tables(
        table=Columns(
            "one row per finding, in the order of `STATUSES`; figures of the time since the date "
            "(of the time before it for those mended or unclear)",
            status=Label("one of `STATUSES`"),
            **{name: ROW[name] for name in _TOLD},
            before=Amount("effect of the signal before; null: not judged", interval=True),
            since=Amount("effect of the signal since; null: not judged", interval=True),
        )
    )

    since: date
    reason: str

    @property
    def alert(self) -> bool:
        """Whether anything is new or growing."""
        return bool(self.table["status"].is_in(ALERTS).any())

    @property
    def sentence(self) -> str:
        """How many findings are new, growing and so on, in words."""
        if self.reason:
            return f"{self.reason[0].upper()}{self.reason[1:]}."
        counts = {status: int((self.table["status"] == status).sum()) for status in STATUSES}
        counted = [f"{number:,} {status}" for status, number in counts.items() if number]
        return f"{', '.join(counted) or 'No finding before or'} since {self.since}."

    @property
    def headlines(self) -> tuple[str, ...]:
        """The sentence."""
        return (self.sentence,)


@of_workspace
def watch_findings(log: Workspace | Arrivals, *, since: str | date) -> Watch:
    """Say which findings are new since a day, growing, mended, or going on as before.

    Only arrivals that were followed for the silence count: what happened within the last silence
    cannot be seen yet.

    Parameters
    ----------
    log
        The workspace, or the arrivals counted from one.
    since
        First day that counts as new, such as "2025-07-01".

    Raises
    ------
    InputError
        It is no date, lies outside the log, or in its first period.
    """
    try:
        since = since if isinstance(since, date) else read_days(since)[0]
    except ValueError:
        raise InputError(f"since: {since!r} is not a date; write 2025-07-01") from None
    arrivals = with_strata(log if isinstance(log, Arrivals) else read_arrivals(log))
    starts = arrivals.periods.starts
    first = sum(start <= since for start in starts) - 1
    last = arrivals.settings.observed_until.date()
    if first < 1 or since > last:
        earliest = starts[min(1, len(starts) - 1)]
        raise InputError(
            f"{since} leaves nothing to compare with; give a date from {earliest} to {last}"
        )
    parts = [Selection(period=span) for span in ((0, first - 1), (first, len(starts) - 1))]
    before, after = (
        measure_fragmentation(arrivals, where=part, grounds=("like", "plan")) for part in parts
    )
    dated = measure_fragmentation(arrivals, grounds=("past",))
    rows = _compare(before, after)
    rows += _dated(dated.found, {(row["source"], row["target"]) for row in rows}, starts[first])
    rows.sort(key=lambda row: STATUSES.index(row["status"]))
    columns = Watch.tables["table"]
    return Watch(
        table=columns.frame([{n: row.get(n) for n in columns.names} for row in rows]),
        since=starts[first],
        reason=_why_silent(after, dated, starts[first]),
        observed_until=arrivals.settings.observed_until,
    )


def _why_silent(after: Findings, dated: Findings, first: date) -> str:
    """Why nothing can be said of the time since; empty where something can."""
    if not dated.signals["measurable"].any():
        return str(dated.signals["reason"][0])
    followed = after.arrivals.arrivals.group_by("source", "target").agg(pl.col("n").sum())
    if after.signals["measurable"].any() or (followed["n"] >= MIN_N).any():
        return ""
    days = dated.arrivals.settings.silence.days
    return (
        f"too early to say: no handoff has enough arrivals since {first} that were followed for "
        f"{days} days"
    )


def _compare(before: Findings, after: Findings) -> list[dict[str, Any]]:
    """One row per handoff found before or since."""
    pair = ["source_place", "target_place"]
    was, now = (set(found.found.select(pair).iter_rows()) for found in (before, after))
    sizes = [
        {row[:3]: row[3:] for row in found.table.select(*pair, "signal", *_SIZE).iter_rows()}
        for found in (before, after)
    ]
    names = [f"{side}{end}" for side in ("before", "since") for end in ("", "_low", "_high")]
    rows = []
    for found, is_found in ((after, True), (before, False)):
        for row in found.found.iter_rows(named=True):
            handoff = (row["source_place"], row["target_place"])
            if is_found or handoff not in now:
                old, new = (side.get((*handoff, row["signal"]), _UNKNOWN) for side in sizes)
                status = what_became(row["signal"], old, new, was=handoff in was, now=is_found)
                rows.append(row | {"status": status} | dict(zip(names, (*old, *new), strict=True)))
    return rows


def _dated(found: pl.DataFrame, known: set[tuple[str, str]], since: date) -> list[dict[str, Any]]:
    """What ground *past* dates to the time since: begun (new), or ended (mended)."""
    rows = []
    for row in found.iter_rows(named=True):
        begun, ended = (row[c] is not None and row[c] >= since for c in ("since", "affected_until"))
        if (begun or ended) and (row["source"], row["target"]) not in known:
            status = "new" if begun and not ended else "mended"
            rows.append({**row, "status": status, "since": None})
    return rows


Size = tuple[float | None, float | None, float | None]
_SIZE = ("effect", "low", "high")
_UNKNOWN: Size = (None, None, None)


def what_became(signal: str, old: Size, new: Size, *, was: bool, now: bool) -> str:
    """The status of a handoff that was found before, is found now, or both."""
    if None in (*old, *new):
        return "new" if not was else "ongoing" if now else "unclear"
    (early, early_se), (late, late_se) = (_harm(signal, size) for size in (old, new))
    reach = Z95 * float(np.hypot(early_se, late_se))
    smaller = late - early < -reach
    # What was there already, only too few had come to find it, is no news.
    if not was and (early <= Z95 * early_se or late - early > reach):
        return "new"
    if now:
        return "growing" if late - early > reach else "shrinking" if smaller else "ongoing"
    return "mended" if smaller and late < early / 2 else "unclear"


def _harm(signal: str, size: Size) -> tuple[float, float]:
    """An effect as harm (more is worse) with its standard error; waits as logarithms."""
    effect, low, high = (float(value or 0.0) for value in size)
    kind = signal_named(signal)
    if kind.family == "wait":
        effect, low, high = (float(np.log(max(value, 1e-6))) for value in (effect, low, high))
    return kind.harm * effect, (high - low) / (2 * Z95)
