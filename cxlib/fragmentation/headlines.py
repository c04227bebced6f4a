"""The one sentence above a journey map, the same on every surface, and what to mark on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import polars as pl

from cxlib.fragmentation.sentences import say_reasons

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.fragmentation.findings import Findings


class Headline(NamedTuple):
    """The sentence, without a full stop, what it tells of, and the findings to mark."""

    sentence: str
    kind: Literal["finding", "described", "nothing"]
    table: pl.DataFrame


def headline(findings: Findings | FindingDetails) -> Headline:
    """Say in one sentence what stands out, and list what to mark on a journey map."""
    found = getattr(findings, "bands", findings.found)
    # what is mended already is told of after what still goes wrong
    found = found.sort(pl.col("affected_until").is_not_null(), maintain_order=True)
    for rows, kind in ((found, "finding"), (findings.described, "described")):
        for sentence in rows["sentence"].drop_nulls().head(1):
            return Headline(sentence, kind, found)  # type: ignore[arg-type]
    sentence = "Nothing stands out from what is usual here"
    if not findings.tests:
        why = [f" ({reason})" for reason in say_reasons(findings.signals)[:1]]
        sentence = f"Nothing could be judged{''.join(why)}"
    return Headline(sentence, "nothing", found)
