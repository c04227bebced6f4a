"""Who may come in: the token, how guesses at it are slowed, and how a session of sign-in ends."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import tornado.web
from jupyter_server.auth.identity import IdentityProvider, User

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds that an address waits after its first wrong attempt, doubled with each, and at most."""
PAUSE_OF_ALL, FORGOTTEN_AFTER = 0.05, 600.0
"""Seconds that all attempts wait after a wrong one, and after which an address's count no more."""
WAITING_OF_ONE, WAITING_OF_ALL, ADDRESSES = 16, 256, 1024
"""Attempts that may wait, of one address and of all, and addresses that are remembered."""
ENDED = 10_000
"""Sessions that are remembered as ended; each cost somebody who knows the token a sign-in."""


class TooManyAttemptsError(Exception):
    """More attempts wait already than are kept waiting."""


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    wrong: int = 0
    at: float = 0.0


class Attempts:
    """Lets attempts at the token through one after the other, and slower after each wrong one.

    Those of one address queue, all wrong ones wait a moment; a right one passes at its turn.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._all = asyncio.Lock()
        self._waiting = 0
        self._clock, self._sleep = clock, sleep

    def __len__(self) -> int:
        return len(self._lines)

    async def is_right(self, address: str, check: Callable[[], bool]) -> bool:
        """Wait for its turn, then check; a wrong attempt is told so only after its pause.

        TooManyAttemptsError: so many wait already that nothing was checked.
        """
        line = self._line(address)
        if line.waiting >= WAITING_OF_ONE or self._waiting >= WAITING_OF_ALL:
            raise TooManyAttemptsError
        line.waiting += 1
        self._waiting += 1
        try:
            async with line.lock:
                async with self._all:
                    if check():
                        return True
                    await self._sleep(PAUSE_OF_ALL)
                line.wrong = min(line.wrong + 1, 16)
                line.at = self._clock()
                await self._sleep(min(FIRST_PAUSE * 2 ** (line.wrong - 1), LONGEST_PAUSE))
                return False
        finally:
            line.waiting -= 1
            self._waiting -= 1

    def _line(self, address: str) -> _Line:
        key, now = _network(address), self._clock()
        line = self._lines.setdefault(key, _Line(at=now))
        self._lines.move_to_end(key)
        if not line.waiting and now - line.at > FORGOTTEN_AFTER:
            line.wrong = 0
        while len(self._lines) > ADDRESSES:
            # One that somebody waits in stays what they wait in; those who come later start anew.
            self._lines.popitem(last=False)
        return line


def _network(address: str) -> str:
    """Return an address; of IPv6 the network, in which one machine may have any address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address


class TokenIdentity(IdentityProvider):
    """Knows visitors by the token, or by the cookie they were given for it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attempts = Attempts()
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def auth_enabled(self) -> bool:
        """Whether there is a token."""
        return bool(self.token)

    async def _knows(self, handler: Any, given: str) -> bool:
        def check() -> bool:
            return hmac.compare_digest(given.encode(), str(self.token).encode())

        try:
            return await self.attempts.is_right(handler.request.remote_ip, check)
        except TooManyAttemptsError:
            raise tornado.web.HTTPError(429) from None

    async def get_user(self, handler: Any) -> User | None:
        """Return who asks; a wrong token is told so slowly, even beside a right cookie."""
        given = self.get_token(handler)
        if given and self.token and not await self._knows(handler, given):
            user = self.get_user_cookie(handler)
            return user if isinstance(user, User) else None
        return await self._get_user(handler)

    async def sign_in(self, handler: Any) -> User | None:
        """Return a new user where the form holds the token."""
        given = handler.get_body_argument("password", default="")
        if not self.token or not await self._knows(handler, given):
            return None
        user = self.generate_anonymous_user(handler)
        self.set_login_cookie(handler, user)
        return user

    def get_user_cookie(self, handler: Any) -> User | Awaitable[User | None] | None:
        """Return whose cookie it is, unless that session was ended."""
        user = super().get_user_cookie(handler)
        return None if isinstance(user, User) and user.username in self._ended else user

    def end(self, handler: Any) -> None:
        """End the session: its cookie, and every copy of it, is worth nothing from now on."""
        user = handler.current_user
        if isinstance(user, User):
            self._ended[user.username] = None
            while len(self._ended) > ENDED:
                self._ended.popitem(last=False)
        self.clear_login_cookie(handler)
