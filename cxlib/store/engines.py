"""Where the buckets of a workspace are counted: in this process, or by Spark on other machines too.

Buckets share no customer, so that every one is counted by itself, wherever that is: the same code
reads the same file, and the tables are equal to the last count. Spark (Apache, PySpark 4) is given
paths, not rows: each of its tasks reads one bucket from the folder that all machines share, counts
it, and sends back the small tables. Scheduling, retrying and moving data are Spark's.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import InputError, UnknownNameError, WorkspaceError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

Frames = Mapping[str, pl.DataFrame]
Count = Callable[[pl.DataFrame], Frames]
"""Counts the rows of one bucket; it is sent to other machines, so it holds data and no files."""

Run = Callable[[Sequence[Path], Count], list[Frames]]
"""Counts some buckets; their tables come back in the order of the files."""

ENGINES = ("local", "spark")

_REMOTE = ("SPARK_REMOTE", "MASTER", "SPARK_MASTER")
_ONE_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.executorEnv.POLARS_MAX_THREADS": "1",  # as many tasks as cores; each takes one
}


def count_here(files: Sequence[Path], count: Count, *, at_once: int | None = None) -> list[Frames]:
    """Count in threads of this process; memory is that of the buckets counted at once."""
    workers = at_once or min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(lambda file: count(pl.read_parquet(file)), files))


@contextmanager
def open_engine(name: str) -> Iterator[Run | None]:
    """Start what counts, and stop what was started. Yields None of "local": counted when asked for.

    "spark" is the session that runs already, else the cluster that the environment or
    ``spark-submit`` names, else Spark on the cores of this machine.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if name == "local":
        yield None
        return
    session, is_ours = _start()
    try:
        yield partial(_count_in_spark, session)
    finally:
        if is_ours:
            session.stop()


def _start() -> tuple[SparkSession, bool]:
    try:
        import pandas  # noqa: F401 (Spark asks for it before it sends Arrow batches)
        from pyspark import SparkConf
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as missing:
        raise InputError(
            f"the engine spark needs the package {missing.name}: pip install 'cxlib[spark]'"
        ) from None
    running = SparkSession.getActiveSession()
    if running is not None:
        return running, False
    settings = dict(_SETTINGS)
    if not any(os.environ.get(name) for name in _REMOTE) and not SparkConf().get("spark.master"):
        settings |= {**_ONE_MACHINE, "spark.master": "local[*]"}
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("cxlib")
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate(), True
    except (PySparkException, RuntimeError, OSError) as error:
        raise InputError(
            f"Spark does not start ({_first_line(error)}). It needs Java 17 or 21; on Debian: "
            "apt-get install openjdk-17-jre-headless"
        ) from None


def _count_in_spark(session: SparkSession, files: Sequence[Path], count: Count) -> list[Frames]:
    from pyspark.errors import PySparkException

    paths = [str(file.resolve()) for file in files]
    tasks = session.range(0, len(paths), 1, numPartitions=max(len(paths), 1))
    counted = tasks.mapInArrow(
        partial(_count_paths, paths, count), "bucket long, name string, content binary"
    )
    try:
        rows = counted.toArrow().to_pylist()
    except PySparkException as error:
        told = next((p for p in paths if f"CannotRead: {p}" in str(error)), None)
        raise WorkspaceError(
            f"Spark could not read {told}: the folder must be one that all its machines see, "
            "under the same path"
            if told
            else f"Spark could not count: {_first_line(error)}"
        ) from None
    parts: list[dict[str, pl.DataFrame]] = [{} for _ in paths]
    for row in rows:
        parts[row["bucket"]][row["name"]] = pl.read_ipc(io.BytesIO(row["content"]))
    return list(parts)


def _count_paths(
    paths: Sequence[str], count: Count, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Run on a machine of Spark's: count the buckets that came with this task."""
    import pyarrow as pa

    for batch in batches:
        for bucket in batch.column("id").to_pylist():
            try:
                rows = pl.read_parquet(paths[bucket])
            except (OSError, pl.exceptions.PolarsError) as error:
                raise OSError(f"CannotRead: {paths[bucket]}") from error
            tables = count(rows)
            packed = [t.write_ipc(None, compression="zstd").getvalue() for t in tables.values()]
            columns = {
                "bucket": pa.array([bucket] * len(tables), pa.int64()),
                "name": pa.array(list(tables), pa.string()),
                "content": pa.array(packed, pa.binary()),
            }
            yield pa.RecordBatch.from_pydict(columns)


def _first_line(error: Any) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
