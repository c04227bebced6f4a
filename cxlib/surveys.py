"""What was said on a scale, among the contacts that could have been rated on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Amount, Column, Count, Customers, Label, Rating, Share
from cxlib.errors import NotMeasurableError, UnknownNameError
from cxlib.results import interval_columns, numbers
from cxlib.sequences import choose_contacts, environment_column, name_groups, walk_contacts
from cxlib.statistics.nonresponse import (
    Tilt,
    completed_ratings,
    mean_of_everybody,
    tilt_of_answers,
)
from cxlib.statistics.rates import Interval, divide
from cxlib.statistics.scores import independent_answers, mean_score, net_promoter_score, top_box
from cxlib.store import Workspace
from cxlib.store.selection import Selection
from cxlib.store.walk import DONE, LOST, OPEN, SILENT

MOST_FITTED = 150_000
"""Contacts that the chance to answer is estimated from; of larger logs a part of the customers."""

CLASSES = ("low", "middle", "high")
"""What `rating_class` numbers."""

NEARLY_ALL = 0.9
"""Share of journeys with an answer from which on the silent are too few to matter."""

_LEVELS = 40
"""Most values of a property of contacts that get an indicator of their own."""

SAID: dict[str, Column] = {
    "scale": Label("of the ratings"),
    "n": Count("answers", each="ratings"),
    "customers": Customers("who gave them"),
    "contacts": Count(
        "that could have been rated; one for each journey where nearly all hold one answer",
        each="contacts",
        detail=True,
    ),
    "response": Share("answers by contacts", of="contacts", cases=("n",)),
    "mean": Rating("of the answers", of="n", each="ratings", interval=True),
    "weighted": Rating("if all had answered, as far as the log knows", interval=True),
    "top": Share("of answers in the best box of the scale", of="n", each="ratings", interval=True),
    "ridit": Amount(
        "chance that an answer here is above any other of its scale, ties half; 0.5 is usual, "
        "whatever the scale",
        of="n",
        interval=True,
        detail=True,
    ),
    "nps": Rating(
        "net promoter score; of 0 to 10 only", of="n", width=200, interval=True, optional=True
    ),
}
"""Columns of what `Survey.cells` counts."""


def scale_ends(workspace: Workspace, scale: str, given: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest answer of a scale: of the map, or those that were given."""
    declared = {s.name: (s.min, s.max) for s in workspace.journey_map.rating_scales}
    return declared.get(scale, (float(given.min()), float(given.max())))


def rating_class(rating: NDArray[np.float64], *, low: float, high: float) -> NDArray[np.int64]:
    """Class of ratings, a position in `CLASSES`.

    From 0 to 10 they are those of the net promoter score (to 6, 7 and 8, from 9); else thirds of
    the scale.
    """
    width = high - low
    cuts = (6.5, 8.5) if (low, high) == (0, 10) else (low + width / 3, high - width / 3)
    slack = 1e-9 * max(width, 1.0)
    return (rating > cuts[0] + slack).astype(np.int64) + (rating >= cuts[1] - slack)


def read_surveys(
    workspace: Workspace,
    *,
    by: str = "touchpoint",
    scale: str | None = None,
    where: Selection | None = None,
) -> tuple[list[str], Iterator[Survey]]:
    """Read what was said, scale by scale, the most used first, and what the groups are called.

    Groups are told apart as in `cxlib.sequences.name_groups`; scales without an answer in the part
    that was asked about are left out.
    """
    said = workspace.ratings().filter("is_counted").collect()
    used = said["scale"].value_counts(sort=True)["scale"].to_list()
    if not used:
        raise NotMeasurableError(
            "the log has no ratings: name their column in the map (`columns: {rating: …}`), or "
            "give a table of them (`cx ingest … --ratings survey.csv`)"
        )
    if scale is not None and scale not in used:
        raise UnknownNameError("scale", scale, used)
    contacts = walk_contacts(workspace)
    names, group = group_contacts(workspace, contacts, by)

    def read() -> dict[str, Survey]:
        chosen = choose_contacts(workspace, contacts, where)
        return {name: Survey.of(workspace, name, said, chosen) for name in used}

    # whatever answers are told apart by, and whatever is asked of them: who answers is the same
    surveys = workspace.keep("surveys", workspace.log_folder / "ratings.parquet", read, of=where)
    found = (surveys[name].told_apart(group) for name in ([scale] if scale else used))
    return names, (survey for survey in found if survey.answered.any())


def group_contacts(
    workspace: Workspace, contacts: pl.DataFrame, by: str
) -> tuple[list[str], pl.Series]:
    """What groups of contacts are called, and the number of each contact's; null: in none."""
    environment = environment_column(by)
    if environment in workspace.store().collect_schema():
        contacts = contacts.hstack(workspace.store().select(environment).collect())
    return name_groups(workspace, contacts, by)


@dataclass(eq=False)
class Survey:
    """The contacts that could have been rated on a scale (``rows``), and the answers of those that
    were.

    ``ends`` are the lowest and the highest answer; ``answered``, ``score``, ``customer`` and
    ``group`` are by contact. What is worked out of `who` answers, and what they say, is the same
    however they are told apart.
    """

    workspace: Workspace
    scale: str
    ends: tuple[float, float]
    rows: pl.DataFrame
    answered: NDArray[np.bool_]
    score: NDArray[np.float64]
    customer: NDArray[np.int64]
    group: NDArray[np.int64]
    whole: Survey | None = None

    @classmethod
    def of(
        cls, workspace: Workspace, scale: str, said: pl.DataFrame, contacts: pl.DataFrame
    ) -> Survey:
        """Join the answers on a scale to the contacts at places where any was given."""
        own, others = said.filter(pl.col("scale") == scale), _off_the_usual(said)
        beside = others.filter(pl.col("scale") != scale).group_by("row").agg(pl.mean("off"))
        every = others.group_by("row").agg(said_off=pl.col("off").sum(), said_n=pl.len())
        rows = contacts.filter(pl.col("place").is_in(own["place"].unique().drop_nulls().implode()))
        own = own.select("row", "rating", "rated_at")
        for more in (own, beside.rename({"off": "beside"}), every):
            rows = rows.join(more, on="row", how="left", maintain_order="left")
        rows = rows.with_columns(pl.col("beside", "said_off", "said_n").fill_null(0))
        rows = _one_per_journey(rows)
        ends = scale_ends(workspace, scale, own["rating"].to_numpy())
        rating, customer = rows["rating"].to_numpy(), rows["customer"].to_numpy().astype(np.int64)
        group = np.zeros(len(rows), dtype=np.int64)
        return cls(workspace, scale, ends, rows, ~np.isnan(rating), rating, customer, group)

    def told_apart(self, group: pl.Series) -> Survey:
        """The same by group (of every row of the store), without contacts that are in none."""
        own = group.gather(self.rows["row"])
        kept, told = own.is_not_null().to_numpy(), own.drop_nulls().to_numpy().astype(np.int64)
        if kept.all():
            return replace(self, group=told, whole=self)
        answered, score, customer = (x[kept] for x in (self.answered, self.score, self.customer))
        rows = self.rows.filter(kept)
        return replace(
            self, rows=rows, answered=answered, score=score, customer=customer, group=told
        )

    @property
    def width(self) -> float:
        """From the lowest to the highest answer."""
        return self.ends[1] - self.ends[0]

    @cached_property
    def _worked(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """`completed_ratings`, what no survey is sent by, and who is fitted.

        The features of every contact, which are large, are let go of.
        """
        fitted = self.customer % -(-len(self.rows) // MOST_FITTED) == 0
        features, shadows = _features(self.rows, self.workspace.places)
        return completed_ratings(features, self.answered, self.score, fitted), shadows, fitted

    @property
    def completed(self) -> NDArray[np.float64]:
        """Per contact the term whose mean is everybody's rating (`completed_ratings`)."""
        return self._worked[0] if self.whole is None else self.whole.completed

    @cached_property
    def tilt(self) -> Tilt | None:
        """How answering seems to depend on the rating; None where that cannot be told."""
        if self.whole is not None:
            return self.whole.tilt
        _, shadows, fitted = self._worked
        place, bucket = (
            self.rows[c].to_numpy().astype(np.int64)[fitted] for c in ("place", "bucket")
        )
        late = (pl.col("rated_at") - pl.col("occurred_at")).dt.total_seconds().fill_null(0)
        delay = self.rows.select(late).to_series().to_numpy().astype(np.float64)[fitted]
        given = self.answered[fitted], self.score[fitted], self.customer[fitted]
        return tilt_of_answers(shadows[fitted], place, *given, bucket, delay=delay)

    @cached_property
    def _ridits(self) -> NDArray[np.float64]:
        """Of each answer: the share of answers below it, half of those like it.

        Bross (1958), How to use ridit analysis. doi:10.2307/2527727
        """
        _, value, n = np.unique(self.score[self.answered], return_inverse=True, return_counts=True)
        ridits: NDArray[np.float64] = ((np.cumsum(n) - n / 2) / n.sum())[value]
        return ridits

    def cells(self, group: NDArray[np.int64], cells: int) -> pl.DataFrame:
        """Count one row per group: the columns of `SAID`."""
        at, who = group[self.answered], self.customer[self.answered]
        said = self.score[self.answered]

        def count(values: Any = None) -> NDArray[np.float64]:
            return np.bincount(at, values, minlength=cells).astype(np.float64)

        def size(values: NDArray[Any]) -> NDArray[np.float64]:
            return independent_answers(at, who, values, cells=cells)

        def mean_of(values: NDArray[np.float64], ends: tuple[float, float]) -> Interval:
            sums = count(values), count(values**2)
            return mean_score(n, *sums, scale=ends, size=size(values))

        n, contacts = count(), np.bincount(group, minlength=cells)
        mean = mean_of(said, self.ends)
        weighted = mean_of_everybody(
            self.completed, group, self.customer, cells=cells, answers=size(said)
        )
        # weights cost precision, and never buy any
        half = np.maximum(weighted.high - weighted.estimate, (mean.high - mean.low) / 2)
        centre = weighted.estimate
        inside, low, high = (np.clip(x, *self.ends) for x in (centre, centre - half, centre + half))
        best = said >= self._best()
        score = np.where(said >= 9, 1.0, np.where(said <= 6, -1.0, 0.0))
        found = {
            "mean": mean,
            "weighted": Interval(inside, low, high, weighted.se),
            "top": top_box(n, count(best), size=size(best)),
            "ridit": mean_of(self._ridits, (0.0, 1.0)),
            "nps": net_promoter_score(*(count(score == s) for s in (-1, 0, 1)), size=size(score)),
        }
        base = int(self.customer.max()) + 1
        people = np.unique(at * base + who) // base
        told = pl.Series(n > 0)
        shown = {"nps": told & (self.ends == (0, 10))}
        return pl.DataFrame(
            {
                "scale": pl.Series([self.scale] * cells, dtype=pl.String),
                "n": pl.Series(n).cast(pl.UInt32),
                "customers": pl.Series(np.bincount(people, minlength=cells)).cast(pl.UInt32),
                "contacts": pl.Series(contacts).cast(pl.UInt32),
                "response": numbers(divide(n, contacts)),
                **{
                    name: values.set(~shown.get(of, told), None)
                    for of, interval in found.items()
                    for name, values in interval_columns(of, interval).items()
                },
            }
        )

    def _best(self) -> float:
        """The lowest answer of the top box: the two best of a long scale, the best of a short."""
        return self.ends[1] - 1 if self.width >= 4 else self.ends[1]


def _one_per_journey(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave one contact of each journey where nearly all hold an answer, and hardly any several.

    Who is asked once, and answers, is not silent at the other contacts. Of a journey without an
    answer its last contact could have been rated.
    """
    given = pl.col("rating").is_not_null()
    rated = given.any().over("journey")
    told = rows.select(
        journeys=pl.col("journey").n_unique(),
        rated=pl.col("journey").filter(given).n_unique(),
        answers=given.sum(),
    ).row(0, named=True)
    if told["rated"] < NEARLY_ALL * max(told["journeys"], told["answers"]):
        return rows
    last = pl.col("row") == pl.col("row").max().over("journey")
    return rows.filter(given | (~rated & last))


def _off_the_usual(said: pl.DataFrame) -> pl.DataFrame:
    """Answers on all scales, each by its standard deviations from the usual one at its place."""
    usual, spread = pl.col("rating").mean(), pl.col("rating").std().over("scale")
    off = (pl.col("rating") - usual.over("scale", "place")) / spread
    off = pl.when(spread > 0).then(off).otherwise(0.0).fill_null(0.0)
    return said.drop_nulls("row").select("row", "scale", off=off)


def mean_outside(
    values: NDArray[np.float64],
    group: NDArray[np.int64],
    customer: NDArray[np.int64],
    *,
    cells: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the values outside each group and half its 95 % interval; NaN does not count."""
    told = ~np.isnan(values)
    values, group, who = values[told], group[told], customer[told]
    n = np.bincount(group, minlength=cells).astype(np.float64)
    mean = divide(values.sum() - np.bincount(group, values, minlength=cells), n.sum() - n)
    units = float(independent_answers(0 * group, who, values, cells=1)[0])
    se = values.std() / np.sqrt(np.maximum(units * (n.sum() - n) / n.sum(), 1.0))
    return mean, 1.96 * se


def _features(
    rows: pl.DataFrame, places: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the log knows of each contact; and of that, what no survey is sent by."""
    stage = places["stage_index"].cast(pl.Int64)
    goes_on = pl.col("next") < DONE
    ahead = pl.when(goes_on).then(pl.col("next")).cast(pl.UInt32)
    here = pl.col("place").cast(pl.UInt32)
    hours = pl.col("wait") / 3_600e6

    def elsewhere(column: str) -> pl.Expr:
        return pl.col(column).sum().over("customer") - pl.col(column)

    told = rows.select(
        left=pl.col("next").is_in([SILENT, LOST]),
        turned=(pl.lit(stage).gather(ahead) < pl.lit(stage).gather(here)).fill_null(False),
        onward=pl.when(goes_on).then(hours.log1p()).otherwise(0.0),
        waited=(pl.col("waited").dt.total_seconds() / 3_600).log1p().fill_null(0.0),
        # drawn to the mean: an answer more or less shall not tell
        elsewhere=elsewhere("said_off") / (elsewhere("said_n") + 1),
        beside="beside",
        open=pl.col("next") == OPEN,
        begins=pl.col("previous").is_null(),
        position=pl.col("position").cast(pl.Float64).log1p(),
        reached="reached",
        lost="lost",
        contacts=pl.len().over("customer").cast(pl.Float64).log1p(),
    ).cast(pl.Float64)
    groups = [_one_hot(rows[c]) for c in ("place", "segment", "period")]
    return np.column_stack([told.to_numpy(), *groups]), told[:, :6].to_numpy()


def _one_hot(codes: pl.Series) -> NDArray[np.float64]:
    """A column for each of the commonest values but the first."""
    common = codes.value_counts(sort=True)[codes.name].to_list()[1:_LEVELS]
    values = codes.to_numpy()
    return np.column_stack([values == c for c in common] or [np.zeros((len(values), 0))]).astype(
        float
    )
