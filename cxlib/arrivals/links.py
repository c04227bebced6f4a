"""Are customers linked across channels? Signals that need it are not measurable where they are not.

Lost links add first contacts in proportion to the arrivals from another channel, at *every*
touchpoint, where people who begin by nature keep to no proportion. So the gate looks where fewest
begin per linked arrival: lost links per linked one <= first contacts / arrivals, at each. An
arrival goes on with a journey: who comes back another day on another device begins anew.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.arrivals.later import Flags

LEAST_LINKED = 0.5  # share of contacts in another channel that must be linked to the customer
MOST_UNKNOWN = 0.5  # largest share of contacts without a customer
_FEWEST_ARRIVALS = 30
_FEWEST_PLACES = 4
_LOW, _SAME = 0.1, 3.0
_LARGE_CHANNEL = 0.1

COLUMNS = ("contacts", "alone", "starts", "changes")


def count_links(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Count, per place and among the contacts that customers began, what tells of links.

    ``alone``: contacts of customers never seen on another channel; ``starts``: first contacts of a
    customer; ``changes``: contacts after one of the same journey on another channel.
    """
    own = (places["initiated_by"] == "customer").to_numpy()
    place = rows["place"].to_numpy()
    kept: Flags = own[place]
    place, customer = place[kept].astype(np.int64), rows["customer"].to_numpy()[kept]
    journey = rows["journey"].to_numpy()[kept]
    channel = places["channel"].rank("dense").to_numpy()[place]
    first = np.append(True, customer[1:] != customer[:-1])[: len(place)]
    other = np.append(False, channel[1:] != channel[:-1])[: len(place)] & ~first
    change = other & np.append(False, journey[1:] == journey[:-1])[: len(place)]
    number = first.cumsum() - 1
    alone = (np.bincount(number, other) == 0)[number] if len(place) else first
    flags = dict(zip(COLUMNS, (np.ones_like(first), alone, first, change), strict=True))
    counted = {n: np.bincount(place[flag], minlength=len(places)) for n, flag in flags.items()}
    return pl.DataFrame({"place": range(len(places)), **counted}).cast(
        {"place": pl.UInt16, **dict.fromkeys(COLUMNS, pl.Int64)}
    )


def estimate_linked(links: pl.DataFrame) -> float | None:
    """Share of the changes of channel that is linked, at most.

    None where too few customers change the channel, or first contacts do not lie in proportion.
    """
    known = links.filter(pl.col("changes") >= _FEWEST_ARRIVALS)
    if len(known) < _FEWEST_PLACES:
        return None
    ratio = (known["starts"] / known["changes"]).to_numpy()
    weight = known["changes"].to_numpy().astype(np.float64)
    order = np.argsort(ratio)
    reached = np.cumsum(weight[order]) / weight.sum()
    low, middle = (float(ratio[order][np.searchsorted(reached, q)]) for q in (_LOW, 0.5))
    if low > 1 / LEAST_LINKED - 1 and middle > _SAME * low:
        return None
    return 1 / (1 + low)


def check_links(links: pl.DataFrame, places: pl.DataFrame, unknown: float) -> str:
    """Say why signals that follow a customer across channels cannot be measured; empty if they can.

    ``unknown``: share of contacts without a customer, which were set aside.
    """
    if unknown > MOST_UNKNOWN:
        most = f"at most {MOST_UNKNOWN:.0%} may be missing"
        return f"{unknown:.0%} of the contacts have no customer; {most}"
    if links.is_empty() or not int(links["contacts"].sum()):
        return ""
    channel = pl.lit(places["channel"].gather(links["place"].cast(pl.UInt32)))
    counted = links.group_by(channel=channel).agg(pl.col("contacts").sum())["contacts"]
    several = int((counted >= _LARGE_CHANNEL * int(counted.sum())).sum()) >= 2
    if several and (links["contacts"] == links["alone"]).all():
        why = "the ids of the channels do not go together"
        return f"no customer was ever seen on two channels: {why}"
    linked = estimate_linked(links)
    if linked is None or linked >= LEAST_LINKED:
        return ""
    return (
        f"at most {linked:.0%} of the contacts in another channel are linked to the same customer, "
        f"and {LEAST_LINKED:.0%} are needed: wherever customers arrive from another channel, more "
        "seem to begin there"
    )
