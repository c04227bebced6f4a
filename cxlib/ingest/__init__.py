"""Exports, logs and databases -> EVENTS; what does not fit is set aside, with the reason.

`sources` → `tables` (raw frames) → `columns`, `instants`, `cells` → `events`; `propose` writes a
map.
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.ingest.beside import IngestedTable as IngestedTable
    from cxlib.ingest.beside import read_customers as read_customers
    from cxlib.ingest.beside import read_ratings as read_ratings
    from cxlib.ingest.beside import tables_beside as tables_beside
    from cxlib.ingest.events import Ingested as Ingested
    from cxlib.ingest.events import read_events as read_events
    from cxlib.ingest.propose import Proposal as Proposal
    from cxlib.ingest.propose import propose_map as propose_map
    from cxlib.ingest.report import FileReport as FileReport
    from cxlib.ingest.report import IngestReport as IngestReport
    from cxlib.ingest.report import OutsideHours as OutsideHours
    from cxlib.ingest.report import UnmappedTouchpoint as UnmappedTouchpoint

__getattr__, __dir__ = load_lazily(__name__)
