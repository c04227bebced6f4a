"""Digits of other scripts, text that is called a workbook, and JSON that breaks off."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cxlib.errors import InputError
from cxlib.ingest import read_events
from cxlib.ingest.cells import read_numbers
from cxlib.journey_map import parse_journey_map

MAP = parse_journey_map(
    "version: 1\nname: t\ntouchpoints: [{name: a}]\n"
    "columns: {customer: customer, touchpoint: event, occurred_at: time}\n"
)
LOG = "customer,event,time\nk1,a,2024-03-01 10:00\nk2,a,2024-03-02 10:00\n"
SCRIPTS = {"arabic": 0x660, "persian": 0x6F0, "devanagari": 0x966, "fullwidth": 0xFF10}


@pytest.mark.parametrize("script", SCRIPTS)
def test_digits_of_any_script_are_numbers_and_times(script: str, tmp_path: Path) -> None:
    other = str.maketrans({str(i): chr(SCRIPTS[script] + i) for i in range(10)})
    assert read_numbers(pl.Series(["12.5".translate(other), "7"])).to_list() == [12.5, 7.0]
    head, *rows = LOG.splitlines(keepends=True)
    cells = [row.split(",") for row in rows]
    path = tmp_path / "log.csv"
    path.write_text(head + "".join(f"{c},{e},{t.translate(other)}" for c, e, t in cells))
    plain = tmp_path / "plain.csv"
    plain.write_text(LOG)
    found, wanted = (read_events(p, MAP).events.collect() for p in (path, plain))
    assert found["occurred_at"].to_list() == wanted["occurred_at"].to_list()
    assert found["customer"].to_list() == ["k1", "k2"]


def test_an_id_keeps_its_digits() -> None:
    from cxlib.ingest.cells import read_ids

    assert read_ids(pl.Series(["٠١٢"]), where="")[0].to_list() == ["٠١٢"]


@pytest.mark.parametrize("name", ["log.xls", "log.xlsx"])
def test_text_that_is_called_a_workbook_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(LOG.replace(",", "\t"))
    assert read_events(tmp_path / name, MAP).report.contacts == 2


def test_json_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text('[{"customer": "k1", "event": "a", "time": "2024-03-01"},')
    with pytest.raises(InputError, match="the JSON breaks off or is damaged"):
        read_events(tmp_path / "log.json", MAP)
