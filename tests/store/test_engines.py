"""Counting elsewhere gives the same tables, or says what stands in its way."""

import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from publish_log import MAP, simulate
from typer.testing import CliRunner

from cxlib.arrivals.arrivals import count_arrivals, read_arrivals
from cxlib.cli.app import app
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.store import Workspace
from cxlib.store.counting import count_bucket
from cxlib.store.engines import count_here, open_engine
from cxlib.summary import summarise


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    rows, _ = simulate(3, customers=60)
    pl.DataFrame(rows).write_parquet(folder / "log.parquet")
    (folder / "map.yaml").write_text(MAP, "utf-8")
    return folder


@pytest.fixture(scope="module")
def spark() -> None:
    """Whatever Spark needs; where it is missing the test skips and says so, on CI it fails."""
    missing = None
    if shutil.which("java") is None:
        missing = "Spark needs Java; on Debian: apt-get install openjdk-17-jre-headless"
    else:
        try:
            import pyarrow  # noqa: F401
            import pyspark  # noqa: F401
        except ImportError:
            missing = "PySpark is not installed; make spark"
    if missing is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


def run_ingest(log: Path, out: Path, *options: str) -> Any:
    given = ["ingest", str(log / "log.parquet"), "--map", str(log / "map.yaml"), "--out", str(out)]
    return CliRunner().invoke(app, [*given, *options])


def ingest(log: Path, out: Path, *options: str) -> Workspace:
    done = run_ingest(log, out, *options)
    assert done.exit_code == 0, done.output
    return Workspace.open(out)


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")  # Spark's own, and pandas'
def test_spark_counts_the_same(
    log: Path, tmp_path: Path, spark: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("MASTER", "local[2]")  # as a cluster's address would be given
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    here = ingest(log, tmp_path / "here")
    there = ingest(log, tmp_path / "there", "--engine", "spark")
    assert SparkSession.getActiveSession() is None, "what was started is stopped"

    kept = {p.name for p in there.log_folder.iterdir()}
    assert {"summary", "arrivals"} <= kept
    counted = count_arrivals(here)
    assert read_arrivals(there).settings == counted.settings
    for found, expected in (
        (there.summary().tables, summarise(here).tables),
        (read_arrivals(there).tables, counted.tables),
    ):
        assert found.keys() == expected.keys()
        for name, table in expected.items():
            assert found[name].schema == table.schema, name
            assert found[name].equals(table), name
    assert there.summary().steps["n"].sum() == here.manifest["counts"]["contacts"]

    # a session that runs already is used, and left alone
    running = SparkSession.builder.master("local[2]").getOrCreate()
    try:
        with open_engine("spark") as run:
            files = [*here.bucket_files(), tmp_path / "away" / "31.parquet"]
            with pytest.raises(WorkspaceError, match=r"31\.parquet: .* all its machines see"):
                run(files, partial(count_bucket, scope=here.scope))
            files[-1].parent.mkdir()
            files[-1].write_bytes(b"PAR1 and nothing else")
            with pytest.raises(WorkspaceError, match="all its machines see"):
                run(files, partial(count_bucket, scope=here.scope))
        assert SparkSession.getActiveSession() is running
    finally:
        running.stop()


def _contacts(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {"contacts": rows.select(pl.len())}


def test_buckets_counted_here_come_in_order(log: Path, tmp_path: Path) -> None:
    files = ingest(log, tmp_path / "workspace").bucket_files()
    counted = [part["contacts"].item() for part in count_here(files, _contacts)]
    assert counted == [len(pl.read_parquet(file)) for file in files]
    assert counted == [p["contacts"].item() for p in count_here(files, _contacts, at_once=1)]


def test_an_engine_that_is_none() -> None:
    told = re.escape("no engine 'sprak'; known: local, spark. Did you mean 'spark'?")
    with pytest.raises(UnknownNameError, match=told), open_engine("sprak"):
        pass


def test_spark_that_is_not_installed(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(InputError, match=r"pip install 'cxlib\[spark\]'"), open_engine("spark"):
        pass
    out = tmp_path / "workspace"
    done = run_ingest(log, out, "--engine", "spark")
    assert done.exit_code == 1, done.output
    assert "cxlib[spark]" in done.stderr
    assert not out.exists(), "said before anything is read or written"
