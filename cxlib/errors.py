"""What can go wrong, as few kinds of error, each one clear sentence that a user can act on.

Every error of the package is a `CxError` and also the built-in error it resembles, so that code
which knows nothing of this package still catches it. Messages name the file, line, column or row,
and say what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CxError",
    "InputError",
    "MapError",
    "NotMeasurableError",
    "UnknownNameError",
    "WorkspaceError",
    "did_you_mean",
    "listed",
    "nearest_name",
    "there_are",
]


class CxError(Exception):
    """Base of all errors raised on purpose; the text is made to be shown to a user as it stands."""

    def _render_traceback_(self) -> list[str]:
        """Give what a notebook shows instead of a traceback."""
        return [str(self)]


class InputError(CxError, ValueError):
    """A log, table or argument breaks a rule; says which, how many rows and what to do.

    Names and values from a log may hold line ends: the message is put on one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class MapError(CxError, ValueError):
    """A journey map breaks a rule; `key` is a path such as ``touchpoints[2].stage``."""

    def __init__(
        self, problem: str, *, file: str = "", line: int | None = None, key: str = ""
    ) -> None:
        self.problem, self.file, self.line, self.key = problem, file, line, key
        place = [file or "journey map", f"line {line}" if line is not None else "", key]
        super().__init__(f"{', '.join(p for p in place if p)}: {problem}")


class WorkspaceError(CxError, ValueError):
    """A workspace folder is missing, incomplete, or of another version."""


class NotMeasurableError(CxError, ValueError):
    """The data cannot answer the question (waits, for example, where times are dates only)."""


class UnknownNameError(CxError, KeyError):
    """A touchpoint, channel, stage, segment or column that does not exist here; lists those that
    do.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = list(known)
        self.kind, self.name, self.known = kind, name, names
        super().__init__(
            f"there is no {kind} {name!r}; known: {listed(names)}.{did_you_mean(str(name), names)}"
        )

    def __str__(self) -> str:
        # KeyError would show the repr of the message, quotes and all.
        return str(self.args[0])


def listed(names: Iterable[str], *, shown: int = 20) -> str:
    """Return names as a list in a sentence, cut short where there are many.

    >>> listed(["a", "b", "c"], shown=2)
    'a, b … (3 in all)'
    """
    every = list(names)
    more = f" … ({len(every):,} in all)" if len(every) > shown else ""
    return (", ".join(every[:shown]) or "none") + more


def there_are(known: Iterable[str], name: str = "") -> str:
    """Return the end of a sentence: the names that there are, and which one may have been meant.

    >>> there_are(["when", "who"], "whe")
    "there are: when, who. Did you mean 'when'?"
    """
    names = list(known)
    return f"there are: {listed(names)}.{did_you_mean(name, names)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty text where none is
    near.

    Case and surrounding blanks do not count as a difference.

    >>> did_you_mean("Exploraton", ["awareness", "exploration"])
    " Did you mean 'exploration'?"
    >>> did_you_mean("zzz", ["awareness"])
    ''
    """
    nearest = nearest_name(name, known)
    return f" Did you mean {nearest!r}?" if nearest is not None else ""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None where none is near enough to mention."""
    folded = {k.strip().casefold(): k for k in known}
    found = get_close_matches(name.strip().casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None
