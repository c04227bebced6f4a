"""Stages and channels of touchpoints that nobody has described: from a column, else from words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from cxlib.ingest.guess import STAGE_WORDS, guess_by_words

__all__ = ["Stages", "fold", "guess_stages", "usual_spelling"]

STAGES = ("awareness", "exploration", "conversion", "aftersales")
"""The usual four, in their order."""

ONE = "journey"
"""The stage of all touchpoints where nothing says more."""

CLEAR = 0.2
"""Spread of a touchpoint's place in the histories up to which its stage can be told from it."""


@dataclass(slots=True)
class Stages:
    """What was found.

    Parameters
    ----------
    names, why
        The stages in order, and what the order rests on.
    of
        By touchpoint, its stage and why.
    question
        What only the reader can say; empty: nothing.
    """

    names: list[str]
    why: str
    of: dict[str, tuple[str, str]] = field(default_factory=dict)
    question: str = ""


def fold(values: pl.Expr) -> pl.Expr:
    """Return names as those are equal that differ by case and blanks around them only."""
    return values.str.strip_chars().str.to_lowercase()


def usual_spelling(values: pl.Series) -> dict[str, str]:
    """Return the commonest spelling of each folded name; of equally common ones that in lower case.

    Examples
    --------
    >>> usual_spelling(pl.Series(["Home", "home", "home", "Cart"]))
    {'home': 'home', 'cart': 'Cart'}
    """
    counted = values.drop_nulls().alias("name").value_counts()
    ordered = counted.with_columns(
        folded=fold(pl.col("name")), is_lower=pl.col("name") == fold(pl.col("name"))
    ).sort("count", "is_lower", "name", descending=[True, True, False])
    usual = ordered.unique("folded", keep="first", maintain_order=True)
    return dict(usual.select("folded", "name").iter_rows())


def guess_stages(contacts: pl.DataFrame, places: pl.DataFrame) -> Stages:
    """Guess the stages of a log.

    Parameters
    ----------
    contacts
        What `order_contacts` returns, with ``stage`` where the log has such a column.
    places
        What `describe_touchpoints` says of them.
    """
    if "stage" in contacts.columns and contacts["stage"].null_count() < contacts.height:
        return _from_column(contacts)
    by_words = {
        name: stage
        for name in places["touchpoint"]
        if (stage := guess_by_words(name, STAGE_WORDS)) is not None
    }
    named = places.filter(pl.col("touchpoint").is_in(list(by_words)))["contacts"].sum()
    if 2 * int(named) < int(places["contacts"].sum()) or len(set(by_words.values())) < 2:
        question = (
            "neither the names nor a column say the stages: name them in their order, and give "
            "each touchpoint one"
        )
        of = dict.fromkeys(places["touchpoint"], (ONE, "one for all: nothing says more"))
        return Stages([ONE], "one for all, since neither names nor a column say them", of, question)
    found = {name: (stage, "by its name") for name, stage in by_words.items()}
    unsure = []
    for row in places.iter_rows(named=True):
        name = row["touchpoint"]
        if name in found:
            continue
        if row["spread"] <= CLEAR and row["alone"] < 0.5:
            stage = STAGES[min(int(row["position"] * 4), 3)]
            found[name] = (stage, f"as always about {row['position']:.0%} into a history")
        else:
            near = places.filter(pl.col("touchpoint").is_in(list(by_words)))
            nearest = near.sort((pl.col("position") - row["position"]).abs())["touchpoint"][0]
            found[name] = (by_words[nearest], f"that of {nearest!r}, at a like place; sure?")
            unsure.append(name)
    question = ""
    if unsure:
        more = f" and {len(unsure) - 3} more" if unsure[3:] else ""
        question = f"nothing says the stage of {', '.join(map(repr, unsure[:3]))}{more}"
    return Stages(list(STAGES), "the usual four", found, question)


def _from_column(contacts: pl.DataFrame) -> Stages:
    staged = contacts.drop_nulls("stage").with_columns(folded=fold(pl.col("stage")))
    spelling = usual_spelling(staged["stage"])
    place = staged.group_by("folded").agg(pl.col("position").mean()).sort("position", "folded")
    names = place["folded"].to_list()[:200]
    meant = {n: STAGES.index(s) for n in names if (s := guess_by_words(n, STAGE_WORDS))}
    if set(names) <= set(STAGES):
        names, why = sorted(names, key=STAGES.index), "the usual four"
    elif len(meant) == len(names) > 1 and len(set(meant.values())) > 1:
        names = sorted(names, key=lambda n: (meant[n], names.index(n)))
        why = "in the order of what they mean"
    else:
        why = "in the order of their usual place in a history"
    usual = (
        staged.group_by("touchpoint", "folded")
        .len()
        .sort(["len", "folded"], descending=[True, False])
        .unique("touchpoint", keep="first", maintain_order=True)
    )
    of = {t: (spelling[s], "the log says so most often") for t, s, _ in usual.iter_rows()}
    return Stages([spelling[n] for n in names], why, of)


def is_of_one_stage(contacts: pl.DataFrame) -> bool:
    """Whether nearly all contacts of a touchpoint are of one stage, so that its name is enough."""
    counted = contacts.drop_nulls("stage").group_by(
        fold(pl.col("touchpoint")).alias("t"), fold(pl.col("stage")).alias("s")
    ).len()  # fmt: skip
    most = counted.group_by("t").agg(pl.col("len").max())["len"].sum()
    return int(most) >= 0.9 * int(counted["len"].sum())


def shown_channels(contacts: pl.DataFrame) -> Mapping[str, str]:
    """Return the commonest channel of each touchpoint, where the log has such a column."""
    if "channel" not in contacts.columns:
        return {}
    counted = contacts.drop_nulls("channel").group_by("touchpoint", "channel").len()
    ordered = counted.sort(["len", "channel"], descending=[True, False])
    usual = ordered.unique("touchpoint", keep="first", maintain_order=True)
    return dict(usual.select("touchpoint", "channel").iter_rows())
