"""The encoding and the separator of a text file, found out or given, and always said."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass
from itertools import islice

from cxlib.errors import InputError

__all__ = ["SEPARATORS", "Text", "detect_separator", "read_text"]

SEPARATORS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 18
LOST = "\ufffd"
"""Stands for bytes that are no character."""


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes of a text file as UTF-8 without a byte order mark.

    Parameters
    ----------
    data
        The text, UTF-8.
    encoding
        What the file was written in.
    bad_bytes
        How many sequences of bytes were no character; `LOST` stands for each.
    """

    data: bytes
    encoding: str
    bad_bytes: int = 0

    @property
    def sample(self) -> str:
        """The first quarter of a megabyte, cut at the end of a line."""
        head = self.data[:_SAMPLE]
        if len(self.data) > _SAMPLE:
            head = head[: head.rfind(b"\n") + 1] or head
        return head.decode("utf-8", "ignore")


def read_text(data: bytes, *, name: str, encoding: str | None = None) -> Text:
    """Return the bytes of a text file as UTF-8.

    A byte order mark decides; else UTF-8 where all of it is UTF-8; else UTF-8 with bad bytes where
    more of its special characters are whole than broken; else Windows-1252, or latin-1 where that
    fails.

    Raises
    ------
    InputError
        Where the file is not text, or not in the encoding given.
    """
    if encoding is not None:
        return _as_given(data, name, encoding)
    for bom, known in _BOMS:
        if data.startswith(bom):
            if known == "utf-8-sig":
                return _as_utf8(data[len(bom) :], name, known)
            return _decoded(data, name, known)
    zeros = data[:4096].count(0)
    if zeros:
        # Latin text in UTF-16 has a zero in every second byte: in the odd places if it is LE.
        odd = data[1:4096:2].count(0)
        if zeros > len(data[:4096]) // 4 and max(odd, zeros - odd) > 0.9 * zeros:
            return _decoded(data, name, "utf-16-le" if odd > zeros - odd else "utf-16-be")
        raise InputError(
            f"{name}: this is not a text file; export the log as CSV, or name its format"
        )
    return _as_utf8(data, name, "utf-8")


def detect_separator(text: Text, *, name: str, separator: str | None = None) -> str:
    """Return the separator given, or the one that cuts the first 200 rows most evenly.

    Raises
    ------
    InputError
        Where the separator given is not one character.
    """
    if separator is not None:
        if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
            raise InputError(f"{name}: the separator must be one character, not {separator!r}")
        return separator

    def evenness(candidate: str) -> tuple[float, int]:
        rows = [
            r for r in islice(csv.reader(text.sample.splitlines(), delimiter=candidate), 200) if r
        ]
        fields = len(rows[0]) if rows else 0
        alike = sum(len(r) == fields for r in rows) / max(len(rows), 1)
        return (alike, fields) if fields > 1 else (0.0, 0)

    return max(SEPARATORS, key=evenness)


def _as_given(data: bytes, name: str, encoding: str) -> Text:
    try:
        known = codecs.lookup(encoding).name
    except LookupError:
        raise InputError(
            f"there is no encoding {encoding!r}; usual ones: utf-8, utf-16, cp1252, latin-1"
        ) from None
    if known in ("utf-8", "utf-8-sig"):
        return _as_utf8(data.removeprefix(codecs.BOM_UTF8), name, known, sure=True)
    return _decoded(data, name, known)


def _decoded(data: bytes, name: str, encoding: str) -> Text:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: byte {error.start} is not {encoding}; give the right encoding"
        ) from None
    return Text(text.removeprefix("\ufeff").encode("utf-8"), encoding)


def _as_utf8(data: bytes, name: str, encoding: str, *, sure: bool = False) -> Text:
    try:
        codecs.utf_8_decode(data, "strict", True)
    except UnicodeDecodeError:
        pass
    else:
        return Text(data, encoding)
    text = data.decode("utf-8", "replace")
    again = text.encode("utf-8")
    bad = text.count(LOST)
    # Every character beyond ASCII adds bytes to its length; those that stand for bad ones add two.
    whole = len(again) - len(text) - 2 * bad
    if sure or encoding == "utf-8-sig" or whole > bad:
        return Text(again, encoding, bad)
    try:
        return _decoded(data, name, "cp1252")
    except InputError:
        return _decoded(data, name, "latin-1")
