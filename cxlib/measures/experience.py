"""How it feels along the journey: the curve, the spectrum of answers, and channels side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Chance, Columns, Count, Customers, Label, Level, Rating, Share, Tables
from cxlib.numbers import decimal, rating, share
from cxlib.results import Result, answers, interval_row, numbers, result
from cxlib.statistics.multiple_testing import false_discovery_rate, gap_of_means, heterogeneity
from cxlib.statistics.rates import difference_of_rates
from cxlib.statistics.scores import share_of_group
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.surveys import CLASSES, SAID, Survey, rating_class, read_surveys

FEWEST = 5
"""Customers a channel needs to be compared with others."""


@result
class ExperienceCurve(Result):
    """What `measure_experience_curve` returns."""

    title = "How it feels along the journey"
    tables = Tables(
        table=Columns(
            "one row per scale and touchpoint with an answer, in the order of the journey map",
            stage=Label("of the touchpoint"),
            touchpoint=Label("with its channel where it has several"),
            **SAID,
            change=Rating("from the touchpoint before on the curve", interval=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say where each curve is lowest and highest, and its clear steps up and down."""
        said = []
        for (scale,), rows in self.table.group_by("scale", maintain_order=True):
            lowest, highest = (rows.sort("mean").row(i, named=True) for i in (0, -1))
            if lowest["touchpoint"] == highest["touchpoint"]:
                said.append(f"{scale}: rated at one touchpoint only, {_place(lowest)}")
                continue
            if lowest["mean"] == highest["mean"]:
                said.append(f"{scale}: the same at all {len(rows)} touchpoints, {_place(lowest)}")
                continue
            near = lowest["mean_high"] >= highest["mean_low"]
            doubt = "; by chance alone, it may be" if near else ""
            said.append(f"{scale}: lowest at {_place(lowest)}, highest at {_place(highest)}{doubt}")
            clear = rows.filter((pl.col("change_high") < 0) | (pl.col("change_low") > 0))
            for row in clear.sort(pl.col("change").abs(), descending=True).head(2).to_dicts():
                ends = sorted(abs(row[f"change_{end}"]) for end in ("low", "high"))
                way = "down" if row["change"] < 0 else "up"
                step = rating(abs(row["change"]), *ends)
                said.append(f"{scale}: {way} by {step} at {row['touchpoint']}")
        return said


def _place(row: dict[str, Any]) -> str:
    mean = rating(row["mean"], row["mean_low"], row["mean_high"])
    return f"{row['touchpoint']} ({mean}, n = {decimal(row['n'])})"


@answers(ExperienceCurve)
def measure_experience_curve(
    workspace: Workspace, *, scale: str | None = None, where: Selection | None = None
) -> ExperienceCurve:
    """Measure how the journey feels, touchpoint by touchpoint in the order of the map.

    ``change`` is the step from the touchpoint before that was rated on the scale; its interval
    takes the two means as independent, which is too wide where the same customers rate both.
    ``ridit`` tells where a touchpoint stands among the answers of its scale, so that curves of
    several scales can be laid over one another.

    Parameters
    ----------
    scale
        One scale only; None: each of them, apart.
    where
        Segment, periods and channel of the contact.

    Raises
    ------
    NotMeasurableError, UnknownNameError
        When the log has no ratings; for a scale that the log does not have.
    """
    names, surveys = read_surveys(workspace, scale=scale, where=where)
    stages = workspace.places["stage"]
    rows: list[dict[str, Any]] = []
    for survey in surveys:
        place = dict(zip(survey.group.tolist(), survey.rows["place"], strict=True))
        cells = survey.cells(survey.group, len(names)).with_columns(
            touchpoint=pl.Series(names),
            stage=pl.Series([stages[place[i]] if i in place else None for i in range(len(names))]),
        )
        cells = cells.filter(pl.col("n") > 0)
        means = cells.select("mean", "mean_low", "mean_high").to_numpy().T
        step = difference_of_rates(tuple(means[:, 1:]), tuple(means[:, :-1]))
        columns = zip(("change", "change_low", "change_high"), step, strict=True)
        rows += cells.with_columns(
            numbers(np.append(np.nan, values)).alias(name) for name, values in columns
        ).to_dicts()
    return ExperienceCurve(table=ExperienceCurve.tables["table"].frame(rows))


@result
class Spectrum(Result):
    """What `measure_spectrum` returns; ``by`` is what the answers are told apart by."""

    by: str

    title = "From dislike to like"
    tables = Tables(
        table=Columns(
            "one row per scale, group and answer that was given, from dislike to like",
            scale=Label("of the ratings"),
            group=Label("touchpoint, or what is asked for"),
            answer=Level("the rating; of classes the lowest of each"),
            side=Label("low, middle or high of the scale"),
            n=Count("times it was given", each="ratings"),
            customers=Customers("who gave it", detail=True),
            share=Share("of the group's answers", of="n", total="answers", interval=True),
            up_to=Share("of the group's answers that are this or lower", of="answers"),
            answers=Count("of the group", each="ratings", detail=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say scale by scale how many dislike and like it, and where most dislike it."""
        said = []
        for (scale,), rows in self.table.group_by("scale", maintain_order=True):
            side = rows.group_by("group", maintain_order=True).agg(
                pl.col("n").sum(),
                **{c: pl.col("n").filter(pl.col("side") == c).sum() for c in CLASSES},
            )
            n, low, high = (int(side[c].sum()) for c in ("n", "low", "high"))
            said.append(
                f"{scale}: {share(low / n)} of {decimal(n)} answers are low, {share(high / n)} high"
            )
            enough = side.filter(pl.col("n") >= 20)
            if len(enough) > 1 and low:
                most = enough.sort(pl.col("low") / pl.col("n"), descending=True).row(0, named=True)
                said[-1] += (
                    f"; most low ones at {most['group']} ({share(most['low'] / most['n'])} of "
                    f"{decimal(most['n'])})"
                )
        return said


@answers(Spectrum)
def measure_spectrum(
    workspace: Workspace,
    *,
    by: str = "touchpoint",
    scale: str | None = None,
    classes: bool = False,
    where: Selection | None = None,
) -> Spectrum:
    """Measure how answers spread from dislike to like: a mean hides who loves and who hates it.

    Parameters
    ----------
    by
        What answers are told apart by, as in `measure_perception`.
    scale
        One scale only; None: each of them, apart.
    classes
        Low, middle and high answers together instead of each answer by itself.
    where
        Segment, periods and channel of the contact.

    Raises
    ------
    NotMeasurableError, UnknownNameError
        When the log has no ratings; for a scale, or a name in `by`, that the log does not have.
    """
    names, surveys = read_surveys(workspace, by=by, scale=scale, where=where)
    return Spectrum(
        table=Spectrum.tables["table"].frame(
            r for s in surveys for r in _spread(s, names, classes)
        ),
        by=by,
    )


def _spread(survey: Survey, names: list[str], classes: bool) -> Iterator[dict[str, Any]]:
    said = survey.answered
    group, score, who = survey.group[said], survey.score[said], survey.customer[said]
    low, high = survey.ends
    side = rating_class(score, low=low, high=high)
    if classes:
        score = np.array([score[side == s].min(initial=np.inf) for s in range(len(CLASSES))])[side]
    for cell in np.unique(group):
        mine = group == cell
        people, own, n, below = who[mine], score[mine], int(mine.sum()), 0
        for answer in np.unique(own):
            given = own == answer
            below += int(given.sum())
            yield {
                "scale": survey.scale,
                "group": names[cell],
                "answer": float(answer),
                "side": CLASSES[side[mine][given][0]],
                "n": int(given.sum()),
                "customers": len(np.unique(people[given])),
                **interval_row("share", share_of_group(given, people)),
                "up_to": below / n,
                "answers": n,
            }


@result
class Consistency(Result):
    """What `measure_consistency` returns."""

    title = "The same in every channel?"
    tables = Tables(
        table=Columns(
            "one row per scale and touchpoint or stage rated in several channels, the clearest "
            "first",
            scale=Label("of the ratings"),
            level=Label("touchpoint or stage"),
            name=Label("of the touchpoint or stage"),
            n=Count("answers", each="ratings"),
            customers=Customers("who gave them", detail=True),
            channels=Count("compared: those with enough customers"),
            lowest=Label("the channel that is rated lowest", of="lowest_n"),
            lowest_n=Count("answers there", each="ratings"),
            highest=Label("the channel that is rated highest", of="highest_n"),
            highest_n=Count("answers there", each="ratings"),
            gap=Rating("between the means of these two", of="n", each="ratings", interval=True),
            spread=Rating("of the channels' true means, beyond chance (standard deviation)"),
            p=Chance("of such differences where all channels are alike"),
            q=Chance("false discovery rate"),
        ),
    )

    def sentences(self) -> list[str]:
        """Say where channels clearly differ."""
        clear = self.table.filter(pl.col("q") <= 0.05).head(4)
        if self.table.is_empty():
            return [
                "Nothing to compare: no touchpoint or stage was rated in two channels by at least "
                f"{FEWEST} customers each"
            ]
        if clear.is_empty():
            return [
                "No touchpoint or stage is clearly rated otherwise in one channel than in another "
                f"({decimal(len(self.table))} compared)"
            ]
        return [
            f"{row['name']}: {row['highest']} is rated "
            f"{rating(row['gap'], row['gap_low'], row['gap_high'])} points higher than "
            f"{row['lowest']} on {row['scale']} (n = {decimal(row['highest_n'])} and "
            f"{decimal(row['lowest_n'])}, q = {row['q']:.2g})"
            for row in clear.to_dicts()
        ]


@answers(Consistency)
def measure_consistency(
    workspace: Workspace, *, scale: str | None = None, where: Selection | None = None
) -> Consistency:
    """Measure the gap between channels: whether the same touchpoint or stage feels alike in each.

    Channels are compared where at least five customers rated each of two. `gap_low` allows for
    the choice of the two that lie farthest apart, and is 0 where the gap may be chance.

    Parameters
    ----------
    scale
        One scale only; None: each of them, apart.
    where
        Segment and periods of the contact.

    Raises
    ------
    NotMeasurableError, UnknownNameError
        When the log has no ratings; for a scale that the log does not have.
    """
    names, surveys = read_surveys(workspace, by="channel", scale=scale, where=where)
    rows = [row for survey in surveys for row in _compare_channels(survey, names)]
    q = false_discovery_rate([row["p"] for row in rows])
    found = [row | {"q": float(value)} for row, value in zip(rows, q, strict=True)]
    found.sort(key=lambda row: (row["p"], row["scale"], row["level"], row["name"]))
    return Consistency(table=Consistency.tables["table"].frame(found))


def _compare_channels(survey: Survey, channels: list[str]) -> Iterator[dict[str, Any]]:
    places = survey.workspace.places
    place = survey.rows["place"].cast(pl.UInt32)
    for level in ("touchpoint", "stage"):
        names = places[level].unique(maintain_order=True).to_list()
        number = places[level].replace_strict(names, range(len(names)), return_dtype=pl.Int64)
        here = number.gather(place).to_numpy()
        both = survey.cells(here * len(channels) + survey.group, len(names) * len(channels))
        for i, name in enumerate(names):
            cells = both.slice(i * len(channels), len(channels))
            cells = cells.with_columns(channel=pl.Series(channels)).filter(
                pl.col("customers") >= FEWEST
            )
            if len(cells) < 2:
                continue
            mean, units = (cells[c].to_numpy().astype(float) for c in ("mean", "customers"))
            se = (cells["mean_high"] - cells["mean_low"]).to_numpy() / (2 * 1.96)
            p, spread = heterogeneity(mean, se, units)
            low, high = (cells.row(int(x), named=True) for x in (mean.argmin(), mean.argmax()))
            yield {
                "scale": survey.scale,
                "level": level,
                "name": name,
                "n": int(cells["n"].sum()),
                "customers": len(np.unique(survey.customer[(here == i) & survey.answered])),
                "channels": len(cells),
                "lowest": low["channel"],
                "lowest_n": low["n"],
                "highest": high["channel"],
                "highest_n": high["n"],
                "p": p,
                "spread": spread,
                **interval_row("gap", gap_of_means(mean, se, units)),
            }
