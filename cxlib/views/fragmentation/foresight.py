"""What could break next, where a snapshot was published with predictions: a section of words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.numbers import day
from cxlib.publish import Snapshot
from cxlib.views.fragmentation import words
from cxlib.views.shared.parts import Figure, Group, Words
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.prediction import Prediction


def foresight_section() -> Group:
    """Say what could break next; not there where the snapshot holds no predictions.

    Predictions are about everybody: no filter of the page changes them, and the section says so.
    """
    return Group(
        name="foresight",
        css="cx-changes",
        painted=False,
        shown=lambda view: _predictions(view.answers) is not None,
        parts=(
            Words(
                name="foresight_words",
                on=(),
                write=lambda view: render(
                    "fragmentation/foresight.html", found=_predictions(view.answers)
                ),
            ),
            Figure(
                name="foresight_below", on=(), text=words.FORESIGHT, data=_table, filled=_filled
            ),
        ),
    )


@lru_cache(maxsize=4)
def _predictions(answers: Any) -> Prediction | None:
    """Return what was published; None where there is nothing."""
    try:
        return answers.predictions() if isinstance(answers, Snapshot) else None
    except WorkspaceError:
        return None


def _table(view: Any) -> tuple[str, pl.DataFrame]:
    return view.written(_predictions(view.answers), caption=words.FORESIGHT_TABLE)


def _filled(view: Any) -> Mapping[str, str]:
    found: Any = _predictions(view.answers)
    record = found.record_sentences or [words.FORESIGHT_UNTESTED]
    return {
        "record": render("fragmentation/list.html", lines=record),
        "until": day(found.observed_until),
        "days": str(found.horizon.days),
        "k": str(view.k),
    }
