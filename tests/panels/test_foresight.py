"""What could break next, as the fragmentation dashboard shows what was published of it."""

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from cxlib.panels.foresight import Foresight
from cxlib.panels.texts import SURENESS, TABLE
from cxlib.publish import Snapshot
from cxlib.publish.predictions import Predictions

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
SNAPSHOT = Snapshot(Path("published") / "x", {"name": "Demo", "k": 10})


def handoff(source, target, excess, chance):
    ends = {"source": source, "target": target, "source_channel": "app", "target_channel": "web"}
    about = {"stage": "conversion", "owner": None, "customers": 900, "n": 120}
    interval = {"excess": excess, "excess_low": excess - 0.1, "excess_high": excess + 0.1}
    return ends | about | interval | {"chance": chance, "could_break": chance > 0.5}


def predictions(**changes):
    stands = {"touchpoint": "basket", "channel": "app", "stage": "conversion"}
    tested = {"fold": "all", "at": UNTIL, "customers": 800}
    given = {
        "handoffs": pl.DataFrame(
            [handoff("app basket", "till <b>", 0.2, 0.9), handoff("page", "visit", -0.05, 0.1)]
        ),
        "touchpoints": pl.DataFrame([stands | {"customers": 240, "risk_now": 0.4}]),
        "by_risk": pl.DataFrame(),
        "under_way": pl.DataFrame([tested | {"predicted": 0.31, "fragmented": 0.35, "brier": 0.2}]),
        "overlap": pl.DataFrame(
            [{"method": "forecast", "hits": 4, "of": 6, "by_chance": 0.8, "rmse": 0.05}]
        ),
        "signal": "abandonment",
        "horizon": timedelta(days=30),
        "customers": 1230,
        "handoff_reason": None,
        "reason": None,
        "observed_until": UNTIL,
    }
    return Predictions(**(given | changes))


@pytest.fixture
def shown(monkeypatch):
    def show(**changes):
        monkeypatch.setattr(Snapshot, "predictions", lambda self: predictions(**changes))
        return Foresight(SNAPSHOT)

    return show


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_what_could_break_is_said_with_its_chance(shown):
    section = shown()
    said = text(section.words.value)
    assert section.widget.layout.display is None
    assert "filters do not change it" in said
    assert "1 handoff could break in the next period (customers leave)" in said
    assert "app basket → till <b> (90 %)" in said
    assert "<b>" not in section.words.value
    assert "1,230 customers are under way" in said
    assert "after basket (app): 240 stand there, and 40 % of them" in said
    assert section.below.note(TABLE).count("<tr>") == 3
    assert "+20 points (+10 to +30)" in text(section.below.note(TABLE))
    section.below.wanted = True
    taken = pl.read_csv(io.StringIO(section.below.csv))
    assert set(taken["fewest_customers"]) == {10}


def test_how_good_such_predictions_were_stands_below(shown):
    sure = text(shown().below.note(SURENESS))
    assert "Of the 6 handoffs that were worst afterwards, 4 had been named by: forecast" in sure
    assert "31 % were predicted to fall silent or to go back; 35 % did (Brier score 0.20" in sure
    assert "as of past dates" in sure


def test_a_log_too_short_says_so(shown):
    section = shown(
        handoff_reason="the log is too short or too small",
        reason="the log is too short or too small",
        overlap=predictions().overlap.clear(),
        under_way=predictions().under_way.clear(),
    )
    said = text(section.words.value)
    assert "No forecast of handoffs: the log is too short" in said
    assert "No forecast for customers under way: the log is too short" in said
    assert "too short to hold such predictions" in text(section.below.note(SURENESS))


def test_without_predictions_there_is_no_section(tmp_path: Path):
    for answers in (object(), Snapshot(tmp_path, {"name": "Demo", "k": 10})):
        section = Foresight(answers)
        assert section.widget.layout.display == "none"
        assert section.words.value == ""
