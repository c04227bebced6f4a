"""Journeys whose true answer is known: a `World` in, the raw log it leaves and the truth out."""

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
