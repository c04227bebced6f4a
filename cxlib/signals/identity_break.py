"""Identity break: contacts that follow no other where they used to, because ids stopped to match.

Judged on ground *past*, where hardly anybody begins: new customers begin elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.kinds import Counts, Signal
from cxlib.grounds.past import judge_history

MOST_BEGIN = 0.3
"""Share of the contacts that follow no other, beyond which people begin at a touchpoint."""


def judge_unlinked(part: Arrivals) -> pl.DataFrame:
    """Judge whether contacts stopped to follow others at places where hardly anybody begins."""
    begin = part.volumes.group_by("target").agg(
        share=pl.col("unlinked").sum() / pl.col("contacts").sum()
    )
    inner = begin.filter(pl.col("share") <= MOST_BEGIN)["target"]
    found = judge_history(
        _among(part, part.volumes.filter(pl.col("target").is_in(inner.implode()))), IDENTITY_BREAK
    )
    return found.filter(pl.col("since").is_not_null()) if len(found) else found


def _among(part: Arrivals, volumes: pl.DataFrame) -> Arrivals:

    return replace(part, volumes=volumes, cache={})


IDENTITY_BREAK = Signal(
    name="identity_break",
    number=12,
    title="customers not recognised",
    unit="share of contacts",
    least=0.15,
    counts=Counts(
        "volumes",
        "contacts",
        "unlinked",
        places=lambda places: places["initiated_by"] == "customer",
        units=("place",),
        grounds=(),
        warm_up=True,
    ),
    past=judge_unlinked,
    says="does not recognise {} more",
    advice="Ask {owner} what changed in how customers are identified, before all else.",
    tells="not recognised",
    of_records=True,
)
