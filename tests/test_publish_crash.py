"""A publication that ends between any two file operations: what is served is whole, always."""

import itertools
import json
import os
import random
import shutil

import publish_log
import pytest
from killing import PulledPlugError, pull_the_plug

from cxlib.errors import CxError, WorkspaceError
from cxlib.publish import Snapshot, list_snapshots, publish, write
from cxlib.publish.snapshot import CURRENT, FOLDER, MANIFEST
from cxlib.store import Workspace

K = 10
ANSWERS = ("stage_funnel", "touchpoints")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    log = publish_log.simulate(seed=2, customers=60)
    made = publish_log.build(log, tmp_path_factory.mktemp("crash"))
    publish(made, k=K, answers=ANSWERS)
    return made


def remembered(answers, function):
    def call(*given, **named):
        key = (
            function.__name__,
            *(g if isinstance(g, str) else getattr(g, "name", "") for g in given),
        )
        if key not in answers:
            answers[key] = function(*given, **named)
        return answers[key]

    return call


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_crash_between_any_two_steps_leaves_a_whole_snapshot_served(
    workspace, monkeypatch, tmp_path, stride
):
    answered = {}  # measuring and protecting write nothing: once is enough
    for name in ("measure_influence", "fold_rare_touchpoints", "ask", "_protected"):
        monkeypatch.setattr(write, name, remembered(answered, getattr(write, name)))
    before = Snapshot.open(workspace.path)
    shown = before.touchpoints().table
    views = {"journey_map": lambda s: f"<h1>{s.manifest['name']}</h1>"}
    told = []
    for turn, at in enumerate(itertools.count(1, stride), start=1):
        copy = Workspace.open(shutil.copytree(workspace.path, tmp_path / str(at)))
        with monkeypatch.context() as patched:
            seen = pull_the_plug(patched, at=at)
            try:
                publish(copy, k=K, views=views, answers=ANSWERS)
                killed = False
            except PulledPlugError:
                killed = True
        healed = turn % 5 == 0 or not killed
        if healed:  # a run after the kill heals what that left
            publish(copy, k=K, views=views, answers=ANSWERS)
            assert not list(copy.path.rglob(".draft*"))
        served = Snapshot.open(copy.path)
        assert served.touchpoints().table.equals(shown)
        new = served.folder.name != before.folder.name
        assert not new or served.first_paint("journey_map") == "<h1>Small shop</h1>"
        told.append((new, healed))
        records = list_snapshots(copy.path)
        assert before.folder.name in {r.name for r in records}
        assert all(r.whole for r in records), seen
        handed_out = {p.name for p in (copy.path / FOLDER).iterdir()}
        assert handed_out == {CURRENT, *(r.name for r in records)}, "no draft is handed out"
        shutil.rmtree(copy.path)
        if not killed:
            break
    assert at > 25, "every step was tried"
    assert any(not new for new, _ in told), "some were killed before the switch"
    assert any(new for new, healed in told if not healed) or stride > 1, "some after it"
    assert {"write_parquet", "write_text", "rename", "replace", "fsync", "rmdir"} <= set(seen)


@pytest.fixture
def copied(workspace, tmp_path):
    """A copy of what is handed out, to be damaged."""
    shutil.copytree(workspace.path / FOLDER, tmp_path / "copy" / FOLDER)
    return tmp_path / "copy"


def test_a_snapshot_that_lost_a_file_is_broken(workspace, copied):
    folder = copied / FOLDER / Snapshot.open(workspace.path).folder.name
    assert Snapshot.open(copied).folder == folder
    file = folder / "touchpoints.table.parquet"
    kept = file.read_bytes()
    for damage in (lambda: os.truncate(file, len(kept) - 1), file.unlink):
        damage()
        with pytest.raises(WorkspaceError, match=r"touchpoints\.table\.parquet is"):
            Snapshot.open(folder)
        assert Snapshot.newest(copied) is None
        assert [r.whole for r in list_snapshots(copied) if r.folder == folder] == [False]
        file.write_bytes(kept)
    assert Snapshot.open(copied).folder == folder
    (folder / MANIFEST).write_text("{}")
    assert not next(r for r in list_snapshots(copied) if r.folder == folder).whole


def everything(snapshot):
    return [snapshot.table(name).table for name in snapshot.manifest["measures"]]


def test_of_single_flipped_bits_none_is_shown_and_none_ends_in_a_traceback(copied):
    served = Snapshot.open(copied)
    shown = everything(served)
    files = sorted(p for p in served.folder.rglob("*") if p.is_file())
    files += [copied / FOLDER / CURRENT]
    draw = random.Random(5)
    for turn in range(60 + len(files)):
        file = files[turn] if turn < len(files) else draw.choice(files)  # each file at least once
        kept = file.read_bytes()
        at = draw.randrange(len(kept))
        file.write_bytes(kept[:at] + bytes([kept[at] ^ 1 << draw.randrange(8)]) + kept[at + 1 :])
        with pytest.raises(CxError) as refused:
            Snapshot.open(copied)
        assert "publish again" in str(refused.value) or "cx publish" in str(refused.value)
        assert "\n" not in str(refused.value)
        list_snapshots(copied)
        file.write_bytes(kept)
    assert all(a.equals(b) for a, b in zip(shown, everything(Snapshot.open(copied)), strict=True))


def test_every_bit_of_a_manifest_and_of_the_pointer_is_told(copied):
    served = Snapshot.open(copied)
    for file in (served.folder / MANIFEST, copied / FOLDER / CURRENT):
        kept = file.read_bytes()
        for at in range(0, len(kept), 7 if file.name == MANIFEST else 1):
            for bit in range(8):
                file.write_bytes(kept[:at] + bytes([kept[at] ^ 1 << bit]) + kept[at + 1 :])
                with pytest.raises(CxError):
                    Snapshot.open(copied)
        file.write_bytes(kept)


def test_a_snapshot_of_another_layout_asks_to_publish_again(copied):
    folder = Snapshot.open(copied).folder
    manifest = json.loads((folder / MANIFEST).read_text())
    for layout in (1, 99):
        (folder / MANIFEST).write_text(json.dumps({**manifest, "format": layout}))
        (folder.parent / CURRENT).write_text(folder.name + "\n")
        with pytest.raises(WorkspaceError, match="another version of cxlib; publish again"):
            Snapshot.open(copied)
