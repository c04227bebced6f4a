"""Estimates with intervals: the customer is the unit, and "not yet" is not "no".

The modules here know nothing of journeys: they take arrays of counts, kept apart by customer
bucket, and give estimates with their intervals.

- `resampling`: tables with a ``bucket`` column to arrays; delete-one-bucket jackknife
- `rates`: rates, means, ratios and differences with 95 % intervals
- `competing_risks`: Aalen-Johansen, Kaplan-Meier, medians, restricted means, on binned times
- `multiple_testing`: false-discovery rate, shrinkage of small cells
"""
