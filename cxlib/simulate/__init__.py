"""Journeys whose true answer is known: a `World` in, the raw log it leaves and the truth out.

`retailer` is the world of the sample, which ``python -m cxlib.simulate`` writes in any size.
"""
