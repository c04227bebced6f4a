"""What customers are asked beside the log: answers on further scales, words, and what they spent.

All of it is drawn from a stream of its own, so that the contacts of a seed stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cxlib.simulate.world import World

SCALE_OF_CONTACTS = "csat"
"""The scale from 0 to 10 that a `Contact.rating` is on."""

_GERMAN = 0.45
_KEYS = ["customer", "occurred_at", "touchpoint"]


def clean_contacts(world: World, events: pl.DataFrame) -> pl.DataFrame:
    """Contacts of known customers at possible times, once each, by customer and time."""
    possible = pl.col("occurred_at").is_between(world.start, world.observed_until)
    known = events.filter(pl.col("customer").is_not_null(), possible)
    return known.select(_KEYS).unique().sort(_KEYS)


def ask_surveys(
    world: World, events: pl.DataFrame, ratings: pl.DataFrame, *, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the answers on the world's `surveys` to those on `SCALE_OF_CONTACTS`, with comments.

    The truth has a row per survey: contacts ``asked`` about, ``mean`` of what all of them would
    say, ``answers``, and the mean of these, ``heard``.
    """
    contacts, truth = clean_contacts(world, events), []
    waited = pl.col("occurred_at") - pl.col("occurred_at").shift(1).over("customer")
    contacts = contacts.with_columns(
        who=pl.col("customer").rle_id(),
        hours=(waited.dt.total_seconds() / 3600).fill_null(0.0).log1p(),
    )
    mood = rng.standard_normal(int(contacts["who"].max() or 0) + 1)  # type: ignore[arg-type]
    parts = [ratings.with_columns(scale=pl.lit(SCALE_OF_CONTACTS))]
    for survey in world.surveys:
        asked = contacts.filter(pl.col("touchpoint").is_in(survey.touchpoints))
        waits = asked.select(pl.col("hours") - pl.col("hours").mean().over("touchpoint"))
        latent = survey.mean + survey.by_mood * mood[asked["who"].to_numpy()]
        latent = latent + survey.by_wait * waits.to_series().to_numpy()
        latent = latent + survey.spread * rng.standard_normal(len(asked))
        score = np.clip(np.round(latent), survey.lowest, survey.highest)
        odds = survey.response / (1 - survey.response)
        odds = odds * np.exp(survey.by_rating * (score - survey.mean))
        delay = (300 + rng.exponential(6 * 3600, len(asked))).astype(np.int64) * 1_000_000
        given = asked.select(
            "customer",
            rated_at=pl.col("occurred_at") + pl.Series(delay).cast(pl.Duration("us")),
            rating=pl.Series(score),
            touchpoint="touchpoint",
            scale=pl.lit(survey.scale),
        ).filter(pl.Series(rng.random(len(asked)) < odds / (1 + odds)))
        given = given.filter(pl.col("rated_at") <= world.observed_until)
        high = (given["rating"] - survey.lowest) / (survey.highest - survey.lowest)
        parts.append(given.with_columns(write_comments(world, given, high, rng)))
        truth.append(
            {"scale": survey.scale, "asked": len(asked), "mean": float(score.mean())}
            | {"answers": len(given), "heard": given["rating"].mean()}
        )
    answers = pl.concat(parts, how="diagonal")
    return answers.sort("rated_at", "customer", "touchpoint", "scale"), pl.DataFrame(truth)


def write_comments(
    world: World, ratings: pl.DataFrame, high: pl.Series, rng: np.random.Generator
) -> pl.Series:
    """A few words beside some of the ratings: of what was rated, in tune with how high it was."""
    speaks, pick = rng.random(len(ratings)) < world.comment_share, rng.random(len(ratings))
    german = pick * 1_000 % 1 < _GERMAN
    words: list[str | None] = [None] * len(ratings)
    for i in np.flatnonzero(speaks) if world.comments else ():
        mood = "low" if high[int(i)] <= 0.4 else "middle" if high[int(i)] <= 0.7 else "high"
        choice = _theme(world, ratings["touchpoint"][int(i)])["de" if german[i] else "en"][mood]
        words[i] = choice[int(pick[i] * len(choice))]
    return pl.Series("comment", words, dtype=pl.String)


def _theme(world: World, touchpoint: str) -> Mapping[str, Any]:
    """The words of the first theme that is about a touchpoint, or about all others."""
    return next(theme for theme in world.comments if touchpoint in theme.get("at", [touchpoint]))


def spend(world: World, events: pl.DataFrame, *, rng: np.random.Generator) -> pl.DataFrame:
    """What was spent at each contact that has an `amount`: its keys, and ``amount``."""
    medians = {c.name: c.amount for c in world.contacts if c.amount}
    bought = clean_contacts(world, events).filter(pl.col("touchpoint").is_in(list(medians)))
    median = bought["touchpoint"].replace_strict(medians, return_dtype=pl.Float64).to_numpy()
    spent = np.round(median * np.exp(0.6 * rng.standard_normal(len(bought))), 2)
    return bought.with_columns(amount=pl.Series(spent))
