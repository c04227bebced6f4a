"""Which files a log is made of, and their bytes: globs, folders, formats and gzip."""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxlib.errors import InputError, did_you_mean

__all__ = ["Paths", "Source", "find_sources", "read_bytes"]

Paths = str | Path | Iterable[str | Path]
Format = Literal["csv", "tsv", "jsonl", "parquet", "xes"]

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xes": "xes",
}
_READABLE = "CSV, TSV, JSON lines, Parquet and XES, each also as .gz"
_GZIP = b"\x1f\x8b"
_STRANGERS = {
    b"PK\x03\x04": "an Excel or zip file; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
    b"%PDF": "a PDF; export the table as CSV",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"(\xb5/\xfd": "compressed with zstd; unpack it first",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a log."""

    path: Path
    format: Format
    gzipped: bool

    def __str__(self) -> str:
        return str(self.path)


def find_sources(paths: Paths) -> list[Source]:
    """Return the files behind paths, globs and folders, in the order named, each once.

    Parameters
    ----------
    paths
        One or several of: a file, a glob (``exports/2026-*.csv``), a folder, of which every
        readable file is taken, sub-folders included; names that begin with a dot or an underscore
        are not.

    Raises
    ------
    InputError
        Where nothing is there, nothing is readable, or a file is empty or of another kind.
    """
    one = isinstance(paths, str | Path)
    named = [paths] if one else list(paths)  # type: ignore[arg-type]
    if not named:
        raise InputError(f"no log was named; name files or folders of {_READABLE}")
    found: dict[Path, Source] = {}
    for name in named:
        for path in _expand(Path(str(name)).expanduser()):
            found.setdefault(path.resolve(), _source(path))
    return list(found.values())


def read_bytes(source: Source) -> bytes:
    """Return the bytes of a file, unpacked.

    Raises
    ------
    InputError
        Where a gzip is cut off or damaged.
    """
    if not source.gzipped:
        return source.path.read_bytes()
    try:
        with gzip.open(source.path) as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise cut_off(source, error) from None


def cut_off(source: Source, error: Exception) -> InputError:
    """Return the error for a gzip that is damaged."""
    why = "ends too early" if isinstance(error, EOFError) else "is damaged"
    return InputError(f"{source}: the gzip {why}; the copy was cut off, fetch the file again")


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not _is_hidden(p, path)]
        logs = [p for p in inside if _format(p) is not None]
        if not logs:
            raise InputError(f"{path}: there is no log in this folder; it may hold {_READABLE}")
        return logs
    if glob.has_magic(str(path)):
        matched = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
        files = [log for p in matched if not _is_hidden(p, p.parent) for log in _expand(p)]
        if not files:
            raise InputError(f"{path}: no file matches this pattern")
        return files
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(f"{path}: there is no such file.{did_you_mean(path.name, beside)}")


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(root).parts)


def _format(path: Path) -> Format | None:
    name = path.name.lower().removesuffix(".gz")
    return _FORMATS.get(Path(name).suffix)


def _source(path: Path) -> Source:
    kind = _format(path)
    if kind is None:
        raise InputError(f"{path}: this kind of file cannot be read; readable are {_READABLE}")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except PermissionError:
        raise InputError(f"{path}: this file may not be read; ask for the right to it") from None
    if not head:
        raise InputError(f"{path}: the file is empty; export it again")
    for magic, what in _STRANGERS.items():
        if head.startswith(magic):
            raise InputError(f"{path}: this is {what}")
    if kind != "parquet" and head.startswith(b"PAR1"):
        kind = "parquet"
    return Source(path, kind, gzipped=head.startswith(_GZIP))
