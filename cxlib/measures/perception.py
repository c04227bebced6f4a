"""Perception: what customers say, where they say it, and how far those who say nothing matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import (
    Column,
    Columns,
    Count,
    Customers,
    Flag,
    Label,
    Level,
    Rating,
    Share,
    Tables,
    Text,
)
from cxlib.errors import NotMeasurableError, UnknownNameError
from cxlib.numbers import decimal, rating
from cxlib.results import Result, answers, numbers, result
from cxlib.sequences import choose_contacts, environment_column, name_groups
from cxlib.statistics.nonresponse import (
    Answering,
    Tilt,
    mean_of_everybody,
    points_to_change,
    tilt_of_answers,
)
from cxlib.statistics.rates import Interval, divide
from cxlib.statistics.resampling import BUCKETS
from cxlib.statistics.scores import independent_answers, mean_score, net_promoter_score, top_box
from cxlib.store import Workspace
from cxlib.store.walk import DONE, LOST, OPEN, SILENT, follow_contacts, look_back
from cxlib.summary import Selection

__all__ = ["Perception", "measure_perception"]

MOST_FITTED = 150_000
"""Contacts that the chance to answer is estimated from; of larger logs a part of the customers."""

LEAST_KEPT = 0.5
"""Part of a difference that must remain once everybody is asked, as far as the log knows them."""

_MATTERS = 0.02
"""Part of a scale's width by which who answers must move the mean, to be worth a doubt."""

_LEVELS = 40
_FEWEST = 20

_SAID: dict[str, Column] = {
    "scale": Label("of the ratings"),
    "n": Count("answers", each="ratings"),
    "customers": Customers("who gave them"),
    "contacts": Count("that could have been rated", each="contacts", detail=True),
    "response": Share("answers by contacts", of="contacts", cases=("n",)),
    "mean": Rating("of the answers", of="n", each="ratings", interval=True),
    "weighted": Rating("if all had answered, as far as the log knows", interval=True),
    "top": Share("of answers in the best box of the scale", of="n", each="ratings", interval=True),
    "nps": Rating("net promoter score; of 0 to 10 only", width=200, interval=True, optional=True),
}


@result
class Perception(Result):
    """What `measure_perception` returns.

    Attributes
    ----------
    by
        What the answers are told apart by.
    """

    spectrum: pl.DataFrame
    scales: pl.DataFrame
    by: str

    title = "What customers say"
    tables = Tables(
        table=Columns(
            "one row per scale and group with an answer, in the order of the journey map",
            group=Label("touchpoint, or what is asked for"),
            **_SAID,
            others=Rating("mean of the answers in all other groups", of="others_n", detail=True),
            verdict=Label(
                "of the answers: lower or higher than the others; null: neither", of="others_n"
            ),
            others_n=Count("answers in all other groups", each="ratings", detail=True),
            bound=Rating("by which those who did not answer would have to differ to change it"),
            trusted=Flag("who answers seems to explain neither the mean nor the verdict"),
        ),
        spectrum=Columns(
            "one row per scale, group and answer, from dislike to like",
            scale=Label("of the ratings"),
            group=Label("touchpoint, or what is asked for"),
            answer=Level("the rating"),
            n=Count("times it was given", each="ratings"),
            share=Share("of the group's answers", of="n", total="answers", each="ratings"),
            answers=Count("of the group", each="ratings", detail=True),
        ),
        scales=Columns(
            "one row per scale, the most used first",
            **_SAID,
            lowest=Rating("the scale allows", detail=True),
            highest=Rating("the scale allows", detail=True),
            depends=Flag("whether answering seems to depend on the rating; null: not to be told"),
            tilted=Rating("mean of everybody if it depends on the rating alone", interval=True),
            around_goal=Text("answers before the goal against those after it", detail=True),
            sentence=Text("who answers", detail=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say what stands out, and how far it can be trusted, scale by scale."""
        return [s for scale in self.scales["scale"] for s in self._of_scale(scale)]

    def _of_scale(self, scale: str) -> list[str]:
        whole = self.scales.filter(pl.col("scale") == scale).row(0, named=True)
        rows = self.table.filter((pl.col("scale") == scale) & pl.col("verdict").is_not_null())
        said = [whole["around_goal"]] if whole["around_goal"] else []
        for verdict, falls in (("lower", False), ("higher", True)):
            apart = rows.filter(pl.col("verdict") == verdict)
            weight = (pl.col("mean") - pl.col("others")).abs() * pl.col("n")
            for row in apart.sort(weight, descending=True).head(3 if not falls else 1).to_dicts():
                said.append(_difference(row, whole["highest"]))
        return [*said, *filter(None, [whole["sentence"]])]


def _difference(row: dict[str, Any], highest: float) -> str:
    doubt = ""
    if not row["trusted"]:
        doubt = f"; everybody there might say {rating(row['weighted'])}: who answers may explain it"
    return (
        f"{row['group']}: {rating(row['mean'], row['mean_low'], row['mean_high'])} of {highest:g} "
        f"on {row['scale']} (n = {decimal(row['n'])}), {row['verdict']} than the "
        f"{rating(row['others'])} of the others{doubt}"
    )


@answers(Perception)
def measure_perception(
    workspace: Workspace,
    *,
    by: str = "touchpoint",
    scale: str | None = None,
    where: Selection | None = None,
) -> Perception:
    """Measure what customers say, with who answers beside it.

    An answer counts for the contact it speaks of: the touchpoint it names, or the customer's last
    contact before it. `weighted` is what the mean would be if answering depended on what the log
    knows of the contact only (what came before and after, waits, touchpoint, segment, period, the
    customer's other answers). Whether it depends on the rating itself is told by what goes with
    the rating. `bound` needs no such assumption: by how many points those who did not answer would
    have to differ from their like for another verdict.

    Parameters
    ----------
    workspace
        The workspace.
    by
        "touchpoint", "stage", "transition", "channel", "owner" or "period"; or the name of a
        segment or an environment of the log, as ``segment.NAME`` or ``environment.NAME`` where
        it is called like one of these.
    scale
        One scale only; None: each of them, apart.
    where
        Segment, periods and channel of the contact.

    Returns
    -------
    Perception

    Raises
    ------
    NotMeasurableError
        When the log has no ratings.
    UnknownNameError
        For a scale, or a name in `by`, that the log does not have.

    References
    ----------
    Rocks (2016), arXiv:1601.07235 (intervals); Robins, Rotnitzky & Zhao (1994),
    doi:10.1080/01621459.1994.10476818 (weights); Miao & Tchetgen Tchetgen (2016),
    doi:10.1093/biomet/asw016 (answering that depends on the rating).
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
    names, contacts = _contacts(workspace, by, where)
    found = [
        _Scale(workspace, name, said.filter(pl.col("scale") == name), contacts).measure(names)
        for name in ([scale] if scale else used)
    ]
    parts = {key: pl.concat([f[key] for f in found]) for key in ("table", "spectrum", "scales")}
    return Perception(
        **{key: Perception.tables[key].frame(part.to_dicts()) for key, part in parts.items()},
        by=by,
        observed_until=workspace.observed_until,
        where=where,
    )


def _contacts(
    workspace: Workspace, by: str, where: Selection | None
) -> tuple[list[str], pl.DataFrame]:
    """The chosen contacts, what came before and after, their row, and the number of their group."""
    present = workspace.store().collect_schema().names()
    kept = [
        *("customer", "bucket", "occurred_at", "sequence", "place", "journey", "position"),
        *("reached", "lost", "segment", "period"),
        *(c for c in present if c == environment_column(by)),
    ]
    rows = workspace.store().select(kept).collect()
    walked = follow_contacts(
        look_back(rows, scope=workspace.scope).collect(), scope=workspace.scope
    )
    walked = walked.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    names, group = name_groups(workspace, walked, by)
    return names, choose_contacts(workspace, walked.with_columns(group=group), where)


@dataclass(slots=True, eq=False)
class _Scale:
    """The answers on one scale, among the contacts that could have been rated on it."""

    workspace: Workspace
    name: str
    said: pl.DataFrame
    contacts: pl.DataFrame

    def measure(self, names: list[str]) -> dict[str, pl.DataFrame]:
        asked = self.said.select("place").unique().drop_nulls()["place"]
        rows = self.contacts.filter(
            pl.col("place").is_in(asked.implode()) & pl.col("group").is_not_null()
        ).join(self.said.select("row", "rating"), on="row", how="left", maintain_order="left")
        answered = rows["rating"].is_not_null().to_numpy()
        score = rows["rating"].to_numpy()
        if not answered.any():
            return {k: Perception.tables[k].frame([]) for k in Perception.tables}
        low, high = self._range(score[answered])
        customer = rows["customer"].to_numpy().astype(np.int64)
        features, shadows = _features(rows, self.workspace.places)
        step = -(-len(rows) // MOST_FITTED)
        fitted = customer % step == 0
        model = Answering.fit(features[fitted], answered[fitted], score[fitted])
        completed = model.completed(features, answered, score)
        tilt = tilt_of_answers(
            shadows[fitted],
            rows["place"].to_numpy().astype(np.int64)[fitted],
            answered[fitted],
            score[fitted],
            rows["bucket"].to_numpy().astype(np.int64)[fitted],
            buckets=BUCKETS,
        )
        cells = _Cells(score, answered, completed, customer, (low, high))
        whole = cells.of(np.zeros(len(rows), dtype=np.int64), 1)
        group = rows["group"].to_numpy().astype(np.int64)
        apart = cells.of(group, len(names))
        return {
            "table": self._judged(names, apart, cells, group, tilt),
            "spectrum": self._spectrum(names, group[answered], score[answered]),
            "scales": self._whole(whole, tilt, self._around_the_goal(rows, cells), low, high),
        }

    def _around_the_goal(self, rows: pl.DataFrame, cells: _Cells) -> str | None:
        """Say whether who answers before the goal says something else than who does after it."""
        reached = rows["reached"].to_numpy().astype(np.int64)
        goal = " or ".join(self.workspace.journey_map.journey.goal)
        halves = cells.of(reached, 2)
        if not goal or halves["n"].to_numpy().min() < _FEWEST:
            return None
        apart = _apart(_read(halves, "mean"), cells.others(cells.said(), reached, 2), cells)
        if apart.low[0] <= 0 <= apart.high[0]:
            return None
        before, after = (
            f"{rating(row['mean'], row['mean_low'], row['mean_high'])} (n = {decimal(row['n'])})"
            for row in halves.iter_rows(named=True)
        )
        side = "lower" if apart.high[0] < 0 else "higher"
        return (
            f"Who answers before {goal} gives {before} of {cells.scale[1]:g} on {self.name}, "
            f"{side} than who answers after it: {after}"
        )

    def _range(self, given: NDArray[np.float64]) -> tuple[float, float]:
        """Ends of the scale: of the map, or those that were given."""
        declared = {s.name: (s.min, s.max) for s in self.workspace.journey_map.rating_scales}
        return declared.get(self.name, (float(given.min()), float(given.max())))

    def _judged(
        self,
        names: list[str],
        apart: pl.DataFrame,
        cells: _Cells,
        group: NDArray[np.int64],
        tilt: Tilt | None,
    ) -> pl.DataFrame:
        response = apart["response"].to_numpy()
        plain, whole = (
            _apart(_read(apart, name), cells.others(values, group, len(names)), cells)
            for name, values in (("mean", cells.said()), ("weighted", cells.completed))
        )
        verdict = np.sign(plain.low) * (np.sign(plain.low) == np.sign(plain.high))
        # the end of everybody's difference that has to cross 0, at the side of the verdict
        near = np.where(verdict < 0, -whole.high, whole.low)
        either = np.minimum(np.abs(whole.low), np.abs(whole.high))
        margin = np.where(verdict == 0, either, np.maximum(near, 0.0))
        bound = points_to_change(margin, margin, margin, response=response, against=0.0)
        width = cells.scale[1] - cells.scale[0]
        doubtful = tilt is not None and tilt.depends and abs(tilt.off) > _MATTERS * width
        kept = verdict * whole.estimate >= LEAST_KEPT * np.abs(plain.estimate)
        table = apart.with_columns(
            group=pl.Series(names),
            scale=pl.lit(self.name),
            others=numbers(plain.se),
            others_n=pl.col("n").sum() - pl.col("n"),
            verdict=pl.Series(verdict).replace_strict({-1: "lower", 1: "higher"}, default=None),
            bound=numbers(np.where(np.isfinite(bound), bound, np.nan)),
            trusted=pl.Series((kept | (verdict == 0)) & ~doubtful),
        )
        return table.filter(pl.col("n") > 0).select(Perception.tables["table"].names)

    def _spectrum(
        self, names: list[str], group: NDArray[np.int64], given: NDArray[np.float64]
    ) -> pl.DataFrame:
        counted = (
            pl.DataFrame({"cell": group, "answer": given})
            .group_by("cell", "answer")
            .agg(n=pl.len())
            .sort("cell", "answer")
        )
        return counted.select(
            scale=pl.lit(self.name),
            group=pl.Series(names).gather(counted["cell"]),
            answer="answer",
            n="n",
            share=pl.col("n") / pl.col("n").sum().over("cell"),
            answers=pl.col("n").sum().over("cell"),
        )

    def _whole(
        self, whole: pl.DataFrame, tilt: Tilt | None, goal: str | None, low: float, high: float
    ) -> pl.DataFrame:
        ends = (None,) * 3 if tilt is None else (tilt.mean, tilt.mean_low, tilt.mean_high)
        table = whole.with_columns(
            scale=pl.lit(self.name),
            lowest=pl.lit(low),
            highest=pl.lit(high),
            depends=pl.lit(None if tilt is None else tilt.depends, pl.Boolean),
            **{
                f"tilted{end}": pl.lit(value, pl.Float64)
                for end, value in zip(("", "_low", "_high"), ends, strict=True)
            },
        )
        sentence = _who_answers(table.row(0, named=True), tilt)
        said = {"sentence": sentence, "around_goal": goal}
        return table.with_columns(pl.lit(t, pl.String).alias(n) for n, t in said.items()).select(
            Perception.tables["scales"].names
        )


def _who_answers(row: dict[str, Any], tilt: Tilt | None) -> str:
    response = f"{100 * row['response']:.0f} %" if row["response"] >= 0.01 else "fewer than 1 %"
    start = (
        f"{response} of the contacts that could be rated on {row['scale']} were; the mean of these "
        f"answers is {rating(row['mean'], row['mean_low'], row['mean_high'])}"
    )
    if tilt is None:
        return f"{start}; whether answering depends on the rating cannot be told from this log"
    if not tilt.depends:
        return f"{start}; answering does not seem to depend on the rating"
    side = "high" if tilt.off > 0 else "low"
    return (
        f"{start}, and seems too {side}: those who are {'more' if tilt.slope > 0 else 'less'} "
        f"pleased answer more often; if that is all, everybody's mean is "
        f"{rating(tilt.mean, tilt.mean_low, tilt.mean_high)}"
    )


@dataclass(slots=True, eq=False)
class _Cells:
    """Answers and completed ratings, to be summed over groups of contacts."""

    score: NDArray[np.float64]
    answered: NDArray[np.bool_]
    completed: NDArray[np.float64]
    customer: NDArray[np.int64]
    scale: tuple[float, float]

    def of(self, group: NDArray[np.int64], cells: int) -> pl.DataFrame:
        """One row per group: counts, response, mean, weighted mean, top box, net promoter score."""
        at, who, said = (
            group[self.answered],
            self.customer[self.answered],
            self.score[self.answered],
        )

        def count(values: Any = None) -> NDArray[np.float64]:
            return np.bincount(at, values, minlength=cells).astype(np.float64)

        n, contacts = count(), np.bincount(group, minlength=cells)
        size = independent_answers(at, who, said, cells=cells)
        mean = mean_score(n, count(said), count(said**2), scale=self.scale, size=size)
        weighted = mean_of_everybody(
            self.completed, group, self.customer, cells=cells, answers=size
        )
        # weights cost precision, and never buy any
        half = np.maximum(weighted.high - weighted.estimate, (mean.high - mean.low) / 2)
        weighted = Interval(
            weighted.estimate, weighted.estimate - half, weighted.estimate + half, weighted.se
        )
        best = said >= self._best()
        top = top_box(n, count(best), size=independent_answers(at, who, best, cells=cells))
        score = np.where(said >= 9, 1.0, np.where(said <= 6, -1.0, 0.0))
        nps = net_promoter_score(
            *(count(score == s) for s in (-1, 0, 1)),
            size=independent_answers(at, who, score, cells=cells),
        )
        people = np.unique(at * (int(self.customer.max()) + 1) + who) // (
            int(self.customer.max()) + 1
        )
        columns: dict[str, Any] = {
            "n": pl.Series(n, dtype=pl.Float64).cast(pl.UInt32),
            "customers": pl.Series(np.bincount(people, minlength=cells)).cast(pl.UInt32),
            "contacts": pl.Series(contacts).cast(pl.UInt32),
            "response": numbers(divide(n, contacts)),
        }
        for name, interval in (("mean", mean), ("weighted", weighted), ("top", top), ("nps", nps)):
            shown = name != "nps" or self.scale == (0, 10)
            columns |= _three(name, self._within(name, interval), n > 0 if shown else n < 0)
        return pl.DataFrame(columns)

    def _within(self, name: str, interval: Interval) -> Interval:
        if name != "weighted":
            return interval
        low, high = self.scale
        mean, below, above = (
            np.clip(x, low, high) for x in (interval.estimate, interval.low, interval.high)
        )
        return Interval(mean, below, above, interval.se)

    def _best(self) -> float:
        """The lowest answer of the top box: the two best of a long scale, the best of a short."""
        low, high = self.scale
        return high - 1 if high - low >= 4 else high

    def said(self) -> NDArray[np.float64]:
        """Ratings, and NaN for contacts without one."""
        return np.where(self.answered, self.score, np.nan)

    def others(
        self, values: NDArray[np.float64], group: NDArray[np.int64], cells: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of the values outside each group, and half its 95 % interval."""
        told = ~np.isnan(values)
        values, group, who = values[told], group[told], self.customer[told]
        n = np.bincount(group, minlength=cells).astype(np.float64)
        mean = divide(values.sum() - np.bincount(group, values, minlength=cells), n.sum() - n)
        units = float(independent_answers(0 * group, who, values, cells=1)[0])
        se = values.std() / np.sqrt(np.maximum(units * (n.sum() - n) / n.sum(), 1.0))
        return mean, 1.96 * se


def _read(table: pl.DataFrame, name: str) -> Interval:
    mean, low, high = (table[f"{name}{end}"].to_numpy() for end in ("", "_low", "_high"))
    return Interval(mean, low, high, mean)


def _apart(
    own: Interval, others: tuple[NDArray[np.float64], NDArray[np.float64]], cells: _Cells
) -> Interval:
    """Difference of each group from the others (their mean: ``se``); alone: from the middle.

    The squared distances to the near ends add up (Newcombe 1998, method 10).
    """
    alone = np.isnan(others[0])
    mean = np.where(alone, sum(cells.scale) / 2, others[0])
    half = np.where(alone, 0.0, others[1])
    low = own.estimate - mean - np.hypot(own.estimate - own.low, half)
    high = own.estimate - mean + np.hypot(own.high - own.estimate, half)
    return Interval(own.estimate - mean, low, high, np.where(alone, np.nan, mean))


def _three(name: str, interval: Interval, shown: NDArray[np.bool_]) -> dict[str, pl.Series]:
    values = (interval.estimate, interval.low, interval.high)
    return {
        f"{name}{end}": numbers(np.where(shown, value, np.nan))
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def _features(
    rows: pl.DataFrame, places: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the log knows of each contact; and of that, what no survey is sent by."""
    stage = places["stage_index"].cast(pl.Int64)
    goes_on = pl.col("next") < DONE
    ahead = pl.when(goes_on).then(pl.col("next")).cast(pl.UInt32)
    here = pl.col("place").cast(pl.UInt32)
    hours = pl.col("wait") / 3_600e6
    usual = rows["rating"].mean()  # of everybody: within `over` it would be that of the customer
    own, given = pl.col("rating").fill_null(usual) - usual, pl.col("rating").is_not_null()
    others = given.sum().over("customer") - given.cast(pl.Int64)
    told = rows.select(
        left=pl.col("next").is_in([SILENT, LOST]),
        turned=(pl.lit(stage).gather(ahead) < pl.lit(stage).gather(here)).fill_null(False),
        onward=pl.when(goes_on).then(hours.log1p()).otherwise(0.0),
        waited=(pl.col("waited").dt.total_seconds() / 3_600).log1p().fill_null(0.0),
        # drawn to the mean: an answer more or less shall not tell
        elsewhere=(own.sum().over("customer") - own) / (others + 1),
        open=pl.col("next") == OPEN,
        begins=pl.col("previous").is_null(),
        position=pl.col("position").cast(pl.Float64).log1p(),
        reached="reached",
        lost="lost",
        contacts=pl.len().over("customer").cast(pl.Float64).log1p(),
    ).cast(pl.Float64)
    groups = [_one_hot(rows[c]) for c in ("place", "segment", "period")]
    matrix = np.column_stack([told.to_numpy(), *groups])
    return matrix, told.to_numpy()[:, :5]


def _one_hot(codes: pl.Series) -> NDArray[np.float64]:
    """A column for each of the commonest values but the first."""
    common = codes.value_counts(sort=True)[codes.name].to_list()[1:_LEVELS]
    values = codes.to_numpy()
    return np.column_stack([values == c for c in common] or [np.zeros((len(values), 0))]).astype(
        float
    )
