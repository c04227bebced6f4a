"""What changed between two snapshots, in sentences a stakeholder could repeat."""

from __future__ import annotations

from typing import Any

from cxlib.signals import signal_named

__all__ = ["say_change", "say_finding_change"]

_STARTS = {
    "new": "New",
    "growing": "Growing",
    "shrinking": "Shrinking",
    "mended": "Mended",
    "faded": "No longer stands out",
    "steady": "As before",
    "not judged": "No longer judged",
}


def say_change(row: dict[str, Any]) -> str:
    """Say one figure that both snapshots have: a row of `SnapshotChanges.table`.

    >>> row = {"what": "goal", "name": "goal", "unit": "share", "before": 0.35, "after": 0.375,
    ...        "change": 0.025, "low": 0.01, "high": 0.04, "changed": True}
    >>> say_change(row)
    '37.5 % of journeys reach the goal, 2.5 points more than before (35 %; 95 %: 1 to 4 points)'
    >>> say_change(row | {"low": -0.01, "changed": False})
    '37.5 % of journeys reach the goal, no sure change from before (35 %)'
    """
    before, after = row["before"], row["after"]
    if row["unit"] != "share":
        return f"{after:,.0f} {row['name']}, {_count_change(row)}"
    subject = {
        "goal": f"{_percent(after)} of journeys reach the goal",
        "lost": f"{_percent(after)} of journeys are lost after {row['name']}",
        "first contacts": f"{row['name']} begins {_percent(after)} of journeys",
    }[row["what"]]
    if not row["changed"]:
        return f"{subject}, no sure change from before ({_percent(before)})"
    more = "more" if row["change"] > 0 else "fewer"
    ends = sorted((abs(row["low"]), abs(row["high"])))
    return (
        f"{subject}, {_points(abs(row['change']))} points {more} than before "
        f"({_percent(before)}; 95 %: {_points(ends[0])} to {_points(ends[1])} points)"
    )


def _count_change(row: dict[str, Any]) -> str:
    if not row["changed"]:
        return f"as before within the rounding ({row['before']:,.0f})"
    more = "more" if row["change"] > 0 else "fewer"
    return f"{abs(row['change']):,.0f} {more} than before ({row['before']:,.0f})"


def say_finding_change(row: dict[str, Any], *, sentence: str | None) -> str:
    """Say what became of a finding; `sentence` is its own in the newer snapshot.

    ``changed`` of the row tells whether the interval of the change leaves out zero.

    >>> row = {"name": "app basket → till", "signal": "abandonment", "status": "growing",
    ...        "unit": "share of arrivals", "before": 0.15, "after": 0.23}
    >>> say_finding_change(row, sentence=None)
    'Growing: app basket → till: 23 more of 100 customers lost than at similar handoffs, before 15'
    """
    start = _STARTS[row["status"]]
    if row["status"] == "new" and sentence is not None:
        unsure = row["before"] is not None and not row["changed"]
        return f"{start}: {sentence}" + ("; the change itself is not sure" if unsure else "")
    now, before = _excess(row, row["after"]), _excess(row, row["before"])
    said = f"{start}: {row['name']}"
    kind = signal_named(row["signal"]).tells
    if row["status"] == "not judged" or now is None:
        return f"{said}: too few customers now" if row["status"] == "not judged" else said
    if row["unit"].startswith("ratio"):
        text = f"{now} times as long as similar handoffs take"
    elif row["unit"].startswith("rating"):
        text = f"rated {now} points lower than similar handoffs"
    else:
        text = f"{now} more of 100 customers {kind or row['signal']} than at similar handoffs"
    return f"{said}: {text}" + (f", before {before}" if before is not None else "")


def _excess(row: dict[str, Any], value: float | None) -> str | None:
    if value is None:
        return None
    if row["unit"].startswith("share"):
        return f"{100 * value:.0f}"
    return f"{-value if row['unit'].startswith('rating') else value:.1f}"


def _percent(share: float) -> str:
    return f"{_points(share)} %"


def _points(share: float) -> str:
    """Write a share in points of a hundred: one decimal where there is one."""
    return f"{100 * share:.1f}".removesuffix(".0")
