"""Files that survive a kill, a full disk and a second writer: how everything kept is written.

A folder is written under a name that nobody reads, and only then named, by one rename or by one
file that points at it. Whoever reads sees the old or the new, whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxlib.errors import WorkspaceError

LOCK = ".lock"
DRAFT = ".draft-"  # what the names of unfinished files and folders begin with
_NO_HASH = "0" * 64
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EFBIG: "files may not become so large",
    errno.EROFS: "it lies on a disk that may only be read",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
}
_NUMBER = re.compile(r"os error (\d+)")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder, by its path in there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check that files are the ones that were written (`hash_files`)."""
    for name, known in hashes.items():
        try:
            same = hash_file(folder / name) == known
        except OSError as error:
            raise WorkspaceError(f"{folder / name} is missing or cannot be read") from error
        if not same:
            raise WorkspaceError(f"{folder / name} is not as it was written, its bytes changed")


def seal(content: Mapping[str, Any]) -> str:
    """Return content as JSON that holds the SHA-256 of its own text, with zeros in the hash's
    place: `read_sealed` notices every changed bit.
    """
    text = json.dumps({"sha256": _NO_HASH, **content}, indent=1)
    return text.replace(_NO_HASH, hashlib.sha256(text.encode()).hexdigest(), 1)


def read_sealed(text: str, *, formats: range) -> dict[str, Any]:
    """Read what `seal` wrote, unchecked where its ``format`` is not among `formats`; what is no
    such JSON, or has changed since it was written, is a ValueError.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise ValueError("it has no format")
    if content["format"] in formats:
        known = str(content.pop("sha256", ""))
        plain = text.replace(known, _NO_HASH, 1)
        if hashlib.sha256(plain.encode()).hexdigest() != known:
            raise ValueError("its bytes changed since it was written")
    return content


def sync_folder(folder: Path) -> None:
    """Bring a folder and everything in it to the disk: no later rename overtakes its bytes."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows brings a folder's names to the disk itself
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_over(path: Path, text: str, *, draft: Path) -> None:
    """Write a file, or put it in the place of the one before, in one step."""
    draft.write_text(text, encoding="utf-8")
    _sync(draft)
    _sync(path.parent)  # what the text names is on the disk before the text is
    draft.replace(path)
    _sync(path.parent)


@contextmanager
def draft_folder(home: Path) -> Iterator[Path]:
    """Make a folder that nobody reads, and remove it unless it was renamed when it was finished."""
    draft = home / f"{DRAFT}{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}"
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def keep_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder that can be made again from others: whole, or not at all; `write` fills an
    empty one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _in_a_sentence(folder), draft_folder(folder.parent) as draft:
        fresh, old = draft / "new", draft / "old"
        fresh.mkdir()
        write(fresh)
        sync_folder(fresh)
        with suppress(FileNotFoundError):
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError as error:  # another was quicker, with the same
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def remove_leftovers(home: Path, names: Iterable[str] = ()) -> None:
    """Remove what killed writers left in a folder, and `names` in it; the caller holds its lock."""
    for path in (*home.glob(f"{DRAFT}*"), *(home / name for name in names)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only one who writes to a workspace, and say in a sentence what the disk refuses. A
    lock ends with its process, however that ends.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    with _in_a_sentence(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            msg = f"{folder} is being written to by another cx; run this again when that has ended"
            raise WorkspaceError(msg) from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _in_a_sentence(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses into a sentence, from whatever library it comes."""
    try:
        yield
    except Exception as error:
        # Polars tells the number of some of these errors in its text only
        told = _NUMBER.search(str(error))
        number = getattr(error, "errno", None) or (int(told[1]) if told else None)
        if number not in _REASONS:
            raise
        msg = (
            f"{folder} cannot be written to: {_REASONS[number]}. What it held before is unchanged; "
            "make room, or name another folder, and run this again"
        )
        raise WorkspaceError(msg) from error
