"""Which files a log is made of, and their bytes: globs, folders, formats and gzip."""

from __future__ import annotations

import glob
import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

from cxlib.errors import InputError, did_you_mean

__all__ = ["Paths", "Source", "find_sources", "open_source", "read_bytes"]

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
_CHUNK = 2**20
_UNCHECKED = 100 * 10**6
_MOST_PACKED = 100
_MOST_BYTES = 8 * 10**9
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
    with open_source(source) as file:
        if not source.gzipped:
            return file.read()
        try:
            return b"".join(iter(lambda: file.read(_CHUNK), b""))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise cut_off(source, error) from None


def open_source(source: Source) -> IO[bytes]:
    """Open a file, unpacked as it is read, and no further than a log's contents can be packed.

    What is read then raises an InputError where the contents are above 100 MB and were packed more
    than a hundredfold (a log packs five- to thirtyfold), or above 8 GB.
    """
    if not source.gzipped:
        return source.path.open("rb")
    return io.BufferedReader(_Unpacked(source), _CHUNK)


class _Unpacked(io.RawIOBase):
    """A gzip that is read as a stream, in bounded memory."""

    def __init__(self, source: Source) -> None:
        self._source, self._seen = source, 0
        self._packed = source.path.open("rb")
        self._file = gzip.GzipFile(fileobj=self._packed, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._file.readinto(buffer)
        self._seen += read
        packed = max(self._packed.tell(), 1)
        if self._seen > _UNCHECKED and self._seen > _MOST_PACKED * packed:
            self._refuse(f"holds more than {_MOST_PACKED} times its own size, which no log does")
        if self._seen > _MOST_BYTES:
            self._refuse(f"holds more than {_MOST_BYTES // 10**9} GB")
        return read

    def _refuse(self, what: str) -> NoReturn:
        name = self._source.path
        raise InputError(
            f"{name}: the gzip {what}; if it is meant to, unpack it (gunzip -k {name}) and name "
            "the unpacked file, for which there is no such limit"
        )

    def close(self) -> None:
        self._file.close()
        self._packed.close()
        super().close()


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
