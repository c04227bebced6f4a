"""Guesses about a log that nobody has described yet: which column is what, and what names mean.

Every guess comes with the reason, so that a reader of the proposed map can judge it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import polars as pl

from cxlib.errors import InputError, listed
from cxlib.ingest.instants import guess_time_format, read_instants

__all__ = ["Guess", "guess_by_words", "guess_columns", "guess_time"]


class Guess(NamedTuple):
    """What was guessed, and why."""

    value: str
    why: str


class _Role(NamedTuple):
    words: tuple[str, ...]
    fits: Callable[[pl.Series], bool]


CHANNEL_WORDS = {
    "email": "email newsletter e-mail mailing",
    "app": "app mobile push",
    "phone": "phone call callcentre hotline telefon anruf telefoon bellen nabellen callback",
    "chat": "chat whatsapp messenger chatbot",
    "store": "store shop till pos branch filiale laden kasse winkel kassa filiaal desk counter",
    "post": "post letter brief mail flyer catalogue katalog",
    "social": "social facebook instagram tiktok twitter",
    "ads": "ad ads banner display search campaign anzeige advertentie sea",
    "web": "web website page site online browse basket cart checkout landing",
}

STAGE_WORDS = {
    "awareness": "ad ads banner display campaign newsletter impression social flyer landing lead "
    "submitted register registration anzeige werbung aanvraag anfrage advertentie window awareness",
    "exploration": "view product page search browse compare comparison advice demo visit quote "
    "preaccepted review catalogue beratung suche vergleich advies zoeken bekijken exploration",
    "conversion": "basket cart checkout payment pay paid purchase order buy bought offer sent "
    "contract accept accepted sign till warenkorb kasse kauf bestellung angebot bezahlen aankoop "
    "bestelling offerte conversion",
    "aftersales": "delivery delivered return refund support complaint help service invoice "
    "warranty loyalty survey cancelled canceled declined approved activated closed lieferung "
    "retoure reklamation rechnung levering retour klacht factuur aftersales",
}

GOAL_WORDS = (
    "payment paid pay bezahlung zahlung betaling betaald",
    "purchase purchased bought sale kauf gekauft aankoop verkoop",
    "order ordered bestellung bestelling",
    "approved genehmigt goedgekeurd",
    "activated accepted",
    "signed contract subscribed converted conversion",
)

LOST_WORDS = "declined rejected denied cancelled canceled withdrawn churn abgelehnt storniert " + (
    "widerrufen afgewezen geweigerd geannuleerd ingetrokken"
)


def guess_columns(rows: pl.DataFrame) -> dict[str, Guess]:
    """Return the column of each role that one is found for, with the reason.

    Parameters
    ----------
    rows
        Raw rows, every column as text.

    Raises
    ------
    InputError
        Where no column can be the customer, the time or the touchpoint.
    """
    found: dict[str, Guess] = {}
    for role, (words, fits) in _roles(rows.height).items():
        taken = {guess.value for guess in found.values()}
        free = [c for c in rows.columns if c not in taken]
        named = sorted((rank, c) for c in free if (rank := _rank(c, words)) is not None)
        fitting = next((c for _, c in named if fits(rows[c])), None)
        if fitting is not None:
            found[role] = Guess(fitting, f"its name and its content look like {role}")
        elif role in _BY_CONTENT and (by_content := [c for c in free if fits(rows[c])]):
            best = max(by_content, key=lambda c: _BY_CONTENT[role](rows[c]))
            found[role] = Guess(best, f"its content could be {role}; its name does not say")
        elif role in _BY_CONTENT:
            raise InputError(
                f"no column looks like the {role}; there are: {listed(rows.columns)}; name it "
                f"in the map under columns: {{{role}: …}}"
            )
    return found


def guess_time(texts: pl.Series) -> Guess | None:
    """Return the pattern of times that need one, and why; None where they are read as is."""
    if _is_time(texts):
        return None
    guessed = guess_time_format(texts.drop_nulls().head(1000).to_list())
    if guessed is None:
        return None
    pattern, certain = guessed
    why = "a part above 12 must be the day" if certain else "day or month first? Please check"
    return Guess(pattern, why)


def guess_by_words(name: str, words: dict[str, str]) -> str | None:
    """Return the first key of which a word stands in a name.

    Examples
    --------
    >>> guess_by_words("product_page viewed", STAGE_WORDS)
    'exploration'
    >>> guess_by_words("xyz", STAGE_WORDS) is None
    True
    """
    parts = _words(name)
    for key, spoken in words.items():
        if set(parts) & set(spoken.split()):
            return key
    joined = "".join(parts)
    # German and Dutch join words: look for longer ones inside.
    for key, spoken in words.items():
        if any(len(word) > 5 and word in joined for word in spoken.split()):
            return key
    return None


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_\d]+(?:-[^\W_\d]+)*", spaced.lower())


def _rank(column: str, words: Iterable[str]) -> int | None:
    """Position of the first word that a column is called by; whole names before parts of names."""
    name = column.lower().strip()
    parts = set(_words(name.replace(":", " ").replace(".", " ")))
    ranked = list(words)
    for rank, word in enumerate(ranked):
        if name == word:
            return rank
    for rank, word in enumerate(ranked):
        if word in parts or (len(word) > 4 and any(part.startswith(word) for part in parts)):
            return rank + len(ranked)
    return None


def _roles(rows: int) -> dict[str, _Role]:
    """Names by role in order of trust, and the content that a column must have for it."""

    def is_time(values: pl.Series) -> bool:
        return _is_time(values) or guess_time_format(_head(values)) is not None

    def repeats(values: pl.Series) -> bool:
        return 1 <= values.n_unique() <= max(2000, rows // 20) and not _is_time(values)

    def any_text(values: pl.Series) -> bool:
        return values.null_count() < len(values)

    def _split(words: str) -> tuple[str, ...]:
        return tuple(words.split())

    return {
        "customer": _Role(
            _split(
                "case:concept:name customer customer_id client kunde klant user visitor member "
                "person account patient case caseid contact_id cookie session"
            ),
            any_text,
        ),
        "occurred_at": _Role(
            _split(
                "time:timestamp occurred_at timestamp event_time datetime zeitpunkt tijdstip "
                "when time date zeit tijd datum start started begin created"
            ),
            is_time,
        ),
        "touchpoint": _Role(
            _split(
                "concept:name touchpoint activity event_name event contact interaction action step "
                "aktivität aktion activiteit contactpunt page type name"
            ),
            repeats,
        ),
        "channel": _Role(_split("channel kanal kanaal via medium source"), repeats),
        "stage": _Role(_split("stage phase fase funnel_stage"), repeats),
        "owner": _Role(_split("owner team department org:group abteilung afdeling"), repeats),
        "ended_at": _Role(
            _split("ended_at end_time end ended until finished ende bis einde tot"), _is_time
        ),
        "rating": _Role(
            _split("rating nps csat ces stars score bewertung beoordeling"), _is_number
        ),
        "issue": _Role(_split("issue ticket topic reason anliegen onderwerp"), any_text),
        "cost": _Role(_split("cost costs kosten"), _is_number),
        "comment": _Role(_split("comment feedback remark kommentar opmerking"), any_text),
        "environment": _Role(_split("environment device browser place store_id version"), repeats),
        "sequence": _Role(_split("sequence seq position reihenfolge volgorde"), _is_number),
    }


_BY_CONTENT: dict[str, Callable[[pl.Series], float]] = {
    # Many values that come back: neither one per row nor a handful.
    "customer": lambda values: -abs(values.n_unique() / max(len(values), 1) - 0.2),
    "occurred_at": lambda values: values.n_unique(),
    "touchpoint": lambda values: -abs(values.n_unique() - 20),
}


def _head(values: pl.Series) -> list[str]:
    return [str(v) for v in values.drop_nulls().head(500).to_list()]


def _is_time(values: pl.Series) -> bool:
    head = values.drop_nulls().head(500)
    if not len(head):
        return False
    read = read_instants(head, where="", refuse=False)
    return int(read.unread.sum()) < len(head) / 2


def _is_number(values: pl.Series) -> bool:
    head = values.drop_nulls().head(500)
    numbers = head.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return len(head) > 0 and numbers.null_count() < len(head) / 10
