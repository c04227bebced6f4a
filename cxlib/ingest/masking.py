"""Personal data in comments: masked before anything is written.

Found are mail addresses, phone numbers, payment cards, bank accounts (IBAN), other long numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl

NOT_MASKED = (
    "names, postal addresses and what is spelled out ('jane at example dot com') are not found "
    "and stand in the comments as written; comments never leave the workspace"
)
REGIONS = ("DE", "AT", "CH", "GB", "US", "FR", "IT", "ES", "NL", "BR")  # of phone numbers

_MAIL = re.compile(r"[\w.+%'-]+\s?@\s?[\w-]+(?:\.[\w-]+)+", re.UNICODE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d+])[2-6](?:[ -]?\d){12,18}(?!\d)")
_DATE = re.compile(r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})(?: \d{1,2})?")
_LONG = re.compile(r"(?<!\w)\+?\(?\d(?:[ ./()-]{0,2}\d){6,}")


def passes_luhn(number: str) -> bool:
    """Whether digits carry the check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(d) for d in reversed(number)]
    return sum(d if i % 2 == 0 else 2 * d - 9 * (d > 4) for i, d in enumerate(digits)) % 10 == 0


def passes_mod_97(account: str) -> bool:
    """Whether an IBAN carries its check digits (ISO 13616)."""
    turned = account[4:] + account[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def mask_comments(
    comments: pl.Series, *, regions: Sequence[str] = REGIONS
) -> tuple[pl.Series, dict[str, int]]:
    """Replace what identifies people in comments by its kind, and count it by kind."""
    given = comments.drop_nulls().value_counts()
    suspect = given.filter(pl.col(comments.name).str.contains(r"@|(?:\d\D{0,3}){6}"))
    counts: Counter[str] = Counter()
    masked: dict[str, str] = {}
    phones = _phones(regions)
    for text, times in suspect.iter_rows():
        found: Counter[str] = Counter()
        masked[text] = _mask(text, phones, found)
        for kind, n in found.items():
            counts[kind] += n * times
    ordered = {kind: counts[kind] for kind in ("mail", "iban", "card", "phone", "number")}
    if masked:
        comments = comments.replace(masked)
    return comments, {kind: n for kind, n in ordered.items() if n}


def _mask(text: str, phones: Callable[[str], list[str]], found: Counter[str]) -> str:
    def replace(kind: str, is_one: Callable[[str], bool]) -> Callable[[re.Match[str]], str]:
        def write(match: re.Match[str]) -> str:
            if not is_one(match.group()):
                return match.group()
            found[kind] += 1
            return f"[{kind}]"

        return write

    text = _MAIL.sub(replace("mail", bool), text)
    text = _iban(text, found)
    text = _CARD.sub(replace("card", lambda n: passes_luhn(re.sub(r"\D", "", n))), text)
    for number in phones(text):
        if number in text:
            text = text.replace(number, "[phone]")
            found["phone"] += 1
    return _LONG.sub(replace("number", lambda n: not _DATE.fullmatch(n)), text)


def _iban(text: str, found: Counter[str]) -> str:
    """Mask accounts; of a match that runs on into the next word, the longest part that is one."""

    def write(match: re.Match[str]) -> str:
        whole = match.group()
        for end in range(len(whole), 14, -1):
            part = re.sub(r"[ -]", "", whole[:end]).upper()
            runs_on = end < len(whole) and whole[end].isalnum()
            at_end = whole[end - 1].isalnum() and not runs_on
            if len(part) >= 15 and at_end and passes_mod_97(part):
                found["iban"] += 1
                return "[iban]" + whole[end:]
        return whole

    return _IBAN.sub(write, text)


def _phones(regions: Sequence[str]) -> Callable[[str], list[str]]:
    """Find phone numbers; none without `phonenumbers`: they are long numbers then."""
    try:
        from phonenumbers import PhoneNumberMatcher
    except ImportError:
        return lambda text: []

    def find(text: str) -> list[str]:
        found = {
            match.raw_string
            for region in regions
            for match in PhoneNumberMatcher(text, region)
            if not _DATE.fullmatch(match.raw_string)
        }
        return sorted(found, key=len, reverse=True)

    return find
