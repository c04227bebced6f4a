"""Tables and lists as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cxlib.markup import markdown_text

__all__ = ["aside", "bullets", "listed", "table_of"]


def table_of(rows: Sequence[Mapping[str, str]], *, most: int = 30) -> str:
    """Write rows of plain texts as a table; the keys of the first row are the headings.

    Examples
    --------
    >>> print(table_of([{"stage": "look", "customers": "3"}]))
    | stage | customers |
    |---|---|
    | look | 3 |
    """
    if not rows:
        return "*Nothing to list.*"
    heads = list(rows[0])
    lines = [_line(heads), "|" + "---|" * len(heads)]
    lines += [_line([row[head] for head in heads]) for row in rows[:most]]
    if len(rows) > most:
        lines.append(f"\n*and {len(rows) - most:,} more*")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"


def aside(estimate: str) -> str:
    """Put an estimate with its interval into one pair of brackets.

    Examples
    --------
    >>> aside("32 % (31–33)"), aside("32 %")
    ('(32 %; 31–33)', '(32 %)')
    """
    return f"({estimate.replace(' (', '; ').removesuffix(')')})"


def bullets(sentences: Sequence[str]) -> str:
    """Write sentences as a list."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Write names in a sentence: ``a, b and c``; of many the first ones.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a"]), listed(["a", "b", "c"], most=2)
    ('a, b and c', 'a', 'a, b and 1 more')
    """
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most:,} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else "none"
