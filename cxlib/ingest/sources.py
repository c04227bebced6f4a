"""Which files a log is made of, and their bytes: globs, folders, archives, formats, compression."""

from __future__ import annotations

import bz2
import fnmatch
import glob
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from cxlib.errors import InputError, did_you_mean, listed, there_are

Paths = str | Path | Iterable[str | Path]
Format = Literal["csv", "tsv", "jsonl", "parquet", "xes", "workbook", "objects"]

_FORMATS: dict[str, Format] = {
    **dict.fromkeys((".csv", ".txt", ".psv", ".dat", ".log"), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json", ".jsonocel"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    ".xes": "xes",
    **dict.fromkeys((".xml", ".xmlocel", ".sqlite", ".sqlite3", ".db"), "objects"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "workbook"),
}
_READABLE = (
    "CSV, TSV, JSON (lines or lists), Parquet, XES, OCEL and Excel, each also in .gz, .bz2, .xz or "
    ".zip"
)
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UNPACK: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
_CHUNK, _HEAD = 2**20, 2**12
_UNCHECKED = 100 * 10**6
_MOST_PACKED = 100
_MOST_BYTES = 8 * 10**9
_ENDINGS = (".gz", ".bz2", ".xz")
_ZIP = b"PK\x03\x04"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_STRANGERS = {
    b"%PDF": "a PDF; export the table as CSV",
    b"(\xb5/\xfd": "compressed with zstd; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
}
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, OSError)
"""What reading a compressed file that is not whole may raise."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a log, or a member of a ZIP archive, and how it is compressed."""

    path: Path
    format: Format
    packed: str | None = None
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are those of the file itself."""
        return self.packed is None and self.member is None

    @property
    def stem(self) -> str:
        """The name of its file in lower case, without what says its kind."""
        return self.path.name.lower().split(".")[0]

    @property
    def decimal(self) -> str | None:
        """The mark of numbers, where its format writes them in one way only."""
        return "." if self.format not in ("csv", "tsv") else None


def find_sources(paths: Paths) -> list[Source]:
    """Return the files behind paths, globs, folders (sub-folders included) and ZIP archives or
    members of one (``export.zip/2026-*.csv``), in the order named, each once.
    """
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    if not named:
        raise InputError(f"no log was named; name files or folders of {_READABLE}")
    found: dict[tuple[Path, str | None], Source] = {}
    for path in (Path(name).expanduser() for name in named):
        zips = (p for p in path.parents if p.suffix.lower() == ".zip" and p.is_file())
        archive = next(zips, None)
        if archive is not None:
            sources = _members(archive, path.relative_to(archive).as_posix())
        else:
            sources = [s for p in _expand(path) for s in _sources(p)]
        for source in sources:
            found.setdefault((source.path.resolve(), source.member), source)
    return list(found.values())


@contextmanager
def open_source(source: Source) -> Iterator[IO[bytes]]:
    """Open a file, unpacked as it is read, and no further than a log's contents can be packed."""
    with ExitStack() as stack:
        file: IO[bytes]
        size = source.path.stat().st_size
        if source.member is None:
            file = stack.enter_context(source.path.open("rb"))
        else:
            archive = stack.enter_context(zipfile.ZipFile(source.path))
            size = archive.getinfo(source.member).compress_size
            file = stack.enter_context(archive.open(source.member))
        if source.packed is not None:
            file = stack.enter_context(_UNPACK[source.packed](file))
        yield file if source.is_plain else io.BufferedReader(_Unpacked(source, file, size), _CHUNK)


class _Unpacked(io.RawIOBase):
    def __init__(self, source: Source, file: IO[bytes], size: int) -> None:
        self._source, self._file, self._size, self._seen = source, file, max(size, 1), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._seen += len(data)
        what = f"more than {_MOST_BYTES // 10**9} GB" if self._seen > _MOST_BYTES else None
        if self._seen > _UNCHECKED and self._seen > _MOST_PACKED * self._size:
            what = f"more than {_MOST_PACKED} times its own size, which no log does"
        if what is not None:
            name, kind = self._source, self._source.packed or "archive"
            how = f" (gunzip -k {name})" if kind == "gzip" else ""
            raise InputError(
                f"{name}: the {kind} holds {what}; if it is meant to, unpack it{how} and name the "
                "unpacked file, for which there is no such limit"
            )
        return len(data)


def read_bytes(source: Source) -> bytes:
    """Return the bytes of a file, unpacked."""
    if source.is_plain:
        return source.path.read_bytes()
    try:
        with open_source(source) as file:
            return b"".join(iter(lambda: file.read(_CHUNK), b""))
    except DAMAGED as error:
        raise cut_off(source, error) from None


def cut_off(source: Source, error: Exception) -> InputError:
    """Return the error for a compressed file that is damaged."""
    kind = source.packed or "archive"
    early = isinstance(error, EOFError) or "end-of-stream" in str(error)
    why = "ends too early" if early else "is damaged"
    return InputError(f"{source}: the {kind} {why}; the copy was cut off, fetch the file again")


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not _is_hidden(p, path)]
        logs = [p for p in inside if _format(p.name) or p.suffix.lower() == ".zip"]
        logs = [p for p in logs if not _is_note(p.name, partial(p.open, "rb"))] or logs
        if not (logs or inside):
            raise InputError(f"{path}: there is no log in this folder; it may hold {_READABLE}")
        return logs or inside[:1]
    if glob.has_magic(str(path)):
        matched = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
        files = [log for p in matched if not _is_hidden(p, p.parent) for log in _expand(p)]
        if not files:
            raise InputError(f"{path}: no file matches this pattern")
        return files
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: this link leads nowhere; name the file that was meant")
    if path.exists():
        raise InputError(f"{path}: this is a pipe or a device; write its content into a file first")
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(f"{path}: there is no such file.{did_you_mean(path.name, beside)}")


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(root).parts)


def _format(name: str) -> Format | None:
    bare = name.lower()
    for ending in _ENDINGS:
        bare = bare.removesuffix(ending)
    return _FORMATS.get(Path(bare).suffix)


def _is_note(name: str, opened: Callable[[], IO[Any]]) -> bool:
    """Whether a file that is found beside others holds words and no table, or no log."""
    ending = Path(name).suffix.lower()
    if ending in (".xml", ".db"):
        with opened() as file:
            return re.search(rb"<log|ocel_id", file.read(_CHUNK)) is None
    if ending != ".txt":
        return False
    with opened() as file:
        text = file.read(_CHUNK).replace(b"\0", b"").strip()
    lines = [line for line in text.splitlines() if line.strip()]
    alike = [Counter(line.count(mark) for line in lines) for mark in (b",", b";", b"\t", b"|")]
    most = max((n for counts in alike for times, n in counts.items() if times), default=0)
    return (len(lines) < 2 or 2 * most < len(lines)) and not text.startswith((b"{", b"["))


def _sources(path: Path) -> list[Source]:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except PermissionError:
        raise InputError(f"{path}: this file may not be read; ask for the right to it") from None
    if head.startswith(_ZIP) and not _is_workbook(path):
        return _members(path, None)
    return [_known(path, None, head)]


def _is_workbook(path: Path) -> bool:
    """Whether a ZIP is a workbook in truth: its members tell, its name may not."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED:
        return _format(path.name) == "workbook"
    return any(name.startswith("xl/") or name == "content.xml" for name in names)


def _known(path: Path, member: str | None, head: bytes) -> Source:
    """Return a file, or a member of an archive, as its name and its first bytes say it is."""
    kind = _format(member or path.name)
    source = Source(path, kind or "csv", member=member)
    if kind is None:
        raise InputError(f"{source}: this kind of file cannot be read; readable are {_READABLE}")
    if not head:
        raise InputError(f"{source}: the file is empty; export it again")
    for magic, what in _STRANGERS.items():
        if head.startswith(magic):
            raise InputError(f"{source}: this is {what}")
    packed = next((how for magic, how in _PACKED.items() if head.startswith(magic)), None)
    if head.startswith(b"PAR1"):
        kind = "parquet"
    elif head.startswith((_ZIP, _OLD_OFFICE)):
        kind = "workbook"
    elif kind == "workbook" and packed is None:
        kind = "csv"  # text that is called .xls
    elif head.startswith(b"SQLite"):
        kind = "objects"
    elif kind == "objects" and re.search(rb"xes\.|<trace", head):
        kind = "xes"
    return Source(path, kind, packed, member)


def _members(path: Path, wanted: str | None) -> list[Source]:
    """Return the readable members of a ZIP archive, or those that a name or glob means."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
            readable = [i for i in infos if _format(i.filename) and not i.flag_bits & 1]
            notes = {i for i in readable if _is_note(i.filename, partial(archive.open, i))}
    except (*DAMAGED, NotImplementedError):
        raise InputError(
            f"{path}: the archive is damaged; the copy was cut off, fetch the file again"
        ) from None
    names = [i.filename for i in infos if not _is_hidden(Path(i.filename), Path())]
    if wanted is not None:
        chosen = [n for n in names if n == wanted or fnmatch.fnmatch(n, wanted)]
        missing = f"there is no {wanted!r} in this archive; {there_are(names, wanted)}"
    else:
        beside = {i.filename for i in notes}
        chosen = sorted(n for n in names if _format(n) is not None)
        chosen = [n for n in chosen if n not in beside] or chosen
        there = listed(names) if names else "nothing"
        missing = f"there is no log in this archive; it holds {there}; readable are {_READABLE}"
    if not chosen:
        raise InputError(f"{path}: {missing}")
    locked = {i.filename for i in infos if i.flag_bits & 1}
    sources = []
    for name in chosen:
        if name in locked:
            raise InputError(f"{path}/{name}: this is locked by a password; unpack it first")
        source = Source(path, "csv", member=name)
        try:
            with open_source(source) as file:
                head = file.read(_HEAD)
        except (*DAMAGED, NotImplementedError) as error:
            raise cut_off(source, error) from None
        sources.append(_known(path, name, head))
    return sources


def as_file(source: Source) -> Path | io.BytesIO:
    """Return the path of a file that is not packed, else its bytes as a file."""
    return source.path if source.is_plain else io.BytesIO(read_bytes(source))
