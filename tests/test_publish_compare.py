"""What changed between two snapshots: every status, intervals of changes, what is refused."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import figure_findings
import figure_results
import numpy as np
import polars as pl
import publish_log
import pytest

from cxlib.arrivals.open_hours import OPEN_UNIT
from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.details import FindingDetails
from cxlib.measures.first_contacts import FirstContacts
from cxlib.measures.stage_funnel import StageFunnel
from cxlib.measures.touchpoints import Touchpoints
from cxlib.publish import Snapshot, compare_snapshots, find_snapshot, list_snapshots, publish

OLDER, NEWER = "20260501T000000Z", "20260601T000000Z"


@dataclass
class Answers:
    """A snapshot made by hand."""

    name: str = OLDER
    rows: tuple[Any, ...] = figure_findings.ROWS
    goal: tuple[float, float, float] = (0.3, 0.28, 0.32)
    customers: int = 1000
    manifest: dict[str, Any] = field(default_factory=dict)
    k: int = 10
    periods: tuple[date, ...] = (date(2026, 1, 1),)

    def __post_init__(self) -> None:
        self.folder = Path("shop", "published", self.name)
        self.published_at = datetime.strptime(self.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        self.manifest = {
            "journey_map": {"name": "Shop", "version": 1, "sha256": "a"},
            "measures": ["touchpoints", "first_contacts", "stage_funnel"],
            "code_version": "1",
            "observed_until": (self.published_at - timedelta(days=3)).isoformat(),
        } | self.manifest

    @property
    def observed_until(self) -> datetime:
        return datetime.fromisoformat(self.manifest["observed_until"])

    def touchpoints(self, **_: object) -> Touchpoints:
        return figure_results.touchpoints(customers=self.customers)

    def first_contacts(self, **_: object) -> FirstContacts:
        given = figure_results.first_contacts()
        estimate = dict(zip(("goal", "goal_low", "goal_high"), self.goal, strict=True))
        columns = FirstContacts.tables
        shares = given.table.select("channel", "share", "share_low", "share_high")
        return replace(
            given,
            by_channel=columns["by_channel"].frame(shares.to_dicts()),
            whole=columns["whole"].frame([estimate]),
        )

    def stage_funnel(self, **_: object) -> StageFunnel:
        return figure_results.stage_funnel()

    def findings(self, **_: object) -> FindingDetails:
        return figure_findings.details(self.rows)


def with_row(number: int, **changes: Any) -> tuple[Any, ...]:
    """The findings made by hand with one of them changed."""
    names = ("source", "target", "signal", "n", "observed", "expected", "effect", "low", "high")
    names += ("affected", "finding")
    rows = list(figure_findings.ROWS)
    rows[number] = tuple(
        changes.get(name, value) for name, value in zip(names, rows[number], strict=True)
    )
    return tuple(rows)


def finding(before: Any, after: Any, signal: str = "abandonment") -> dict[str, Any]:
    found = compare_snapshots(Answers(rows=before), Answers(NEWER, rows=after))
    about = found.table.filter(pl.col("what") == "finding", pl.col("signal") == signal)
    return about.row(0, named=True)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "steady"),
        ({"effect": 0.22, "low": 0.14, "high": 0.3}, "steady"),
        ({"effect": 0.4, "low": 0.33, "high": 0.47}, "growing"),
        ({"effect": 0.08, "low": 0.02, "high": 0.1}, "shrinking"),
        ({"effect": 0.09, "low": -0.02, "high": 0.2, "finding": False}, "mended"),
        ({"effect": 0.15, "low": -0.02, "high": 0.3, "finding": False}, "faded"),
    ],
)
def test_what_became_of_a_finding(changes, status):
    row = finding(figure_findings.ROWS, with_row(1, **changes))
    assert row["status"] == status
    assert row["changed"] == (status != "steady")
    effect = changes.get("effect", 0.2)
    assert row["change"] == pytest.approx(effect - 0.2)
    # the interval of a change by hand: distances to the ends that face each other
    after_low, after_high = changes.get("low", 0.12), changes.get("high", 0.28)
    assert row["low"] == pytest.approx(effect - 0.2 - np.hypot(effect - after_low, 0.08))
    assert row["high"] == pytest.approx(effect - 0.2 + np.hypot(after_high - effect, 0.08))


def test_new_findings_and_those_that_can_no_longer_be_judged():
    without = figure_findings.ROWS[:1] + figure_findings.ROWS[2:]
    new = finding(without, figure_findings.ROWS)
    assert (new["status"], new["before"], new["after"]) == ("new", None, 0.2)
    assert new["sentence"].startswith("New: web basket → till")
    gone = finding(figure_findings.ROWS, without)
    # another transition of that signal is still there; the finding itself is not
    assert gone["status"] == "not judged"
    unsure = finding(with_row(1, finding=False, effect=0.19), figure_findings.ROWS)
    assert unsure["status"] == "new"
    assert unsure["sentence"].endswith("the change itself is not sure")


def test_a_worse_rating_is_growing_though_the_figure_falls():
    row = finding(
        figure_findings.ROWS, with_row(3, effect=-4.5, low=-5.0, high=-4.0), "perception_dip"
    )
    assert row["status"] == "growing"
    assert "rated 4.5 points lower" in row["sentence"]


class InOpenHours(Answers):
    """Answers whose waits are counted in open hours."""

    def findings(self, **_: object) -> FindingDetails:
        found = super().findings()
        unit = pl.when(pl.col("signal") == "delay").then(pl.lit(OPEN_UNIT)).otherwise("unit")
        return replace(found, table=found.table.with_columns(unit=unit))


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"effect": 1.6, "low": 1.4, "high": 1.8}, "steady"), ({"effect": 1.1}, "mended")],
)
def test_hours_that_became_open_hours_are_no_change(changes, status):
    rows = with_row(0, **changes, finding=status == "steady")
    found = [
        compare_snapshots(Answers(rows=figure_findings.ROWS), newer).table.filter(
            pl.col("what") == "finding", pl.col("signal") == "delay"
        )
        for newer in (Answers(NEWER, rows=rows), InOpenHours(NEWER, rows=rows))
    ]
    assert found[0]["status"][0] == {"steady": "shrinking", "mended": "mended"}[status]
    assert found[1]["status"][0] == {"steady": "steady", "mended": "faded"}[status]


def test_figures_change_by_more_than_chance_and_rounding_or_not():
    older = Answers()
    surely = compare_snapshots(older, Answers(NEWER, goal=(0.36, 0.34, 0.38), customers=1020))
    goal = surely.table.filter(pl.col("what") == "goal").row(0, named=True)
    assert goal["changed"]
    assert goal["low"] == pytest.approx(0.06 - np.hypot(0.02, 0.02))
    assert surely.sentences()[0].startswith("36 % of journeys reach the goal, 6 points more")
    assert "1,020 customers, 20 more than before (1,000)" in surely.sentences()
    assert len(surely.sentences(limit=1)) == 1
    hardly = compare_snapshots(older, Answers(NEWER, goal=(0.31, 0.29, 0.33), customers=1010))
    assert hardly.sentences() == (
        "Nothing changed beyond rounding and chance since 28 April 2026.",
    )
    assert hardly.changed.is_empty()
    assert not hardly.notes


def test_what_makes_a_comparison_less_than_straight_is_said():
    changed = {"journey_map": {"name": "Shop", "version": 2, "sha256": "b"}, "code_version": "2"}
    changed["observed_until"] = Answers().manifest["observed_until"]
    newer = Answers(NEWER, manifest=changed, k=20, periods=(date(2026, 2, 1),))
    notes = " ".join(compare_snapshots(Answers(), newer).notes)
    for said in ("version 1 to 2", "k was 10 and is 20", "versions of cxlib, 1 and 2"):
        assert said in notes
    assert "Both end on 28 April 2026" in notes
    assert "begin at different times, 2026-01-01 and 2026-02-01" in notes
    fewer = Answers(NEWER, manifest={"measures": ["touchpoints"]})
    found = compare_snapshots(Answers(), fewer)
    assert "fewer dashboards" in found.notes[-1]
    assert set(found.table["what"]) == {"customers", "finding"}


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="is both snapshots"):
        compare_snapshots(Answers(), Answers())
    with pytest.raises(InputError, match="published after"):
        compare_snapshots(Answers(NEWER), Answers())
    other = {"journey_map": {"name": "Bank", "version": 1, "sha256": "c"}}
    with pytest.raises(InputError, match="'Shop' and 'Bank'"):
        compare_snapshots(Answers(), Answers(NEWER, manifest=other))


def test_published_snapshots_are_listed_compared_and_opened_by_name(tmp_path):
    workspace = publish_log.build(publish_log.simulate(seed=5, customers=80), tmp_path)
    older = publish(workspace, answers=("touchpoints", "stage_funnel"))
    newer = publish(workspace, only=("journey_map",), answers=("touchpoints",))
    records = list_snapshots(workspace.path)
    assert [(r.name, r.served) for r in records] == [
        (older.folder.name, False),
        (newer.folder.name, True),
    ]
    assert [r.customers for r in records] == [80, 80]
    assert find_snapshot(workspace.path, older.folder.name) == older
    with pytest.raises(UnknownNameError, match="snapshot '2001'"):
        find_snapshot(workspace.path, "2001")
    found = compare_snapshots(older, newer, segment=("kind", "old"))
    assert found.sentences()[0].startswith("Nothing changed")
    with pytest.raises(UnknownNameError, match="kind: odd"):
        compare_snapshots(older, newer, segment=("kind", "odd"))
    assert older.shows("fragmentation")
    assert not newer.shows("fragmentation")
    assert newer.shows("journey_map")
    assert not newer.shows("fragmentation")
    assert older.shows("fragmentation")
    assert not list(newer.folder.glob("stage_funnel*")), "only what the view asks is answered"
    with pytest.raises(UnknownNameError, match="stage_funnel"):
        newer.stage_funnel()
    assert Snapshot.open(newer.folder).manifest == newer.manifest
