"""An ingest over a workspace, killed before any of its steps, through a link, and beside another
writer: the old log or the new one, and every snapshot, always."""

import errno
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import publish_log
import pytest
from killing import PulledPlugError, pull_the_plug

from cxlib import encode
from cxlib.durable import only_writer
from cxlib.errors import CxError, WorkspaceError
from cxlib.fragmentation import measure_fragmentation
from cxlib.ingest import read_customers, read_events
from cxlib.journey_map import read_journey_map
from cxlib.publish import Snapshot, list_snapshots, publish
from cxlib.store import Workspace, build_workspace

OLD, NEW = 60, 6  # customers


def read(folder: Path, customers: int):
    rows, people = publish_log.simulate(seed=2, customers=customers)
    folder.mkdir()
    pl.DataFrame(rows).write_csv(folder / "log.csv")
    pl.DataFrame(people).write_csv(folder / "people.csv")
    (folder / "map.yaml").write_text(publish_log.MAP)
    journey_map = read_journey_map(folder / "map.yaml")
    ingested = read_events([folder / "log.csv"], journey_map)
    return ingested, read_customers(folder / "people.csv", journey_map)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return read(tmp_path_factory.mktemp("old") / "in", OLD)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return read(tmp_path_factory.mktemp("new") / "in", NEW)


@pytest.fixture(scope="module")
def shop(old, tmp_path_factory):
    """A workspace with its summary and two snapshots."""
    made = build_workspace(old[0], tmp_path_factory.mktemp("shop") / "shop", customers=old[1])
    for _ in range(2):
        publish(made, k=10, answers=("touchpoints",))
    return made


@pytest.fixture
def copied(shop, tmp_path):
    return shutil.copytree(shop.path, tmp_path / "shop")


def build(read, folder: Path) -> Workspace:
    return build_workspace(read[0], folder, customers=read[1])


def customers_of(folder: Path, *, recount: bool = False) -> int:
    """Customers of a workspace, with everything in it read."""
    opened = Workspace.open(folder)
    everybody = opened.customers().collect()
    assert opened.store().collect()["customer"].n_unique() == len(everybody)
    if recount:
        assert opened.summary().reach["customers"].sum() > 0
    assert opened.report["customers"] == len(everybody)
    assert opened.segment_names == ("region", "kind")
    return len(everybody)


def snapshots_of(folder: Path) -> list[str]:
    assert len(Snapshot.open(folder).touchpoints().table.columns)
    return [r.name for r in list_snapshots(folder) if r.whole]


def test_a_kill_before_any_step_loses_nothing(shop, new, monkeypatch, tmp_path):
    real = encode.encode_events
    encoded = real(new[0].events.lazy(), journey_map=new[0].journey_map)
    monkeypatch.setattr(
        "cxlib.store.workspace.encode_events", lambda *_, **__: encoded
    )  # writes nothing
    kept = snapshots_of(shop.path)
    found = []
    for at in itertools.count(1):
        folder = shutil.copytree(shop.path, tmp_path / f"{at}")
        with monkeypatch.context() as patched:
            seen = pull_the_plug(patched, at=at)
            try:
                build(new, folder)
                killed = False
            except PulledPlugError:
                killed = True
        found.append(customers_of(folder))
        assert snapshots_of(folder) == kept, seen
        build(new, folder)  # the run after it works, and heals what the kill left
        assert customers_of(folder, recount=not killed) == NEW
        assert snapshots_of(folder) == kept
        logs = [p.name for p in folder.iterdir() if p.name not in (".lock", "published")]
        assert sorted(logs) == sorted(["workspace.json", Workspace.open(folder).log_folder.name])
        shutil.rmtree(folder)
        if not killed:
            break
    assert at > 60, "every step was tried"
    assert sorted(set(found)) == [NEW, OLD]
    assert found == sorted(found, reverse=True), "old before the switch, new after it"
    assert {"write_parquet", "write_text", "rename", "replace", "unlink", "fsync"} <= set(seen)


def test_a_kill_of_the_first_ingest_leaves_a_folder_that_the_next_one_takes(
    old, new, monkeypatch, tmp_path
):
    encoded = encode.encode_events(new[0].events.lazy(), journey_map=new[0].journey_map)
    monkeypatch.setattr("cxlib.store.workspace.encode_events", lambda *_, **__: encoded)
    for at in itertools.count(1, 9):
        folder = tmp_path / f"{at}" / "shop"
        with monkeypatch.context() as patched:
            pull_the_plug(patched, at=at)
            try:
                build(new, folder)
                break
            except PulledPlugError:
                pass
        if not (folder / "workspace.json").is_file():
            with pytest.raises(WorkspaceError, match="is not a workspace"):
                Workspace.open(folder)
        build(new, folder)
        assert customers_of(folder) == NEW


def test_what_is_brought_to_the_disk_is_brought_there_before_the_switch(
    shop, new, monkeypatch, copied
):
    steps, real_sync, real_replace = [], os.fsync, os.replace

    def sync(handle):
        steps.append(os.readlink(f"/proc/self/fd/{handle}"))
        real_sync(handle)

    def replace(*given, **named):
        steps.append("switch")
        real_replace(*given, **named)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the names of open files are told by /proc, which is not here")
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    made = build(new, copied)
    before = {Path(s).name for s in steps[: steps.index("switch")]}
    written = [p for p in made.log_folder.rglob("*") if "summary" not in p.parts]
    assert {p.name for p in written} <= before
    assert steps[steps.index("switch") + 1] == str(copied), "and the switch itself"


def test_a_workspace_that_is_a_link_keeps_its_snapshots(shop, copied, new, tmp_path):
    kept = snapshots_of(copied)
    link = tmp_path / "link"
    link.symlink_to(copied, target_is_directory=True)
    for _ in range(2):
        build(new, link)
        assert link.is_symlink()
        assert customers_of(link) == customers_of(copied) == NEW
        assert snapshots_of(copied) == kept
    publish(Workspace.open(link), k=10, answers=("touchpoints",))
    assert len(snapshots_of(copied)) == len(kept) + 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "shop"]


def test_snapshots_may_lie_behind_a_link_and_the_workspace_need_not_be_there_yet(
    copied, new, tmp_path
):
    (copied / "published").rename(tmp_path / "elsewhere")
    (copied / "published").symlink_to(tmp_path / "elsewhere")
    kept = snapshots_of(copied)
    build(new, copied)
    assert snapshots_of(copied) == kept
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "not yet")
    build(new, dangling)
    assert customers_of(tmp_path / "not yet") == NEW


def _ingest_again(folder, ready, go, out):
    rows = read(folder.parent / f"in-{os.getpid()}", NEW)
    ready.release()
    go.wait()
    try:
        for _ in range(3):
            build(rows, folder)
        out.put("")
    except CxError as error:
        out.put(str(error))


def test_two_writers_at_once_end_with_a_workspace_and_a_sentence(copied, old):
    kept = snapshots_of(copied)
    context = multiprocessing.get_context("spawn")
    ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
    writers = [
        context.Process(target=_ingest_again, args=(copied, ready, go, out)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for _ in writers:
        ready.acquire()
    go.set()
    said = [out.get(timeout=120) for _ in writers]
    for writer in writers:
        writer.join()
    assert "" in said, "one of them finished"
    for sentence in said:
        assert not sentence or ("is being written to by another cx" in sentence), said
    assert customers_of(copied) == NEW
    assert snapshots_of(copied) == kept


def test_whoever_comes_second_is_told(copied, new):
    before = customers_of(copied)
    with only_writer(copied):
        with pytest.raises(WorkspaceError, match="is being written to by another cx; run this"):
            build(new, copied)
        with pytest.raises(WorkspaceError, match="is being written to by another cx; run this"):
            publish(Workspace.open(copied), k=10, answers=("touchpoints",))
    assert customers_of(copied) == before
    assert customers_of(build(new, copied).path) == NEW


def test_a_folder_of_somebody_else_is_refused(tmp_path, new):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    (tmp_path / "file").write_text("not a folder")
    for name in ("mine", "file"):
        with pytest.raises(WorkspaceError, match="exists and is not a workspace"):
            build(new, tmp_path / name)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_workspace_of_another_layout_is_not_read_but_replaced(copied, new):
    kept = snapshots_of(copied)
    manifest = json.loads((copied / "workspace.json").read_text())
    for layout in (1, 99):
        (copied / "workspace.json").write_text(json.dumps({**manifest, "format": layout}))
        with pytest.raises(WorkspaceError, match=f"layout {layout}.*ingest the log again"):
            Workspace.open(copied)
    build(new, copied)
    assert customers_of(copied) == NEW
    assert snapshots_of(copied) == kept


def test_a_changed_bit_of_a_workspace_is_told_where_it_is_read(copied):
    log = Workspace.open(copied).log_folder
    for name in ("places.parquet", "segments.parquet", "customers.parquet", "report.json"):
        kept = (log / name).read_bytes()
        at = len(kept) // 2
        (log / name).write_bytes(kept[:at] + bytes([kept[at] ^ 4]) + kept[at + 1 :])
        with pytest.raises(WorkspaceError, match=f"{name} is not as it was written"):
            Workspace.open(copied)
        (log / name).write_bytes(kept)
    bucket = sorted((log / "events").iterdir())[3]
    kept = bucket.read_bytes()
    bucket.write_bytes(kept[:50] + bytes([kept[50] ^ 1]) + kept[51:])
    with pytest.raises(WorkspaceError, match=r"events.*is not as it was written.*ingest again"):
        Workspace.open(copied).store()
    bucket.write_bytes(kept)
    text = (copied / "workspace.json").read_text()
    (copied / "workspace.json").write_text(text.replace('"contacts": ', '"contacts": 1', 1))
    with pytest.raises(WorkspaceError, match="changed since it was written"):
        Workspace.open(copied)


# What the disk says does not depend on the step that it refuses: not every pair is tried.
@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("write_parquet", errno.ENOSPC),
        ("write_parquet", errno.EDQUOT),
        ("fsync", errno.ENOSPC),
        ("mkdir", errno.EROFS),
        ("mkdir", errno.EACCES),
    ],
)
def test_what_a_disk_refuses_is_one_sentence(number, place, copied, new, monkeypatch):
    before = customers_of(copied)
    kept = snapshots_of(copied)
    refused = OSError(f"{os.strerror(number)} (os error {number})")  # as Polars raises it
    if place != "write_parquet":
        refused = OSError(number, os.strerror(number))
    owner = pl.DataFrame if place == "write_parquet" else os

    def refuse(*_, **__):
        raise refused

    opened = Workspace.open(copied)
    with monkeypatch.context() as patched:
        patched.setattr(owner, place, refuse)
        for write in (
            lambda: build(new, copied),
            lambda: publish(opened, k=10, answers=("touchpoints",)),
        ):
            with pytest.raises(WorkspaceError, match="cannot be written to: ") as said:
                write()
            assert "\n" not in str(said.value)
            assert "What it held before is unchanged" in str(said.value)
    assert (customers_of(copied), snapshots_of(copied)) == (before, kept)
    assert not [p for p in copied.iterdir() if p.name.startswith(".draft")]


def test_a_workspace_that_may_only_be_read_answers(copied, monkeypatch):
    opened = Workspace.open(copied)
    kept = opened.summary()
    shutil.rmtree(opened.log_folder / "summary")
    with monkeypatch.context() as patched:

        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        patched.setattr(os, "mkdir", refuse)
        assert opened.summary().steps.equals(kept.steps)
        assert measure_fragmentation(opened).table.height >= 0
    assert not (opened.log_folder / "summary").exists()
    assert not (opened.log_folder / "arrivals").exists()


def test_a_polite_kill_tidies_up_and_says_so(old, tmp_path):
    folder, source = tmp_path / "shop", Path(old[0].report.files[0].name)
    code = (
        "import os, signal, sys, cxlib.durable as store\n"
        "def kill(*_): os.kill(os.getpid(), signal.SIGTERM)\n"
        "store.sync_folder = kill\n"
        "from cxlib.cli.app import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "ingest", source, "--out", folder]
    done = subprocess.run(
        [*map(str, command), "--map", str(source.with_name("map.yaml"))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert "Error: ended by SIGTERM before it was done" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in folder.iterdir()] == [".lock"]
