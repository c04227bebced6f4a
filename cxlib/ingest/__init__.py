"""Exports, logs and databases -> EVENTS; what does not fit is set aside, with the reason.

The path of a file: `sources` (which files, unpacked) → `text`, `tables`, `xes` (raw frames in which
an id stays an id) → `columns` (which column is what) → `recognise` (touchpoint, channel, stage),
`instants` (times), `cells` (ids, numbers) → `events` (contacts) and `quarantine` → `report`.
`shapes` makes contacts of wide tables, order lines and tables that belong together, as the map
says. `doubts` says what is odd about a log. `people` reads customers and ratings. `propose` writes
a first journey map from `evidence` about the columns: `related` (files), `wide` (shapes), `roles`,
`stages`, `outcomes` (goal, gap).
"""

from cxlib.ingest.events import Ingested, read_events
from cxlib.ingest.people import IngestedTable, read_customers, read_ratings, tables_beside
from cxlib.ingest.propose import Proposal, propose_journey_map, propose_map
from cxlib.ingest.report import FileReport, IngestReport, OutsideHours, UnmappedTouchpoint

__all__ = [
    "FileReport",
    "IngestReport",
    "Ingested",
    "IngestedTable",
    "OutsideHours",
    "Proposal",
    "UnmappedTouchpoint",
    "propose_journey_map",
    "propose_map",
    "read_customers",
    "read_events",
    "read_ratings",
    "tables_beside",
]
