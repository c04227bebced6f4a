"""Personal data in comments: masked before anything is written.

Found are mail addresses, also spelled out, phone numbers, payment cards, bank accounts (IBAN) and
other long numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl

from cxlib.ingest.evidence import words

NOT_MASKED = (
    "names and postal addresses are not found and stand in the comments as written; comments never "
    "leave the workspace"
)
REGIONS = ("DE", "AT", "CH", "GB", "US", "FR", "IT", "ES", "NL", "BR")  # of phone numbers

_MAIL = re.compile(r"[\w.+%'-]+\s?@\s?[\w-]+(?:\.[\w-]+)*\.[^\W\d][\w-]*", re.UNICODE)

_AT = (  # says an address, and nothing else
    r"(?:\s*(?:[(\[{<]\s*(?:at|ät|@)\s*[)\]}>]|@|＠|&#0?64;|&commat;|%40)\s*|[(\[{]a[)\]}]"
    r"|\s*[\s_-](?:ät|arroba|arobase|klammeraffe|apenstaartje|chiocciola|at[\s-]?sign)[\s_-]\s*)"
)
_WEAK_AT = r"\s*[\s_-]at[\s_-]\s*"  # stands in ordinary sentences too
_SPOKEN = r"(?:dot|punkt|punto|ponto|punt|point)"
_DOT = rf"(?:\s*[(\[{{<]\s*(?:{_SPOKEN}|\.)\s*[)\]}}>]\s*|[\s_-]+{_SPOKEN}[\s_-]+|\.|\s\.\s)"
_JOIN = rf"(?:{_DOT}|\s+(?:underscore|unterstrich|minus|bindestrich|dash|hyphen|plus)\s+)"
_LOCAL = rf"(?P<local>[\w.+'-]*\w(?:{_JOIN}[\w+-]*\w)*)"
_PROVIDERS = (
    "gmail|googlemail|gmx|web|yahoo|hotmail|outlook|icloud|aol|protonmail|proton|freenet|t-online|"
    "live|msn|mail|posteo|orange|free|libero|wanadoo|laposte|terra|uol|bluewin|ziggo|kpnmail"
)
# No word of a language that a sentence could go on with: "at noon dot it was over".
_ENDS = r"com|net|org|de|ch|eu|fr|es|nl|uk|pl|dk|fi|pt|br|ca|au|cz|ie|jp|biz|info|edu|gov|example"
_DOMAIN = rf"(?P<domain>\w[\w-]*(?:{_DOT}\w[\w-]*)*{_DOT}[^\W\d_]{{2,8}})\b"
_SPELLED = re.compile(rf"\b{_LOCAL}(?:(?P<sure>{_AT})|{_WEAK_AT}){_DOMAIN}", re.IGNORECASE)
_MAY_SPELL = rf"(?i)(?:{_AT}|{_WEAK_AT})\w[\w-]*{_DOT}\pL{{2}}"
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d+])[2-6](?:[ -]?\d){12,18}(?!\d)")
_DATE = re.compile(r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})(?: \d{1,2})?")
_DIGITS = re.compile(r"(?:\d\D{0,3}){6}")
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
    text = pl.col(comments.name)
    surely = text.str.contains("@|" + _DIGITS.pattern)
    suspect = given.filter(surely | text.str.contains(_MAY_SPELL))
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
    put("mail", _SPELLED, _spelled_length)
    put("iban", _IBAN, _account_length)
    put("card", _CARD, lambda n: len(n) * passes_luhn(re.sub(r"\D", "", n)))
    for number in phones(text) if _DIGITS.search(text) else ():
        put("phone", re.compile(re.escape(number)), len)
    put("number", _LONG, lambda n: len(n) * (_DATE.fullmatch(n) is None))
    return text


def _spelled_length(text: str) -> int:
    """Return the length of a text that spells a mail address, 0 where a sentence reads so: a bare
    "at" needs a provider, a name as in addresses, or a said dot before an ending that is no word.
    """
    match = _SPELLED.fullmatch(text)
    if match is None or match["sure"]:
        return len(text)
    local, domain = match["local"].lower(), match["domain"].lower()
    if local in words("nobody"):
        return 0
    is_written_so = re.search(r"[^\W\d_]", local) and re.search(r"[.\d_+\s]", local)
    is_said = re.search(rf"\b{_SPOKEN}\b", domain) and re.search(rf"\b(?:{_ENDS})$", domain)
    is_of_mail = re.match(rf"(?:{_PROVIDERS})\b", domain)
    return len(text) * bool(is_written_so or is_said or is_of_mail)


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
