"""What a change would bring: conversions, value, time and service contacts, with intervals.

Journeys are an absorbing chain over places (Kemeny & Snell 1976, chapter 3); contacts of the
handoff that is changed are states of their own. The interval covers the errors of the counts
(jackknife over customers), of single journeys (as by a coin), of the chain (the difference to one
of pairs of contacts), and of how much a finding says a handoff is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.errors import InputError, UnknownNameError, listed
from cxlib.numbers import amount, day, plural, share
from cxlib.opportunities.moves import NOWHERE, Chain, Moves, read_moves
from cxlib.results import of_workspace
from cxlib.signals import SIGNALS, Signal
from cxlib.statistics.absorbing import end_shares, expected_sums, transition_shares, visits
from cxlib.statistics.rates import divide, t_quantile
from cxlib.statistics.resampling import BUCKETS, jackknife_se
from cxlib.store import Workspace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_T31 = float(t_quantile(BUCKETS - 1))


LEAST_ALIKE = 30
"""Contacts that came the same way from which on only they say how others would go on from there."""


class Mending(NamedTuple):
    """What less of a signal changes: where a fault sends journeys, in words and of which kind."""

    sends: str
    to: Literal["end", "end before", "source", "stage", "target"]


def _mending(signal: Signal) -> Mending | None:
    """How a signal moves journeys; None: it does not."""
    if signal.plan is not None:
        return Mending("end before it", "end before")
    if signal.draws == "silence":
        return Mending("end there", "end")
    if signal.sends_back and signal.compares_alone:
        return Mending("are sent back to where they came from", "source")
    if signal.sends_back:
        return Mending("are sent back to an earlier stage", "stage")
    return Mending("come to it once more", "target") if signal.repeats else None


MENDABLE = {name: how for name in SIGNALS if (how := _mending(SIGNALS[name])) is not None}
"""Signals of which less than was observed changes where journeys go."""

LEAVES = next(name for name, how in MENDABLE.items() if how.to == "end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change.

    Attributes
    ----------
    kind
        "mend" (a handoff), "halve_wait" (of a handoff), "remove" (a touchpoint: `source`), "add"
        (`target` as what comes next at `source`, which are touchpoints), or "move_traffic" (from
        `source` to `target`, both touchpoints or both channels).
    source, target
        Names.
    signal
        What is mended, of `MENDABLE`: "abandonment" is what ends at the target after coming from
        the source, "broken_handoff" what ends at the source. Without a target: at the source,
        wherever they came from.
    rate
        Of "mend": the share after mending; of "add": the share of the contacts at the source that
        take what is added; of "move_traffic": the share that is moved; of "halve_wait": the part of
        the wait that is left, half of it where none is given.
    error
        Standard error of how far `rate` lies from what is observed; 0: it is given.
    near
        Of what sends back where they came from: to any touchpoint of its channel.
    """

    kind: Literal["mend", "halve_wait", "remove", "add", "move_traffic"]
    source: str
    target: str = ""
    signal: str = LEAVES
    rate: float | None = None
    error: float = 0.0
    near: bool = False

    def __str__(self) -> str:
        pair = " → ".join(filter(None, (self.source, self.target)))
        if self.kind == "mend":
            return f"mend {pair}: {share(self.rate)} {MENDABLE[self.signal].sends}"
        if self.kind == "halve_wait":
            left = "halve" if self.rate is None else f"cut to {share(self.rate)}"
            return f"{left} the wait {pair}"
        if self.kind == "remove":
            return f"remove {self.source}"
        if self.kind == "add":
            return f"offer {self.target} at {self.source}, which {share(self.rate)} take"
        return f"move {share(self.rate)} of the contacts at {self.source} to {self.target}"


@dataclass(frozen=True, slots=True, eq=False)
class WhatIf:
    """What `estimate_what_if` returns.

    Conversions, value, time (mean hours from first contact to goal) and service contacts each have
    ``before``, ``after``, ``gain`` with ``low`` and ``high`` (95 %) and ``unit``, of all journeys
    that could convert; None: the log has no amounts, or nothing converts.
    """

    changes: tuple[Change, ...]
    conversions: dict[str, Any]
    value: dict[str, Any] | None
    time: dict[str, Any] | None
    service_contacts: dict[str, Any]
    per: str
    journeys: int
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `cx what-if --json` prints them."""
        named = ("conversions", "value", "time", "service_contacts", "per", "journeys")
        told = {"change": [str(c) for c in self.changes]} | {n: getattr(self, n) for n in named}
        return told | {"assumptions": list(self.assumptions)}

    @property
    def sentence(self) -> str:
        """The gain in words."""
        c = self.conversions
        what = "; ".join(map(str, self.changes))
        gain, more = (c["gain"], c["low"], c["high"]), "more"
        if c["gain"] < 0:
            gain, more = (-c["gain"], -c["high"], -c["low"]), "fewer"
        return f"{what}: {amount(*gain)} {more} conversions on {amount(c['before'])}, {self.per}"


@of_workspace
def estimate_what_if(workspace: Workspace, changes: Sequence[Change]) -> WhatIf:
    """Estimate what changes would have brought to the journeys of the log.

    Parameters
    ----------
    workspace
        The workspace.
    changes
        One or several; several are made together, in this order.

    Returns
    -------
    WhatIf

    Raises
    ------
    UnknownNameError
        A touchpoint or channel does not occur.
    InputError
        A handoff does not occur, a rate is none, or nothing is changed.
    NotMeasurableError
        The map names no goal, or the log is too short.
    """
    if not changes:
        raise InputError("name a change: --mend, --halve-wait, --remove, --add or --move-traffic")
    moves = read_moves(workspace)
    journeys, gains = _gains(moves, changes)
    first = workspace.periods.starts[0]
    return WhatIf(
        changes=tuple(changes),
        **gains,
        per=f"of all {plural(journeys, 'journey')} of the log ({day(first)} to "
        f"{day(workspace.observed_until)})",
        journeys=int(journeys),
        assumptions=_assumptions(changes, workspace),
    )


def at_places(column: str, places: Ints) -> pl.Expr:
    """Whether a column of moves holds one of some places."""
    return pl.col(column).is_in(places.tolist())


_UNITS = {
    "conversions": "conversions",
    "value": "money",
    "time": "hours from first contact to goal, per conversion; less is better",
    "service_contacts": "contacts with service before the goal; less is better",
}


def _gains(moves: Moves, changes: Sequence[Change]) -> tuple[float, dict[str, Any]]:
    """Journeys, and before, after and gain of each of `_UNITS` (None: not known)."""
    before: dict[str, Floats] = {}
    gain: dict[str, Floats] = {}
    model = dict.fromkeys(_UNITS, 0.0)
    turned = 0.0  # conversions that others take the place of
    unsure = dict.fromkeys(_UNITS, 0.0)  # what no larger log would tell: on top of all errors
    for change in changes:
        chain = moves.first_order(*handoff_places(moves, change))
        start = _results(chain, transition_shares(chain.moves), chain.seconds, moves)
        end = _results(chain, *_apply(chain, moves, change), moves)
        if change.kind in ("remove", "add"):  # leaving less or more for it, as here, or as often
            stay = _results(chain, _as_many_leave(chain, moves, change), chain.seconds, moves)
            for name in _UNITS:
                unsure[name] += abs(float(stay[name][0] - end[name][0])) / 2
                end[name] = (stay[name] + end[name]) / 2
        before = before or start
        each = divide(before["value"], before["conversions"])
        for name in _UNITS:  # changes of different handoffs: gains add up
            gain[name] = gain.get(name, 0.0) + end[name] - start[name]
        if len(changes) == 1:
            model |= _model_error(chain, moves, change, start, end)
        if change.kind in ("add", "move_traffic"):
            ways, others = _ways_apart(moves, chain, change)
            turned += others
            worth = {"conversions": 1.0, "value": float(np.nan_to_num(each)[0])}
            model |= {n: model[n] + (1.96 * ways * by) ** 2 for n, by in worth.items()}
        if change.kind == "halve_wait":
            kept, half = _kept_by_waiting_less(moves, change)
            gain["conversions"] = gain["conversions"] + kept
            unsure["conversions"] += half
            gain["value"] = gain["value"] + kept * each
            unsure["value"] += half * float(each[0])
    coins = max(abs(float(gain["conversions"][0])), turned)
    model["conversions"] += 1.96**2 * coins
    model["value"] += 1.96**2 * coins * (moves.worth_sq or 0.0)
    found: dict[str, Any] = dict.fromkeys(_UNITS)
    for name, unit in _UNITS.items():
        change_of, was = gain[name], float(before[name][0])
        if np.isfinite(change_of[0]) and (name != "value" or moves.worth_sq is not None):
            value = float(change_of[0])
            se = float(jackknife_se(change_of[0], change_of[1:], axis=0))
            half = float(np.sqrt((_T31 * se) ** 2 + model[name])) + unsure[name]
            told = {"before": was, "after": was + value, "gain": value}
            found[name] = told | {"low": value - half, "high": value + half, "unit": unit}
    return float(chain.journeys[0]), found


def _results(chain: Chain, shares: Floats, seconds: Floats, moves: Moves) -> dict[str, Floats]:
    """Conversions, value, time to the goal, service contacts: of all, and without each bucket."""
    states = shares.shape[-2] - 1
    visited = visits(shares)
    reached = _reached(chain, shares)
    wait = np.nan_to_num(divide(seconds, chain.moves))
    left = np.eye(states) - shares[..., 1:, :states]
    ahead = np.linalg.solve(left, shares[..., 1:, states, None])[..., 0]  # chance of the goal
    onward = np.concatenate([ahead, np.ones_like(ahead[..., :1]), 0 * ahead[..., :1]], axis=-1)
    spent = (shares * wait * onward[..., None, :]).sum(axis=-1)[..., 1:]
    places = moves.places
    helps = (places["kind"] == "service").fill_null(False) | places["assisted"]
    of_state = np.zeros(states, dtype=bool)
    for p in np.flatnonzero(helps.to_numpy()):
        of_state[np.unique(chain.states[:, p])] = True
    hours = divide((visited * spent).sum(axis=-1) * chain.journeys, reached["conversions"]) / 3_600
    return reached | {
        "time": hours,
        "service_contacts": (visited * of_state).sum(axis=-1) * chain.journeys,
    }


def _reached(chain: Chain, shares: Floats) -> dict[str, Floats]:
    """Conversions and value."""
    worth = np.nan_to_num(divide(chain.amounts, chain.moves))
    return {
        "conversions": end_shares(shares)[..., 0] * chain.journeys,
        "value": expected_sums(shares, worth) * chain.journeys,
    }


def _kept_by_waiting_less(moves: Moves, change: Change) -> tuple[float, float]:
    """Conversions gained where half of a wait is gone, and half the width of their interval.

    Who comes reaches the goal as often as those who waited so much less (a line on the logarithm of
    the wait). Of those who left at the source, the log does not say who left for waiting: none, or
    all of them, as if each second drove the same share away: the estimate is half of the latter.
    """
    source, target = moves.at(change.source), moves.at(change.target)
    goal = moves.places["is_goal"].gather(target).all()
    here = moves.waits.filter(
        at_places("place", source), at_places("next", np.array([-1]) if goal else target)
    )
    if here.is_empty():
        return 0.0, 0.0
    n, later, seconds = (here[c].to_numpy().astype(np.float64) for c in ("n", "later", "seconds"))
    wait, arrived, reach = seconds / n, n.sum(), later.sum() / n.sum()
    apart = np.log2(wait) - np.average(np.log2(wait), weights=n)
    spread = float((n * apart**2).sum())
    less = error = 0.0
    kept = _left_of_wait(change)
    if spread > 0.01 * arrived and not goal:
        shorter = -float(np.log2(max(kept, 1e-3))) * arrived
        less = -float((later * apart).sum() / spread) * shorter
        error = 1.96 * shorter * float(np.sqrt(reach * (1 - reach) / spread))
    left = float(moves.table.filter(at_places("place", source), next=-2)["n"].sum())
    most = int(np.argmax(wait))
    low, high = 0.0, float(np.log1p(left / n[most]) / wait[most])
    for _ in range(60):  # rate at which waiting drives away, if all who left did so for it
        rate = (low + high) / 2
        too_low = (n * np.exp(rate * wait)).sum() < arrived + left
        low, high = (rate, high) if too_low else (low, rate)
    spared = float((n * np.expm1(high * wait * (1 - kept))).sum()) * reach
    return moves.scale * (less + spared / 2), moves.scale * (error + spared / 2)


def _left_of_wait(change: Change) -> float:
    return 0.5 if change.rate is None else change.rate


def handoff_places(moves: Moves, change: Change) -> tuple[Ints, Ints]:
    """Places of both ends of a handoff, none where no handoff is changed; checks the names."""
    names = moves.places["touchpoint"].unique(maintain_order=True).to_list()
    if change.kind == "move_traffic":
        return NOWHERE, NOWHERE  # touchpoints or channels: checked where they are moved
    whole = change.kind == "remove" or (change.kind == "mend" and not change.target)
    for name in (change.source, *([] if whole else [change.target])):
        if name not in names:
            raise UnknownNameError("touchpoint", name, names)
    if change.signal not in MENDABLE:
        raise InputError(
            f"{change.signal!r} cannot be mended by moving customers; {listed(MENDABLE)} can"
        )
    if whole:
        return NOWHERE, NOWHERE
    source, target = moves.at(change.source), moves.at(change.target)
    counted = moves.table.filter(at_places("before", source), at_places("place", target))
    if change.kind == "add":
        enough = counted["n"].sum() >= LEAST_ALIKE
        return (source, target) if enough else (NOWHERE, NOWHERE)
    if change.kind == "halve_wait" and moves.places["is_goal"].gather(target).all():
        counted = moves.table.filter(at_places("place", source), next=-1)
    if counted.is_empty() and MENDABLE[change.signal].to != "end before":
        raise InputError(
            f"{change.source} → {change.target} does not occur before a goal; `cx transitions` "
            "lists the handoffs of the log"
        )
    return source, target


def _apply(chain: Chain, moves: Moves, change: Change) -> tuple[Floats, Floats]:
    """Shares of moves after the change, and the sums of waits."""
    shares, seconds = transition_shares(chain.moves), chain.seconds
    states = shares.shape[-2] - 1
    if change.kind == "halve_wait":
        rows, columns = _handoff(chain, moves, change)
        seconds = seconds.copy()
        seconds[:, rows[:, None], columns] *= _left_of_wait(change)
        return shares, seconds
    if change.kind == "remove":
        gone = np.unique(chain.states[:, moves.at(change.source)])
        return _lowered(shares, np.arange(states + 1), gone, 0.0), seconds
    if change.kind == "move_traffic":
        return _moved(shares, chain, moves, change), seconds
    assert change.rate is not None
    if change.kind == "add":
        rows, added = _handoff(chain, moves, change)
        common = chain.moves[0].sum(axis=0)[added] + 1e-9
        changed = shares.copy()
        changed[:, rows] *= 1 - change.rate
        changed[:, rows[:, None], added] += change.rate * common / common.sum()
        return changed, seconds
    rows, columns, onto = sent_by_fault(chain, moves, change)
    if onto is None:
        return _lowered(shares, rows, columns, change.rate), seconds
    changed = shares.copy()
    for row in rows[chain.moves[0, rows].sum(axis=-1) > 0]:
        now = shares[:, row, columns].sum(axis=-1)
        freed = np.maximum(now - change.rate, 0.0)
        changed[:, row, columns] *= divide(now - freed, now).clip(0, 1)[:, None]
        usual = chain.moves[:, row, onto] + 1e-9
        changed[:, row, onto] += freed[:, None] * usual / usual.sum(axis=-1, keepdims=True)
    return np.nan_to_num(changed), seconds


def sent_by_fault(chain: Chain, moves: Moves, change: Change) -> tuple[Ints, Ints, Ints | None]:
    """Rows that a fault strikes, columns it sends to, and where those mended go (None: on)."""
    to = MENDABLE[change.signal].to
    ended = np.array([chain.moves.shape[-1] - 1])
    if to == "end before":
        rows, onto = _handoff(chain, moves, change)
        return rows, ended, onto
    if change.target:
        source, target = moves.at(change.source), moves.at(change.target)
        rows = 1 + np.unique(chain.states[np.ix_(source, target)])
    else:
        source, target = NOWHERE, moves.at(change.source)
        rows = 1 + np.unique(chain.states[:, target])
    if to == "end":
        return rows, ended, None
    stage, channel = (moves.places[c].to_numpy() for c in ("stage_index", "channel"))
    home = np.flatnonzero(np.isin(channel, channel[source])) if change.near else source
    back = {"source": home, "target": target}
    columns = back[to] if to in back else np.flatnonzero(stage < stage[target].min())
    return rows, np.unique(chain.states[np.ix_(target, columns)]), None


def _handoff(chain: Chain, moves: Moves, change: Change) -> tuple[Ints, Ints]:
    source, target = moves.at(change.source), moves.at(change.target)
    rows = 1 + np.unique(chain.states[:, source])
    if moves.places["is_goal"].gather(target).all():
        return rows, np.array([chain.moves.shape[-1] - 2])
    return rows, np.unique(chain.states[np.ix_(source, target)])


def _lowered(shares: Floats, rows: Ints, columns: Ints, rate: float) -> Floats:
    """Lower the share of some columns to a rate; the others of the row take it in proportion."""
    changed = shares.copy()
    part = shares[:, rows]
    now = part[..., columns].sum(axis=-1, keepdims=True)
    new = np.minimum(now, rate)
    scaled = part * np.nan_to_num(divide(1 - new, 1 - now), nan=1.0)
    scaled[..., columns] = part[..., columns] * np.nan_to_num(divide(new, now), nan=1.0)
    # a row that has nothing but these columns ends there
    scaled[..., -1] += np.where(now[..., 0] >= 1 - 1e-12, 1 - scaled.sum(axis=-1), 0.0)
    changed[:, rows] = scaled
    return changed


def _as_many_leave(chain: Chain, moves: Moves, change: Change) -> Floats:
    """Shares after a change that is made among those who go on only; as many leave as did."""
    was = transition_shares(chain.moves)
    changed, _ = _apply(chain, moves, change)
    onward, before = changed[..., :-1].sum(axis=-1), was[..., :-1].sum(axis=-1)
    changed[..., :-1] *= np.where(onward > 0, divide(before, onward), 1.0)[..., None]
    changed[..., -1] = 1 - changed[..., :-1].sum(axis=-1)
    return changed


def _moved(shares: Floats, chain: Chain, moves: Moves, change: Change) -> Floats:
    touchpoints = moves.places["touchpoint"].to_list()
    column = "touchpoint" if change.source in touchpoints else "channel"
    known = moves.places[column].unique(maintain_order=True).to_list()
    for name in (change.source, change.target):
        if name not in known:
            raise UnknownNameError(column, name, known)
    assert change.rate is not None
    stage = moves.places["stage_index"].to_numpy()
    every = moves.at(change.target, column)
    arrivals = chain.moves[0].sum(axis=0)[: len(stage)]
    every = every[arrivals[every] > 0]
    if not len(every):
        raise InputError(f"nobody comes to {change.target} before a goal: nothing can move there")
    changed = shares.copy()
    for place in moves.at(change.source, column):
        like = every[stage[every] == stage[place]] if column == "channel" else every
        onto = like if len(like) else every
        freed = shares[..., place] * change.rate
        changed[..., place] -= freed
        changed[..., onto] += freed[..., None] * arrivals[onto] / arrivals[onto].sum()
    return changed


def _model_error(
    chain: Chain, moves: Moves, change: Change, start: dict[str, Floats], end: dict[str, Floats]
) -> dict[str, float]:
    """Squared half widths that the expected rate and the order of the chain add."""
    pairs = moves.second_order() if change.kind in ("mend", "remove") else None
    shifted = []
    if change.kind == "mend" and change.error and change.rate is not None:
        for rate in (change.rate - change.error, change.rate + change.error):
            other = replace(change, rate=float(np.clip(rate, 0, 1)))
            shifted.append(_reached(chain, _apply(chain, moves, other)[0]))
    if pairs is not None:
        before = _reached(pairs, transition_shares(pairs.moves))
        after = _reached(pairs, _apply(pairs, moves, change)[0])
    found = {}
    for name in ("conversions", "value"):
        off = max((abs(float(other[name][0] - end[name][0])) for other in shifted), default=0.0)
        found[name] = (1.96 * off) ** 2
        if pairs is not None:
            apart = after[name][0] - before[name][0] - end[name][0] + start[name][0]
            found[name] += float(apart) ** 2
    return found


def _ways_apart(moves: Moves, chain: Chain, change: Change) -> tuple[float, float]:
    """Standard error of the conversions of those who are moved: of whom they will be like.

    How those at a place go on differs by where they came from: these are another such kind. Also
    how many of them come to the goal as they are or after the change: by the coin, others do.
    """
    pooled = moves.first_order()
    shares = transition_shares(pooled.moves[0])
    size = len(moves.places)
    left = np.eye(size) - shares[1:, :size]
    ahead = np.append(np.linalg.solve(left, shares[1:, size]), [1.0, 0.0])
    column = "channel" if change.source not in moves.places["touchpoint"] else "touchpoint"
    source, target = moves.at(change.source, column), moves.at(change.target, column)
    onto = moves.table.filter(at_places("place", target))
    next_to = pl.when(pl.col("next") < 0).then(size - 1 - pl.col("next")).otherwise("next")
    chance = pl.lit(pl.Series(ahead)).gather(next_to)
    ways = onto.group_by("before").agg(
        n=pl.col("n").sum(), reach=(pl.col("n") * chance).sum() / pl.col("n").sum()
    )
    n, reach = (ways.filter(pl.col("n") >= LEAST_ALIKE)[c].to_numpy() for c in ("n", "reach"))
    visited = visits(shares) * float(pooled.journeys[0]) * (change.rate or 0.0)
    moved = float(visited[source].sum())
    mean = float(np.average(reach, weights=n)) if len(n) else 0.0
    turned = float(visited[source] @ ahead[source]) + moved * mean
    if len(n) < 2:
        return 0.0, turned
    apart = float(np.var(reach, ddof=1) - (mean * (1 - mean) / n).mean())
    return moved * float(np.sqrt(max(apart, 0.0))), turned


def _assumptions(changes: Sequence[Change], workspace: Workspace) -> tuple[str, ...]:
    said = [
        "where a journey goes next depends on its last contact (at the changed handoff also on the "
        "one before); the difference to a chain of pairs of contacts is in the interval",
        "nothing else changes: as many journeys begin, and a journey that converts more does not "
        "bring another one later",
    ]
    of_kind = {
        "mend": "those who are mended behave afterwards like those who go on from there",
        "halve_wait": "who waits half as long reaches the goal as often as those who did; of those "
        "who left at the source between none and all left for waiting, and the interval holds both",
        "remove": "who would have come there goes where the others go from the same contact; some "
        "of them leave as well, as the others do, or none: the interval holds both",
        "add": "who takes what is added goes on from there like those who come there now (from the "
        "same contact, where some do); among them are some who had left, or none: the interval "
        "holds both; who takes it is "
        "there as soon as they are from the same contact (where nobody does: at once)",
        "move_traffic": "who is moved behaves like those who are at the new place by themselves",
    }
    said += [text for kind, text in of_kind.items() if kind in {c.kind for c in changes}]
    if workspace.gap is not None:
        said.append(
            "contacts of the last gap before the end of the log move on like those before them"
        )
    if len(changes) > 1:
        said.append("gains of several changes add up; what they share is counted twice")
    return tuple(said)
