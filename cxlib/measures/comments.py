"""What customers write: in which languages, how pleased it sounds, and what it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Amount, Columns, Count, Customers, Label, Share, Tables
from cxlib.errors import InputError, NotMeasurableError
from cxlib.ingest.masking import NOT_MASKED
from cxlib.numbers import decimal, plural, share, signed
from cxlib.results import Result, answers, interval_row, result
from cxlib.sequences import choose_contacts, walk_contacts
from cxlib.statistics.comments import (
    Sentiment,
    Topics,
    detect_languages,
    find_topics,
    score_sentiment,
)
from cxlib.statistics.scores import mean_of_group, share_of_group, top_box
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.surveys import group_contacts, rating_class, scale_ends

K = 10
"""Fewest customers who use a word that is shown, and who are behind a row."""

EVERYWHERE, ANY = "everywhere", "any"
"""The group of all comments, and the topic of all comments of a group."""

_TITLED = re.compile(r"\b(?:(?:Herrn?|Frau|Mr|Mrs|Ms|Miss|Dr|Prof)\b\.?\s+)+[^\W\d_a-z][\w-]+")
"""Names behind a title, which many may write and which are no topic."""


@result
class Comments(Result):
    """What `measure_comments` returns; ``notes`` say how comments were scored, and how well."""

    languages: pl.DataFrame
    by: str
    notes: tuple[str, ...]

    title = "What customers write"
    tables = Tables(
        table=Columns(
            "one row per group, language and topic with enough customers; first all comments, and "
            "of each group all topics together",
            group=Label("touchpoint, or what is asked for"),
            language=Label("of the comments (ISO 639-1), or any"),
            topic=Label("its most telling words, or any"),
            n=Count("comments", each="comments"),
            customers=Customers("who wrote them"),
            share=Share("of the group's comments in the language", each="comments", interval=True),
            scored=Share("of these that could be scored", each="comments", detail=True),
            sentiment=Amount(
                "mean, from -1 to 1", of="n", each="comments", interval=True, optional=True
            ),
            stability=Share("overlap of its words when looked for in halves", detail=True),
        ),
        languages=Columns(
            "one row per language, the commonest first",
            language=Label("of the comments (ISO 639-1)"),
            n=Count("comments", each="comments"),
            customers=Customers("who wrote them"),
            scored=Share("of these that could be scored", of="n", each="comments"),
            accuracy=Share("of the low and high rated whose sentiment agrees", interval=True),
            base=Share("that naming the commoner side would get right"),
            in_topics=Share("of these that a stable topic was found for", of="n", each="comments"),
        ),
    )

    def sentences(self) -> list[str]:
        """Say how pleased the comments sound, what they are about, and how well that is known."""
        rows = self.table.filter(pl.col("group") == EVERYWHERE)
        [*whole] = rows.filter(pl.col("topic") == ANY).head(1).to_dicts()
        said = [
            f"{plural(row['n'], 'comment')} of {plural(row['customers'], 'customer')}{_mood(row)}"
            for row in whole
        ]
        topics = rows.filter(pl.col("topic") != ANY).sort("n", descending=True)
        said += [
            f"{share(row['share'], row['share_low'], row['share_high'])} of those in "
            f"{row['language']} are about {row['topic']}{_mood(row)}"
            for row in topics.head(3).to_dicts()
        ]
        return [*said, *self.notes]


def _mood(row: dict[str, Any]) -> str:
    if row.get("sentiment") is None:
        return ""
    figures = (row[f"sentiment{end}"] for end in ("", "_low", "_high"))
    return f", sentiment {signed(*figures, digits=2)}"


@answers(Comments)
def measure_comments(
    workspace: Workspace,
    *,
    by: str = "touchpoint",
    k: int = K,
    where: Selection | None = None,
) -> Comments:
    """Measure what customers write: language, sentiment, and topics by touchpoint.

    Personal data was masked when the log was read. From 500 comments on that come with a low or a
    high rating, sentiment is learned from these pairs, each comment scored by a model that saw
    none of its customer's; so it must not be used to explain the same ratings. Below that the
    English ones are scored by a lexicon and the others not at all. Topics are those that come
    again in halves of the customers. No word is shown that fewer than `k` customers use, no row
    with fewer customers, and never a comment.

    Parameters
    ----------
    by
        What comments are told apart by, as in `measure_perception`.
    k
        Fewest customers who use a word that is shown.
    where
        Segment, periods and channel of the contact.

    Raises
    ------
    NotMeasurableError
        When the part that is asked about has no comments.
    InputError
        A package for comments is missing, or k is below 2.
    """
    if k < 2:
        raise InputError("k must be at least 2: a word of one customer is never shown")
    walked = walk_contacts(workspace)
    names, group = group_contacts(workspace, walked, by)
    contacts = choose_contacts(workspace, walked.with_columns(group=group), where)
    written = _written(workspace, contacts)
    if written.is_empty():
        raise NotMeasurableError(
            "there are no comments: name their column in the map (`columns: {comment: …}`, or "
            "`ratings: {columns: {comment: …}}` for a table of ratings)"
        )
    texts = written["comment"].to_list()
    languages = detect_languages(texts)
    fold = written["bucket"].to_numpy().astype(np.int64)
    liked = written["liked"].to_numpy().astype(np.int64)
    mood = score_sentiment(texts, languages, liked, fold)
    told = written.with_columns(
        language=pl.Series(languages), score=pl.Series(mood.score, nan_to_null=True)
    )
    found = _Found(names, k, told)
    return Comments(
        table=Comments.tables["table"].frame(found.rows()),
        languages=Comments.tables["languages"].frame(found.languages()),
        by=by,
        notes=tuple(_notes(told, mood, found.topics, k)),
    )


def _written(workspace: Workspace, contacts: pl.DataFrame) -> pl.DataFrame:
    """Comments on the chosen contacts: those with ratings, and those that stand alone in the log.

    ``liked``: 1 with a high rating, 0 with a low one, -1 else.
    """
    said = workspace.ratings().filter(pl.col("comment").is_not_null() & pl.col("row").is_not_null())
    rated = said.select("row", "comment", "scale", "rating").collect()
    liked = pl.Series("liked", [-1] * len(rated), dtype=pl.Int8)
    for scale in rated["scale"].unique().drop_nulls():
        own, rating = rated["scale"] == scale, rated["rating"].to_numpy()
        low, high = scale_ends(workspace, scale, rating[own.to_numpy()])
        side = pl.Series(rating_class(rating, low=low, high=high))
        sign = side.replace_strict({0: 0, 1: -1, 2: 1}, return_dtype=pl.Int8)
        liked = sign.zip_with(own, liked)
    parts = [rated.select("row", "comment").with_columns(liked.alias("liked"))]
    if "comment" in workspace.store().collect_schema().names():
        logged = workspace.store().select("comment").collect()
        alone = logged.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32)).drop_nulls()
        parts.append(alone.select("row", "comment", liked=pl.lit(-1, pl.Int8)))
    return (
        pl.concat(parts)
        .with_columns(pl.col("comment").str.strip_chars())
        .filter(pl.col("comment").str.contains(r"\p{L}"))
        .unique(["row", "comment"], keep="first", maintain_order=True)
        .join(contacts.select("row", "customer", "bucket", "group"), on="row")
        .filter(pl.col("group").is_not_null())
        .sort("row", "comment")
    )


@dataclass(eq=False)
class _Found:
    """Comments with language and score; what is counted of them."""

    names: list[str]
    k: int
    told: pl.DataFrame

    @cached_property
    def topics(self) -> dict[str, Topics]:
        """What is written about in each language with enough customers, the commonest first."""
        counted = self.told.group_by("language").agg(n=pl.len(), who=pl.col("customer").n_unique())
        common = counted.sort("n", "language", descending=[True, False])
        found = {}
        for language in common.filter(pl.col("who") >= self.k)["language"]:
            mine = self.told.filter(pl.col("language") == language)
            customer = mine["customer"].to_numpy().astype(np.int64)
            texts = [_TITLED.sub(" ", text) for text in mine["comment"]]
            found[language] = find_topics(texts, customer, language=language, k=self.k)
        return found

    def languages(self) -> Iterator[dict[str, Any]]:
        for language, topics in self.topics.items():
            mine = self.told.filter(pl.col("language") == language)
            sided = mine.filter((pl.col("liked") >= 0) & pl.col("score").is_not_null())
            row: dict[str, Any] = {}
            if len(sided) >= 30:
                right = ((sided["score"] > 0) == (sided["liked"] == 1)).to_numpy()
                agree = top_box([len(sided)], [right.sum()])
                positive = float((sided["liked"] == 1).mean())  # type: ignore[arg-type]
                row = {**interval_row("accuracy", agree), "base": max(positive, 1 - positive)}
            yield {
                "language": language,
                "n": len(mine),
                "customers": mine["customer"].n_unique(),
                "scored": 1 - mine["score"].null_count() / len(mine),
                "in_topics": float((topics.topic >= 0).mean()),
                **row,
            }

    def rows(self) -> Iterator[dict[str, Any]]:
        groups = [(EVERYWHERE, pl.lit(True))]
        present = self.told["group"].unique().sort()
        groups += [(self.names[i], pl.col("group") == i) for i in present]
        numbered = self.told.with_columns(topic=pl.lit(-1, pl.Int64))
        for language, topics in self.topics.items():
            at = (numbered["language"] == language).arg_true()
            numbered = numbered.with_columns(numbered["topic"].scatter(at, topics.topic))
        for group, here in groups:
            mine = numbered.filter(here)
            yield from self._counted(mine, group, ANY, ANY)
            for language, topics in self.topics.items():
                spoken = mine.filter(pl.col("language") == language)
                for i, words in enumerate(topics.words):
                    is_about = (spoken["topic"] == i).to_numpy()
                    about = spoken.filter(pl.Series(is_about))
                    part = share_of_group(is_about, spoken["customer"].to_numpy())
                    more = interval_row("share", part) | {"stability": topics.stability[i]}
                    for row in self._counted(about, group, language, ", ".join(words)):
                        yield row | more

    def _counted(
        self, part: pl.DataFrame, group: str, language: str, topic: str
    ) -> Iterator[dict[str, Any]]:
        people = part["customer"].n_unique()
        if people < self.k:
            return
        yield {
            "group": group,
            "language": language,
            "topic": topic,
            "n": len(part),
            "customers": people,
            "scored": 1 - part["score"].null_count() / len(part),
            **self._mean(part.drop_nulls("score")),
        }

    def _mean(self, scored: pl.DataFrame) -> dict[str, Any]:
        if scored["customer"].n_unique() < self.k:
            return {"sentiment": None}
        customer = scored["customer"].to_numpy()
        mean = mean_of_group(scored["score"].to_numpy(), customer, scale=(-1, 1))
        return interval_row("sentiment", mean)


def _notes(told: pl.DataFrame, mood: Sentiment, parts: dict[str, Topics], k: int) -> Iterator[str]:
    how = (
        f"sentiment is learned from {decimal(mood.pairs)} own pairs of comment and rating, out of "
        "fold: it must not explain the same ratings"
        if mood.scorer == "own ratings"
        else f"sentiment is that of a lexicon, of English only ({decimal(mood.pairs)} comments "
        "come with a low or high rating; from 500 on it would be learned from them)"
    )
    unscored = told["score"].null_count() / len(told)
    if mood.accuracy is None or mood.base is None:
        good = "how often it is right cannot be told from this log"
    else:
        right = share(*mood.accuracy)
        good = (
            f"it is right for {right} of the low and high rated here (a guess: {share(mood.base)})"
        )
    yield f"{how}; {good}; {share(unscored)} of the comments could not be scored"
    without = [name for name, topics in parts.items() if not topics.words]
    if without or not parts:
        named = ", ".join(without) or "any language"
        yield f"no topic in {named} comes again in halves of the customers"
    yield f"words that fewer than {k} customers use are left out; {NOT_MASKED}"
