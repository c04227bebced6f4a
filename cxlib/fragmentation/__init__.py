"""Find the handoffs that break, say how sure that is, and be right about it."""

from cxlib.arrivals.arrivals import Arrivals, count_arrivals, merge_arrivals, read_arrivals
from cxlib.fragmentation.described import DescribedSignals, describe_signals
from cxlib.fragmentation.findings import Findings, measure_fragmentation
from cxlib.fragmentation.selftest import SelfTest, check_fragmentation
from cxlib.fragmentation.watch import Trend, Watch, track_findings, watch_findings

__all__ = [
    "Arrivals",
    "DescribedSignals",
    "Findings",
    "SelfTest",
    "Trend",
    "Watch",
    "check_fragmentation",
    "count_arrivals",
    "describe_signals",
    "measure_fragmentation",
    "merge_arrivals",
    "read_arrivals",
    "track_findings",
    "watch_findings",
]
