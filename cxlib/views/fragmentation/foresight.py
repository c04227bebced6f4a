"""What could break next, where a snapshot was published with predictions: a section of words."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cxlib.errors import WorkspaceError
from cxlib.numbers import day
from cxlib.publish import Snapshot
from cxlib.views.fragmentation import words
from cxlib.views.shared.parts import Figure, Group, Words
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.prediction import Prediction

__all__ = ["foresight_section"]


def foresight_section() -> Group:
    """Say what could break next; not there where the snapshot holds no predictions.

    Prediction are about everybody: no filter of the page changes them, and the section says so.
    """
    return Group(
        name="foresight",
        css="cx-changes",
        painted=False,
        shown=lambda view: _predictions(view.answers) is not None,
        parts=(
            Words(name="foresight_words", on=(), write=lambda view: _told(_known(view))),
            Figure(
                name="foresight_below",
                on=(),
                text=words.FORESIGHT,
                data=lambda view: (_table(_known(view)), _known(view).table),
                filled=lambda view: {
                    "record": _record(_known(view)),
                    "until": day(_known(view).observed_until),
                    "days": str(_known(view).horizon.days),
                    "k": str(view.k),
                },
            ),
        ),
    )


def _known(view: Any) -> Prediction:
    found = _predictions(view.answers)
    if found is None:
        raise WorkspaceError("the snapshot was published without predictions")
    return found


@lru_cache(maxsize=4)
def _published(answers: Snapshot) -> Prediction | None:
    try:
        return answers.predictions()
    except WorkspaceError:
        return None


def _predictions(answers: object) -> Prediction | None:
    return _published(answers) if isinstance(answers, Snapshot) else None


def _told(found: Prediction) -> str:
    said = (*found.handoff_sentences, found.customer_sentence)
    return render("fragmentation/foresight.html", said=said)


def _record(found: Prediction) -> str:
    said = found.record_sentences or [words.FORESIGHT_UNTESTED]
    return render("fragmentation/list.html", lines=said)


def _table(found: Prediction) -> str:
    written = found.columns.written(found.table)
    return written.to_html(caption=words.FORESIGHT_TABLE, scrolls=True)
