"""What could break next, as the fragmentation dashboard shows what was published of it."""

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from cxlib.publish import Snapshot
from cxlib.publish.predictions import Predictions
from cxlib.views.fragmentation.foresight import _published, foresight_section
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
    about = {"stage": "conversion", "owner": None, "customers": 900, "n": 120}
    interval = {"excess": excess, "excess_low": excess - 0.1, "excess_high": excess + 0.1}
    return ends | about | interval | {"chance": chance, "could_break": chance > 0.5}


def predictions(**changes):
    stands = {"touchpoint": "basket", "channel": "app", "stage": "conversion"}
    tested = {"fold": "all", "at": UNTIL.date(), "customers": 800}
    tested |= {"skill": 0.12, "skill_low": 0.04, "skill_high": 0.2}
    named = {"of": 6, "by_chance": 0.8}
    given = {
        "handoffs": pl.DataFrame(
            [handoff("app basket", "till <b>", 0.2, 0.9), handoff("page", "visit", -0.05, 0.1)]
        ),
        "touchpoints": pl.DataFrame([stands | {"customers": 240, "risk_now": 0.4}]),
        "by_risk": pl.DataFrame(),
        "under_way": pl.DataFrame([tested | {"predicted": 0.31, "fragmented": 0.35, "brier": 0.2}]),
        "overlap": pl.DataFrame(
            [
                named | {"method": "forecast", "hits": 4, "rmse": 0.05, "forecast_is": "better"},
                named | {"method": "raw drop-off", "hits": 3, "rmse": None, "forecast_is": "alike"},
            ]
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
        _published.cache_clear()
        return Foresight(Snapshot(Path("published"), {"name": "Demo", "k": 10, "segments": []}))

    return show


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_what_could_break_is_said_with_its_chance(shown):
    section = shown()
    said = text(section.foresight_words.value)
    assert section.foresight.layout.display is None
    assert "filters do not change it" in said
    assert "1 handoff could break in the next period (customers leave):" in said
    assert "app basket → till <b>: 90 % likely to be more than 5 points worse" in said
    assert "expected are +20 points (+10 to +30)" in said
    assert "till &lt;b&gt;" in section.foresight_words.value
    assert "1,230 customers are under way" in said
    assert "after basket (app): 240 stand there, and 40 % of them" in said
    assert section.foresight_below.note(TABLE).count("<tr>") == 3
    assert "+20 points (+10 to +30)" in text(section.foresight_below.note(TABLE))
    section.foresight_below.wanted = True
    taken = pl.read_csv(io.StringIO(section.foresight_below.csv))
    assert set(taken["fewest_customers"]) == {10}


def test_how_good_the_forecast_has_been_stands_beside_it(shown):
    section = shown()
    said = text(section.foresight_words.value)
    assert (
        "Of the 6 handoffs that turned out worst at past dates, this forecast had named 4" in said
    )
    assert "31 % were expected to fall silent or to go back, and 35 % did." in said
    assert "That is 12 % closer than going by how long they had been silent" in said
    sure = text(section.foresight_below.note(SURENESS))
    assert "4 of 6 named by this forecast" in sure
    assert "3 of 6 named by a list of the highest drop-off rates" in sure
    assert "Brier score for customers under way: 0.20" in sure
    assert "as of past dates" in sure


def test_a_poor_record_is_stated_as_plainly(shown):
    poor = predictions().overlap.with_columns(
        hits=pl.Series([1, 3]), forecast_is=pl.Series(["alike", "alike"])
    )
    weak = predictions().under_way.with_columns(skill=0.01, skill_low=-0.05)
    said = text(shown(overlap=poor, under_way=weak).foresight_words.value)
    assert "and a list of the highest drop-off rates would have named 3" in said
    assert "no better than chance: a hint where to look, and no reason to act" in said
    assert "no closer than going by how long they had been silent" in said
    worse = poor.with_columns(forecast_is=pl.lit("worse"))
    assert "do not go by it" in text(shown(overlap=worse).foresight_words.value)


def test_a_log_too_short_says_so(shown):
    section = shown(
        handoff_reason="the log is too short or too small",
        reason="the log is too short or too small",
        overlap=predictions().overlap.clear(),
        under_way=predictions().under_way.clear(),
    )
    said = text(section.foresight_words.value)
    assert "No forecast of handoffs: the log is too short" in said
    assert "No forecast for customers under way: the log is too short" in said
    assert "too short to hold such forecasts" in said
    assert "too short to hold such forecasts" in text(section.foresight_below.note(SURENESS))


def test_without_predictions_there_is_no_section(tmp_path: Path):
    for answers in (Unpredicted(), Snapshot(tmp_path, {"name": "Demo", "k": 10, "segments": []})):
        section = Foresight(answers)
        assert section.foresight.layout.display == "none"
        assert section.foresight_words.value == ""
