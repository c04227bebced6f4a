"""What could break next, where a snapshot was published with predictions: a section of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.figures.fragmentation import signal_name
from cxlib.markup import html_text
from cxlib.numbers import MISSING, people, plural, share
from cxlib.panels import texts
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.origin import Origin, day
from cxlib.panels.tables import Column, html_table
from cxlib.publish import Snapshot
from cxlib.tables import csv_text

if TYPE_CHECKING:
    from cxlib.publish.predictions import Predictions

__all__ = ["Foresight"]

_NAMED = 5


class Foresight:
    """The section; hidden where the snapshot holds no predictions.

    Predictions are about everybody: no filter of the page changes them, and the section says so.

    Parameters
    ----------
    answers
        What the dashboard shows.

    Attributes
    ----------
    widget
        The section.
    """

    def __init__(self, answers: object) -> None:
        self.words = widgets.HTML()
        self.below = FigureWidget(text=texts.FORESIGHT)
        head = widgets.HTML(f"<h2>{texts.FORESIGHT_HEADING}</h2>")
        self.widget = widgets.VBox([head, self.words, self.below])
        self.widget.add_class("cx-changes")
        found = _predictions(answers)
        if found is None or not isinstance(answers, Snapshot):
            self.widget.layout.display = "none"
            return
        origin = Origin.of(answers.manifest, found.observed_until)
        self.words.value = _told(found)
        self.below.write_below(
            lambda: (
                _table(found),
                csv_text(found.handoffs, origin.columns(texts.ALL_CUSTOMERS)),
            ),
            backtest=_backtest(found),
            until=day(origin.until),
            days=str(found.horizon.days),
            k=str(origin.k),
        )


def _predictions(answers: object) -> Predictions | None:
    try:
        return answers.predictions() if isinstance(answers, Snapshot) else None
    except WorkspaceError:
        return None


def _told(found: Predictions) -> str:
    record = "".join(f"<li>{line}</li>" for line in _record(found))
    return (
        f"<p><small>{texts.FORESIGHT_WHOM}</small></p>{_handoffs(found)}"
        f"<p>{html_text(_customers(found))}</p>"
        f"<h3>{texts.FORESIGHT_RECORD}</h3><ul>{record}</ul>"
    )


def _handoffs(found: Predictions) -> str:
    if found.handoff_reason is not None:
        return f"<p>{html_text(texts.FORESIGHT_NONE.format(reason=found.handoff_reason))}</p>"
    signal = signal_name(found.signal)
    could = found.handoffs.filter("could_break").to_dicts()
    if not could:
        return f"<p><b>{html_text(texts.FORESIGHT_QUIET.format(signal=signal))}</b></p>"
    head = texts.FORESIGHT_COULD.format(n=plural(len(could), "handoff"), signal=signal)
    said = [
        texts.FORESIGHT_HANDOFF.format(
            handoff=f"{row['source']} → {row['target']}",
            owner=f" (owner: {row['owner']})" if row["owner"] else "",
            chance=share(row["chance"]),
            excess=_excess(row),
        )
        for row in could[:_NAMED]
    ]
    more = len(could) - _NAMED
    said += [texts.FORESIGHT_MORE.format(n=more)] if more > 0 else []
    items = "".join(f"<li>{html_text(line)}</li>" for line in said)
    return f"<p><b>{html_text(head)}</b></p><ul>{items}</ul>"


def _record(found: Predictions) -> list[str]:
    """Say how good the same forecast was at past dates, as it is, also where it is poor."""
    known = found.overlap.filter(pl.col("hits").is_not_null()).to_dicts()
    ours = [row for row in known if row["method"] == "forecast"]
    rivals = [row for row in known if row["method"] != "forecast"]
    best = max(rivals, key=lambda row: row["hits"], default=None)
    lines = []
    for row in ours:
        rival = ""
        if best is not None and best["hits"] > row["hits"]:
            method = texts.FORESIGHT_METHODS[best["method"]]
            rival = texts.FORESIGHT_RIVAL.format(method=method, hits=best["hits"])
        hits = texts.FORESIGHT_HITS.format(
            of=row["of"], hits=row["hits"], chance=row["by_chance"], rival=rival
        )
        lines.append(f"{hits} <b>{texts.FORESIGHT_VERDICT[row['forecast_is']]}</b>")
    for row in found.under_way.filter(pl.col("fold") == "all").to_dicts():
        if row["predicted"] is not None and row["fragmented"] is not None:
            surely = row["skill_low"] is not None and row["skill_low"] > 0
            skill = texts.FORESIGHT_SKILL if surely else texts.FORESIGHT_NO_SKILL
            lines.append(
                texts.FORESIGHT_EXPECTED.format(
                    predicted=share(row["predicted"]),
                    came=share(row["fragmented"]),
                    skill=skill.format(skill=share(row["skill"])),
                )
            )
    return lines or [texts.FORESIGHT_UNTESTED]


def _customers(found: Predictions) -> str:
    if found.reason is not None:
        return texts.FORESIGHT_NO_CUSTOMERS.format(reason=found.reason)
    known = found.touchpoints.filter(pl.col("risk_now").is_not_null())
    if known.is_empty() or not found.customers:
        return texts.FORESIGHT_NO_CUSTOMERS.format(reason=texts.FORESIGHT_FEW)
    row = known.row(0, named=True)
    return texts.FORESIGHT_CUSTOMERS.format(
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
    return html_table(found.handoffs, columns, caption=texts.FORESIGHT_TABLE)


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
        texts.FORESIGHT_NAMED.format(
            method=texts.FORESIGHT_METHODS[row["method"]], hits=row["hits"], of=row["of"]
        )
        for row in found.overlap.to_dicts()
        if row["hits"] is not None
    ]
    lines += [
        texts.FORESIGHT_BRIER.format(brier=row["brier"])
        for row in found.under_way.filter(pl.col("fold") == "all").to_dicts()
        if row["brier"] is not None
    ]
    return "".join(f"<li>{line}</li>" for line in lines or [texts.FORESIGHT_UNTESTED])
