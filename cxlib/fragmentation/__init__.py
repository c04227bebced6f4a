"""Find the handoffs that break, say how sure that is, and be right about it."""

from cxlib.fragmentation.arrivals import Arrivals, count_arrivals, merge_arrivals, read_arrivals
from cxlib.fragmentation.findings import Findings, measure_fragmentation

__all__ = [
    "Arrivals",
    "Findings",
    "count_arrivals",
    "measure_fragmentation",
    "merge_arrivals",
    "read_arrivals",
]
