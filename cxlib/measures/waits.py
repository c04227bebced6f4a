"""Waits as they were: the exact median and tail of the time between a contact and the next one.

These describe the transitions that happened. Near the end of the log short waits are seen first;
`cxlib.measures.transitions` gives the median that allows for the waits still running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from cxlib.results import Result
from cxlib.summary import Selection, check_selection

if TYPE_CHECKING:
    from cxlib.store import Workspace

__all__ = ["Waits", "measure_waits"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Waits(Result):
    """What `measure_waits` returns; the table is described there."""

    title = "Waits"
