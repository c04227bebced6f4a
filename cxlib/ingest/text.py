"""The text of a file: its encoding, found out on all of it or given, and its lines."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass

from cxlib.errors import InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LOST = "\ufffd"  # stands for bytes that are no character

_PAGES = ("cp1252", "mac_roman", "cp850", "cp1250", "iso8859_2")  # most characters are usual ones
_LETTERS = "äöüßéèêëàâáãåçñíìîïóòôõøúùûœæ"
_USUAL = dict.fromkeys("€£§°–—’‘“”„«»…•·²³®™©\xa0" + _LETTERS.upper(), 0.6)
_USUAL |= dict.fromkeys(_LETTERS, 1.0)
_CENTRAL = "ąćęłńśźżčďěňřšťůžőű"
_USUAL |= dict.fromkeys(_CENTRAL + _CENTRAL.upper(), 0.95)
_CONTROLS = re.compile(rb"[\x02-\x08\x0b\x0e-\x1b]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text as UTF-8 with one kind of line end; `LOST` stands for each of its bad bytes."""

    data: bytes
    encoding: str
    bad_bytes: int = 0
    zeros: int = 0


def read_text(data: bytes, *, name: str, encoding: str | None = None) -> Text:
    """Return the bytes of a text file as UTF-8; all of the file is looked at."""
    text = _decode(data, name, _known(encoding) if encoding is not None else _guess(data), encoding)
    whole = text.data.replace(b"\x00", b"")
    zeros = len(text.data) - len(whole)
    is_padding = 0 not in text.data.rstrip(b"\x00")
    head = whole[:65536]
    too_many = zeros > len(whole) / 4 and whole.strip() and not is_padding
    if too_many or len(_CONTROLS.findall(head)) > len(head) / 8:
        raise InputError(
            f"{name}: this is not a text file; export the log as CSV, or name its format"
        )
    whole = _with_line_ends(whole)
    return Text(whole.removesuffix(b"\x1a"), text.encoding, text.bad_bytes, zeros)


def _with_line_ends(data: bytes) -> bytes:
    """Make a bare carriage return a line end, but within a cell: where it would end a line that has
    as many separators as most that end otherwise.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\r" not in data or b"\n" not in data.rstrip(b"\n"):
        return data.replace(b"\r", b"\n")
    separator, lines = max((b",", b";", b"\t", b"|"), key=data.count), data.split(b"\n")
    usual = Counter(line.count(separator) for line in lines if line and b"\r" not in line)
    width = max(usual, key=usual.__getitem__, default=0)
    return b"\n".join(
        line if line.count(separator) == width else line.replace(b"\r", b"\n") for line in lines
    )


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InputError(
            f"there is no encoding {encoding!r}; usual ones: utf-8, utf-16, cp1252, latin-1"
        ) from None


def _guess(data: bytes) -> str:
    for bom, known in _BOMS:
        if data.startswith(bom):
            return known
    if b"\x00" in data:
        odd, even = data[1:4096:2].count(0), data[:4096:2].count(0)
        wide, beside = ("utf-16-le", b"%b\x00") if odd > even else ("utf-16-be", b"\x00%b")
        marks = (b"\n", b"\r", b",", b";", b"\t", b" ")
        there = sum(data.count(mark) for mark in marks)
        if there and sum(data.count(beside % mark) for mark in marks) > 0.6 * there:
            return wide
    return "utf-8"


def _decode(data: bytes, name: str, known: str, given: str | None) -> Text:
    if known.startswith("utf-16"):
        return _as_utf16(data, name, known)
    if known in ("utf-8", "utf-8-sig"):
        bare = data.removeprefix(codecs.BOM_UTF8)
        if bare.isascii():
            return Text(bare, known)
        text = bare.decode("utf-8", "replace")
        bad = text.count(LOST) if LOST in text else 0
        again = text.encode("utf-8") if bad else bare
        # Every character beyond ASCII adds bytes to its length; those for bad ones add two.
        whole = len(again) - len(text) - 2 * bad
        if again == bare or given is not None or known == "utf-8-sig" or whole > bad:
            return Text(again, known, bad if again != bare else 0)
        known = _western(data)
    try:
        text = data.decode(known)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: byte {error.start} is not {known}; give the right encoding"
        ) from None
    except (LookupError, ValueError):
        raise InputError(f"{known!r} is no encoding of text; usual ones: utf-8, cp1252") from None
    return Text(text.removeprefix("\ufeff").encode("utf-8", "replace"), known)


def _as_utf16(data: bytes, name: str, encoding: str) -> Text:
    """Decode UTF-16; where a byte too many or too few shifts what follows, one line is lost."""
    is_big = encoding.endswith("be") or data.startswith(codecs.BOM_UTF16_BE)
    codec, behind = ("utf-16-be", 1) if is_big else ("utf-16-le", 3)
    parts, at, end = [], 0, ""
    for _ in range(1000):
        piece = data[at:].decode(codec, "replace")
        end = end or ("\u0a00" if "\n" in piece else "\u0d00")
        off = piece.find(end)
        if off < 0:
            parts.append(piece)
            break
        start = max(piece.rfind("\n", 0, off), piece.rfind("\r", 0, off)) + 1
        parts += [piece[:start], LOST, piece[start:off], "\n"]
        at += len(piece[:off].encode(codec)) + behind
    else:
        raise InputError(f"{name}: this is not {encoding} throughout; give the right encoding")
    text = "".join(parts).removeprefix("\ufeff")
    return Text(text.encode("utf-8", "replace"), encoding, text.count(LOST))


def _western(data: bytes) -> str:
    counted = Counter(data.translate(None, bytes(range(128))))

    def usual(page: str) -> float:
        try:
            return sum(_USUAL.get(bytes([b]).decode(page), 0.0) * n for b, n in counted.items())
        except UnicodeDecodeError:
            return -1.0

    best = max(_PAGES, key=usual)
    return best if usual(best) >= 0 else "latin-1"
