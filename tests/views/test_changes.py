"""What changed since an earlier snapshot, as both dashboards end with it."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from cxlib.datasets import sample_paths
from cxlib.durable import seal
from cxlib.ingest import read_customers, read_events
from cxlib.journey_map import read_journey_map
from cxlib.publish import Snapshot, publish
from cxlib.publish.key_figures import actions_of, first_thing
from cxlib.store import build_workspace
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.home.brief import write_home, write_index
from cxlib.views.journey_map.view import JourneyMap
from cxlib.views.shared.filters import ALL
from cxlib.views.shared.words import CHANGES_FIRST, CHANGES_HINT

OLDER, OLDEST = "20250101T080000Z", "20240101T080000Z"


def put_back(snapshot: Snapshot, name: str, *, lost: float = 1.0) -> None:
    """Copy a snapshot as if it had been published earlier, with fewer journeys lost."""
    folder = snapshot.folder.parent / name
    shutil.copytree(snapshot.folder, folder)
    at = f"{name[:4]}-{name[4:6]}-{name[6:8]}T08:00:00+00:00"
    manifest = snapshot.manifest | {"published_at": at, "files": {}}  # no sums: it is edited
    (folder / "manifest.json").write_text(seal(manifest), "utf-8")
    file = folder / "stage_funnel.table.parquet"
    table = pl.read_parquet(file).with_columns(pl.col("^lost.*$") * lost)
    table.write_parquet(file)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    """A snapshot with two earlier ones: in one fewer were lost, the other was the same."""
    paths, folder = sample_paths(), tmp_path_factory.mktemp("changes")
    contacts = pl.read_csv(paths.contacts, infer_schema=False)  # ids begin with zeros
    few = contacts["client"].unique().sort().head(800)
    short = (pl.col("when") < "2025-03") & pl.col("client").is_in(few.implode())
    contacts.filter(short).write_csv(folder / "log.csv")
    lines = paths.journey_map.read_text("utf-8").splitlines(keepends=True)
    shorter = "".join(line for line in lines if not line.startswith("observed_until"))
    (folder / "map.yaml").write_text(shorter, "utf-8")
    journey_map = read_journey_map(folder / "map.yaml")
    workspace = build_workspace(
        read_events([folder / "log.csv"], journey_map),
        folder / "ws",
        customers=read_customers(paths.customers, journey_map).rows.drop("customer_type"),
    )
    published = publish(workspace)
    put_back(published, OLDER, lost=0.2)
    put_back(published, OLDEST)
    (published.folder.parent / "20240201T080000Z").mkdir()  # broken: not offered
    return published


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def names(panel):
    return [value for _, value in panel.since.options]


@pytest.mark.parametrize("kind", [JourneyMap, Fragmentation])
def test_earlier_snapshots_are_offered_the_newest_first(snapshot, kind):
    panel = kind(snapshot)
    assert names(panel) == [ALL, OLDER, OLDEST]
    assert panel.since.options[1][0].startswith("1 Jan 2025, 08:00 (data to ")
    assert CHANGES_HINT in panel.changes.value
    assert names(kind(Snapshot.open(snapshot.folder.parent / OLDEST))) == [ALL]


def test_what_changed_is_said_in_words(snapshot):
    panel = JourneyMap(snapshot)
    panel.since.value = OLDER
    assert panel.state.since == OLDER
    said = text(panel.changes.value)
    assert "of journeys are lost after" in said
    assert "more than before" in said
    assert 'role="status"' in panel.changes.value
    assert panel.link.widget.selected == f"since={OLDER}"
    panel.since.value = OLDEST
    assert "Nothing changed beyond rounding and chance" in text(panel.changes.value)


def test_the_fragmentation_dashboard_compares_findings_only(snapshot):
    panel = Fragmentation(snapshot)
    panel.state.since = OLDER
    assert "of journeys" not in text(panel.changes.value)
    assert "Nothing changed" in text(panel.changes.value)


def test_the_comparison_follows_the_customers_selected(snapshot):
    panel = JourneyMap(snapshot)
    panel.state.since = OLDER
    everybody = panel.changes.value
    panel.state.segment = ("region", "east")
    assert text(panel.changes.value) != text(everybody)


def test_a_link_to_a_snapshot_that_is_gone_is_said_calmly(snapshot):
    panel = JourneyMap(snapshot)
    panel.link.widget.asked = "since=../../20240201T080000Z"
    assert "not there now" in text(panel.message.value)
    assert panel.state.since is None


def test_the_first_snapshot_says_that_it_is_the_first(snapshot, tmp_path: Path):
    folder = tmp_path / "published" / snapshot.folder.name
    shutil.copytree(snapshot.folder, folder)
    panel = Fragmentation(Snapshot.open(folder))
    assert CHANGES_FIRST in panel.changes.value
    assert panel.since.layout.display == "none"


def test_the_home_page_is_a_brief_with_the_change_of_each_number(snapshot):
    page = write_home(snapshot).split("</style>")[1]
    said = text(page)
    details = snapshot.findings()
    first = first_thing(actions_of(snapshot, details), details)
    assert first.sentence[0].upper() + first.sentence[1:] in said
    assert "nothing stands out" in said, "what is described only is said to be no finding"
    assert "of journeys reach the goal" in said
    assert " since 1 Jan 2025" in said
    assert "unchanged since" in said, "no change of nought with an interval"
    for address in ("view/journey_map", "view/compare?what=goal"):
        assert f'href="{address}"' in page, "each number leads into its view"
    assert "the views" not in said.lower(), "the page around it lists the views"
    index = write_index(snapshot, {"journey_map": "journey_map.html"})
    assert 'href="journey_map.html"' in index
    assert "Where customers get lost" in index
    assert "<script" not in index


def test_the_home_page_leaves_a_snapshot_of_another_version_alone(snapshot, tmp_path: Path):
    folder = tmp_path / "published" / snapshot.folder.name
    shutil.copytree(snapshot.folder, folder)
    newest = Snapshot.open(folder)
    put_back(newest, OLDER)
    file = folder.parent / OLDER / "first_contacts.json"
    told = [one | {"within": None} for one in json.loads(file.read_text("utf-8"))]
    file.write_text(json.dumps(told), "utf-8")
    said = text(write_home(newest).split("</style>")[1])
    assert "of journeys reach the goal" in said
    assert " points (" not in said
    assert "1 Jan 2025" not in said
