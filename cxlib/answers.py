"""What customers said, and about which contact: ratings of the log and of surveys in one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl

from cxlib.encode import Encoded, usual_scale

JOINED = ("log", "touchpoint", "last contact")
"""How an answer found its contact: it stands in its row of the log, it names the touchpoint, or it
came next after the customer's last contact."""

_COLUMNS: dict[str, Any] = {
    "customer": pl.UInt32,
    "rated_at": pl.Datetime("us", "UTC"),
    "scale": pl.String,
    "rating": pl.Float64,
    "comment": pl.String,
    "source": pl.Enum(["log", "survey"]),
    "joined_by": pl.Enum(JOINED),
    "row": pl.UInt32,
    "is_counted": pl.Boolean,
}
RATED = pl.Schema(_COLUMNS)
"""Columns of the answers: ``row`` is the number of the contact in the store, null where none was
found; ``customer`` is null where the log does not know him; ``is_counted`` is true for the one
answer on its scale that stands for its contact."""


@dataclass(frozen=True, slots=True)
class AttachedRatings:
    """What `attach_ratings` returns.

    `events` have ``rating`` and ``comment`` where any was rated on the scale that views show;
    `answers` are all of them (`RATED`), in order of customer and time. `counts` says what became of
    those of the survey (None without one): ``given``, ``attached``, ``unknown_customer``,
    ``no_contact_before``, ``superseded`` (its contact has another one on the same scale: that of
    the log, or a later one), and how they found it: ``by_touchpoint``, ``by_last_contact``.
    """

    events: pl.DataFrame
    answers: pl.DataFrame
    counts: dict[str, Any] | None


def attach_ratings(
    encoded: Encoded,
    ratings: pl.DataFrame | None,
    *,
    within: timedelta | None,
    scale: str | None = None,
) -> AttachedRatings:
    """Give each answer to the contact it speaks of, and keep all of them.

    An answer of a survey belongs to the customer's latest contact at or before ``rated_at``, at the
    named touchpoint where it names one, if it was given `within` that time. On each scale a contact
    keeps the rating that stands in the log; of several answers of a survey the latest counts.
    `scale` is the one that views show: where None, that of the log, else the commonest.
    """
    events = encoded.events
    row = encoded.answers["row"]
    logged = encoded.answers.with_columns(
        customer=events["customer"].gather(row),
        rated_at=events["occurred_at"].gather(row),
        source=pl.lit("log"),
        joined_by=pl.lit("log"),
    )
    given, shown = [RATED.to_frame(), _typed(logged)], scale or encoded.scale
    if ratings is not None:
        no_scale = pl.Series("scale", [], dtype=pl.String)
        shown = shown or usual_scale(ratings.get_column("scale", default=no_scale))
        given.append(_typed(_place(encoded, _named(ratings, shown), within)))
    answers = _counted(pl.concat(given, how="diagonal"))
    if ratings is None:
        return AttachedRatings(events, _ordered(answers), None)
    survey = answers.filter(pl.col("source") == "survey")
    known = survey.filter(pl.col("customer").is_not_null())
    found = survey.filter(pl.col("row").is_not_null())
    counts = {
        "given": len(ratings),
        "attached": int(found["is_counted"].sum()),
        "unknown_customer": len(survey) - len(known),
        "no_contact_before": len(known) - len(found),
        "superseded": int((~found["is_counted"]).sum()),
        "by_touchpoint": int((found["joined_by"] == "touchpoint").sum()),
        "by_last_contact": int((found["joined_by"] == "last contact").sum()),
    }
    fresh = found.filter(pl.col("is_counted") & (pl.col("scale") == shown))
    return AttachedRatings(_filled(events, fresh), _ordered(answers), counts)


def mask_answers(attached: AttachedRatings) -> tuple[AttachedRatings, dict[str, int]]:
    """Mask personal data in all comments, and count it by kind (`cxlib.ingest.masking`)."""
    from cxlib.ingest.masking import mask_comments  # reading a workspace needs no ingest

    events, answers = attached.events, attached.answers
    said, counts = mask_comments(answers["comment"])
    answers = answers.with_columns(said)
    if "comment" in events.columns:
        logged = events.select("comment", row=pl.int_range(pl.len(), dtype=pl.UInt32))
        alone = logged.join(attached.answers, on=["row", "comment"], how="anti")
        for kind, n in mask_comments(alone["comment"])[1].items():
            counts[kind] = counts.get(kind, 0) + n
        events = events.with_columns(mask_comments(events["comment"])[0])
    return replace(attached, events=events, answers=answers), counts


def _named(ratings: pl.DataFrame, usual: str) -> pl.DataFrame:
    absent = [c for c in ("touchpoint", "comment", "scale") if c not in ratings.columns]
    full = ratings.with_columns(pl.lit(None, pl.String).alias(c) for c in absent)
    return full.with_columns(pl.col("scale").fill_null(usual))


def _place(encoded: Encoded, ratings: pl.DataFrame, within: timedelta | None) -> pl.DataFrame:
    """Find the contact that each answer speaks of; ``row`` is null where there is none."""
    events = encoded.events
    names = encoded.customers.select("customer", name="name")
    answers = ratings.rename({"customer": "name"}).join(
        names, on="name", how="left", maintain_order="left"
    )
    rows = events.select(
        "customer",
        "occurred_at",
        touchpoint=encoded.places["touchpoint"].gather(events["place"].cast(pl.UInt32)),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
    )
    parts = []
    names_one = answers["touchpoint"].is_not_null()
    for part, by, how in (
        (answers.filter(~names_one), ["customer"], "last contact"),
        (answers.filter(names_one), ["customer", "touchpoint"], "touchpoint"),
    ):
        joined = part.sort("rated_at").join_asof(
            rows.select(*by, "occurred_at", "row").sort("occurred_at", "row"),
            left_on="rated_at",
            right_on="occurred_at",
            by=by,
            strategy="backward",
            tolerance=within,
            check_sortedness=False,
        )
        found = pl.when(pl.col("row").is_not_null()).then(pl.lit(how))
        parts.append(joined.with_columns(joined_by=found, source=pl.lit("survey")))
    return pl.concat(parts, how="diagonal")


def _typed(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.select(pl.col(c).cast(t) for c, t in RATED.items() if c in answers.columns)


def _counted(answers: pl.DataFrame) -> pl.DataFrame:
    """Say which answer stands for its contact: one on each scale, the log's before a survey's."""
    ordered = answers.sort(
        "row", "scale", "source", "rated_at", "rating", "comment", nulls_last=True
    )
    by = ["row", "scale"]
    from_log = (pl.col("source") == "log").any().over(by)
    last = pl.int_range(pl.len()).over(by) == pl.len().over(by) - 1
    # of several ratings in one row of the log the highest: a rule that no order of lines can change
    last_logged = (pl.col("source") == "log") & (
        pl.int_range(pl.len()).over(by) == (pl.col("source") == "log").sum().over(by) - 1
    )
    is_counted = pl.col("row").is_not_null() & pl.when(from_log).then(last_logged).otherwise(last)
    return ordered.with_columns(is_counted=is_counted)


def _ordered(answers: pl.DataFrame) -> pl.DataFrame:
    order = ["customer", "rated_at", "scale", "rating", "row", "source", "comment"]
    return answers.select(RATED.names()).sort(order, nulls_last=True)


def _filled(events: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Contacts with the answers that count; a comment in the log stays."""
    for column in ("rating", "comment"):
        nothing = pl.Series(column, [None], dtype=RATED[column]).new_from_index(0, len(events))
        have = events.get_column(column, default=nothing)
        said = have.gather(answers["row"]).zip_with(
            have.gather(answers["row"]).is_not_null(), answers[column]
        )
        have = have.scatter(answers["row"], said)
        if have.null_count() < len(have):
            events = events.with_columns(have)
    return events
