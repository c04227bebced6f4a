"""What every page about a snapshot says first: four numbers, and the findings where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxlib.errors import WorkspaceError
from cxlib.numbers import people, rating, share

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.publish.snapshot import Snapshot

__all__ = ["findings_of", "key_figures"]


def findings_of(snapshot: Snapshot) -> FindingDetails | None:
    """Return the findings of everybody; None where they were not published."""
    try:
        return snapshot.findings()
    except WorkspaceError:
        return None


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
