"""How numbers are written for people: counts, shares with their interval, durations.

One place, so that "31 k" on the map is "31 k" in the sentence above it and in the table below it.
A missing number is never shown as 0: it is written as a dash, or as the reason why it is missing.
"""

from __future__ import annotations

import math
from datetime import timedelta

NBSP = "\N{NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def people(count: float | None) -> str:
    """Write a count: ``1,240``, ``31 k``, ``1.2 M``; a dash where it is missing.

    Examples
    --------
    >>> people(1240), people(31_400).replace(NBSP, " "), people(None)
    ('1,240', '31 k', '–')
    """
    if count is None or math.isnan(count):
        return MISSING
    value = round(count)
    if abs(value) < 10_000:
        return f"{value:,}"
    if abs(value) < 999_500:
        return f"{value / 1e3:.0f}{NBSP}k"
    return f"{value / 1e6:.1f}{NBSP}M"


def share(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a share in [0, 1] as per cent, with its interval where one is given.

    One decimal below 9.5 % and where the interval is narrower than one point, none otherwise.

    Examples
    --------
    >>> share(0.71, 0.70, 0.72).replace(NBSP, " "), share(0.042).replace(NBSP, " ")
    ('71 % (70–72)', '4.2 %')
    """
    if value is None or math.isnan(value):
        return MISSING
    if 0 < value < 0.0005:
        return f"<0.1{NBSP}%"
    known = low is not None and high is not None and not math.isnan(low + high)
    width = high - low if low is not None and high is not None and known else 1.0
    digits = 1 if 0 < value < 0.095 or (width < 0.01 and 0 < value < 1) else 0
    text = f"{100 * value:.{digits}f}{NBSP}%"
    if low is not None and high is not None and known:
        text += f" ({100 * low:.{digits}f}{MISSING}{100 * high:.{digits}f})"
    return text


def rating(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a mean rating with one decimal, and its interval where one is given.

    Examples
    --------
    >>> rating(7.44, 7.2, 7.6)
    '7.4 (7.2–7.6)'
    """
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:.1f}"
    if low is not None and high is not None and not math.isnan(low + high):
        text += f" ({low:.1f}{MISSING}{high:.1f})"
    return text


def answered(response: float | None) -> str:
    """Write how many answered, to stand behind a mean rating; nothing where that is not known.

    Examples
    --------
    >>> answered(0.27).replace(NBSP, " "), answered(None)
    (', 27 % answered', '')
    """
    return "" if response is None or math.isnan(response) else f", {share(response)} answered"


def duration(value: timedelta | float | None) -> str:
    """Write a duration (``timedelta`` or seconds) in its largest fitting unit: ``3.2 h``, ``2 d``.

    Examples
    --------
    >>> duration(11_520).replace(NBSP, " "), duration(timedelta(days=2)).replace(NBSP, " ")
    ('3.2 h', '2 d')
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None or math.isnan(seconds):
        return MISSING
    for size, unit in _UNITS:
        # 59.6 min is written 1 h: the unit changes where rounding would print "60 min".
        if abs(seconds) >= size * 0.995 or unit == "s":
            amount = seconds / size
            digits = 1 if abs(amount) < 9.95 and round(amount, 1) != round(amount) else 0
            return f"{amount:.{digits}f}{NBSP}{unit}"
    raise AssertionError("unreachable: the last unit takes every value")


def plural(count: float, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 customer``, ``1,240 customers``.

    Examples
    --------
    >>> plural(1, "customer"), plural(1240, "customer")
    ('1 customer', '1,240 customers')
    """
    noun = one if round(count) == 1 else (many or f"{one}s")
    return f"{people(count)} {noun}"
