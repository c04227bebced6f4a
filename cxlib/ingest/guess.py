"""What names mean: words by which channel, stage and kind of a touchpoint are guessed.

Every guess comes with the reason, so that a reader of the proposed map can judge it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CHANNEL_WORDS", "KIND_WORDS", "STAGE_WORDS", "Guess", "guess_by_words"]


class Guess(NamedTuple):
    """What was guessed, and why."""

    value: str
    why: str


CHANNEL_WORDS = {
    "email": "email newsletter e-mail mailing",
    "app": "app mobile push",
    "phone": "phone call callcentre hotline telefon anruf telefoon bellen nabellen callback",
    "chat": "chat whatsapp messenger chatbot",
    "store": "store shop till pos branch filiale laden kasse winkel kassa filiaal desk counter",
    "post": "letter brief mail flyer catalogue katalog",
    "social": "social facebook instagram tiktok twitter",
    "ads": "ad ads banner display campaign anzeige advertentie sea",
    "web": "web website page site online browse basket cart checkout landing",
}

STAGE_WORDS = {
    "awareness": "ad ads banner display campaign newsletter impression social flyer landing "
    "lead home homepage submitted register registration anzeige werbung aanvraag "
    "anfrage advertentie window awareness",
    "exploration": "view product page productpage search browse catalog category listing compare "
    "comparison advice demo visit quote preaccepted review catalogue beratung "
    "suche vergleich advies zoeken bekijken exploration",
    "conversion": "basket cart checkout confirmation shipping billing payment pay paid "
    "purchase order buy bought "
    "offer sent contract accept accepted sign till warenkorb kasse kauf "
    "bestellung angebot bezahlen aankoop bestelling offerte conversion",
    "aftersales": "delivery delivered shipped carrier return refund support complaint help "
    "service invoice warranty loyalty survey cancelled canceled declined approved "
    "activated closed lieferung retoure reklamation rechnung levering retour "
    "klacht factuur aftersales",
}

KIND_WORDS = {
    "delivery": "delivery delivered shipped shipping carrier parcel lieferung levering",
    "service": "support complaint help service return refund repair warranty call chat "
    "ticket hotline retoure reklamation klacht",
    "purchase": "basket cart checkout payment pay paid purchase order buy till warenkorb "
    "kasse kauf bestellung zahlung bezahlen aankoop bestelling",
    "marketing": "ad ads banner display campaign newsletter impression social flyer mailing "
    "anzeige werbung advertentie promo",
    "product": "product productpage search browse catalog category listing compare "
    "comparison catalogue vergleich produkt",
}

_GENERIC = {"page", "view", "site", "online", "mail"}
"""Words that decide only where no other word does: a payment page is about payment."""


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
    for said in (set(parts) - _GENERIC, set(parts)):
        for key, spoken in words.items():
            if said & set(spoken.split()):
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
