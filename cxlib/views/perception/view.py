"""What customers say: the weakest touchpoint, the curve, the spectrum, and who is not heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
from markupsafe import Markup

from cxlib.contracts import DIMENSION
from cxlib.errors import WorkspaceError
from cxlib.figures import plot_experience_curve, plot_spectrum
from cxlib.measures.comments import ANY, EVERYWHERE
from cxlib.measures.loyalty import EVERYBODY, RETURN
from cxlib.numbers import day, decimal, plural, rating, scale_name, share, spelled
from cxlib.signals import signal_named
from cxlib.views.perception import words
from cxlib.views.shared.filters import ALL, Filter, Option, names, segment
from cxlib.views.shared.parts import Figure, Words, heading
from cxlib.views.shared.tables import Cell, html_table
from cxlib.views.shared.view import View

LEAST_SHOWN = 0.9
"""Part of a touchpoint's answers that must be published for its spectrum to be drawn."""


MOST_DRIVERS, MOST_TOPICS, MOST_GROUPS = 8, 12, 8
"""Drivers of one outcome, and topics, that are shown; of the others is said how many they are.
Groups that come back more or less often."""

COMES_BACK = 90
"""Days within which to come back; the next fewer that are known, where the log is shorter."""


class Perceived(View):
    """Which touchpoints are rated lower than the others, and how far that can be trusted."""

    filters = (
        segment(),
        Filter(
            trait="scale",
            label=words.SCALE,
            options=lambda view: (
                names({scale: scale_name(scale) for scale in view.scales}) or [Option("", "", ALL)]
            ),
        ),
    )
    parts = (
        heading(
            words.CURVE.name,
            name="curve_heading",
            shown=lambda view: _any(view.curve),
            painted=False,
        ),
        Figure(
            name="curve",
            css="cx-curve",
            text=words.CURVE,
            shown=lambda view: _any(view.curve),
            draw=lambda view: plot_experience_curve(view.curve, title=""),
            data=lambda view: view.written(view.curve, caption=words.CURVE_DATA),
        ),
        heading(
            words.SPECTRUM.name,
            name="spectrum_heading",
            shown=lambda view: _any(view.spread),
            painted=False,
        ),
        Figure(
            name="spectrum",
            text=words.SPECTRUM,
            shown=lambda view: _any(view.spread),
            draw=lambda view: plot_spectrum(view.spread, title=""),
            data=lambda view: view.written(view.spread, caption=words.SPECTRUM_DATA),
        ),
        Words(name="table", template="perception/table.html"),
        Words(name="dips", template="perception/dips.html"),
        Words(name="drivers", template="perception/drivers.html"),
        Words(name="loyalty", template="perception/loyalty.html"),
        Words(name="topics", template="perception/topics.html"),
    )

    @property
    def scales(self) -> list[str]:
        """The published scales, the most used first."""
        everybody = self._published("perception", None)
        return [] if everybody is None else everybody.scales["scale"].to_list()

    @property
    def curve(self) -> Any:
        """The curve of what is selected; None: there are no ratings."""
        return self._told("experience_curve")

    @property
    def spread(self) -> Any:
        """The spectrum of what is selected, where nearly all answers of a touchpoint are shown."""
        found = self._told("spectrum")
        if found is None:
            return None
        shown = pl.col("n").sum().over("group") >= LEAST_SHOWN * pl.col("answers")
        return replace(found, table=found.table.filter(shown))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is said of each touchpoint that has a mean to be shown."""
        found = self._told("perception")
        return [] if found is None else found.table.to_dicts()

    @property
    def whole(self) -> dict[str, Any] | None:
        """What is said of all touchpoints together; None: too little to be shown."""
        found = self._published("perception", self.state.segment)
        if found is None:
            return None
        return next((r for r in found.scales.to_dicts() if r["scale"] == self.state.scale), None)

    def headline(self) -> str:
        """Say which touchpoint pulls the ratings down most, or why that cannot be said."""
        said, basis = self._answer()
        return self.sentence(title=words.TITLE, said=said, basis=basis)

    def _answer(self) -> tuple[str, str]:
        whole, until, scale = self.whole, day(self.until), scale_name(self.state.scale)
        if whole is None:
            said = words.NONE_HERE.format(scale=scale) if scale else words.NO_RATINGS
            return said, words.UNTIL.format(until=until)
        counted = words.COUNTED if whole["mean"] is None else words.WHOLE
        of_all = counted.format(
            n=plural(whole["n"], "answer"), mean=_mean(whole), response=share(whole["response"])
        )
        lower = [r for r in self.rows if r["verdict"] == "lower" and r["others"] is not None]
        clear = [row for row in lower if row["trusted"]] or lower
        if not clear:
            said = words.ALIKE if len(self.rows) > 1 else words.TOO_FEW
            doubted = len(self.rows) > 1 and all(row["trusted"] is False for row in self.rows)
            of_all += words.UNTRUSTED if doubted else ""
            return said.format(scale=scale), words.BASIS.format(said=of_all, until=until)
        # the points that its answers lack: a touchpoint that few rate pulls little down
        row = max(clear, key=lambda row: (row["others"] - row["mean"]) * row["n"])
        said = (words.WEAKEST if row["trusted"] else words.DOUBTED).format(
            group=row["group"],
            mean=_mean(row),
            highest=decimal(whole["highest"]) if whole["highest"] is not None else words.UNKNOWN,
            scale=scale,
            others=rating(row["others"]),
        )
        there = words.ANSWERS.format(n=plural(row["n"], "answer"), response=share(row["response"]))
        return said, words.BASIS.format(said=there + of_all, until=until)

    @property
    def rating_findings(self) -> list[dict[str, Any]] | None:
        """The findings that ratings tell of; None where nothing is known of them."""
        try:
            bands = self.ask("findings", segment=self.state.segment).bands.to_dicts()
        except WorkspaceError:
            return None
        rated = (r for r in bands if r["sentence"] and signal_named(r["signal"]).family == "rating")
        return None if self.whole is None else list(rated)

    @property
    def by_touchpoint(self) -> str:
        """What is said of each touchpoint, and how far it can be trusted."""
        found = self._told("perception")
        if not _any(found):
            return ""
        scored = any(row.get("nps") is not None for row in self.rows)
        cells = {name: cell for name, cell in _CELLS.items() if name != "nps" or scored}
        return _table(found, cells, words.TABLE, words.HEADINGS)

    @property
    def _drivers(self) -> Any:
        """What goes with the answers on the selected scale, and with coming back."""
        found = self._published("drivers", None)
        if found is None:
            return None
        others = pl.col("outcome").is_in([s for s in self.scales if s != self.state.scale])
        return replace(found, table=found.table.filter(~others & pl.col("share").is_not_null()))

    @property
    def by_driver(self) -> str:
        """What goes with it, kinds of contact side by side."""
        found = self._drivers
        if not _any(found):
            return ""
        table = found.table.filter(pl.col("share") > 0)
        shown = table.group_by("outcome", maintain_order=True).head(MOST_DRIVERS)
        rest = found.table.join(shown, on=["outcome", "driver"], how="anti", maintain_order="left")
        told = [
            words.DRIVERS_REST.format(
                outcome=scale_name(outcome), n=len(part), most=share(part["share_high"].max())
            )
            for (outcome,), part in rest.group_by("outcome", maintain_order=True)
        ]
        caption = " ".join([words.DRIVERS, *told])
        return _table(replace(found, table=shown), _DRIVER_CELLS, caption, words.DRIVER_HEADINGS)

    @property
    def drivers_note(self) -> str:
        """How much all drivers go with the selected scale."""
        here = self._drivers.table.filter(pl.col("outcome") == self.state.scale)["r2"].drop_nulls()
        told = share(here[0]) if len(here) else words.UNKNOWN
        return words.DRIVERS_NOTE.format(r2=told, scale=scale_name(self.state.scale))

    @property
    def comes_back(self) -> tuple[str, str]:
        """How many come back, in words, and the groups that clearly differ, as a table."""
        found = self._published("loyalty", None)
        if found is None:
            return "", ""
        known = pl.col("share").is_not_null() & (pl.col("outcome") == RETURN)
        rows = found.table.filter(known & (pl.col("days") <= COMES_BACK))
        whole = rows.filter(pl.col("by") == EVERYBODY).sort("days").tail(1).to_dicts()
        if not whole:
            return "", ""
        told = {"share": _part(whole[0]), "days": whole[0]["days"]}
        differs = (pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)
        clear = rows.filter((pl.col("days") == told["days"]) & differs)
        clear = clear.sort(
            pl.col("difference").abs(), "by", "group", descending=[True, False, False]
        )
        shown = replace(found, table=clear.head(MOST_GROUPS))
        if not _any(shown):
            return words.LOYALTY_ALIKE.format(**told), ""
        said, titles = words.LOYALTY.format(**told), words.LOYALTY_HEADINGS
        return said, _table(shown, _LOYALTY_CELLS, said, titles)

    @property
    def by_topic(self) -> str:
        """What is written about, how pleased, and where more than elsewhere."""
        found = self._published("comments", None)
        if found is None:
            return ""
        known = pl.col("n").is_not_null() & pl.col("share").is_not_null()
        topics = found.table.filter((pl.col("topic") != ANY) & known)
        whole = topics.filter(pl.col("group") == EVERYWHERE).sort("n", descending=True)
        there = whole.select("language", "topic", usual="share_high")
        more = topics.join(there, on=["language", "topic"]).filter(
            (pl.col("group") != EVERYWHERE) & (pl.col("share_low") > pl.col("usual"))
        )
        most = more.sort("share_low", "group", descending=[True, False]).unique(
            ["language", "topic"], keep="first"
        )
        most = most.select("language", "topic", at="group")
        placed = whole.join(most, on=["language", "topic"], how="left", maintain_order="left")
        shown = placed.with_columns(group=pl.col("at").fill_null(words.UNKNOWN)).drop("at")
        if shown.is_empty():
            return ""
        rarer = len(shown) - MOST_TOPICS
        caption = words.TOPICS + (words.TOPICS_REST.format(n=rarer) if rarer > 0 else "")
        shown = shown.head(MOST_TOPICS)
        # a column in which nothing could be published says nothing
        empty = {"sentiment"} if shown["sentiment"].is_null().all() else set()
        cells = {name: cell for name, cell in _TOPIC_CELLS.items() if name not in empty}
        return _table(replace(found, table=shown), cells, caption, words.TOPIC_HEADINGS)

    def _told(self, name: str) -> Any:
        """Return an answer for what is selected, of rows with figures on the scale selected."""
        found = self._published(name, self.state.segment)
        if found is None:
            return None
        figure = "mean" if "mean" in found.table.columns else "n"
        there = (pl.col("scale") == self.state.scale) & pl.col(figure).is_not_null()
        return replace(found, table=found.table.filter(there))

    def _published(self, name: str, chosen: tuple[str, str] | None) -> Any:
        """Return a published answer; None: the log has no ratings, or it is an older snapshot."""
        if name not in self.answers.manifest.get("measures", ()):
            return None
        return self.ask("table", measure=name, segment=chosen)


def _table(
    found: Any, cells: Mapping[str, Cell | None], caption: str, headings: Mapping[str, str]
) -> str:
    return Markup(html_table(found.table, found.columns, cells, caption=caption, headings=headings))


def _any(result: Any) -> bool:
    return result is not None and len(result.table) > 0


def _mean(row: dict[str, Any]) -> str:
    return rating(row["mean"], row["mean_low"], row["mean_high"])


def _nps(row: Mapping[str, Any]) -> str:
    values = [row["nps"], row["nps_low"], row["nps_high"]]
    if None in values:
        return words.UNKNOWN
    score, low, high = (decimal(round(value) + 0) for value in values)
    return words.NPS_WITHIN.format(score=score, low=low, high=high)


_CELLS: dict[str, Cell | None] = dict.fromkeys(
    ("group", "mean", "nps", "n", "response", "verdict", "bound", "trusted")
) | {
    "nps": _nps,
    "verdict": lambda row: row["verdict"] or words.NEITHER,
}


def _way(row: Mapping[str, Any]) -> str:
    low, high = row["slope_low"], row["slope_high"]
    clear = low is not None and (low > 0 or high < 0)
    return words.WAYS[low > 0 if clear else None]


def _part(row: Mapping[str, Any]) -> str:
    """A share; rounded to nothing, what it may be at most."""
    if row["share"]:
        return share(row["share"], row["share_low"], row["share_high"])
    return words.UP_TO.format(share=share(row["share_high"]))


_DRIVER_CELLS: dict[str, Cell | None] = {
    "outcome": lambda row: scale_name(row["outcome"]),
    "driver": None,
    "share": _part,
    "slope": _way,
    "n": None,
}
_LOYALTY_CELLS: dict[str, Cell | None] = {
    "by": lambda row: spelled(row["by"].removeprefix(DIMENSION).removeprefix("rating.")),
    "group": None,
    "n": None,
    "share": _part,
    "difference": None,
}
_TOPIC_CELLS: dict[str, Cell | None] = dict.fromkeys(
    ("topic", "language", "n", "share", "sentiment", "group")
) | {"share": _part}

VIEW = Perceived
