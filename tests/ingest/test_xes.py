"""Logs in XES: traces, order within them, and everything the standard allows beside."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cxlib.contracts import EVENTS
from cxlib.errors import InputError
from cxlib.ingest import read_events
from cxlib.journey_map import JourneyMap, parse_journey_map

LOG = """<?xml version="1.0" encoding="UTF-8"?>
<!-- comment -->
<log xes.version="1.0"{namespace}>
  <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
  <global scope="trace"><string key="concept:name" value="UNKNOWN"/></global>
  <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
  <classifier name="Activity" keys="concept:name"/>
  <string key="concept:name" value="the log"><string key="nested" value="1"/></string>
  <trace>
    <string key="concept:name" value="007"/>
    <int key="amount" value="5"/>
    <list key="parts"><values><string key="p" value="x"/></values></list>
    <event>
      <string key="concept:name" value="visit"><int key="deep" value="9"/></string>
      <date key="time:timestamp" value="2026-01-01T10:00:00.000+01:00"/>
    </event>
    <event>
      <date key="time:timestamp" value="2026-01-01T09:00:00.000+00:00"/>
      <string key="concept:name" value="payment"/>
      <string key="org:group" value="sales &amp; co"/>
      <container key="c"><string key="in" value="1"/></container>
    </event>
  </trace>
  <trace><string key="concept:name" value="empty"/></trace>
  <trace>
    <event>
      <string key="concept:name" value="visit"/>
      <date key="time:timestamp" value="2026-07-01T10:00:00.000+02:00"/>
    </event>
    <string key="concept:name" value="NA"/>
  </trace>
</log>
"""


@pytest.fixture
def cases() -> JourneyMap:
    return parse_journey_map(
        "version: 1\nname: x\ncolumns: {owner: 'org:group'}\nstages: [s]\n"
        "touchpoints: [{name: visit, stage: s}, {name: payment, stage: s}]\n"
    )


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://www.xes-standard.org/"'])
@pytest.mark.parametrize("zipped", [False, True])
def test_traces_are_customers_and_positions_the_sequence(
    namespace: str, zipped: bool, cases: JourneyMap, tmp_path: Path
) -> None:
    data = LOG.replace("{namespace}", namespace).encode()
    path = tmp_path / ("log.xes.gz" if zipped else "log.xes")
    path.write_bytes(gzip.compress(data) if zipped else data)
    ingested = read_events(path, cases)
    events = EVENTS.validate(ingested.events.sort("customer", "sequence").collect())
    nine = datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert events.select("customer", "occurred_at", "sequence", "touchpoint", "owner").rows() == [
        ("007", nine, 1, "visit", None),
        ("007", nine, 2, "payment", "sales & co"),
        ("NA", datetime(2026, 7, 1, 8, tzinfo=UTC), 1, "visit", None),
    ]
    assert ingested.report.rows_in == 3
    assert ingested.checked().tied_timestamps == 1


def test_attributes_of_traces_are_columns_to_match_on(tmp_path: Path) -> None:
    path = tmp_path / "log.xes"
    path.write_text(LOG.replace("{namespace}", ""))
    rules = parse_journey_map(
        "version: 1\nname: x\nstages: [s]\ntouchpoints:\n"
        '  - {name: big visit, stage: s, match: {"case:amount": "^5$", "concept:name": visit}}\n'
    )
    touchpoints = read_events(path, rules).events.collect()["touchpoint"].to_list()
    assert sorted(touchpoints) == ["big visit", "payment", "visit"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LOG.replace("{namespace}", "")[:900], "the XML breaks off or is damaged"),
        ("<log></log>", "no trace with events"),
        ("<log><trace/></log>", "no trace with events"),
        ("no xml at all", "the XML breaks off or is damaged"),
    ],
)
def test_broken_logs_give_one_clear_error(
    text: str, says: str, cases: JourneyMap, tmp_path: Path
) -> None:
    (tmp_path / "log.xes").write_text(text)
    with pytest.raises(InputError, match=says):
        read_events(tmp_path / "log.xes", cases)


def test_nothing_outside_the_file_is_read(cases: JourneyMap, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    entity = f'<!DOCTYPE log [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
    text = LOG.replace("{namespace}", "").replace("<!-- comment -->", entity)
    (tmp_path / "log.xes").write_text(text.replace("sales &amp; co", "sales"))
    owners = read_events(tmp_path / "log.xes", cases).events.collect()["owner"].to_list()
    assert "secret" not in str(owners)
