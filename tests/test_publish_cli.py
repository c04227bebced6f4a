"""`cx publish --view`, `cx snapshots`, `cx changes` and `cx serve --snapshot`."""

import json
import shutil

import publish_log
import pytest
from typer.testing import CliRunner

from cxlib.cli import app, sharing
from cxlib.errors import WorkspaceError
from cxlib.publish import Snapshot, list_snapshots


def cx(*arguments, code=0):
    """Run `cx`; return what it wrote to stdout (stderr where it ends with an error)."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.exception, result.output)
    assert "Traceback" not in result.output
    return result.stderr if code else result.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workspace with a snapshot for one dashboard, and a newer one for all."""
    log = publish_log.simulate(seed=6, customers=60)
    made = publish_log.build(log, tmp_path_factory.mktemp("cli")).path
    assert "Dashboards in it: fragmentation." in cx("publish", made, "--view", "fragmentation")
    assert "Dashboards in it" not in cx("publish", made)
    return made


def test_a_view_that_is_not_published_is_not_in_the_snapshot(shop):
    older, newer = (Snapshot.open(r.folder) for r in list_snapshots(shop))
    assert older.first_paint("fragmentation") is not None
    assert older.first_paint("journey_map") is None
    assert not list(older.folder.glob("transitions*"))
    assert [older.shows(view) for view in ("journey_map", "fragmentation")] == [False, True]
    assert newer.shows("journey_map")
    assert newer.first_paint("journey_map") is not None
    error = cx("publish", shop, "--view", "journey_mop", code=1)
    assert "there is no dashboard 'journey_mop'" in error
    assert "journey_map" in error
    assert len(list_snapshots(shop)) == 2


def test_what_could_break_next_is_published_unless_asked_not_to(shop, tmp_path):
    newest = Snapshot.open(shop)
    assert newest.predictions().handoff_reason, "a log so small says why there is no forecast"
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    cx("publish", copy, "--view", "fragmentation", "--no-predictions")
    assert Snapshot.open(copy).findings() is not None
    with pytest.raises(WorkspaceError, match="holds no predictions"):
        Snapshot.open(copy).predictions()


def test_snapshots_are_listed(shop, tmp_path):
    first, second = (r.name for r in list_snapshots(shop))
    told = json.loads(cx("snapshots", shop, "--json"))
    assert [(r["name"], r["whole"], r["served"]) for r in told] == [
        (first, True, False),
        (second, True, True),
    ]
    assert [r["customers"] for r in told] == [60, 60]
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    (copy / "published" / first / "manifest.json").write_text("{")
    printed = cx("snapshots", copy)
    assert "broken" in printed
    assert "served" in printed
    shutil.rmtree(copy / "published")
    assert cx("snapshots", copy) == ""
    assert json.loads(cx("snapshots", copy, "--json")) == []


def test_changes_since_a_snapshot_or_a_day(shop):
    first, second = (r.name for r in list_snapshots(shop))
    printed = cx("changes", shop)
    assert printed.startswith(f"Since the snapshot {first}")
    assert "Nothing changed beyond rounding and chance" in printed
    told = json.loads(cx("changes", shop, "--since", first, "--json"))
    assert (told["older"], told["newer"]) == (first, second)
    assert {"what", "name", "before", "after", "change", "sentence"} <= set(told["changes"][0])
    assert any("fewer dashboards" in note for note in told["notes"])
    day = f"{first[:4]}-{first[4:6]}-{first[6:8]}"
    assert json.loads(cx("changes", shop, "--since", day, "--json"))["older"] == first
    assert "is both snapshots" in cx("changes", shop, "--since", second, code=1)
    assert "nothing was published before" in cx("changes", shop, "--since", "2001-01-01", code=1)
    assert "no snapshot or date 'May'" in cx("changes", shop, "--since", "May", code=1)
    assert "NAME=VALUE" in cx("changes", shop, "--segment", "kind", code=1)
    assert "kind: old" in cx("changes", shop, "--segment", "kind=odd", code=1)


def test_the_first_snapshot_has_nothing_to_be_compared_with(shop, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    shutil.rmtree(copy / "published" / list_snapshots(copy)[0].name)
    assert "nothing was published before" in cx("changes", copy, code=1)


def test_an_older_snapshot_is_served_by_its_name(shop, monkeypatch):
    served = []
    monkeypatch.setattr(sharing, "serve_workspace", lambda folder, **_: served.append(folder))
    first, second = (r.name for r in list_snapshots(shop))
    cx("serve", shop)
    cx("serve", shop, "--snapshot", first)
    assert [Snapshot.open(folder).folder.name for folder in served] == [second, first]
    assert "there is no snapshot '2001'" in cx("serve", shop, "--snapshot", "2001", code=1)
