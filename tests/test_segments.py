"""Numbering of segment combinations: what is kept apart, what is put together, what is left out."""

import polars as pl

from cxlib.segments import (
    LEAST_CUSTOMERS,
    MAX_SEGMENTS,
    RARER,
    assign_segments,
    segment_names,
)


def customers(count):
    return pl.DataFrame(
        {
            "customer": pl.Series(range(count), dtype=pl.UInt32),
            "name": [f"c{i}" for i in range(count)],
            "bucket": pl.Series([0] * count, dtype=pl.UInt8),
        }
    )


def test_rare_values_are_put_together_and_nobody_loses_a_segment():
    count = 12_000
    names = [f"c{i}" for i in range(count)]
    towns = [f"town {min(i % 300, i % 41)}" for i in range(count)]
    table = pl.DataFrame(
        {"customer": names, "town": towns, "plan": [f"p{i % 7}" for i in range(count)]}
    )
    numbered, segments, left_out, rarer = assign_segments(customers(count), table)
    assert left_out == ()
    assert len(segments) <= MAX_SEGMENTS
    said = numbered.join(segments, on="segment")
    assert len(said) == count
    assert said["segment.plan"].to_list() == table["plan"].to_list()
    frequent = table["town"].value_counts(sort=True)
    kept = set(segments["segment.town"]) - {RARER}
    assert rarer == {"town": len(frequent) - len(kept)}
    assert len(kept) == MAX_SEGMENTS // 7 - 1
    least = frequent.filter(pl.col("town").is_in(kept))["count"].min()
    assert least >= frequent.filter(~pl.col("town").is_in(kept))["count"].max()
    assert least >= LEAST_CUSTOMERS
    for town, shown in zip(towns, said["segment.town"], strict=True):
        assert shown == (town if town in kept else RARER)


def test_free_text_is_left_out_and_does_not_crowd_out_others():
    count = 2_000
    names = [f"c{i}" for i in range(count)]
    table = pl.DataFrame({"customer": names, "note": names, "plan": ["a", "b"] * (count // 2)})
    _, segments, left_out, rarer = assign_segments(customers(count), table)
    assert (left_out, rarer, segment_names(segments)) == (("note",), {}, ("plan",))
    only = table.select("customer", "note")
    _, segments, left_out, _ = assign_segments(customers(count), only)
    assert (left_out, len(segments)) == (("note",), 1)
