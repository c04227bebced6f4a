"""Where much would be gained if it were as elsewhere in its stage: suspected losses, no findings.

A touchpoint that nearly all reach by one way has no like handoff, and no finding can say how much
of its loss is a fault. It is compared with the other touchpoints of its stage, as far as those
differ among themselves, and a way also with the other ways to its target (both on the logit,
weighted by precision). The gain is the excess times what the goal is likelier for those who go on;
its interval ends where another touchpoint of the stage may lie by nature, and begins at 0 for what
lies within that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxlib.journeys import NO_STAGE
from cxlib.opportunities.moves import Moves
from cxlib.statistics.absorbing import transition_shares

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_N, LEAST_PEERS, LEAST_GAIN, _FEW = 50, 3, 0.01, 30
"""Contacts that say something; touchpoints of a stage that say what is usual there; and the part of
all conversions that the likely gain has to be to be worth a suspicion; and contacts by
other ways from which on these say something."""

_APART, _WAYS = {"leave": 0.35, "aside": 0.5}, 0.3
"""How much touchpoints of a stage differ at least by nature, and ways to one of them (logits)."""

_BEYOND = 0.00135
"""Chance that a touchpoint lies further above the others by nature: three errors of what they
differ by at least, or as many of Student's t where they are seen to differ more, for they are few.
Of fifteen judged for both kinds of loss one lies so in one log of 25."""

_BY_NATURE = 0.25
"""What a loss by whichever way counts for when it is ranked: most of them are no fault."""

_SUMS = ("affected", "gain", "likely", "low", "high", "worth")

_RARE, _LESS = 0.02, 0.5
"""What is expected to go aside at least; and how much less likely the goal is there."""

_MOST, _ONE_WAY, _TOO = 0.6, 0.85, 0.4
"""A way speaks for the touchpoint from such a part of its excess on; and is all there is from such
a part of its contacts on. A planned handoff is at fault where to each who leaves so many go aside.
"""


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Counts of moves ``[before, place, next]``, the goal and the end last in ``next``; chances of
    the goal ``ahead``; and the moves that are a loss, by kind.
    """

    names: list[str]
    counts: Floats
    ahead: Floats
    losses: dict[str, Flags]


def find_suspects(moves: Moves, planned: Collection[tuple[str, str]] = ()) -> list[dict[str, Any]]:
    """Find ways and touchpoints after which more leave, or go aside, than elsewhere in their stage.

    Going aside is coming to an earlier stage, or to where the goal is less than half as likely.

    Parameters
    ----------
    moves
        Moves before the first goal.
    planned
        Planned handoffs: source and target.

    Returns
    -------
    list of dict
        ``source``, ``target`` (None: by all ways), ``kind`` (leave, aside; unplanned: instead
        of the planned handoff), ``n`` contacts, ``observed``,
        ``expected``, ``affected``, and ``gain`` in conversions: ``likely`` at one standard error,
        ``low`` and ``high`` at the limits of natural variety; ``worth``: what it is ranked by;
        ``of_way``: it is of one way to the target; the first first.
    """
    seen = _count(moves)
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for here in range(len(seen.names)):
        peers = _peers(moves, seen, here)
        if peers is None:
            continue
        for kind in seen.losses:
            for row in _speaking(seen, kind, here, peers, planned):
                told = found.setdefault((row["source"], row["target"]), row)
                if told is not row:  # some leave, and others go aside
                    for name in _SUMS:
                        told[name] += row[name]
    goals = seen.counts[..., len(seen.names)].sum()
    worth = [row for row in found.values() if row["likely"] >= LEAST_GAIN * goals]
    named = {row["target"] for row in worth if row["of_way"]}
    told_of = [row for row in worth if row["of_way"] or row["source"] not in named]
    for row in told_of:
        for name in _SUMS:
            row[name] *= moves.scale
    return sorted(told_of, key=lambda row: (-row["worth"], -row["likely"], row["source"]))


def _count(moves: Moves) -> _Contacts:
    size = len(moves.places)
    counts = np.zeros((size + 1, size, size + 2))
    before, place, following = (moves.table[c].to_numpy() for c in ("before", "place", "next"))
    onto = np.where(following >= 0, following, size - 1 - following)
    np.add.at(counts, (before, place, onto), moves.table["n"].to_numpy())
    shares = transition_shares(np.concatenate([np.zeros((1, size + 2)), counts.sum(0)]))[1:]
    left = np.eye(size) * (1 + 1e-9) - shares[:, :size]
    ahead = np.append(np.linalg.solve(left, shares[:, size]), [1.0, 0.0])
    stage = moves.places["stage_index"].to_numpy().astype(np.int64)
    back = (stage < stage[:, None]) & (stage[:, None] != NO_STAGE)
    less = ahead[:size] < _LESS * ahead[:size, None]
    aside, leave = np.zeros((2, size, size + 2), dtype=bool)
    aside[:, :size] = (back | less) & ~np.eye(size, dtype=bool)
    leave[:, -1] = True
    names = moves.places["touchpoint"].to_list()
    return _Contacts(names, counts, ahead, {"leave": leave, "aside": aside})


def _speaking(
    seen: _Contacts, kind: str, here: int, peers: Flags, planned: Collection[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """What is said of a touchpoint: of it, or of the ways to it that account for its excess.

    Where more leave by whichever way they came, that may be what it is there for (opening hours).
    """
    counts, name = seen.counts[:, here], seen.names[here]
    n = seen.counts.sum(2)
    cases = (seen.counts * seen.losses[kind]).sum(2)
    usual, spread, limit = _usual(n[:, peers].sum(0), cases[:, peers].sum(0), kind)
    arrived = np.arange(len(n) - 1) != here  # who begins with an ad has not been lost by it
    whole = _judge(seen, kind, here, np.append(arrived, False), (usual, spread**2), limit)
    ways = []
    for way in np.flatnonzero(arrived & (n[:-1, here] >= LEAST_N)):
        by_way = _of_way(n[:, here], cases[:, here], int(way), (usual, spread))
        row = _judge(seen, kind, here, np.arange(len(n)) == way, by_way, limit)
        if row is not None:
            ways.append(
                row | {"source": seen.names[way], "target": name, "kind": kind, "of_way": True}
            )
    targets = [target for source, target in planned if source == name]
    from_one = counts[:-1].sum(1).max() > _ONE_WAY * counts.sum()
    too = counts[:, seen.losses["aside"][here]].sum() > _TOO * counts[:, -1].sum()
    of_plan = bool(targets) and from_one and too
    clearest = max((way["likely"] for way in ways), default=0.0)
    if whole is None or (ways and clearest >= _MOST * whole["likely"] and not of_plan):
        yield from ways
        return
    if kind == "aside":  # to look once more is no fault, unless more leave as well
        left = (seen.counts * seen.losses["leave"]).sum(2)
        usual, spread, _ = _usual(n[:, peers].sum(0), left[:, peers].sum(0), "leave")
        of_leaving = (usual, spread**2)
        if _judge(seen, "leave", here, np.append(arrived, False), of_leaving, limit) is None:
            return
    ends = {"source": name, "target": targets[0] if targets else None, "of_way": False}
    by_nature = {"low": 0.0, "worth": _BY_NATURE * whole["likely"]}
    yield (
        whole
        | ends
        | {"kind": "unplanned" if targets else kind}
        | ({} if from_one or targets else by_nature)
    )


def _peers(moves: Moves, seen: _Contacts, here: int) -> Flags | None:
    """Touchpoints of the same stage, or of those next to it; None: too few, or not to be judged."""
    stage = moves.places["stage_index"].to_numpy().astype(np.int64)
    own = moves.places["initiated_by"].to_numpy()
    usable = ~moves.places["is_lost"].to_numpy() & (seen.counts.sum((0, 2)) >= LEAST_N)
    like = usable & (own == own[here]) & (np.arange(len(own)) != here)
    for far in (0, 1):
        peers: Flags = like & (np.abs(stage - stage[here]) <= far)
        if usable[here] and peers.sum() >= LEAST_PEERS:
            return peers
    return None


def usual_leaving(moves: Moves, source: int, target: int) -> tuple[float, float] | None:
    """Share that would usually leave at a place after coming from another, and its standard error;
    None: the stage has too few others.
    """
    seen = _count(moves)
    peers = _peers(moves, seen, target)
    if peers is None:
        return None
    n, left = seen.counts.sum(2), seen.counts[..., -1]
    usual = _usual(n[:, peers].sum(0), left[:, peers].sum(0), "leave")[:2]
    mean, variance = _of_way(n[:, target], left[:, target], source, usual)
    share, low, high = (1 / (1 + np.exp(-mean - k * variance**0.5)) for k in (0, -1, 1))
    return float(share), float(high - low) / 2


def _of_way(n: Floats, cases: Floats, way: int, usual: tuple[float, float]) -> tuple[float, float]:
    """Logit expected of one way to a place, and its variance: as usual, and as the other ways."""
    mean, variance = usual[0], usual[1] ** 2
    others, lost = n.sum() - n[way], cases.sum() - cases[way]
    if others < _FEW:
        return mean, variance
    share, chance = _logit(lost, others)
    weight = variance / (variance + chance + _WAYS**2)
    return mean + weight * (share - mean), variance * (1 - weight) + _WAYS**2


def _usual(n: Floats, cases: Floats, kind: str) -> tuple[float, float, float]:
    """Logit that is usual among touchpoints, how much another one of them may differ, and how many
    times that is the limit of natural variety.
    """
    from scipy.special import ndtri, stdtrit

    share = (cases + 0.5) / (n + 1)
    if kind == "leave":
        logits = np.log(share / (1 - share))
        middle = float(np.median(logits))
        spread = 1.4826 * float(np.median(np.abs(logits - middle)))
    else:  # where nobody goes aside at most others, their median says nothing
        share = np.maximum(share, _RARE)
        logits = np.log(share / (1 - share))
        middle, spread = float(logits.mean()), float(logits.std(ddof=1))
    stated, seen = -ndtri(_BEYOND) * _APART[kind], -stdtrit(len(n) - 1, _BEYOND) * spread
    spread = max(spread, _APART[kind])
    return middle, spread * float(np.sqrt(1 + 1 / len(n))), float(max(stated, seen) / spread)


def _logit(cases: float, n: float) -> tuple[float, float]:
    """Logit of a share, and its sampling variance."""
    share = (cases + 0.5) / (n + 1)
    return float(np.log(share / (1 - share))), 1 / max(n * share * (1 - share), 0.5)


def _judge(
    seen: _Contacts, kind: str, here: int, ways: Flags, usual: tuple[float, float], limit: float
) -> dict[str, Any] | None:
    """Hold contacts at a place that came by some ways against what is usual; None: no excess.

    `limit`: errors apart that it may be by nature.
    """
    counts = seen.counts[ways, here].sum(0)
    out, n = seen.losses[kind][here], float(counts.sum())
    if n < LEAST_N:
        return None
    cases = float(counts[out].sum())
    mean, variance = usual
    error = float(np.sqrt(variance + _logit(cases, n)[1]))
    expected, likely, high, low = (
        1 / (1 + np.exp(-mean - k * error)) for k in (0, 1, -limit, limit)
    )
    if cases <= n * likely:
        return None
    gone, stay = counts * out, counts * ~out
    worth = stay @ seen.ahead / max(stay.sum(), 1.0) - gone @ seen.ahead / cases
    if worth <= 0:
        return None
    gains = {"gain": expected, "likely": likely, "low": low, "high": high}
    gained = {name: max(float((cases - n * share) * worth), 0.0) for name, share in gains.items()}
    return {
        "n": n,
        "observed": cases / n,
        "expected": float(expected),
        "affected": cases - n * float(likely),
        "worth": gained["likely"],
        **gained,
    }
