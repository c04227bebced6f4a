"""Which scale a rating is on, and whether it lies on it."""

from __future__ import annotations

import polars as pl

from cxlib.journey_map import JourneyMap

__all__ = ["off_scale", "read_scales", "strange_scales"]


def read_scales(written: pl.Series, journey_map: JourneyMap, *, usual: str | None) -> pl.Series:
    """Return the scale of each rating: as the map writes it, where only case or blanks differ.

    Parameters
    ----------
    written
        Names of scales as they stand in a column, null where there is none.
    journey_map
        Gives the `rating_scales`; a name that is none of them stays as it is.
    usual
        Where the column is empty; None: the first of the map's scales.
    """
    first = journey_map.rating_scale
    usual = usual or (first.name if first is not None else None)
    known = {scale.name.strip().lower(): scale.name for scale in journey_map.rating_scales}
    bare = written.str.strip_chars()
    named = bare.str.to_lowercase().replace_strict(known, default=bare) if known else bare
    return named.fill_null(usual) if usual is not None else named


def off_scale(
    numbers: pl.Series, scales: pl.Series | None, journey_map: JourneyMap
) -> dict[str, pl.Series]:
    """Return by reason which ratings lie outside their scale; no `scales`: all are on the first."""
    found = {}
    for scale in journey_map.rating_scales if scales is not None else journey_map.rating_scales[:1]:
        outside = ~numbers.is_between(scale.min, scale.max).fill_null(True)
        if scales is not None:
            outside &= (scales == scale.name).fill_null(False)
        several = f" of {scale.name}" if len(journey_map.rating_scales) > 1 else ""
        found[f"rating is outside {scale.min:g} to {scale.max:g}{several}"] = outside
    return found


def strange_scales(scales: pl.Series, numbers: pl.Series, journey_map: JourneyMap) -> list[str]:
    """Say which scales of ratings the map does not name."""
    known = [scale.name for scale in journey_map.rating_scales]
    if not known:
        return []
    rated = scales.filter(numbers.is_not_null() & ~scales.is_in(known)).drop_nulls()
    counted = rated.value_counts(sort=True)
    return [
        f"{count:,} ratings are on scale {name!r}, which `rating_scales` of the map does not name: "
        f"they are kept apart, in no range; there are: {', '.join(known)}"
        for name, count in counted.head(5).iter_rows()
    ]
