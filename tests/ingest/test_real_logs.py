"""Two public logs, held to what is known about them; not redistributed: without them, skip."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cxlib.contracts import EVENTS
from cxlib.ingest import Ingested, propose_map, read_events
from cxlib.journey_map import parse_journey_map, read_journey_map

pytestmark = pytest.mark.real_log
MAPS = Path(__file__).resolve().parents[2] / "data" / "maps"


def found(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        pytest.skip(f"{name} is not redistributed; put it into {folder}")
    return path


@pytest.fixture(scope="module")
def loans(shared_data: Path) -> Ingested:
    """All events of the loan applications, in all lifecycles."""
    everything = (MAPS / "bpic2012.yaml").read_text("utf-8").replace("^COMPLETE$", ".")
    log = found(shared_data, "bpic2012.xes.gz")
    return read_events(log, parse_journey_map(everything))


@pytest.fixture(scope="module")
def receipts(shared_data: Path) -> Ingested:
    log = found(shared_data, "receipt.csv.gz")
    return read_events(log, read_journey_map(MAPS / "receipt.yaml"))


def cases(ingested: Ingested, column: str) -> dict[str, int]:
    counted = ingested.events.group_by(column).agg(pl.col("customer").n_unique()).collect()
    return dict(counted.iter_rows())


@pytest.mark.slow
def test_loans_are_read_whole(loans: Ingested) -> None:
    events = EVENTS.validate(loans.events.collect())
    assert events.height == loans.report.rows_in == 262_200
    assert events["customer"].n_unique() == 13_087
    assert events["touchpoint"].n_unique() == 24
    assert loans.report.unmapped == ()
    assert loans.quarantine.is_empty()
    assert loans.report.without_offset == 0
    # A tie is an event at the same instant as the one before it of the same case.
    instants = events.select("customer", "occurred_at").n_unique()
    assert events.height - instants == 13_995
    assert loans.checked().tied_timestamps == 13_995


@pytest.mark.slow
def test_mixed_offsets_of_the_loans_are_read_right(loans: Ingested) -> None:
    first = loans.events.filter(customer="173688", sequence=1).collect()
    # 2011-10-01T00:38:44.546+02:00 in the file.
    assert str(first["occurred_at"][0]) == "2011-09-30 22:38:44.546000+00:00"
    last = loans.events.select(pl.col("occurred_at").max()).collect().item()
    # 2012-03-14T16:04:54.681+01:00 in the file.
    assert str(last) == "2012-03-14 15:04:54.681000+00:00"


@pytest.mark.slow
def test_cases_of_the_loans_by_touchpoint(loans: Ingested) -> None:
    reached = cases(loans, "touchpoint")
    known = {
        "A_SUBMITTED": 13_087,
        "A_PREACCEPTED": 7_367,
        "A_ACCEPTED": 5_113,
        "O_SENT": 5_015,
        "O_SENT_BACK": 3_254,
        "A_APPROVED": 2_246,
        "A_DECLINED": 7_635,
        "A_CANCELLED": 2_807,
    }
    assert {name: reached[name] for name in known} == known


@pytest.mark.slow
def test_399_loans_are_still_open(loans: Ingested) -> None:
    rule = loans.journey_map.journey
    ended = pl.col("touchpoint").is_in([*rule.goal, *rule.lost]).any()
    by_case = loans.events.group_by("customer").agg(ended.alias("ended")).collect()
    assert by_case.filter(~pl.col("ended")).height == 399


@pytest.mark.slow
def test_the_map_keeps_what_was_completed(loans: Ingested, shared_data: Path) -> None:
    rows = read_events(
        found(shared_data, "bpic2012.xes.gz"), read_journey_map(MAPS / "bpic2012.yaml")
    ).report
    assert rows.rows_in == 262_200 == rows.contacts + rows.left_out
    assert rows.contacts == 164_506
    assert loans.journey_map.stages == ("awareness", "exploration", "conversion", "aftersales")


def test_receipts_are_read_whole(receipts: Ingested) -> None:
    events = EVENTS.validate(receipts.events.collect())
    assert events.height == receipts.report.rows_in == 8_577
    assert events["customer"].n_unique() == 1_434
    assert events["touchpoint"].n_unique() == 27
    assert receipts.report.unmapped == ()
    assert receipts.report.without_offset == 0
    known = {"Internet": 1_250, "Desk": 109, "Post": 53, "e-mail": 21, "Intern": 1}
    assert cases(receipts, "channel") == known


def test_an_end_date_is_missing_in_617_receipts(shared_data: Path) -> None:
    text = (MAPS / "receipt.yaml").read_text("utf-8")
    with_end = text.replace("  owner:", '  comment: "case:enddate"\n  owner:')
    log = found(shared_data, "receipt.csv.gz")
    events = read_events(log, parse_journey_map(with_end)).events.collect()
    assert events["comment"].null_count() == 617


def test_a_proposed_map_reads_the_receipts_without_loss(shared_data: Path) -> None:
    log = found(shared_data, "receipt.csv.gz")
    proposed = parse_journey_map(propose_map(log).text)
    report = read_events(log, proposed).report
    assert report.contacts == 8_577
    assert report.unmapped == ()
    assert proposed.columns["channel"] == "case:channel"
