"""Where the figures on a page come from: said on everything that is taken away from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cxlib.numbers import day
from cxlib.views.shared import words

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a picture or a file must say of itself once it has left the page.

    Attributes
    ----------
    name
        Name of the journey map.
    until
        Last day of the log.
    published
        Day the snapshot was published; None where the answers were never published.
    k
        Fewest customers a figure may be about.
    """

    name: str
    until: date
    published: date | None
    k: int

    @classmethod
    def of(cls, manifest: Mapping[str, Any], until: datetime) -> Origin:
        """Read it from the manifest of a snapshot."""
        at = manifest.get("published_at")
        published = datetime.fromisoformat(at).date() if at else None
        name, k = str(manifest.get("name", "")), int(manifest.get("k", 1))
        return cls(name, until.date(), published, k)

    def credit(self) -> str:
        """Return the line below the title of a picture."""
        return words.CREDIT.format(
            name=self.name, until=day(self.until), published=day(self.published), k=self.k
        )

    def columns(self, selection: str) -> dict[str, str]:
        """Return the columns that say it in every row of a table, with what was selected."""
        return {
            "selection": selection,
            "data_to": self.until.isoformat(),
            "published": self.published.isoformat() if self.published else "",
            "fewest_customers": str(self.k),
        }
