"""Does a finding survive other settings of its signal, and hold against the crude comparison?"""

from __future__ import annotations

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.signals import signal_named

KEYS = ["source_place", "target_place", "signal"]


def check_stability(judged: pl.DataFrame, part: Arrivals) -> pl.DataFrame:
    """Keys of the significant rows, and ``stable`` (null where the signal has no setting)."""
    frames = [judged.select(KEYS).clear().with_columns(stable=pl.lit(None, pl.Boolean))]
    for (signal,), rows in judged.filter("significant").group_by("signal", maintain_order=True):
        kind = signal_named(str(signal))
        neutral, others = kind.neutral, kind.settings(part) if kind.settings else []
        kept = rows.select(KEYS)
        stable = pl.lit(True) if others else pl.lit(None, pl.Boolean)
        for number, other in enumerate(others):
            effect = other.select(
                pl.col("source").alias(KEYS[0]),
                pl.col("target").alias(KEYS[1]),
                pl.col("effect").alias(f"effect_{number}"),
            )
            kept = kept.join(effect, on=KEYS[:2], how="left", maintain_order="left")
            stable = stable & (pl.col(f"effect_{number}") > neutral).fill_null(True)
        frames.append(kept.with_columns(stable=stable).select(*KEYS, "stable"))
    return pl.concat(frames)


def flag_simpson(judged: pl.DataFrame) -> pl.Series:
    """Whether the crude comparison with all others at the same touchpoint points the other way.

    Null where nobody else was judged there, and where "the same" is not the same for others.
    """
    keys = ["signal", "ground", "target_place"]
    is_ratio = pl.col("family") == "wait"
    seen = pl.when(is_ratio).then(pl.col("observed").clip(1e-9).log()).otherwise("observed")
    adjusted = pl.when(is_ratio).then(pl.col("effect").clip(1e-9).log()).otherwise("effect")
    n = pl.col("n")
    others = n.sum().over(keys) - n
    mean = ((n * seen).sum().over(keys) - n * seen) / others
    fair = (others > 0) & ~pl.col("compares_alone") & (pl.col("ground") == "like")
    crude = pl.when(fair).then(seen - mean)
    return judged.select(simpson=crude.sign() * adjusted.sign() < 0)["simpson"]
