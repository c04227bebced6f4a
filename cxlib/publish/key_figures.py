"""What every page about a snapshot says first: four numbers, its findings, and what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.fragmentation.sentences import say_advice
from cxlib.numbers import people, rating, share

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.publish.snapshot import Snapshot

__all__ = ["actions_of", "findings_of", "key_figures", "said_lines"]


def findings_of(snapshot: Snapshot) -> FindingDetails | None:
    """Return the findings of everybody; None where they were not published."""
    try:
        return snapshot.findings()
    except WorkspaceError:
        return None


def said_lines(backlog: pl.DataFrame, details: FindingDetails | None) -> list[dict[str, Any]]:
    """Give the lines of a backlog, those of findings in the words of the finding.

    Parameters
    ----------
    backlog
        Table of a published `cxlib.opportunities.Priorities`.
    details
        The findings of the same customers; None: they are not published.

    Returns
    -------
    list of dict
        The lines, each with its ``finding``: the row of it in the bands of the findings, or None.
    """
    bands = [] if details is None else [b for b in details.bands.to_dicts() if b["sentence"]]
    lines = []
    for line in backlog.to_dicts():
        like = [b for b in bands if all(b[n] == line[n] for n in _SAME)]
        affected = line["customers_affected"] or 0
        found = min(
            like, key=lambda b: abs((b["customers_affected"] or 0) - affected), default=None
        )
        if found is not None:
            bands.remove(found)
        said = line["what"] if found is None else found["sentence"]
        lines.append(line | {"finding": found, "what": said})
    return lines


_SAME = ("source", "target", "signal", "ground")


def actions_of(snapshot: Snapshot, details: FindingDetails | None) -> list[dict[str, Any]]:
    """Give what to do, the first first: the backlog, or else the findings as they were published.

    Returns
    -------
    list of dict
        ``what``, ``owner``, ``customers_affected``, ``next_step``, ``status``, ``finding`` as of
        `said_lines`, and what `cxlib.opportunities.priorities.say_gain` writes.
    """
    if "priorities" in snapshot.manifest["measures"]:
        return said_lines(snapshot.table("priorities").table, details)
    bands = [] if details is None else [b for b in details.bands.to_dicts() if b["sentence"]]
    return [
        {"finding": band, "what": band["sentence"], "status": None}
        | {name: band[name] for name in ("owner", "customers_affected")}
        | {"next_step": say_advice(band["signal"], band["owner"])}
        | dict.fromkeys(("gain", "gain_low", "gain_high", "gain_unit"))
        for band in bands
    ]


def key_figures(snapshot: Snapshot) -> dict[str, str]:
    """Write four numbers of everybody and the whole time; what is not known is left out.

    Returns
    -------
    dict
        ``customers``, ``goal`` and ``lost`` (of the journeys) and ``rating`` (the mean), with
        their intervals.
    """
    measures, said = snapshot.manifest["measures"], {}
    if snapshot.manifest["customers"]:
        said["customers"] = people(snapshot.manifest["customers"])
    if "first_contacts" in measures:
        for row in snapshot.first_contacts().whole.to_dicts():
            for name in ("goal", "lost"):
                if row[name] is not None:
                    said[name] = share(row[name], row[f"{name}_low"], row[f"{name}_high"])
    if "touchpoints" in measures:
        for row in snapshot.touchpoints().whole.to_dicts():
            if row["rating"] is not None:
                said["rating"] = rating(row["rating"], row["rating_low"], row["rating_high"])
    return said
