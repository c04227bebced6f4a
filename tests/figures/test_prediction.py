"""What could break next, in words and as a figure."""

from datetime import UTC, datetime, timedelta
from html import unescape

import polars as pl
import pytest

from cxlib.figures import plot_prediction
from cxlib.prediction import Prediction

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)


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


def test_what_could_break_is_said_with_its_chance_and_its_record():
    said = " ".join(" ".join(predicted().headlines).replace("\N{NO-BREAK SPACE}", " ").split())
    assert "1 handoff could break in the next period (customers leave)." in said
    assert "app basket → till <b> (owner: web team): +20 points (+10 to +30) more" in said
    assert "1,230 customers are under way" in said
    assert "after basket (app): of 240 there, 40 %" in said
    assert "At 1 past date the prediction of handoffs was 30 % (20–40) closer" in said
    assert "31 % were expected to fragment and 35 % did" in said


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
