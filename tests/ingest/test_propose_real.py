"""Real logs through `cx init`, `cx check` and `cx ingest`: what is known of them must hold.

The logs are not redistributed; without them these tests skip.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cxlib.ingest import propose_map, read_events, read_ratings, tables_beside
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.store import Workspace, build_workspace

pytestmark = pytest.mark.real_log


def found(folder: Path, name: str) -> list[Path]:
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not redistributed; put it into {folder}")
    return sorted(path.glob("*.gz")) if path.is_dir() else [path]


def taken_in(paths: list[Path], out: Path) -> tuple[JourneyMap, Workspace]:
    """Propose, check and ingest a log, without an edit of the map."""
    proposal = propose_map(paths)
    journey_map = parse_journey_map(proposal.text)
    beside = tables_beside(paths, journey_map)
    ratings = None
    if "ratings" in beside:
        ratings = read_ratings(beside["ratings"], journey_map, beside=paths)
    made = build_workspace(read_events(paths, journey_map), out / "ws", ratings=ratings)
    assert made.report["contacts"] == proposal.report.contacts
    return journey_map, made


def per_touchpoint(workspace: Workspace) -> dict[str, int]:
    counted = workspace.events().group_by("touchpoint").len().collect()
    return dict(counted.iter_rows())


def test_ecom(shared_data: Path, tmp_path: Path) -> None:
    journey_map, shop = taken_in(found(shared_data, "ecom.csv.gz"), tmp_path)
    report = shop.report
    assert (report["rows_in"], report["contacts"], report["customers"]) == (31_106, 31_076, 600)
    assert report["set_aside"] == {"duplicate": 30}
    assert report["first_at"].startswith("2024-01-04T11:45:38")
    assert report["last_at"].startswith("2024-06-29T22:02:40")
    assert set(journey_map.set_of("segments")) == {"acquisition_channel", "user_cohort"}
    assert report["segments_varying"] == {}
    assert journey_map.columns["channel"] == "platform"
    assert journey_map.journey.goal == ("purchase",)
    counts = per_touchpoint(shop)
    asked = ("purchase", "payment_details", "payment_error", "checkout_bug", "support_chat")
    assert [counts[t] for t in asked] == [
        470,
        708,
        119,
        44,
        277,
    ]  # of 709 payment details one is a duplicate
    # the visits of a customer lie days apart, and the gap lies between
    assert journey_map.journey.gap is not None
    assert timedelta(hours=6) <= journey_map.journey.gap <= timedelta(days=1)


def test_olist(shared_data: Path, tmp_path: Path) -> None:
    journey_map, shop = taken_in(found(shared_data, "olist"), tmp_path)
    assert shop.report["contacts"] == 15_831
    assert shop.report["customers"] == 3_998
    assert shop.report["first_at"].startswith("2016-10-04T20:41:45")
    assert sorted(per_touchpoint(shop).values()) == [3_898, 3_939, 3_994, 4_000]
    assert journey_map.journey.goal == ("delivered customer",)
    said = shop.ratings().join(shop.places.lazy(), on="place", how="left").collect()
    assert len(said) == 3_986
    assert said["rating"].mean() == pytest.approx(4.080, abs=5e-4)
    marks = dict(said["rating"].value_counts().iter_rows())
    assert marks == {5: 2_293, 4: 765, 3: 337, 2: 137, 1: 454}
    # those who answer before the parcel has come are not content; a few answered after the gap
    by_step = said.group_by("touchpoint").agg(pl.len(), pl.col("rating").mean())
    means = {step: (n, mean) for step, n, mean in by_step.iter_rows()}
    assert means["purchase"][0] == 6
    assert means["purchase"][1] == pytest.approx(2.17, abs=0.01)
    assert means["delivered carrier"][0] == pytest.approx(242, abs=3)
    assert means["delivered carrier"][1] == pytest.approx(1.80, abs=0.02)
    assert means["delivered customer"][1] == pytest.approx(4.28, abs=0.01)


def test_takehome(shared_data: Path, tmp_path: Path) -> None:
    journey_map, site = taken_in(found(shared_data, "takehome"), tmp_path)
    assert site.report["customers"] == 90_400
    counts = per_touchpoint(site)
    assert sorted(counts.values(), reverse=True) == [90_400, 45_200, 6_030, 452]
    assert journey_map.journey.goal == ("payment_confirmation_page",)
    assert set(journey_map.set_of("segments")) == {"device", "sex"}
    # the steps have no times: their order is the one in the map
    order = site.events().filter(pl.len().over("customer") == 4).head(4).collect()
    assert order.sort("position")["touchpoint"].to_list() == [
        "home_page", "search_page", "payment_page", "payment_confirmation_page",
    ]  # fmt: skip
    people = site.customers().collect().join(site.segments, on="segment")
    seen = site.events().join(
        people.lazy().select(customer="name", device="segment.device"), on="customer"
    )
    split = seen.group_by("device", "touchpoint").len().collect()
    by_device = {(d, t): n for d, t, n in split.iter_rows()}
    steps = ("home_page", "search_page", "payment_page", "payment_confirmation_page")
    assert [by_device["Desktop", s] for s in steps] == [60_200, 30_100, 3_010, 150]
    assert [by_device["Mobile", s] for s in steps] == [30_200, 15_100, 3_020, 302]


def test_receipt(shared_data: Path, tmp_path: Path) -> None:
    journey_map, office = taken_in(found(shared_data, "receipt.csv.gz"), tmp_path)
    assert (office.report["rows_in"], office.report["customers"]) == (8_577, 1_434)
    assert len(per_touchpoint(office)) == 27
    assert not journey_map.journey.restart
    assert journey_map.columns["owner"] == "org:group"
    people = office.customers().collect().join(office.segments, on="segment")
    cases = dict(people["segment.case:channel"].value_counts().iter_rows())
    assert cases == {"Internet": 1_250, "Desk": 109, "Post": 53, "e-mail": 21, "Intern": 1}


@pytest.mark.slow
def test_helpdesk(shared_data: Path, tmp_path: Path) -> None:
    journey_map, desk = taken_in(found(shared_data, "helpdesk.xes.gz"), tmp_path)
    report = desk.report
    assert (report["rows_in"], report["customers"]) == (21_348, 4_580)
    assert len(per_touchpoint(desk)) == 14
    assert journey_map.journey.goal == ("Closed",)
    assert journey_map.columns["owner"] == "workgroup"
    assert any("127 of 21,348 rows" in hint for hint in report["hints"])
    ends = desk.events().group_by("customer").agg(pl.col("touchpoint").last()).collect()
    last = dict(ends["touchpoint"].value_counts().iter_rows())
    assert last["Closed"] == pytest.approx(4_557, abs=2)
    assert datetime.fromisoformat(report["last_at"]) == datetime(2014, 1, 3, 13, 20, 58, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bpic2012(shared_data: Path, tmp_path: Path) -> None:
    journey_map, bank = taken_in(found(shared_data, "bpic2012.xes.gz"), tmp_path)
    assert bank.report["rows_in"] == 262_200
    assert bank.report["customers"] == 13_087
    assert "A_APPROVED" in journey_map.journey.goal
    assert {"A_DECLINED", "A_CANCELLED"} & set(journey_map.journey.lost)
    cases = bank.events().group_by("touchpoint").agg(pl.col("customer").n_unique()).collect()
    reached = dict(cases.iter_rows())
    asked = ("A_SUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "O_SENT", "A_APPROVED", "A_DECLINED")
    assert [reached[t] for t in asked] == [13_087, 7_367, 5_113, 5_015, 2_246, 7_635]
