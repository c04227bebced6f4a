"""Every text of an exported file that is not the dashboard's own, in one place."""

from __future__ import annotations

from cxlib.publish import Snapshot

FAILED = (
    "The filters and figures of this file did not start: they need a browser of 2024 or later. "
    "The words below are right all the same."
)
NO_SCRIPT = (
    "This is the dashboard without its filters and figures: they need a browser that runs scripts. "
    "Some mail programs show attachments without; save the file and open it in a browser."
)
ONE_AT_A_TIME = (
    "In this file {filters} apply one at a time: choosing one sets the others back. The served "
    "dashboard combines them."
)


def about(snapshot: Snapshot) -> list[str]:
    """Say at the end of the file what it is, and what its figures are about."""
    return [
        "A copy of the dashboard as published. It works without a server, loads nothing and sends "
        "nothing; newer figures need a newer copy.",
        *snapshot.facts(),
    ]
