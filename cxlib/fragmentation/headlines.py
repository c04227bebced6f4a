"""The one sentence above a journey map, and what to mark on it, from findings of all grounds.

Every surface (dashboard, notebook, home page, report) says the same: the finding that affects most
customers; where nothing stands out the first of what is described; else why there is nothing to
say. Never raw drop-off: who leaves after an ad has not been lost by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import polars as pl

from cxlib.columns import Columns, Label, Tables, Text
from cxlib.fragmentation.findings import ROW
from cxlib.fragmentation.sentences import say_reasons
from cxlib.results import Result, result

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.fragmentation.findings import Findings

__all__ = ["Headline", "headline"]


_MARKED = (
    "unit",
    "source",
    "target",
    "source_place",
    "target_place",
    "stage",
    "owner",
    "signal",
    "ground",
    "group",
    "value",
    "since",
    "affected_until",
    "customers_affected",
    "sentence",
)
"""What a mark needs to know of a finding."""


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
            **{name: ROW[name] for name in _MARKED},
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
    'app basket → till loses 1,240 customers more than similar handoffs do (95 %: 980 to 1,510)'
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
