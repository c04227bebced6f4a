"""Find the handoffs that break, say how sure that is, and be right about it."""

from cxlib.arrivals.arrivals import Arrivals, count_arrivals, read_arrivals
from cxlib.fragmentation.described import DescribedSignals, describe_signals
from cxlib.fragmentation.findings import Findings, measure_fragmentation
from cxlib.fragmentation.selftest import SelfTest, check_fragmentation
from cxlib.fragmentation.sentences import Headline, headline
from cxlib.fragmentation.watch import Watch, watch_findings

__all__ = [
    "Arrivals",
    "DescribedSignals",
    "Findings",
    "Headline",
    "SelfTest",
    "Watch",
    "check_fragmentation",
    "count_arrivals",
    "describe_signals",
    "headline",
    "measure_fragmentation",
    "read_arrivals",
    "watch_findings",
]
