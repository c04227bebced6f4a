"""Arrivals: what happened at and after each contact, as additive tables."""
