"""The row of widgets of the notebooks: a measure, for whom, by which channel, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ipywidgets as widgets
import traitlets

from cxlib.errors import CxError
from cxlib.front.showing import Explanation, explain, plot
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.results import Result, of_workspace
from cxlib.segments import dimension_values
from cxlib.store import Workspace
from cxlib.views.shared import words
from cxlib.views.shared.figure_widget import FigureWidget
from cxlib.views.shared.filters import ALL, period_filter, segment_options, select
from cxlib.where import Where


class Exploration(traitlets.HasTraits):
    """A measure that is asked anew at every change of `where`.

    Attributes
    ----------
    where
        The part of the log that is shown; set it, or use the widgets.
    result
        The answer; None where the part has none.
    explanation
        The answer in words, or why there is none.
    """

    where: traitlets.Instance[Where] = traitlets.Instance(Where)
    result: traitlets.Instance[Result | None] = traitlets.Instance(Result, allow_none=True)
    explanation: traitlets.Instance[Explanation] = traitlets.Instance(Explanation)

    def __init__(
        self, workspace: Workspace, ask: Callable[[Where], Result], figure: dict[str, Any]
    ) -> None:
        self._workspace, self._ask, self._options = workspace, ask, figure
        segments = [
            (name, value)
            for name in workspace.segment_names
            for value in dimension_values(workspace.segments, name).unique().sort()
        ]
        periods = workspace.periods
        groups = [(option.label, option.value) for option in segment_options(segments)]
        self.segment = select(words.CUSTOMERS, groups, every=words.ALL_CUSTOMERS, css="cx-segment")
        named, every = [(c, c) for c in workspace.summary().channels], words.ALL_CHANNELS
        self.channel = select(words.CHANNEL, named, every=every, css="cx-channel", hides=True)
        self.period = period_filter(periods.starts, periods.unit)
        self._words = widgets.HTML()
        self._figure = FigureWidget()
        row = widgets.HBox([self.segment, self.channel, self.period])
        row.layout.flex_flow = "row wrap"
        self.widget = widgets.VBox([row, self._words, self._figure])
        super().__init__(where=Where())
        for filter_widget in (self.segment, self.channel, self.period):
            filter_widget.observe(self._chosen, "value")
        self._show()

    def _chosen(self, _: object) -> None:
        """Take the part of the log that the widgets name."""
        starts = self._workspace.periods.starts
        first, last = self.period.value
        following = [*starts[1:], None][last]
        segment = None if self.segment.value == ALL else dict([self.segment.value])
        self.where = Where(
            segment=segment,
            since=None if first == 0 else starts[first],
            until=None if following is None else following - timedelta(days=1),
            channel=None if self.channel.value == ALL else self.channel.value,
        )

    @traitlets.observe("where")
    def _changed(self, _: object) -> None:
        self._show()

    def _show(self) -> None:
        try:
            self.result = self._ask(self.where)
            figure = plot(self.result, **self._options)
        except CxError as error:
            self.result, self.explanation = None, Explanation(str(error))
            self._figure.layout.display = "none"
        else:
            self.explanation = explain(self.result)
            self._figure.draw(figure)
            self._figure.layout.display = None
        self._words.value = self.explanation.to_html()

    def __repr__(self) -> str:
        return str(self.explanation)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Show the widgets where there is someone to use them, and the words everywhere else."""
        shown = self.widget._repr_mimebundle_(**kwargs) or {}
        words = {"text/plain": repr(self), "text/markdown": self.explanation._repr_markdown_()}
        return {**shown, **words}


@of_workspace
def explore(
    workspace: Workspace,
    *,
    measure: Callable[..., Result] = measure_touchpoints,
    figure: dict[str, Any] | None = None,
    **options: Any,
) -> Exploration:
    """Show a measure with a row of widgets: customers, channel, period.

    Parameters
    ----------
    workspace
        The workspace.
    measure
        Any measure that has a figure.
    figure
        Options of the figure, see `cx.plot`.
    options
        Of the measure.

    Returns
    -------
    Exploration
        Shows itself in a notebook; ``result`` is the answer on show.
    """
    return Exploration(
        workspace, lambda where: measure(workspace, where=where, **options), figure or {}
    )
