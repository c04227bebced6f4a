"""How numbers, times and dates are written for people: the one formatter.

One place, so that "31 k" on the map is "31 k" in the sentence above it, in the table below it, on
the command line and in a notebook. Signs and names of months are Babel's for `LANGUAGE`. A missing
number is never shown as 0: it is written as a dash, or as the reason why it is missing.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
LANGUAGE = "en"

_WIDE = 0.1
"""From this width of an interval on a tenth of a point says nothing."""

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


@cache
def _locale() -> Locale:
    from babel import Locale

    return Locale.parse(LANGUAGE)


@cache
def _signs() -> dict[int, str]:
    """Python's signs in a number, and what stands for them in the language."""
    signs = _locale().number_symbols["latn"]
    return str.maketrans({",": signs["group"], ".": signs["decimal"], "-": MINUS})


def _unknown(*values: float | None) -> bool:
    return any(value is None or math.isnan(value) for value in values)


def decimal(value: float | None, digits: int = 0, *, sign: bool = False) -> str:
    """Write a number in full, with so many decimals: ``1,240``, ``−0.25``, ``+3``.

    What is written as nought has no sign.

    >>> decimal(1240), decimal(0.254, 2), decimal(3, sign=True), decimal(None)
    ('1,240', '0.25', '+3', '–')
    >>> decimal(-5.04, 1), decimal(-0.04, 1), decimal(0, sign=True)
    ('−5.0', '0.0', '0')
    """
    if value is None or math.isnan(value):
        return MISSING
    value = round(value, digits) or 0.0
    return f"{value:{'+' if sign and value else ''},.{digits}f}".translate(_signs())


def amount(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write any number with three digits, and its interval where one is given.

    >>> amount(2.4943, 2.4, 2.6), amount(12_345.6), amount(0.00021)
    ('2.49 (2.4–2.6)', '12,346', '0.00021')
    """
    if value is None or math.isnan(value):
        return MISSING
    return _three_digits(value) + _ends(low, high, _three_digits)


def _three_digits(value: float) -> str:
    return (f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}").translate(_signs())


def _ends(low: float | None, high: float | None, write: object) -> str:
    assert callable(write)
    if low is None or high is None or math.isnan(low + high):
        return ""
    # a dash beside a minus could not be read
    return f" ({write(low)}{MISSING if low >= 0 else ' to '}{write(high)})"


def people(count: float | None) -> str:
    """Write a count: ``1,240``, ``31 k``, ``1.2 M``; a dash where it is missing.

    >>> people(1240), people(31_400).replace(NBSP, " "), people(None)
    ('1,240', '31 k', '–')
    """
    if count is None or math.isnan(count):
        return MISSING
    value = round(count)
    if abs(value) < 10_000:
        return decimal(value)
    if abs(value) < 999_500:
        return f"{decimal(value / 1e3)}{NBSP}k"
    return f"{decimal(value / 1e6, 1)}{NBSP}M"


def share(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a share in [0, 1] as per cent, with its interval where one is given.

    One decimal below 9.5 % and where the interval is narrower than one point, none otherwise, nor
    from 1 % on where the interval is as wide as ten points.

    >>> share(0.71, 0.70, 0.72).replace(NBSP, " "), share(0.042).replace(NBSP, " ")
    ('71 % (70–72)', '4.2 %')
    >>> share(0.0625, 0.0, 0.125).replace(NBSP, " ")
    '6 % (0–12)'
    """
    if value is None or math.isnan(value):
        return MISSING
    if 0 < value < 0.0005:
        return f"<{decimal(0.1, 1)}{NBSP}%"
    width = None if low is None or high is None or _unknown(low, high) else high - low
    wide = width is not None and width >= _WIDE and value >= 0.01
    narrow = width is not None and width < 0.01
    digits = 1 if (0 < value < 0.095 and not wide) or (narrow and 0 < value < 1) else 0
    ends = _ends(low, high, lambda end: decimal(100 * end, digits))
    return f"{decimal(100 * value, digits)}{NBSP}%{ends}"


def points(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a difference of shares in points of per cent, with its interval where one is given.

    One decimal below 9.5 points, but where the interval is as wide as ten points, and both its ends
    are to be told from 0 without.

    >>> points(0.031, 0.012, 0.05).replace(NBSP, " "), points(-0.2).replace(NBSP, " ")
    ('+3.1 points (+1.2 to +5.0)', '−20 points')
    >>> points(0.011, -0.151, 0.088).replace(NBSP, " ")
    '+1 points (−15 to +9)'
    """
    if value is None or math.isnan(value):
        return MISSING
    written = [abs(x) for x in (value, low, high) if x is not None and not math.isnan(x)]
    wide = len(written) == 3 and high - low >= _WIDE  # type: ignore[operator]
    told = all(x >= 0.005 or x == 0 for x in written[1:])
    digits = 1 if abs(value) < 0.095 and not (wide and told) else 0
    every = (None if x is None else 100 * x for x in (value, low, high))
    return signed(*every, digits=digits, unit=f"{NBSP}points")


def signed(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    digits: int = 0,
    unit: str = "",
) -> str:
    """Write a difference with its sign, and its interval where one is given.

    >>> signed(3, 1, 5), signed(-0.2, digits=1, unit=" h")
    ('+3 (+1 to +5)', '−0.2 h')
    """
    text = f"{decimal(value, digits, sign=True)}{unit}"
    if _unknown(value, low, high):
        return text
    return f"{text} ({decimal(low, digits, sign=True)} to {decimal(high, digits, sign=True)})"


def chance(value: float | None) -> str:
    """Write a p or q value: two digits, and no more than can be meant.

    >>> chance(0.0312), chance(4e-9), chance(None)
    ('0.031', '<0.001', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    return f"<{decimal(0.001, 3)}" if value < 0.001 else f"{value:.2g}".translate(_signs())


def rating(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a mean rating with one decimal, and its interval where one is given.

    >>> rating(7.44, 7.2, 7.6)
    '7.4 (7.2–7.6)'
    """
    return decimal(value, 1) + (
        "" if _unknown(value) else _ends(low, high, lambda end: decimal(end, 1))
    )


def money(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write an amount of money, in whole units from 100 on.

    >>> money(12.5), money(31_400.4, 30_000, 32_500)
    ('12.50', '31,400 (30,000–32,500)')
    """
    if value is None or math.isnan(value):
        return MISSING
    digits = 2 if abs(value) < 100 else 0
    return decimal(value, digits) + _ends(low, high, lambda end: decimal(end, digits))


def scale_name(name: str) -> str:
    """Write the name of a rating scale as people do: the usual ones are abbreviations.

    >>> scale_name("csat"), scale_name("satisfaction")
    ('CSAT', 'satisfaction')
    """
    return name.upper() if name.casefold() in ("csat", "nps", "ces") else name


def spelled(name: str) -> str:
    """Write the name of a column as people do, with spaces.

    >>> spelled("customer_type")
    'customer type'
    """
    return name.replace("_", " ")


def answered(response: float | None) -> str:
    """Write how many answered, to stand behind a mean rating; nothing where that is not known.

    >>> answered(0.27).replace(NBSP, " "), answered(None)
    (', 27 % answered', '')
    """
    return "" if response is None or math.isnan(response) else f", {share(response)} answered"


def duration(
    value: timedelta | float | None,
    low: timedelta | float | None = None,
    high: timedelta | float | None = None,
) -> str:
    """Write a duration (``timedelta`` or seconds) in its largest fitting unit: ``3.2 h``, ``2 d``.

    An interval whose upper end is not known stays open: the log was too short to say.

    >>> duration(11_520).replace(NBSP, " "), duration(timedelta(days=2)).replace(NBSP, " ")
    ('3.2 h', '2 d')
    >>> duration(11_520, 7_200, 14_400).replace(NBSP, " "), duration(60, 50).replace(NBSP, " ")
    ('3.2 h (2 h–4 h)', '1 min (50 s or more)')
    """
    seconds, least, most = (_seconds(x) for x in (value, low, high))
    if seconds is None:
        return MISSING
    text = _length(seconds)
    if least is None:
        return text
    return (
        f"{text} ({_length(least)}{MISSING}{_length(most)})"
        if most is not None
        else (f"{text} ({_length(least)} or more)")
    )


def _seconds(value: timedelta | float | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return None if seconds is None or math.isnan(seconds) else seconds


def _length(seconds: float) -> str:
    for size, unit in _UNITS:
        # 59.6 min is written 1 h: the unit changes where rounding would print "60 min".
        if abs(seconds) >= size * 0.995 or unit == "s":
            units = seconds / size
            digits = 1 if abs(units) < 9.95 and round(units, 1) != round(units) else 0
            return f"{decimal(units, digits)}{NBSP}{unit}"
    raise AssertionError("unreachable: the last unit takes every value")


def day(value: date | None) -> str:
    """Write a date, or the date of an instant.

    >>> day(date(2026, 10, 31)), day(None)
    ('31 Oct 2026', '–')
    """
    from babel.dates import format_date

    return MISSING if value is None else str(format_date(value, "d MMM y", locale=_locale()))


def instant(value: datetime | None) -> str:
    """Write an instant to the minute, in the time zone it carries.

    >>> instant(datetime(2026, 10, 31, 9, 5))  # noqa: DTZ001
    '31 Oct 2026, 09:05'
    """
    return MISSING if value is None else f"{day(value)}, {value:%H:%M}"


def sentence_case(text: str) -> str:
    """Begin a sentence with a capital, unless its first word is a name written in its own way.

    >>> sentence_case("till loses 80 customers"), sentence_case("iPhone app is slow")
    ('Till loses 80 customers', 'iPhone app is slow')
    """
    first = text.split(maxsplit=1)[:1]
    return text[:1].upper() + text[1:] if first and first[0].islower() else text


_FIGURE = re.compile(r"\((?=[^()]*\d)[^()]{1,26}\)|\d %")


def unbroken(text: str) -> str:
    """Keep every figure in brackets, and per cent, from being broken at the end of a line.

    >>> unbroken("lost 9 % (8 to 10) there").replace(NBSP, "_")
    'lost 9_% (8_to_10) there'
    """
    return _FIGURE.sub(lambda figure: figure[0].replace(" ", NBSP), text)


def plural(count: float, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 customer``, ``1,240 customers``.

    >>> plural(1, "customer"), plural(1240, "customer")
    ('1 customer', '1,240 customers')
    """
    noun = one if round(count) == 1 else (many or f"{one}s")
    return f"{people(count)} {noun}"
