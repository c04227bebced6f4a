"""Typed answers with intervals, one topic per module; each says what it measures and how.

All take ``where``: a `cxlib.Where`, or the `Selection` that it stands for.
"""
