"""What could break next, as the fragmentation dashboard shows what was published of it."""

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from cxlib.figures import plot_prediction
from cxlib.prediction import Prediction
from cxlib.publish import Snapshot
from cxlib.views.fragmentation.foresight import _predictions, foresight_section
from cxlib.views.shared.filters import segment
from cxlib.views.shared.view import View
from cxlib.views.shared.words import SURENESS, TABLE

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)


class Foresight(View):
    """The section alone."""

    filters = (segment(),)
    parts = (foresight_section(),)
    until = UNTIL

    def headline(self):
        return ""


class Unpredicted:
    """Answers of somebody else."""

    segments = ()

    def __init__(self):
        self.manifest = {"name": "Demo", "k": 10}


def handoff(source, target, excess, chance):
    ends = {"source": source, "target": target, "source_channel": "app", "target_channel": "web"}
    interval = {"excess": excess, "excess_low": excess - 0.1, "excess_high": excess + 0.1}
    about = {"stage": "conversion", "owner": "web team", "n": 120, "chance": chance}
    return ends | about | interval | {"could_break": chance > 0.5}


def held(about, rival, gain):
    shares = {"predicted": 0.31, "came": 0.35, "error": 0.2, "rival_error": 0.25}
    return shares | {
        "about": about, "at": None, "rival": rival, "n": 800,
        "gain": gain, "gain_low": gain - 0.1, "gain_high": gain + 0.1,
    }  # fmt: skip


def predicted(**changes):
    tables = Prediction.tables
    record = [held("handoffs", "no excess", 0.3), held("customers under way", "silence", 0.2)]
    dated = [row | {"at": UNTIL.date()} for row in record]
    stands = {"touchpoint": "basket", "channel": "app", "stage": "conversion"}
    given = {
        "table": tables["table"].frame(
            [handoff("app basket", "till <b>", 0.2, 0.9), handoff("page", "visit", -0.05, 0.1)]
        ),
        "under_way": tables["under_way"].frame([stands | {"customers": 240, "risk_now": 0.4}]),
        "record": tables["record"].frame(dated + record),
        "signal": "abandonment",
        "horizon": timedelta(days=30),
        "customers_under_way": 1230,
        "observed_until": UNTIL,
    }
    return Prediction(**(given | changes))


FOLDED = {"table": pl.DataFrame(), "handoff_reason": "the log is too short or too small"}
GONE = {"under_way": pl.DataFrame(), "customer_reason": "the log is too short or too small"}


@pytest.fixture
def shown(monkeypatch):
    def show(**changes):
        monkeypatch.setattr(Snapshot, "predictions", lambda self: predicted(**changes))
        _predictions.cache_clear()
        return Foresight(Snapshot(Path("published"), {"name": "Demo", "k": 10, "segments": []}))

    return show


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_what_could_break_is_said_in_the_words_of_the_result(shown):
    section = shown()
    said = text(section.foresight_words.value)
    assert section.foresight.layout.display is None
    assert "filters do not change it" in said
    for sentence in (*predicted().handoff_sentences, predicted().customer_sentence):
        assert " ".join(sentence.split())[1:] in said
    assert "1 handoff could break in the next period (customers leave)." in said
    assert "pp basket → till <b> (owner: web team): +20 points (+10 to +30) more" in said
    assert "till &lt;b&gt;" in section.foresight_words.value
    assert "1,230 customers are under way" in said
    assert "after basket (app): of 240 there, 40 %" in said
    section.foresight_below.wanted = True
    assert section.foresight_below.note(TABLE).count("<tr>") == 3
    assert set(pl.read_csv(io.StringIO(section.foresight_below.csv))["fewest_customers"]) == {10}


def test_the_record_stands_below_it(shown):
    sure = text(shown().foresight_below.note(SURENESS))
    assert "At 1 past date the prediction of handoffs was 30 % (20–40) closer" in sure
    assert "31 % were expected to fragment and 35 % did" in sure


def test_what_is_not_told_says_why(shown):
    section = shown(record=pl.DataFrame(), **FOLDED, **GONE)
    said = text(section.foresight_words.value)
    assert "No handoff is forecast, because the log is too short" in said
    assert "Nothing is said of customers under way, because the log is too short" in said
    assert "too short to hold such forecasts" in text(section.foresight_below.note(SURENESS))


def test_without_predictions_there_is_no_section(tmp_path: Path):
    for answers in (Unpredicted(), Snapshot(tmp_path, {"name": "Demo", "k": 10, "segments": []})):
        section = Foresight(answers)
        assert section.foresight.layout.display == "none"
        assert section.foresight_words.value == ""


@pytest.mark.parametrize("changes", [{}, FOLDED], ids=["told", "folded"])
def test_a_figure_shows_the_forecast_or_else_its_record(changes):
    result = predicted(**changes)
    figure = plot_prediction(result)
    marks = next(t for t in figure.data if t.mode == "markers")
    rows = result.table if len(result.table) else result.record.filter(pl.col("at").is_null())
    name = "excess" if len(result.table) else "gain"
    assert list(marks.x) == pytest.approx(rows[name].to_list())
    assert len(figure.layout.yaxis.ticktext) == len(rows)
    assert result.headlines[0].split(",")[0][:20] in unescape(figure.layout.title.text)
    assert "<b>till <b>" not in str(figure.layout.yaxis.ticktext)
