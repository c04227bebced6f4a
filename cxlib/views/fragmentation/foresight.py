"""What could break next, where a snapshot was published with predictions: a section of words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.figures.fragmentation import signal_name
from cxlib.numbers import MISSING, day, people, plural, share
from cxlib.publish import Snapshot
from cxlib.views.fragmentation import words
from cxlib.views.shared.parts import Figure, Group, Words
from cxlib.views.shared.tables import Column, html_table
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.publish.predictions import Predictions

__all__ = ["foresight_section"]

_NAMED = 5


def foresight_section() -> Group:
    """Say what could break next; not there where the snapshot holds no predictions.

    Predictions are about everybody: no filter of the page changes them, and the section says so.
    """
    return Group(
        name="foresight",
        css="cx-changes",
        painted=False,
        shown=lambda view: _predictions(view.answers) is not None,
        parts=(
            Words(name="foresight_words", on=(), write=lambda view: _told(_known(view))),
            Figure(
                name="foresight_below",
                on=(),
                text=words.FORESIGHT,
                data=lambda view: (_table(_known(view)), _known(view).handoffs),
                filled=lambda view: {
                    "backtest": _backtest(_known(view)),
                    "until": day(_known(view).observed_until),
                    "days": str(_known(view).horizon.days),
                    "k": str(view.k),
                },
            ),
        ),
    )


def _known(view: Any) -> Predictions:
    found = _predictions(view.answers)
    if found is None:
        raise WorkspaceError("the snapshot was published without predictions")
    return found


@lru_cache(maxsize=4)
def _published(answers: Snapshot) -> Predictions | None:
    try:
        return answers.predictions()
    except WorkspaceError:
        return None


def _predictions(answers: object) -> Predictions | None:
    return _published(answers) if isinstance(answers, Snapshot) else None


def _told(found: Predictions) -> str:
    could = found.handoffs.filter("could_break").to_dicts()
    return render(
        "fragmentation/foresight.html",
        head=_head(found, len(could)),
        could=[
            words.FORESIGHT_HANDOFF.format(
                handoff=f"{row['source']} → {row['target']}",
                owner=words.FORESIGHT_OWNER.format(owner=row["owner"]) if row["owner"] else "",
                chance=share(row["chance"]),
                excess=_excess(row),
            )
            for row in could[:_NAMED]
        ],
        more=len(could) - _NAMED,
        customers=_customers(found),
        record=_record(found),
    )


def _head(found: Predictions, could: int) -> str:
    if found.handoff_reason is not None:
        return words.FORESIGHT_NONE.format(reason=found.handoff_reason)
    said = words.FORESIGHT_COULD if could else words.FORESIGHT_QUIET
    return said.format(n=plural(could, "handoff"), signal=signal_name(found.signal))


def _record(found: Predictions) -> list[tuple[str, str]]:
    """Say how good the same forecast was at past dates, as it is, and what that means."""
    known = found.overlap.filter(pl.col("hits").is_not_null()).to_dicts()
    ours = [row for row in known if row["method"] == "forecast"]
    rivals = [row for row in known if row["method"] != "forecast"]
    best = max(rivals, key=lambda row: row["hits"], default=None)
    lines = []
    for row in ours:
        rival = ""
        if best is not None and best["hits"] > row["hits"]:
            method = words.FORESIGHT_METHODS[best["method"]]
            rival = words.FORESIGHT_RIVAL.format(method=method, hits=best["hits"])
        hits = words.FORESIGHT_HITS.format(
            of=row["of"], hits=row["hits"], chance=row["by_chance"], rival=rival
        )
        lines.append((hits, words.FORESIGHT_VERDICT[row["forecast_is"]]))
    for row in found.under_way.filter(pl.col("fold") == "all").to_dicts():
        if row["predicted"] is not None and row["fragmented"] is not None:
            surely = row["skill_low"] is not None and row["skill_low"] > 0
            skill = words.FORESIGHT_SKILL if surely else words.FORESIGHT_NO_SKILL
            said = words.FORESIGHT_EXPECTED.format(
                predicted=share(row["predicted"]),
                came=share(row["fragmented"]),
                skill=skill.format(skill=share(row["skill"])),
            )
            lines.append((said, ""))
    return lines or [(words.FORESIGHT_UNTESTED, "")]


def _customers(found: Predictions) -> str:
    if found.reason is not None:
        return words.FORESIGHT_NO_CUSTOMERS.format(reason=found.reason)
    known = found.touchpoints.filter(pl.col("risk_now").is_not_null())
    if known.is_empty() or not found.customers:
        return words.FORESIGHT_NO_CUSTOMERS.format(reason=words.FORESIGHT_FEW)
    row = known.row(0, named=True)
    return words.FORESIGHT_CUSTOMERS.format(
        n=plural(found.customers, "customer"),
        where=f"{row['touchpoint']} ({row['channel']})",
        here=people(row["customers"]),
        risk=share(row["risk_now"]),
    )


def _table(found: Predictions) -> str:
    columns = [
        Column("From", lambda row: row["source"], number=False),
        Column("To", lambda row: row["target"], number=False),
        Column("Owner", lambda row: row["owner"] or MISSING, number=False),
        Column("Arrivals to expect", lambda row: people(row["n"])),
        Column("Beyond like handoffs", _excess),
        Column("Chance of more than 5 points", lambda row: share(row["chance"])),
    ]
    return html_table(found.handoffs, columns, caption=words.FORESIGHT_TABLE)


def _excess(row: Mapping[str, Any]) -> str:
    if row["excess"] is None:
        return MISSING
    ends = [_points(row[name]) for name in ("excess", "excess_low", "excess_high")]
    return f"{ends[0]} points ({ends[1]} to {ends[2]})"


def _points(excess: float) -> str:
    points = round(100 * excess)
    return f"{points:+d}".replace("-", "−") if points else "0"


def _backtest(found: Predictions) -> str:
    """List every way to name the handoffs that turned out worst, and how close the rest came."""
    lines = [
        words.FORESIGHT_NAMED.format(
            method=words.FORESIGHT_METHODS[row["method"]], hits=row["hits"], of=row["of"]
        )
        for row in found.overlap.to_dicts()
        if row["hits"] is not None
    ]
    lines += [
        words.FORESIGHT_BRIER.format(brier=row["brier"])
        for row in found.under_way.filter(pl.col("fold") == "all").to_dicts()
        if row["brier"] is not None
    ]
    return render("fragmentation/list.html", lines=lines or [words.FORESIGHT_UNTESTED])
