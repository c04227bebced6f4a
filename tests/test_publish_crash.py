"""A publication that ends between any two file operations: what is served is whole, always."""

import itertools
import os
import shutil
from pathlib import Path

import polars as pl
import publish_log
import pytest

from cxlib.errors import WorkspaceError
from cxlib.publish import Snapshot, list_snapshots, publish, write
from cxlib.publish.pointer import FOLDER, MANIFEST

K = 10
ANSWERS = ("stage_funnel", "touchpoints")


class PulledPlugError(BaseException):
    """The machine is off: nothing that would tidy up runs."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    log = publish_log.simulate(seed=2, customers=60)
    made = publish_log.build(log, tmp_path_factory.mktemp("crash"))
    publish(made, k=K, answers=ANSWERS)
    return made


OPERATIONS = [
    (pl.DataFrame, "write_parquet"),
    (Path, "write_text"),
    (Path, "mkdir"),
    (Path, "rename"),
    (Path, "chmod"),
    (Path, "replace"),
    (os, "fsync"),
]


def pull_the_plug(monkeypatch, *, at: int) -> list[str]:
    """End the process before the operation with that number; a write is cut off half way."""
    seen: list[str] = []

    def watched(owner, name):
        real = getattr(owner, name)

        def call(*given, **named):
            if len(seen) >= at:
                raise PulledPlugError  # switched off: nothing more is written or tidied up
            seen.append(name)
            if len(seen) < at:
                return real(*given, **named)
            if name == "write_text":
                real(given[0], given[1][: len(given[1]) // 2], **named)
            elif name == "write_parquet":
                real(*given, **named)
                os.truncate(given[1], 20)
            raise PulledPlugError

        monkeypatch.setattr(owner, name, call)

    for owner, name in OPERATIONS:
        watched(owner, name)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    return seen


def remembered(answers, function):
    def call(*given, **named):
        key = function.__name__, getattr(given[0], "name", "")
        if key not in answers:
            answers[key] = function(*given, **named)
        return answers[key]

    return call


def test_a_crash_between_any_two_writes_leaves_the_old_snapshot_served(workspace, monkeypatch):
    answered = {}  # measuring writes nothing: once is enough
    for name in ("measure_influence", "fold_rare_touchpoints", "_answer"):
        monkeypatch.setattr(write, name, remembered(answered, getattr(write, name)))
    before = Snapshot.open(workspace.path)
    shown = before.touchpoints().table
    views = {"journey_map": lambda s: f"<h1>{s.manifest['name']}</h1>"}
    for at in itertools.count(1):
        with monkeypatch.context() as patched:
            seen = pull_the_plug(patched, at=at)
            try:
                publish(workspace, k=K, views=views, answers=ANSWERS)
                break
            except PulledPlugError:
                pass
        served = Snapshot.open(workspace.path)
        assert served.folder == before.folder, seen
        assert served.touchpoints().table.equals(shown)
        whole = [r for r in list_snapshots(workspace.path) if r.whole]
        for record in whole:  # what can be opened is complete
            assert Snapshot.open(record.folder).touchpoints().table.equals(shown)
    assert at > 12, "every step was tried"
    assert {"write_parquet", "write_text", "rename", "replace"} <= set(seen)
    newer = Snapshot.open(workspace.path)
    assert newer.folder != before.folder
    assert newer.first_paint("journey_map") == "<h1>Small shop</h1>"


def test_a_snapshot_that_lost_a_file_is_broken(workspace, tmp_path):
    source = Snapshot.open(workspace.path)
    folder = tmp_path / FOLDER / source.folder.name
    shutil.copytree(source.folder, folder)
    (tmp_path / FOLDER / "current").write_text(source.folder.name + "\n")
    assert Snapshot.open(folder).touchpoints().customers == source.touchpoints().customers
    file = folder / "touchpoints.table.parquet"
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(WorkspaceError, match=r"touchpoints\.table\.parquet is missing or cut off"):
        Snapshot.open(folder)
    assert Snapshot.newest(tmp_path) is None
    assert [(r.whole, r.served) for r in list_snapshots(tmp_path)] == [(False, False)]
    file.unlink()
    (folder / MANIFEST).write_text("{}")
    assert not list_snapshots(tmp_path)[0].whole
