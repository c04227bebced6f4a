"""What the server writes about itself: never the token, and nothing that a terminal obeys."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from cxlib.visible import visible

_SECRET = "[secret]"
_SAID = re.compile(
    r"""((?:token|password|_xsrf)['"]?\s*(?:=|%3d|:)\s*['"]?|\bbearer\s+)[^&\s'",;<>]+""",
    re.IGNORECASE,
)
"""A secret that somebody wrote down, though it may not be ours: a guess may be all but right."""


class SafeFormatter(logging.Formatter):
    """Writes a record, tracebacks too, without the secrets and without control characters."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("[%(levelname)s] %(name)s: %(message)s")
        spelled = {s for one in secrets if one for s in (one, quote(one, ""), quote_plus(one))}
        self._secrets = sorted(spelled, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, _SECRET)
        return "\n".join(map(visible, _SAID.sub(rf"\g<1>{_SECRET}", text).split("\n")))


def log_safely(secrets: Iterable[str], *loggers: logging.Logger) -> None:
    """Send all that is logged in this process, also by loggers with handlers, to stderr safely."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(SafeFormatter(secrets))
    logging.getLogger().handlers[:] = [handler]
    for logger in loggers:
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.ERROR)


def log_request(handler: Any) -> None:
    """Write a line about a request that was refused or failed: its path, without the query."""
    status, request, log = handler.get_status(), handler.request, logging.getLogger("cxlib.serve")
    if status >= 400:
        tell, asked = log.error if status >= 500 else log.warning, visible(request.path[:200])
        who, took = request.remote_ip, 1000 * request.request_time()
        tell("%d %s %s (%s) %.0f ms", status, request.method, asked, who, took)
