"""Home, map, report and backlog begin with the same thing: the first line of the backlog."""

import re
from datetime import timedelta
from html import unescape

import figure_findings
import polars as pl
import pytest
from journey_oracle import START, journey_map, make_workspace
from opportunity_logs import as_log, walk, world

from cxlib.numbers import sentence_case
from cxlib.opportunities.priorities import Priorities
from cxlib.publish import Snapshot, publish
from cxlib.publish.key_figures import actions_of, first_thing
from cxlib.signals import SIGNALS
from cxlib.views.home.brief import write_home
from cxlib.views.journey_map.view import JourneyMap
from cxlib.views.priorities.view import Backlog
from cxlib.views.report.content import write_report

PLACES = pl.col("source_place", "target_place").cast(pl.Int64)
WAITS = [name for name, signal in SIGNALS.items() if signal.family == "wait"]
SAID = {"next_step": "Ask.", "evidence": "n = 900", "how_to_test": "Compare."}
SUSPECTED = "ad → page: 50 % leave there, 20 % would be usual in this stage (suspected)"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    rows, *_ = walk(world(1), 300, 1, fault=0.4)
    rule = journey_map(lost=(), until=START + timedelta(days=270))
    path = tmp_path_factory.mktemp("lead") / "ws"
    publish(make_workspace(path, as_log(rows), rule=rule))
    return Snapshot.newest(path)


def line_of(band):
    names = ("source", "target", "signal", "ground", "owner", "customers_affected")
    more = {"what": band["sentence"], "status": "ongoing", **SAID}
    return {name: band[name] for name in names} | more


def told(monkeypatch, details, lines):
    """Let the snapshot hold these findings and these lines."""
    table = Priorities.tables["table"].frame(
        [dict.fromkeys(Priorities.tables["table"].names) | one | {"rank": i} for i, one in lines]
    )
    backlog, ask = Priorities(table=table, findings=len(lines)), Snapshot.table

    def answer(self, measure, **where):
        return backlog if measure == "priorities" else ask(self, measure, **where)

    monkeypatch.setattr(Snapshot, "findings", lambda *_, **__: details)
    monkeypatch.setattr(Snapshot, "table", answer)


def plain(page):
    text = unescape(re.sub("<[^>]+>", " ", page.split("</style>")[-1]))
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


def surfaces(snapshot, folder):
    """What stands first at home, on the map, in the report and in the backlog."""
    write_report(snapshot, folder / "brief.html")
    report = plain((folder / "brief.html").read_text("utf-8"))
    backlog = plain(Backlog(snapshot).headline())
    said = JourneyMap(snapshot).said.replace("\N{NO-BREAK SPACE}", " ")
    return {"home": plain(write_home(snapshot)), "map": sentence_case(said)} | {
        "report": report,
        "backlog": backlog,
    }


def chosen(kind):
    """Findings and lines: the last finding first, a suspected loss first, nothing but waits."""
    bands = figure_findings.details().bands.with_columns(PLACES)
    if kind == "waits":
        bands = bands.filter(pl.col("signal").is_in(WAITS))
    details = figure_findings.details(bands=bands)
    lines = [line_of(band) for band in details.bands.to_dicts() if band["sentence"]]
    assert lines
    if kind == "last":
        lines.reverse()
    if kind == "suspected":
        suspected = {"source": "ad", "target": "page", "signal": "abandonment", **SAID}
        lines.insert(0, suspected | {"ground": "suspected", "what": SUSPECTED})
    return details, list(enumerate(lines, 1))


@pytest.mark.parametrize("kind", ["last", "suspected", "waits"])
def test_the_first_line_of_the_backlog_leads_everywhere(snapshot, tmp_path, monkeypatch, kind):
    details, lines = chosen(kind)
    told(monkeypatch, details, lines)
    first = sentence_case(lines[0][1]["what"].removesuffix(".")).replace("\N{NO-BREAK SPACE}", " ")
    for name, said in surfaces(snapshot, tmp_path).items():
        assert first in said, name
        others = [one["what"] for _, one in lines[1:] if one["what"] in said]
        assert all(said.index(first) < said.index(other) for other in others), name
        if kind == "suspected" and name != "backlog":
            assert "not a finding" in said, name
    marked = first_thing(actions_of(snapshot, details), details).table["sentence"].to_list()
    said = [one["what"] for _, one in lines if one["ground"] != "suspected"]
    assert [sentence for sentence in marked if sentence in said] == said, (
        "and the map is numbered so"
    )


def test_without_a_backlog_those_lead_who_leave():
    details = figure_findings.details()
    table = first_thing([], details).table
    silence = [name for name, signal in SIGNALS.items() if signal.draws == "silence"]
    assert table["signal"][0] in silence
    assert first_thing([], details).sentence == table["sentence"][0]
