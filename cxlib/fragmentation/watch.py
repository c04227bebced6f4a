"""Findings over time: since when, growing or mended, and what is new since a date.

`track_findings` gives every finding per period, with the periods that are not yet complete marked
*immature*: their customers have not had the time to show what they will do. `watch_findings`
compares what is found before a date with what is found since, for schedulers: new, growing, mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.errors import InputError
from cxlib.fragmentation.by_period import count_history
from cxlib.fragmentation.findings import Findings, measure_fragmentation
from cxlib.grounds.strata import with_strata
from cxlib.markup import html_text
from cxlib.signals import signal_named
from cxlib.summary import Selection

if TYPE_CHECKING:
    from cxlib.store import Workspace

_Z95 = 1.959964


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """What `track_findings` returns.

    Attributes
    ----------
    table
        Per finding and period: ``source``, ``target``, ``signal``, ``period`` (its number),
        ``starts`` (its first day), ``n``, ``observed``, ``expected`` (of the whole log), ``excess``
        (harm counts positive; waits: logarithm of the ratio), ``se``, ``immature``.
    status
        Per finding: ``early`` and ``late`` excess (first and last third of the complete periods),
        ``change`` with ``low`` and ``high`` (95 %), ``status``: "growing", "mended" (no longer
        above half of what it was), "shrinking" or "steady".
    """

    table: pl.DataFrame
    status: pl.DataFrame

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li>{html_text(r['source'])} → {html_text(r['target'])} "
            f"({r['signal']}): {r['status']}</li>"
            for r in self.status.iter_rows(named=True)
        )
        return f"<ul>{items}</ul>" if items else "<p>There is no finding to follow over time.</p>"


STATUSES = ("new", "growing", "ongoing", "shrinking", "mended", "unclear")
"""What becomes of findings, those to look at first. New: found since the date, and not before;
where it was suspect then (worse than expected beyond chance, if not enough for a finding), it must
have grown beyond chance. Growing, shrinking: larger or smaller than before, beyond chance. Mended:
no finding any more, and below half of what it was, beyond chance. Unclear: no finding any more, but
that may be chance, or there were too few cases since."""

ALERTS = ("new", "growing")
"""Statuses that a scheduler has to tell people about."""


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What `watch_findings` returns.

    Attributes
    ----------
    table
        In the order of `STATUSES`: ``status``, ``source``, ``target``, ``signal``, ``n``,
        ``effect``, ``low``, ``high``, ``q``, ``sentence`` of the time since the date (of the time
        before it for those mended or unclear), ``before`` and ``since`` with ``_low`` and ``_high``
        (the effect of the same signal in both; null where it was not judged).
    since
        First day of the period that the date falls in.
    reason
        Why nothing can be said; empty otherwise.
    """

    table: pl.DataFrame
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
        counted = [
            f"{number:,} {status}"
            for status in STATUSES
            if (number := int((self.table["status"] == status).sum()))
        ]
        return f"{', '.join(counted) or 'No finding before or'} since {self.since}."

    def to_dicts(self) -> list[dict[str, Any]]:
        """The table as plain values, for `cx watch --json`."""
        return self.table.to_dicts()

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li>{row['status']}: {html_text(row['sentence'])}</li>"
            for row in self.table.iter_rows(named=True)
        )
        return f"<p>{html_text(self.sentence)}</p>" + (f"<ul>{items}</ul>" if items else "")


def track_findings(findings: Findings) -> Trend:
    """Follow each finding from period to period against its expectation in the whole log."""
    arrivals = findings.arrivals
    frames = [_track_one(row, arrivals) for row in findings.found.iter_rows(named=True)]
    table = pl.concat(frames) if frames else _empty_trend()
    names = ["source", "target", "signal"]
    status = [
        {**dict(zip(names, key, strict=True)), **_status(part)}
        for key, part in table.group_by(names, maintain_order=True)
    ]
    numbers = ("early", "late", "change", "low", "high")
    schema = dict.fromkeys(names, pl.String) | dict.fromkeys(numbers, pl.Float64)
    return Trend(table, pl.DataFrame(status, schema=schema | {"status": pl.String}))


def _track_one(row: dict[str, Any], arrivals: Arrivals) -> pl.DataFrame:
    """One finding per period: n, observed, excess and its standard error."""
    signal, expected = signal_named(row["signal"]), row["expected"]
    counted = count_history(arrivals, row)
    share = _empty_history() if counted is None else counted
    if signal.family == "wait":
        apart = pl.col("observed").log() - float(np.log(expected))
    else:
        apart = signal.harm * (pl.col("observed") - expected)
    share = share.with_columns(excess=apart)
    starts = pl.Series(arrivals.periods.starts)
    ends = [*arrivals.periods.starts[1:], arrivals.settings.observed_until.date()]
    whole = arrivals.settings.observed_until.date() - timedelta(days=arrivals.settings.silence.days)
    immature = pl.Series([end > whole for end in ends])
    index = pl.col("period").cast(pl.UInt32)
    return (
        share.filter(pl.col("n") > 0)
        .sort("period")
        .select(
            pl.lit(row["source"]).alias("source"),
            pl.lit(row["target"]).alias("target"),
            pl.lit(signal.name).alias("signal"),
            "period",
            pl.lit(starts).gather(index).alias("starts"),
            pl.col("n").cast(pl.Int64),
            "observed",
            pl.lit(float(expected)).alias("expected"),
            "excess",
            "se",
            pl.lit(immature).gather(index).alias("immature"),
        )
    )


def _empty_history() -> pl.DataFrame:
    numbers = dict.fromkeys(("observed", "half", "se"), pl.Float64)
    return pl.DataFrame(schema={"period": pl.UInt16, "n": pl.Int64, **numbers})


def _status(part: pl.DataFrame) -> dict[str, float | str | None]:
    """Compare the first and the last third of the complete periods."""
    complete = part.filter(~pl.col("immature"))
    third = max(1, len(complete) // 3)
    if len(complete) < 2:
        empty = dict.fromkeys(("early", "late", "change", "low", "high"))
        return {**empty, "status": "too short to say"}
    (early, early_se), (late, late_se) = (
        _pool(side) for side in (complete.head(third), complete.tail(third))
    )
    change, se = late - early, float(np.hypot(early_se, late_se))
    low, high = change - _Z95 * se, change + _Z95 * se
    if low > 0:
        status = "growing"
    elif high < 0:
        status = "mended" if late < early / 2 else "shrinking"
    else:
        status = "steady"
    numbers = {"early": early, "late": late, "change": change, "low": low, "high": high}
    return {**numbers, "status": status}


def _pool(part: pl.DataFrame) -> tuple[float, float]:
    weight = part["n"].to_numpy() / part["n"].sum()
    excess, se = part["excess"].to_numpy(), part["se"].to_numpy()
    return float(weight @ excess), float(np.sqrt((weight**2) @ (se**2)))


def _empty_trend() -> pl.DataFrame:
    numbers = ("observed", "expected", "excess", "se")
    return pl.DataFrame(
        schema={
            **dict.fromkeys(("source", "target", "signal"), pl.String),
            "period": pl.UInt16,
            "starts": pl.Date,
            "n": pl.Int64,
            **dict.fromkeys(numbers, pl.Float64),
            "immature": pl.Boolean,
        }
    )


def watch_findings(log: Workspace | Arrivals, *, since: date) -> Watch:
    """Say which findings are new since a date, growing, mended, or going on as before.

    The time before the date and the time since are judged apart. Only arrivals that were followed
    for the silence count: what happened within the last silence cannot be seen yet.

    Parameters
    ----------
    log
        A workspace, or the arrivals counted from one.
    since
        Falls in the first period that counts as new.

    Raises
    ------
    InputError
        When the date lies outside the log, or in its first period.
    """
    arrivals = with_strata(log if isinstance(log, Arrivals) else read_arrivals(log))
    starts = arrivals.periods.starts
    first = sum(start <= since for start in starts) - 1
    last = arrivals.settings.observed_until.date()
    if first < 1 or since > last:
        earliest = starts[min(1, len(starts) - 1)]
        msg = f"{since} leaves nothing to compare with; give a date from {earliest} to {last}"
        raise InputError(msg)
    spans = ((0, first - 1), (first, len(starts) - 1))
    before, after = (
        measure_fragmentation(arrivals, where=Selection(period=span), grounds=("like", "plan"))
        for span in spans
    )
    table = _compare(before, after)
    dated = measure_fragmentation(arrivals, grounds=("past",))
    table = _add_dated(table, dated.found, starts[first])
    return Watch(table, starts[first], _why_silent(arrivals, before, after, starts[first]))


def _why_silent(arrivals: Arrivals, before: Findings, after: Findings, first: date) -> str:
    """Why nothing can be said of the time since; empty where something can."""
    missing = before.signals.filter(~pl.col("measurable"))
    if len(missing) == len(before.signals):
        return str(missing["reason"][0])
    if after.signals["measurable"].any():
        return ""
    silence = arrivals.settings.silence.days
    return (
        f"too early to say: no handoff has enough arrivals since {first} that were followed for "
        f"{silence} days"
    )


def _compare(before: Findings, after: Findings) -> pl.DataFrame:
    """One row per handoff found before or since."""
    keys = ["source_place", "target_place"]
    columns = ["source", "target", "signal", "n", "effect", "low", "high", "q", "sentence"]
    was, now = (set(found.found.select(keys).iter_rows()) for found in (before, after))
    told = [(row, True) for row in after.found.iter_rows(named=True)]
    told += [
        (row, False)
        for row in before.found.iter_rows(named=True)
        if (row["source_place"], row["target_place"]) not in now
    ]
    sizes = [_sizes(found.table) for found in (before, after)]
    rows = []
    for row, is_found in told:
        key = (row["source_place"], row["target_place"], row["signal"])
        old, new = (side.get(key, (None, None, None)) for side in sizes)
        status = what_became(row["signal"], old, new, was=key[:2] in was, now=is_found)
        names = [f"{side}{end}" for side in ("before", "since") for end in ("", "_low", "_high")]
        numbers = dict(zip(names, (*old, *new), strict=True))
        rows.append({"status": status, **{c: row[c] for c in columns}, **numbers})
    rows.sort(key=lambda row: STATUSES.index(row["status"]))
    names = [f"{side}{end}" for side in ("before", "since") for end in ("", "_low", "_high")]
    schema: dict[str, Any] = {"status": pl.String, **{c: after.table.schema[c] for c in columns}}
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(names, pl.Float64))


def _add_dated(table: pl.DataFrame, found: pl.DataFrame, since: date) -> pl.DataFrame:
    """Add what ground *past* dates to the time since: begun (new), or ended (mended)."""
    known = set(table.select("source", "target").iter_rows())
    rows = []
    for row in found.iter_rows(named=True):
        begun = row["since"] is not None and row["since"] >= since
        ended = row["affected_until"] is not None and row["affected_until"] >= since
        if (begun or ended) and (row["source"], row["target"]) not in known:
            rows.append({"status": "new" if begun and not ended else "mended", **row})
    known_columns = [{name: row.get(name) for name in table.columns} for row in rows]
    both = pl.concat([table, pl.DataFrame(known_columns, schema=table.schema)])
    order = pl.col("status").replace_strict(dict(zip(STATUSES, range(len(STATUSES)), strict=True)))
    return both.sort(order, maintain_order=True)


Size = tuple[float | None, float | None, float | None]


def _sizes(table: pl.DataFrame) -> dict[tuple[int, int, str], Size]:
    """Effect with its interval, by source, target and signal."""
    rows = table.select("source_place", "target_place", "signal", "effect", "low", "high")
    return {(a, b, signal): (effect, *ends) for a, b, signal, effect, *ends in rows.iter_rows()}


def what_became(signal: str, old: Size, new: Size, *, was: bool, now: bool) -> str:
    """The status of a handoff that was found before, is found now, or both."""
    if None in (*old, *new):
        return "new" if not was else "ongoing" if now else "unclear"
    (early, early_se), (late, late_se) = (_harm(signal, size) for size in (old, new))
    reach = _Z95 * float(np.hypot(early_se, late_se))
    smaller = late - early < -reach
    # What was there already, only too few had come to find it, is no news.
    if not was and (early <= _Z95 * early_se or late - early > reach):
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
    sign = float(kind.harm)
    return sign * effect, (high - low) / (2 * _Z95)
