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
    counts: Counter[str] = Counter(dict.fromkeys(("mail", "iban", "card", "phone", "number"), 0))
    masked: dict[str, str] = {}
    phones = _phones(regions)
    for text, times in suspect.iter_rows():
        found: Counter[str] = Counter()
        masked[text] = _mask(text, phones, found)
        counts.update({kind: n * times for kind, n in found.items()})
    return comments.replace(masked), {kind: n for kind, n in counts.items() if n}


def _mask(text: str, phones: Callable[[str], list[str]], found: Counter[str]) -> str:
    def put(kind: str, pattern: re.Pattern[str], length: Callable[[str], int]) -> None:
        """Write the kind for as much of every match as is of it."""
        nonlocal text

        def write(match: re.Match[str]) -> str:
            end = length(match.group())
            found[kind] += bool(end)
            return f"[{kind}]{match.group()[end:]}" if end else match.group()

        text = pattern.sub(write, text)

    put("mail", _MAIL, len)
    put("iban", _IBAN, _account_length)
    put("card", _CARD, lambda n: len(n) * passes_luhn(re.sub(r"\D", "", n)))
    for number in phones(text):
        put("phone", re.compile(re.escape(number)), len)
    put("number", _LONG, lambda n: len(n) * (_DATE.fullmatch(n) is None))
    return text


def _account_length(text: str) -> int:
    """Return the length of the longest IBAN that a text begins with; it may run on into words."""
    for end in range(len(text), 14, -1):
        part = re.sub(r"[ -]", "", text[:end]).upper()
        at_end = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
        if len(part) >= 15 and at_end and passes_mod_97(part):
            return end
    return 0


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
