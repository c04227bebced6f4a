"""From contacts to a raw log: what is written and asked at each contact, and what goes wrong in it.

The log stays a frame of codes until the very end, so that ten million rows fit in memory. What is
asked and spent is drawn from streams of its own, so that the contacts of a seed stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from cxlib.simulate.walk import Contacts, Rules, Tally, struck
from cxlib.simulate.world import World

_SECOND = 1_000_000
_UNHAPPY = 4.0
_SURVEY_DELAY = 6 * 3600 * _SECOND


def assemble_log(
    rules: Rules,
    contacts: Contacts,
    persona: np.ndarray,
    *,
    rng: np.random.Generator,
    tallies: Sequence[Tally],
) -> pl.DataFrame:
    """Write down contacts as codes, sorted by customer and time.

    ``customer``, ``at`` (microseconds since 1970), ``place``, and what the world has of ``end``,
    ``rating``, ``issue`` and ``cost``.
    """
    world = rules.world
    tick, origin = world.noise.tick, int(world.start.timestamp()) * _SECOND
    at = (contacts.at * _SECOND).astype(np.int64)
    columns: dict[str, pl.Series] = {
        "customer": pl.Series(contacts.customer, dtype=pl.UInt32),
        "at": pl.Series(origin + at // tick * tick, dtype=pl.Int64),
        "place": pl.Series(contacts.place, dtype=pl.UInt16),
    }
    if any(c.rating is not None for c in world.contacts):
        columns["rating"] = _ratings(rules, contacts, persona, rng, tallies)
    if world.issues:
        columns["issue"] = _issues(world, contacts, rng)
    if any(c.cost for c in world.contacts):
        mean = np.array([c.cost for c in world.contacts])[contacts.place]
        cost = mean * np.exp(0.25 * rng.standard_normal(len(mean)))
        columns["cost"] = pl.Series(np.round(cost, 3), dtype=pl.Float32)
    log = pl.DataFrame(columns).sort("customer", "at", maintain_order=True)
    if any(c.dwell is not None for c in world.contacts):
        log = log.with_columns(_ends(world, log, rng))
    return log


def _ratings(
    rules: Rules,
    contacts: Contacts,
    persona: np.ndarray,
    rng: np.random.Generator,
    tallies: Sequence[Tally],
) -> pl.Series:
    """Ratings of those who answered, on the scale 0 to 10 in whole points; null for the rest."""
    world = rules.world
    asked = np.array([c.rating is not None for c in world.contacts])[contacts.place]
    mean = np.array([c.rating or 0.0 for c in world.contacts])[contacts.place]
    who = persona[contacts.customer]
    latent = mean + np.array([p.rating_shift for p in world.personas])[who]
    latent = latent + world.rating_spread * rng.standard_normal(len(latent))
    for fault, ends, tally in zip(rules.faults, rules.ends, tallies, strict=True):
        if fault.kind == "perception_dip":
            at = asked & struck(rules, fault, ends, contacts.previous, contacts.place, contacts.at)
            before = _recorded(latent[at])
            latent[at] -= fault.size
            tally.uses += int(at.sum())
            tally.change += float((_recorded(latent[at]) - before).sum())
    response = np.array([c.response for c in world.contacts])[contacts.place]
    response = response * np.array([p.response_factor for p in world.personas])[who]
    response = response * np.where(latent < _UNHAPPY, world.unhappy_response, 1.0)
    answered = asked & (rng.random(len(latent)) < response)
    return pl.Series(_recorded(latent), dtype=pl.Float32).set(pl.Series(~answered), None)


def _recorded(latent: np.ndarray) -> np.ndarray:
    return np.clip(np.round(latent), 0, 10)


def _issues(world: World, contacts: Contacts, rng: np.random.Generator) -> pl.Series:
    """One issue per journey, noted at assisted contacts and in the last stage; coded from 0."""
    salt = int(rng.integers(2**62))
    key = contacts.customer.astype(np.uint64) * np.uint64(4096) + contacts.journey.astype(np.uint64)
    weights = np.array(list(world.issues.values()), dtype=float)
    issue = np.searchsorted(np.cumsum(weights / weights.sum()), uniform_of(key, salt))
    issue = np.minimum(issue, len(weights) - 1)
    noted = np.array([c.assisted or c.stage == world.stages[-1] for c in world.contacts])
    return pl.Series(issue, dtype=pl.UInt8).set(pl.Series(~noted[contacts.place]), None)


def _ends(world: World, log: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    """End of each contact, never after the customer's next one; null where not logged."""
    usual = np.array([c.dwell.total_seconds() if c.dwell else np.nan for c in world.contacts])
    dwell = usual[log["place"].to_numpy()]
    dwell = np.maximum(dwell * np.exp(0.7 * rng.standard_normal(len(dwell))), 1.0)
    end = pl.Series("end", np.nan_to_num(dwell) * _SECOND).cast(pl.Int64) // _SECOND * _SECOND
    same = pl.col("customer") == pl.col("customer").shift(-1)
    soonest = pl.min_horizontal(pl.col("at") + end, pl.when(same).then(pl.col("at").shift(-1)))
    return log.select(end=pl.when(pl.Series(~np.isnan(dwell))).then(soonest)).to_series()


def add_mailings(world: World, log: pl.DataFrame, *, rng: np.random.Generator) -> pl.DataFrame:
    """Add the company's mailings to customers it knows: from their first contact on."""
    if not world.mailings:
        return log
    first = log.group_by("customer").agg(pl.col("at").min()).sort("customer")
    origin, end = (int(t.timestamp()) * _SECOND for t in (world.start, world.observed_until))
    parts = [log]
    for mailing in world.mailings:
        subscribed = first.filter(pl.Series(rng.random(first.height) < mailing.share))
        every = int(mailing.every.total_seconds()) * _SECOND
        for sent_at in range(origin + every + 8 * 3600 * _SECOND, end, every):
            known = subscribed.filter(pl.col("at") < sent_at)
            jitter = rng.integers(0, 900, known.height) * _SECOND
            jitter = jitter // world.noise.tick * world.noise.tick
            parts.append(
                known.select(
                    "customer",
                    pl.Series("at", sent_at + jitter),
                    pl.lit(world.index(mailing.touchpoint), pl.UInt16).alias("place"),
                )
            )
    return pl.concat(parts, how="diagonal").filter(pl.col("at") <= end)


def add_robots(
    world: World, log: pl.DataFrame, *, first: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Add robots, numbered from ``first``: every other one rushes, the rest come day by day."""
    end = int(world.observed_until.timestamp()) * _SECOND
    origin = int(world.start.timestamp()) * _SECOND
    busiest = max(world.channels, key=lambda c: sum(k.channel == c for k in world.contacts))
    places = [i for i, c in enumerate(world.contacts) if c.channel == busiest]
    parts = [log]
    for number in range(world.noise.robots):
        pause = 30.0 if number % 2 == 0 else 3600.0
        seconds = np.cumsum(rng.exponential(pause, world.noise.robot_contacts) + 1)
        at = rng.integers(origin, end) + (seconds * _SECOND).astype(np.int64)
        parts.append(
            pl.DataFrame(
                {
                    "customer": pl.Series(np.full(len(at), first + number), dtype=pl.UInt32),
                    "at": at // world.noise.tick * world.noise.tick,
                    "place": pl.Series(rng.choice(places, len(at)), dtype=pl.UInt16),
                }
            )
        )
    return pl.concat(parts, how="diagonal").filter(pl.col("at") <= end)


def roughen_log(world: World, log: pl.DataFrame, *, rng: np.random.Generator) -> pl.DataFrame:
    """Sort by time, then spoil: null ids, odd dates, duplicated rows, rows that come late."""
    noise = world.noise
    log = log.sort("at", "customer", "place", maintain_order=True)

    def some(share: float, height: int) -> pl.Series:
        return pl.Series(rng.random(height) < share)

    if noise.null_ids:
        lost = some(noise.null_ids, log.height)
        log = log.with_columns(pl.when(~lost).then("customer").alias("customer"))
    if noise.odd_dates:
        odd = some(noise.odd_dates, log.height)
        far = int(datetime(2099, 12, 31, tzinfo=UTC).timestamp()) * _SECOND
        value = pl.Series(np.where(rng.random(log.height) < 0.5, 0, far))
        log = log.with_columns(pl.when(odd).then(value).otherwise("at").alias("at"))
    if noise.duplicates:
        again = some(noise.duplicates, log.height)
        log = log.select(pl.all().repeat_by(pl.Series(np.where(again, 2, 1))).explode())
    if noise.late:
        late = some(noise.late, log.height)
        log = pl.concat([log.filter(~late), log.filter(late)])
    return log


def decode_log(world: World, log: pl.DataFrame, *, ids: pl.Series, salt: int) -> pl.DataFrame:
    """Turn codes into the columns of a raw log, in the order of the rows given."""
    place = log["place"]

    def of(name: str) -> pl.Series:
        values = [getattr(contact, name) for contact in world.contacts]
        return pl.Series(values, dtype=pl.String).gather(place).alias(name)

    columns = [
        ids.gather(log["customer"]).alias("customer"),
        log["at"].cast(pl.Datetime("us", "UTC")).alias("occurred_at"),
        of("name").alias("touchpoint"),
        *map(of, ("channel", "stage", "owner", "initiated_by")),
    ]
    if "end" in log.columns:
        columns.append(log["end"].cast(pl.Datetime("us", "UTC")).alias("ended_at"))
    if "rating" in log.columns:
        columns.append(log["rating"].cast(pl.Float64))
    if world.environments:
        columns.append(_environments(world, log, salt))
    if "issue" in log.columns:
        names = pl.Series(list(world.issues), dtype=pl.String)
        columns.append(names.gather(log["issue"]).alias("issue"))
    if "cost" in log.columns:
        columns.append(log["cost"].cast(pl.Float64).round(3))
    return pl.DataFrame(columns)


def _environments(world: World, log: pl.DataFrame, salt: int) -> pl.Series:
    """Environment of each contact: the customer's own among those that exist at the time."""
    channel_of = np.array([world.channels.index(c.channel) for c in world.contacts])
    channel = channel_of[log["place"].to_numpy()]
    customer = log["customer"].fill_null(0).to_numpy().astype(np.uint64)
    at = log["at"].to_numpy()
    code = np.full(log.height, -1)
    for number, name in enumerate(world.channels):
        options = [i for i, e in enumerate(world.environments) if e.channel == name]
        rows = np.flatnonzero(channel == number)
        if not options or not len(rows):
            continue
        weights = np.empty((len(rows), len(options)))
        for j, i in enumerate(options):
            kind = world.environments[i]
            since = int(kind.since.timestamp()) * _SECOND if kind.since else -(2**62)
            until = int(kind.until.timestamp()) * _SECOND if kind.until else 2**62
            weights[:, j] = np.where((at[rows] >= since) & (at[rows] < until), kind.weight, 0.0)
        shares = np.cumsum(weights, axis=1) / np.maximum(weights.sum(1, keepdims=True), 1e-12)
        drawn = (shares < uniform_of(customer[rows], salt + number)[:, None]).sum(1)
        code[rows] = np.array(options)[np.minimum(drawn, len(options) - 1)]
    names = pl.Series("environment", [e.name for e in world.environments], dtype=pl.String)
    return names.gather(pl.Series(code).replace(-1, None))


def split_ratings(
    world: World, events: pl.DataFrame, *, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take the ratings out of the log into a table of their own, answered some hours later."""
    true_date = pl.col("occurred_at").is_between(world.start, world.observed_until)
    given = events.drop_nulls(["rating", "customer"]).filter(true_date)
    given = given.unique(["customer", "occurred_at", "touchpoint"], maintain_order=True)
    delay = (rng.exponential(_SURVEY_DELAY, given.height) // _SECOND).astype(np.int64) * _SECOND
    ratings = given.select(
        "customer",
        rated_at=pl.col("occurred_at") + pl.Series(delay + 300 * _SECOND).cast(pl.Duration("us")),
        rating="rating",
        touchpoint="touchpoint",
    )
    ratings = ratings.with_columns(write_comments(world, ratings, ratings["rating"] / 10, rng))
    ratings = ratings.filter(pl.col("rated_at") <= world.observed_until)
    return events.drop("rating"), ratings.sort("rated_at", "customer", "touchpoint")


def uniform_of(key: np.ndarray, salt: int) -> np.ndarray:
    """A number in [0, 1) that depends on nothing but key and salt (splitmix64)."""
    with np.errstate(over="ignore"):
        z = key.astype(np.uint64) + np.uint64(salt % 2**63) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


SCALE_OF_CONTACTS = "csat"  # the scale from 0 to 10 that a `Contact.rating` is on
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
        rated = ratings["touchpoint"][int(i)]
        # the first theme that is about the touchpoint, or about all others
        theme = next(theme for theme in world.comments if rated in theme.get("at", [rated]))
        choice = theme["de" if german[i] else "en"][mood]
        words[i] = choice[int(pick[i] * len(choice))]
    return pl.Series("comment", words, dtype=pl.String)


def spend(world: World, events: pl.DataFrame, *, rng: np.random.Generator) -> pl.DataFrame:
    """What was spent at each contact that has an `amount`: its keys, and ``amount``."""
    medians = {c.name: c.amount for c in world.contacts if c.amount}
    bought = clean_contacts(world, events).filter(pl.col("touchpoint").is_in(list(medians)))
    median = bought["touchpoint"].replace_strict(medians, return_dtype=pl.Float64).to_numpy()
    spent = np.round(median * np.exp(0.6 * rng.standard_normal(len(bought))), 2)
    return bought.with_columns(amount=pl.Series(spent))
