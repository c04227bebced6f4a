"""Perception: what customers say, where they say it, and how far those who say nothing matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from cxlib.columns import Columns, Count, Customers, Flag, Label, Rating, Tables, Text
from cxlib.numbers import decimal, rating, share
from cxlib.results import Result, answers, numbers, result
from cxlib.sequences import comes_late
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.nonresponse import Tilt, points_to_change, reach_of_silence
from cxlib.statistics.rates import Interval, difference_of_rates
from cxlib.store import Workspace
from cxlib.summary import Selection
from cxlib.surveys import NEARLY_ALL, SAID, Survey, mean_outside, read_surveys

LEAST_KEPT = 0.5
"""Part of a difference that must remain once everybody is asked, as far as the log knows them."""

_DOUBT_THERE = 0.01
"""False discovery rate of the doubt in single groups, beside the 5 % of the whole scale."""

_MATTERS = 0.02
"""Part of a scale's width by which who answers must move the mean, to be worth a doubt."""

HALF_A_POINT = 0.05
"""Part of a scale's width that a verdict has to outlast, and a log to show: half a point of 10."""

_FEWEST = 20

_AROUND_GOAL = (
    "Who answers before {goal} gives {without} of {highest}, {side} than who answers after it: "
    "{with_it}"
)
_LATE = (
    "Whose planned step comes in time gives {without} of {highest}, {side} than whose comes late: "
    "{with_it}"
)


@result
class Perception(Result):
    """What `measure_perception` returns; ``by`` is what the answers are told apart by."""

    scales: pl.DataFrame
    by: str

    title = "What customers say"
    tables = Tables(
        table=Columns(
            "one row per scale and group with an answer, in the order of the journey map",
            group=Label("touchpoint, or what is asked for"),
            **SAID,
            others=Rating("mean of the answers in all other groups", of="others_n", detail=True),
            others_n=Count("these answers", each="ratings", detail=True),
            verdict=Label(
                "of the answers: lower or higher than the others; null: neither", of="others_n"
            ),
            bound=Rating("by which those who did not answer would have to differ to change it"),
            trusted=Flag(
                "no: who answers seems to explain mean or verdict; yes: it does not, and moves the "
                "mean by less than half a point of ten, or that would not change the verdict; "
                "null: this log cannot tell"
            ),
        ),
        scales=Columns(
            "one row per scale, the most used first",
            **SAID,
            lowest=Rating("the scale allows", detail=True),
            highest=Rating("the scale allows", detail=True),
            depends=Flag(
                "whether answering seems to depend on the rating; no: it moves the mean by less "
                "than half a point of ten (95 %); null: this log cannot tell"
            ),
            tilted=Rating("mean of everybody if it depends on the rating alone", interval=True),
            around_goal=Text("answers before the goal against those after it", detail=True),
            around_customers=Customers("who gave the lower of these", detail=True),
            apart=Text(
                "that, and what came late against what came in time, the larger first; one a line",
                detail=True,
            ),
            sentence=Text("who answers", detail=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say what stands out, and how far it can be trusted, scale by scale."""
        return [s for scale in self.scales["scale"] for s in self._of_scale(scale)]

    def _of_scale(self, scale: str) -> list[str]:
        whole = self.scales.filter(pl.col("scale") == scale).row(0, named=True)
        rows = self.table.filter((pl.col("scale") == scale) & pl.col("verdict").is_not_null())
        said = whole["apart"].split("\n") if whole["apart"] else []
        for verdict, falls in (("lower", False), ("higher", True)):
            apart = rows.filter(pl.col("verdict") == verdict)
            weight = (pl.col("mean") - pl.col("others")).abs() * pl.col("n")
            for row in apart.sort(weight, descending=True).head(3 if not falls else 1).to_dicts():
                said.append(_difference(row, whole["highest"]))
        return [*said, *filter(None, [whole["sentence"]])]


def _difference(row: dict[str, Any], highest: float) -> str:
    doubt = ""
    if not row["trusted"]:
        doubt = (
            f"; who answers may explain it: {rating(row['bound'])} points more or less of those "
            f"who did not would change it, and everybody might say {rating(row['weighted'])}"
        )
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
    the rating, and by late answers. `bound` needs no such assumption: by how many points those who
    did not answer would have to differ from their like for another verdict. A verdict stands among
    all groups of its scale (false discovery rate 5 %); it is `trusted` where nothing speaks against
    it, and half a point of ten (a twentieth of the scale) would not change it, or would have been
    noticed.

    Parameters
    ----------
    by
        "touchpoint", "stage", "transition", "channel", "owner", "period" or "promise" (what was
        planned: in time, or late); or the name of a segment or an environment of the log, as
        ``segment.NAME`` or ``environment.NAME`` where it is called like one of these.
    scale
        One scale only; None: each of them, apart.
    where
        Segment, periods and channel of the contact.

    Raises
    ------
    NotMeasurableError, UnknownNameError
        When the log has no ratings; for a scale, or a name in `by`, that the log does not have.
    """
    asked: dict[str, Any] = {"by": by, "scale": scale, "where": where}

    def read() -> Perception:
        names, surveys = read_surveys(workspace, **asked)
        found = [_Verdicts(survey) for survey in surveys]
        tables = Perception.tables
        return Perception(
            table=tables["table"].frame(r for v in found for r in v.groups(names).to_dicts()),
            scales=tables["scales"].frame(v.whole() for v in found),
            by=by,
        )

    # backlog and snapshots ask for the same
    return workspace.keep(f"perception {asked}", workspace.log_folder / "ratings.parquet", read)


@dataclass(slots=True, eq=False)
class _Verdicts:
    """What is said of each group on one scale, against the others."""

    survey: Survey

    def groups(self, names: list[str]) -> pl.DataFrame:
        """Return the rows of ``table``."""
        survey, cells = self.survey, self.survey.cells(self.survey.group, len(names))
        plain, others = self._apart(cells, "mean", survey.score, survey.group)
        whole, _ = self._apart(cells, "weighted", survey.completed, survey.group)
        side = np.sign(plain.estimate)
        near = np.where(side > 0, plain.low, -plain.high)
        # the interval is not symmetric: what counts is its end towards none
        p = p_values(plain.estimate, (np.abs(plain.estimate) - near) / 1.96)
        verdict = side * (false_discovery_rate(np.where(cells["n"] > 0, p, np.nan)) <= 0.05)
        # the end of everybody's difference that has to cross 0, at the side of the verdict
        near = np.where(verdict < 0, -whole.high, whole.low)
        either = np.minimum(np.abs(whole.low), np.abs(whole.high))
        response = cells["response"].to_numpy()
        margin = np.where(verdict == 0, either, np.maximum(near, 0.0))
        bound = points_to_change(margin, response)
        kept = verdict * whole.estimate >= LEAST_KEPT * np.abs(plain.estimate)
        sure = bound > survey.width  # no answer could change it
        doubted = ~sure & (self._doubted(cells) | ((verdict != 0) & ~kept))
        half = HALF_A_POINT * survey.width
        outlasts = (verdict != 0) & (margin >= half)
        few_silent = self._reach(response) <= half
        told = pl.Series(outlasts | few_silent | (self.depends is not None) | doubted)
        return cells.with_columns(
            group=pl.Series(names),
            others=numbers(others),
            others_n=pl.col("n").sum() - pl.col("n"),
            verdict=pl.Series(verdict).replace_strict({-1: "lower", 1: "higher"}, default=None),
            bound=numbers(np.where(np.isfinite(bound), bound, np.nan)),
            trusted=pl.Series(~doubted).set(~told, None),
        ).filter(pl.col("n") > 0)

    @property
    def depends(self) -> bool | None:
        """Whether answering depends on the rating; None where half a point could go unseen."""
        tilt, half = self.survey.tilt, HALF_A_POINT * self.survey.width
        if tilt is not None and (tilt.depends or tilt.at_most <= half):
            return tilt.depends
        return False if self._reach(self.survey.answered.mean()) <= half else None

    def _reach(self, response: ArrayLike) -> NDArray[np.float64]:
        """How far the silent can move a mean; answers may be more alike than all ratings are."""
        spread = float(self.survey.score[self.survey.answered].std())
        return reach_of_silence(max(spread, self.survey.width / 4), response)

    def _doubted(self, cells: pl.DataFrame) -> NDArray[np.bool_]:
        """Of which groups who answers seems to move the mean, everywhere or there."""
        survey, tilt = self.survey, self.survey.tilt
        if tilt is None:
            return np.zeros(len(cells), dtype=np.bool_)
        off, q = tilt.by_cell(survey.group, survey.customer, survey.answered, cells=len(cells))
        if tilt.source != "journeys":
            off = np.where(np.isnan(off), off, tilt.off)
        seen: NDArray[np.bool_] = (q <= _DOUBT_THERE) | tilt.depends
        return seen & (np.abs(off) > _MATTERS * survey.width)

    def _apart(
        self,
        cells: pl.DataFrame,
        name: str,
        values: NDArray[np.float64],
        group: NDArray[np.int64],
    ) -> tuple[Interval, NDArray[np.float64]]:
        """Difference of each group from the others, and their mean; alone: from the middle."""
        survey = self.survey
        others, half = mean_outside(values, group, survey.customer, cells=len(cells))
        mean = np.where(np.isnan(others), sum(survey.ends) / 2, others)
        half = np.where(np.isnan(others), 0.0, half)
        own, low, high = (cells[f"{name}{end}"].to_numpy() for end in ("", "_low", "_high"))
        found = difference_of_rates((own, low, high), (mean, mean - half, mean + half))
        return Interval(*found, half), others

    def whole(self) -> dict[str, Any]:
        """Return the row of ``scales``."""
        survey, tilt = self.survey, self.survey.tilt
        row: dict[str, Any] = survey.cells(np.zeros(len(survey.rows), dtype=np.int64), 1).row(
            0, named=True
        )
        row |= {"lowest": survey.ends[0], "highest": survey.ends[1]}
        row["depends"] = self.depends
        # everybody's mean if answering depends on the rating alone is often hardly known
        if tilt is not None and tilt.mean_high - tilt.mean_low <= survey.width / 2:
            row |= {"tilted": tilt.mean, "tilted_low": tilt.mean_low}
            row |= {"tilted_high": tilt.mean_high}
        said = survey.rows["journey"].filter(pl.Series(survey.answered)).n_unique()
        rated = said / survey.rows["journey"].n_unique()
        return row | {"sentence": _who_answers(row, tilt, rated)} | self._halves()

    def _halves(self) -> dict[str, Any]:
        """Say where answers before the goal, or to what came late, lie apart from the others."""
        workspace, rows = self.survey.workspace, self.survey.rows
        late = self._half(comes_late(workspace).gather(rows["row"]), _LATE)
        goal = workspace.journey_map.journey.goal
        reached = self._half(rows["reached"], _AROUND_GOAL) if goal else None
        told = sorted(filter(None, (late, reached)), reverse=True)
        row: dict[str, Any] = {"apart": "\n".join(text for _, text, _ in told) or None}
        if reached is not None:
            row |= {"around_goal": reached[1], "around_customers": reached[2]}
        return row

    def _half(self, flag: pl.Series, words: str) -> tuple[float, str, int] | None:
        """Points between answers without and with a flag, the words, and who gave the lower."""
        survey = self.survey
        halves = survey.cells(flag.cast(pl.Int64).fill_null(2).to_numpy(), 3).head(2)
        if halves["n"].to_numpy().min() < _FEWEST:
            return None
        one, other = halves.select("mean", "mean_low", "mean_high").rows()
        apart, low, high = (float(x) for x in difference_of_rates(one, other))
        if low <= 0 <= high or abs(apart) < HALF_A_POINT * survey.width:
            return None
        without, with_it = (
            f"{rating(row['mean'], row['mean_low'], row['mean_high'])} (n = {decimal(row['n'])})"
            for row in halves.iter_rows(named=True)
        )
        text = words.format(
            goal=" or ".join(survey.workspace.journey_map.journey.goal),
            without=without,
            highest=f"{survey.ends[1]:g} on {survey.scale}",
            side="lower" if apart < 0 else "higher",
            with_it=with_it,
        )
        return abs(apart), text, halves["customers"][int(apart > 0)]


def _who_answers(row: dict[str, Any], tilt: Tilt | None, rated: float) -> str:
    """Say who answers; ``rated``: share of the journeys that could be rated which were."""
    mean = rating(row["mean"], row["mean_low"], row["mean_high"])
    if row["n"] == row["contacts"]:
        return f"All contacts that could be rated on {row['scale']} were; their mean is {mean}"
    if rated >= NEARLY_ALL:
        return (
            f"{share(rated)} of the journeys that could be rated on {row['scale']} were; the mean "
            f"of these answers is {mean}, which the few others can hardly move; at which contact "
            "of the journey customers answer may still go with the rating"
        )
    response = f"{100 * row['response']:.0f} %" if row["response"] >= 0.01 else "fewer than 1 %"
    start = (
        f"{response} of the contacts that could be rated on {row['scale']} were; the mean of these "
        f"answers is {mean}"
    )
    if row["depends"] is None:
        return f"{start}; whether answering depends on the rating cannot be told from this log"
    if not row["depends"]:
        if tilt is None or tilt.at_most > HALF_A_POINT * (row["highest"] - row["lowest"]):
            return f"{start}, which the few others can hardly move"
        return (
            f"{start}; answering does not seem to depend on the rating: the mean is at most "
            f"{rating(tilt.at_most)} points off for it"
        )
    assert tilt is not None
    side, who = ("high", "more") if tilt.off > 0 else ("low", "less")
    how = "answer more often" if tilt.source == "journeys" else "answer sooner"
    said = f"{start}, and seems too {side}: those who are {who} pleased {how}"
    if "tilted" not in row:
        return f"{said}; what everybody would say cannot be told"
    everybody = rating(row["tilted"], row["tilted_low"], row["tilted_high"])
    return f"{said}; if that is all, everybody's mean is {everybody}"
