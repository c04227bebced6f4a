"""Identity break: contacts that follow no other where they used to, because ids stopped to match.

Judged on ground *past*, where hardly anybody begins: new customers begin elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.judged import some_of
from cxlib.grounds.kinds import Counts, Judged, Signal
from cxlib.grounds.past import judge_history
from cxlib.grounds.ways import of_customers
from cxlib.segments import segment_names

MOST_BEGIN = 0.3
"""Share of the contacts that follow no other, beyond which people begin at a touchpoint."""


def judge_unlinked(part: Arrivals) -> list[Judged]:
    """Judge whether contacts stopped to follow others at places where hardly anybody begins."""
    begin = part.volumes.group_by("target").agg(
        share=pl.col("unlinked").sum() / pl.col("contacts").sum()
    )
    inner = begin.filter(pl.col("share") <= MOST_BEGIN)["target"]
    volumes = part.volumes.filter(pl.col("target").is_in(inner.implode()))
    found = judge_history(replace(part, volumes=volumes), IDENTITY_BREAK)
    # records break at a touchpoint, on a channel, and not for some of the customers
    of_people = segment_names(part.segments)
    return [
        some_of(
            rows,
            [
                day is not None and group not in of_people
                for day, group in zip(rows["since"], rows["group"], strict=True)
            ],
        )
        for rows in found
    ]


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
        places=of_customers,
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
