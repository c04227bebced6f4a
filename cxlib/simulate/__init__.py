"""Journeys whose true answer is known.

`simulate_journeys` walks customers through a `World` and returns the raw log they leave, together
with the truth: the faults that were planted and what each one really changed.
`benchmark_world` draws worlds to measure by.
"""

from cxlib.simulate.benchmark import Benchmark, benchmark_world, count_handoffs
from cxlib.simulate.journeys import Simulated, simulate_journeys
from cxlib.simulate.world import (
    FAULT_KINDS,
    Campaign,
    Contact,
    Environment,
    Fault,
    Mailing,
    Noise,
    Persona,
    Segment,
    World,
)

__all__ = [
    "FAULT_KINDS",
    "Benchmark",
    "Campaign",
    "Contact",
    "Environment",
    "Fault",
    "Mailing",
    "Noise",
    "Persona",
    "Segment",
    "Simulated",
    "World",
    "benchmark_world",
    "count_handoffs",
    "simulate_journeys",
]
