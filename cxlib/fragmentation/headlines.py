"""The one sentence above a journey map, and what to mark on it, from findings of all grounds.

Every surface (dashboard, notebook, home page, report) says the same: the finding that affects most
customers; where nothing stands out the first of what is described; else why there is nothing to
say. Never raw drop-off: who leaves after an ad has not been lost by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import polars as pl

from cxlib.columns import Columns, Customers, Day, Label, Tables, Text
from cxlib.fragmentation.sentences import say_reasons
from cxlib.results import Result, result

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.fragmentation.findings import Findings

__all__ = ["Headline", "headline"]


@result
class Headline(Result):
    """What `headline` returns.

    Attributes
    ----------
    sentence
        The sentence, without a full stop.
    kind
        "finding", "described" (nothing stands out, and this is what there is to see) or "nothing".
    """

    sentence: str
    kind: str
    title: ClassVar[str] = "What stands out"
    tables: ClassVar[Tables] = Tables(
        table=Columns(
            "one row per finding of any ground, most customers affected first: what to mark",
            unit=Label("place, transition or stage_step"),
            source=Label("touchpoint (of a step: stage) where it is, or that is left"),
            target=Label("touchpoint (of a step: stage) reached; of a place where nearly all go"),
            source_place=Label("number of the place of the source; −1: a stage", detail=True),
            target_place=Label("number of the place of the target; −1: none", detail=True),
            stage=Label("stage of what is marked"),
            owner=Label("who answers for it"),
            signal=Label("what went wrong"),
            ground=Label("with what it is compared: like, past, groups, plan"),
            group=Label("column of the group it is about; null: everybody"),
            value=Label("value of that column"),
            since=Day("first day; null: always, or not known"),
            affected_until=Day("day it was mended; null: still so"),
            customers_affected=Customers("customers affected, lower end"),
            sentence=Text("the finding in words; null: too few to say it when published"),
        ),
        described=Columns(
            "one row per line of what is described, not found",
            kind=Label("wait, loop, group difference or rating"),
            source=Label("touchpoint it is about, or that is left"),
            target=Label("touchpoint reached"),
            group=Label("column of a group difference"),
            value=Label("value of that column"),
            sentence=Text("in words"),
        ),
    )
    described: pl.DataFrame

    @property
    def headlines(self) -> tuple[str, ...]:
        """The sentence."""
        return (self.sentence,)


def headline(findings: Findings | FindingDetails) -> Headline:
    """Say in one sentence what stands out, and list what to mark on a journey map.

    Parameters
    ----------
    findings
        Of a workspace, or what a snapshot publishes of them.

    Examples
    --------
    >>> headline(measure_fragmentation(workspace)).sentence  # doctest: +SKIP
    'app basket → till loses 1,240 customers more than like handoffs do (95 %: 980 to 1,510)'
    """
    tables = Headline.tables
    found = getattr(findings, "bands", findings.found)
    marks = found.select(pl.col(n).cast(d) for n, d in tables["table"].schema.items())
    listed = findings.described.select(tables["described"].names)
    said = [(rows["sentence"].drop_nulls(), kind) for rows, kind in
            ((marks, "finding"), (listed, "described"))]  # fmt: skip
    lines, kind = next(((s, k) for s, k in said if len(s)), (None, "nothing"))
    return Headline(
        table=marks,
        described=listed,
        sentence=_nothing(findings) if lines is None else str(lines[0]),
        kind=kind,
        observed_until=findings.observed_until,
        where=findings.where,
    )


def _nothing(findings: Findings | FindingDetails) -> str:
    """Why there is nothing to say."""
    if findings.tests:
        return "Nothing stands out from what is usual here"
    reasons = say_reasons(findings.signals)
    return f"Nothing could be judged ({reasons[0]})" if reasons else "Nothing could be judged"
