"""Find the handoffs that break, say how sure that is, and be right about it."""

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.fragmentation.described import describe_signals
from cxlib.fragmentation.findings import measure_fragmentation
from cxlib.fragmentation.watch import watch_findings

__all__ = ["describe_signals", "measure_fragmentation", "read_arrivals", "watch_findings"]
