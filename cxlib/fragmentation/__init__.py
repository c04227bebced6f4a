"""Find the handoffs that break, say how sure that is, and be right about it.

What could break next is predicted by `predict_journey_risk` and `predict_handoffs`, and
`backtest_risk` says how good such predictions were.
"""

from cxlib.arrivals.arrivals import Arrivals, count_arrivals, merge_arrivals, read_arrivals
from cxlib.fragmentation.backtest import Backtest, backtest_risk
from cxlib.fragmentation.described import DescribedSignals, describe_signals
from cxlib.fragmentation.findings import Findings, measure_fragmentation
from cxlib.fragmentation.forecast import HandoffForecast, predict_handoffs
from cxlib.fragmentation.headlines import Headline, headline
from cxlib.fragmentation.risk import JourneyRisk, predict_journey_risk
from cxlib.fragmentation.selftest import SelfTest, check_fragmentation
from cxlib.fragmentation.watch import Watch, watch_findings

__all__ = [
    "Arrivals",
    "Backtest",
    "DescribedSignals",
    "Findings",
    "HandoffForecast",
    "Headline",
    "JourneyRisk",
    "SelfTest",
    "Watch",
    "backtest_risk",
    "check_fragmentation",
    "count_arrivals",
    "describe_signals",
    "headline",
    "measure_fragmentation",
    "merge_arrivals",
    "predict_handoffs",
    "predict_journey_risk",
    "read_arrivals",
    "watch_findings",
]
