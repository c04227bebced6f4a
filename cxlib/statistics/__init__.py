"""Estimates with intervals: the customer is the unit, and "not yet" is not "no".

The modules here know nothing of journeys: they take arrays of counts, kept apart by customer
bucket, and give estimates with their intervals.
"""
