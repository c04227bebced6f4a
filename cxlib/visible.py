"""Text of others, made safe to show in a terminal or a log: no character is obeyed, or unseen."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format (bidi marks, zero width, tags), lone surrogates, line and
paragraph separators.
"""
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)]))
)
"""Characters of other categories that are drawn as nothing; the two that choose between text and
picture of an emoji are not among them.
"""
_PLAIN = re.compile(r"[ -~]*")


def visible(text: object) -> str:
    r"""Return a text in one line in which every character that would not be shown is written out.

    Written as Python does: ``\x1b``, ``\u202e``. All others are left, wide and combining ones too.
    """
    text = str(text)
    return text if _PLAIN.fullmatch(text) else "".join(map(_shown, text))


def escape_json(text: str) -> str:
    r"""Return JSON in which no string holds such a character; what a parser reads is the same."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(map(_escaped, text))


@lru_cache(maxsize=4096)
def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in _OBEYED and character not in _INVISIBLE


def _shown(character: str) -> str:
    if _is_shown(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _escaped(character: str) -> str:
    # Line breaks and the like stand between the strings of JSON only, where they lay it out.
    if _is_shown(character) or character in "\n\t\r":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
