"""How many sessions (processes) there may be: altogether, of one visitor, and without a page."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cxlib.serve.launch import ServerSettings

_OF_MEMORY = 0.75
"""Part of the machine's memory that sessions may fill together."""
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int | None:
    """Return the bytes of memory of the machine or container; None where the system is silent."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # no POSIX system
        return None
    for path in _CGROUPS:
        with suppress(OSError, ValueError):
            found = min(found, int(Path(path).read_text(encoding="ascii")))
    return found


@dataclass(slots=True)
class _Place:
    visitor: str
    user: str
    alone_since: float | None
    had_a_page: bool = False


@contextmanager
def _counted(counter: Counter[str], name: str) -> Iterator[None]:
    counter[name] += 1
    try:
        yield
    finally:
        counter[name] -= 1
        counter += Counter()  # forgets those at 0


class Places:
    """The sessions given out, at most `most` at a time, and `most_of_one` for one visitor.

    `waiting` ones are kept ready and belong to nobody; unknown `memory` sets no limit.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        waiting: int = 0,
        memory: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = settings.max_visitors
        if memory is not None and settings.kernel_memory_mb > 0:
            fit = int(memory * _OF_MEMORY) // (settings.kernel_memory_mb << 20)
            self.most = min(self.most, max(fit - waiting, 1))
        given = settings.max_per_visitor
        self.most_of_one = min(self.most, -(-self.most // 2) if given is None else given)
        self._settings, self._clock = settings, clock
        self._places: dict[str, _Place] = {}
        self._arriving: Counter[str] = Counter()
        self._wires: Counter[str] = Counter()

    def are_left(self, visitor: str) -> bool:
        """Whether one more session may be given to this visitor."""
        his = sum(place.visitor == visitor for place in self._places.values())
        return (
            len(self._places) + self._arriving.total() < self.most
            and his + self._arriving[visitor] < self.most_of_one
        )

    @property
    def are_arriving(self) -> bool:
        """Whether a session is being made for anybody."""
        return self._arriving.total() > 0

    @property
    def given(self) -> set[str]:
        """The sessions that visitors have."""
        return set(self._places)

    def arriving(self, visitor: str) -> AbstractContextManager[None]:
        """Count a visitor whose session is being made."""
        return _counted(self._arriving, visitor)

    def wired(self, kernel: str) -> AbstractContextManager[None]:
        """Count a wire to a session, from the moment it is asked for until it is closed."""
        return _counted(self._wires, kernel)

    def give(self, kernel: str, *, visitor: str, user: str) -> None:
        """Give a session to a visitor; from now on its page must come, and must stay."""
        self._places[kernel] = _Place(visitor, user, self._clock())

    def free(self, kernel: str) -> None:
        """Take a session back."""
        self._places.pop(kernel, None)

    def of(self, user: str) -> list[str]:
        """Return the sessions of somebody who signed in."""
        return [kernel for kernel, place in self._places.items() if place.user == user]

    def abandoned(self, running: set[str]) -> list[str]:
        """Return the sessions without a page for too long; those that run no more are forgotten."""
        now, ended = self._clock(), []
        for kernel in self._places.keys() - running:
            self.free(kernel)
        for kernel, place in self._places.items():
            if self._wires[kernel]:
                place.had_a_page, place.alone_since = True, None
                continue
            if place.alone_since is None:
                place.alone_since = now
            settings = self._settings
            patience = settings.grace_seconds if place.had_a_page else settings.wire_seconds
            if now - place.alone_since > patience:
                ended.append(kernel)
        return ended
