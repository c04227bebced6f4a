"""The journey map in words and as a table, as the dashboard shows it beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxlib.figures.touchpoints import describe_touchpoints
from cxlib.markup import html_text
from cxlib.numbers import duration, people, plural, rating, share
from cxlib.panels import texts
from cxlib.panels.origin import day
from cxlib.panels.tables import Column, html_table

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints

__all__ = ["answer", "customers", "touchpoint_table"]


def answer(result: Touchpoints) -> str:
    """Answer the question of the dashboard in one sentence, with what it rests on below."""
    return (
        f'<div role="status"><h1>{texts.MAP_TITLE}</h1>'
        f"<p>{html_text(describe_touchpoints(result))}.</p><small>{html_text(_basis(result))}</small></div>"
    )


def customers(result: Touchpoints) -> str:
    """Say how many customers a result rests on."""
    # Where small groups are protected, a number that must not be told is 0.
    return plural(result.customers, "customer") if result.customers else texts.TOO_FEW_TO_COUNT


def touchpoint_table(result: Touchpoints) -> str:
    """Write all touchpoints as a table for people."""

    def with_interval(name: str) -> Any:
        return lambda row: share(row[name], row[f"{name}_low"], row[f"{name}_high"])

    columns = [
        Column("Stage", lambda row: row["stage"], number=False),
        Column("Touchpoint", lambda row: row["touchpoint"], number=False),
        Column("Channel", lambda row: row["channel"], number=False),
        Column("Owner", lambda row: row["owner"] or "–", number=False),
        Column("Customers", lambda row: people(row["customers"])),
        Column("Contacts", lambda row: people(row["contacts"])),
        Column("Go on", with_interval("go_on")),
        Column("Lost", with_interval("lost")),
        Column("Still open", lambda row: share(row["open"])),
        Column("Next contact after", lambda row: duration(row["next_wait"])),
        Column("Rating", lambda r: rating(r["rating"], r["rating_low"], r["rating_high"])),
        Column("Answers", lambda row: people(row["rating_n"])),
        Column("Answered", lambda row: share(row["response"])),
    ]
    return html_table(result.table, columns, caption=texts.MAP_TABLE)


def _basis(result: Touchpoints) -> str:
    who = customers(result)
    return texts.MAP_BASIS.format(
        overall=_overall(result),
        who=who[:1].upper() + who[1:],
        until=day(result.observed_until),
    )


def _overall(result: Touchpoints) -> str:
    """Say what comes after a contact, all touchpoints together; open is never a part of lost."""
    for row in result.whole.iter_rows(named=True):
        if row["lost"] is not None:
            return texts.MAP_OVERALL.format(
                go_on=share(row["go_on"], row["go_on_low"], row["go_on_high"]),
                lost=share(row["lost"], row["lost_low"], row["lost_high"]),
                open=share(row["open"]),
            )
    return ""
