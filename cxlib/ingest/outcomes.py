"""What an unknown log says of its journeys: the goal, the losses, the silence that ends one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from cxlib.ingest.evidence import vocabulary, words_of
from cxlib.map_model import format_duration

__all__ = ["Gap", "describe_touchpoints", "guess_gap", "guess_goal", "guess_lost", "order_contacts"]

_GOOD: Mapping[float, str] = {
    3.0: "purchase purchased bought paid payment pay sale sold converted conversion subscribe "
    "subscribed subscription signed kauf gekauft zahlung bezahlung betaald "
    "betaling bezahlen aankoop verkoop koop booked booking enrolled upgraded renewed",
    2.6: "approved genehmigt goedgekeurd fulfilled delivered geliefert geleverd closed won",
    2.4: "transaction kontoeröffnung abschluss abgeschlossen "
    "order ordered bestellung bestelling activated completed complete contract",
    2.0: "checkout confirmation confirmed upgrade accepted shipped resolved resolve solved "
    "finished done discharged discharge "
    "graduated certificate certified installed registered signup enrolment completion",
}
"""Words of outcomes by how sure they are."""

_ON_THE_WAY = vocabulary(
    "detail details info page view viewed start started begin initiated initiate "
    "initiation click clicked form method option options cart basket add added request "
    "requested send sent offer select selected pending attempt try create created open "
    "opened submit submitted reminder preaccepted in to application landing reached "
    "seen shown address plan planned draft"
)
_BAD = vocabulary(
    "lost error errors fail failed failure bug bugs declined decline rejected reject denied "
    "cancelled canceled cancel cancellation withdrawn churn churned timeout exception "
    "refused refund refunded return returned abandoned abandon drop off dropoff "
    "unsubscribe unsubscribed expired complaint issue problem dispute chargeback bounce "
    "bounced abgelehnt storniert widerrufen fehler retoure afgewezen geweigerd "
    "geannuleerd ingetrokken mislukt fout retour not no un"
)
_LOST = vocabulary(
    "lost declined rejected denied cancelled canceled withdrawn churn churned unsubscribed "
    "expired abandoned abgelehnt storniert widerrufen afgewezen geweigerd geannuleerd "
    "ingetrokken"
)
_MOSTLY_FIRST = 0.3
_LEAST = 1.3
_NICE = [
    timedelta(minutes=minutes)
    for unit, counts in ((1, (5, 10, 15, 30)), (60, (1, 2, 4, 6, 8, 12)),
                         (1440, (1, 2, 3, 4, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 365)))
    for minutes in (unit * count for count in counts)
]  # fmt: skip


class Gap(NamedTuple):
    """The silence that ends a journey, and the evidence for it."""

    value: timedelta
    why: str


def order_contacts(contacts: pl.DataFrame) -> pl.DataFrame:
    """Order contacts by customer and time; say how far into the history each stands.

    Parameters
    ----------
    contacts
        ``customer``, ``occurred_at``, ``touchpoint`` and what else there is, ``sequence`` too.

    Returns
    -------
    polars.DataFrame
        With ``position`` from 0 to 1 (0.5 where there is one), ``is_first``, ``is_last``.
    """
    order = ["customer", "occurred_at", *(["sequence"] if "sequence" in contacts.columns else [])]
    ordered = contacts.sort(order, maintain_order=True)
    number, count = pl.int_range(pl.len()).over("customer"), pl.len().over("customer")
    return ordered.with_columns(
        position=pl.when(count > 1).then(number / (count - 1)).otherwise(0.5),
        is_first=number == 0,
        is_last=number == count - 1,
        of=count,
    )


def describe_touchpoints(contacts: pl.DataFrame) -> pl.DataFrame:
    """Return touchpoints by frequency with what their contacts have in common.

    Returns
    -------
    polars.DataFrame
        ``touchpoint``, ``contacts``, ``position`` (mean), ``spread`` (its standard deviation),
        ``is_first`` and ``is_last`` (shares).
    """
    return (
        contacts.group_by("touchpoint")
        .agg(
            pl.len().alias("contacts"),
            pl.col("position", "is_first", "is_last").mean(),
            spread=pl.col("position").std().fill_null(0.0),
            alone=(pl.col("of") < 2).mean(),
        )
        .sort(["contacts", "touchpoint"], descending=[True, False])
    )


def guess_goal(places: pl.DataFrame) -> tuple[list[str], str]:
    """Return the touchpoints that are the goal, and why; none where nothing says it.

    The goal is an outcome: its name is a word of success, not of a step on the way, a failure or a
    refusal, and it is not what customers begin with. Of several the surest word counts, then the
    one that comes last.
    """
    found, too_early = [], []
    for row in places.iter_rows(named=True):
        words = _words(row["touchpoint"])
        if words & _BAD:
            continue
        said = [s for s, good in _GOOD.items() for _ in words & set(good.split())]
        sure = max(said, default=0.0) + 0.1 * (len(said) - 1)
        if not said:
            continue
        if row["is_first"] > _MOSTLY_FIRST and row["alone"] < 0.9:
            too_early.append(row["touchpoint"])
            continue
        sure -= 1.0 * bool(words & _ON_THE_WAY)
        if sure < _LEAST:
            continue
        found.append((sure, row["position"], row["contacts"], row["touchpoint"], words))
    if not found:
        first = f" ({too_early[0]!r} is mostly a first contact)" if too_early else ""
        return [], f"nothing in the names says what the goal is{first}; name it"
    best = max(found, key=lambda f: (f[0], f[1], f[2]))
    why = f"an outcome by its name, {best[1]:.0%} into a customer's history on average"
    # there are several ways to pay: each is the goal
    alike = [
        f[3]
        for f in found
        if f[0] == best[0] and f[0] >= 3.0 and f[4] & best[4] and abs(f[1] - best[1]) < 0.25
    ]
    others = sorted((f for f in found if f[3] not in alike and f[3] != best[3]), reverse=True)
    if others:
        why += f"; not {', '.join(repr(f[3]) for f in others[:3])}, which say less or come before"
    return sorted(set(alike) | {best[3]}, key=lambda n: (n != best[3], n)), why


def guess_lost(places: pl.DataFrame, goals: list[str]) -> list[str]:
    """Return touchpoints that end a journey without its goal, by their names and what follows."""
    return [
        row["touchpoint"]
        for row in places.iter_rows(named=True)
        if row["is_last"] > 0.3
        and _words(row["touchpoint"]) & _LOST
        and row["touchpoint"] not in goals
    ]


def _words(name: str) -> set[str]:
    return set(words_of(name))


def guess_gap(contacts: pl.DataFrame, *, least: timedelta = timedelta(0)) -> Gap | None:
    """Return the silence that ends a journey: where long ones part from short ones.

    The silences between two contacts of a customer, counted on a logarithmic scale, often have two
    hills, within an errand and between errands; the valley between them is the gap. It is looked
    for from six hours on: what parts visits of one errand is no gap. It is never longer than a
    third of the log, since longer silences can hardly be seen in it.

    Parameters
    ----------
    contacts
        What `order_contacts` returns.
    least
        A silence as long as this is known to lie within an errand.

    Returns
    -------
    Gap or None
        None where the log has one instant only.
    """
    ends = pl.col("occurred_at")
    span: timedelta | None = contacts.select(ends.max() - ends.min()).item()
    if not span:
        return None
    most = span / 3
    same = pl.col("customer") == pl.col("customer").shift(1)
    silences = contacts.select(
        (pl.col("occurred_at") - pl.col("occurred_at").shift(1)).filter(same).alias("s")
    )["s"].drop_nulls()
    silences = silences.filter(silences > timedelta(0))
    seconds = silences.dt.total_microseconds().to_numpy() / 1e6
    found = _valley(seconds, max(6 * 3600.0, least.total_seconds()), most.total_seconds())
    if found is not None:
        value = _nice(timedelta(seconds=found), most)
        longer = float(np.mean(seconds > value.total_seconds()))
        return Gap(
            value,
            f"of {len(seconds):,} silences within a customer {longer:.1%} are longer; their valley "
            f"lies at about {_rough(found)}",
        )
    # where customers come back more rarely than each month, a month would part all contacts
    usual = float(np.quantile(seconds, 0.9)) if len(seconds) else 0.0
    value = _nice(max(timedelta(days=30), least * 1.2, timedelta(seconds=usual * 1.2)), most)
    longer = float(np.mean(seconds > value.total_seconds())) if len(seconds) else 0.0
    if value < timedelta(days=30):
        why = (
            f"a third of the log, which spans {_rough(span.total_seconds())}: longer silences can "
        )
        why += "hardly be seen in it"
    elif least * 1.2 > timedelta(days=30):
        why = f"the steps of one row are up to {_rough(least.total_seconds())} apart (99 %)"
    elif value > timedelta(days=30):
        why = "customers come back rarely, and the silences have no valley"
    else:
        why = "a month: the silences have no valley"
    return Gap(value, f"{why}; {longer:.1%} of {len(seconds):,} silences are longer")


def _valley(seconds: np.ndarray, least: float, most: float) -> float | None:
    """Find the lowest point between two hills of the silences, between two lengths in seconds."""
    if len(seconds) < 200:
        return None
    per_decade = 8
    edges = np.arange(0, 9.01, 1 / per_decade)
    counts, _ = np.histogram(np.log10(seconds.clip(1, 10**8.99)), edges)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    smooth = np.convolve(counts, kernel, mode="same")
    middles = 10 ** ((edges[:-1] + edges[1:]) / 2)
    best, depth = None, 0.6
    for i in np.flatnonzero((middles >= least) & (middles <= most)):
        left, right = smooth[:i].max(initial=0), smooth[i + 1 :].max(initial=0)
        beyond = counts[i + 1 :].sum() / len(seconds)
        # a hill on each side, and the one behind is more than a few stragglers
        lower = min(left, right)
        if lower > 0 and beyond >= 0.02 and lower >= 0.005 * len(seconds):
            ratio = smooth[i] / lower
            if ratio < depth:
                best, depth = float(middles[i]), ratio
    return best


def _nice(value: timedelta, most: timedelta) -> timedelta:
    """Return the roundest duration near a value, at most `most`."""
    allowed = [n for n in _NICE if n <= most] or [
        max(timedelta(seconds=int(most.total_seconds())), timedelta(seconds=1))
    ]
    return min(allowed, key=lambda n: abs(np.log(n / max(value, timedelta(seconds=1)))))


def _rough(seconds: float) -> str:
    for size in (86_400, 3_600, 60):
        if seconds >= 2 * size:
            return format_duration(timedelta(seconds=round(seconds / size) * size))
    return f"{seconds:.0f}s"
