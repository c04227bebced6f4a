"""Journeys whose true answer is known.

`simulate_journeys` walks customers through a `World` and returns the raw log they leave, together
with the truth: the faults that were planted and what each one really changed.
`retailer_world` is the world of the sample, `write_sample` writes the sample's files in any size,
as ``python -m cxlib.simulate`` does. Worlds to measure by are drawn by `benchmarks/worlds.py`.
"""

from cxlib.simulate.journeys import Simulated, simulate_journeys
from cxlib.simulate.retailer import retailer_faults, retailer_world
from cxlib.simulate.sample import simulate_sample, write_sample
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
    "retailer_faults",
    "retailer_world",
    "simulate_journeys",
    "simulate_sample",
    "write_sample",
]
