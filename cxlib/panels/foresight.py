"""What could break next, where a snapshot was published with predictions: a section of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from cxlib.errors import WorkspaceError
from cxlib.markup import html_text
from cxlib.panels import texts
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.origin import Origin, day
from cxlib.publish import Snapshot
from cxlib.tables import csv_text

if TYPE_CHECKING:
    from cxlib.prediction import Prediction

__all__ = ["Foresight"]


class Foresight:
    """The section; hidden where the snapshot holds no predictions.

    Predictions are about everybody: no filter of the page changes them, and the section says so.

    Parameters
    ----------
    answers
        What the dashboard shows.

    Attributes
    ----------
    widget
        The section.
    """

    def __init__(self, answers: object) -> None:
        self.words = widgets.HTML()
        self.below = FigureWidget(text=texts.FORESIGHT)
        head = widgets.HTML(f"<h2>{texts.FORESIGHT_HEADING}</h2>")
        self.widget = widgets.VBox([head, self.words, self.below])
        self.widget.add_class("cx-changes")
        found = _predictions(answers)
        if found is None or not isinstance(answers, Snapshot):
            self.widget.layout.display = "none"
            return
        origin = Origin.of(answers.manifest, found.observed_until)
        said = (*found.handoff_sentences, found.customer_sentence)
        self.words.value = "".join(
            [f"<p><small>{texts.FORESIGHT_WHOM}</small></p>"]
            + [f"<p>{html_text(sentence)}</p>" for sentence in said]
        )
        record = found.record_sentences or [texts.FORESIGHT_UNTESTED]
        self.below.write_below(
            lambda: (
                found.columns.written(found.table).to_html(
                    caption=texts.FORESIGHT_TABLE, scrolls=True
                ),
                csv_text(found.table, origin.columns(texts.ALL_CUSTOMERS)),
            ),
            record="".join(f"<li>{html_text(sentence)}</li>" for sentence in record),
            until=day(origin.until),
            days=str(found.horizon.days),
            k=str(origin.k),
        )


def _predictions(answers: object) -> Prediction | None:
    try:
        return answers.predictions() if isinstance(answers, Snapshot) else None
    except WorkspaceError:
        return None
