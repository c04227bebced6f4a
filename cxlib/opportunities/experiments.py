"""Experiments: how large, how long, and what came of one whose assigned group is a segment."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from cxlib.columns import Columns, Count, Label, Share, Tables
from cxlib.errors import InputError
from cxlib.measures.first_contacts import measure_first_contacts
from cxlib.numbers import chance, decimal, points, share
from cxlib.results import Result, of_workspace, result
from cxlib.segments import dimension_values
from cxlib.statistics.multiple_testing import p_values
from cxlib.store import Workspace
from cxlib.store.selection import Selection

_Z95 = 1.959964
_MISMATCH = 0.001
"""Below this chance, groups are not of the sizes that were assigned."""


def sample_size(first: float, second: float, *, level: float = 0.05, power: float = 0.8) -> int:
    """Customers that each of two groups needs to tell two shares apart.

    (z(1 - level/2) + z(power))² (p₁(1 - p₁) + p₂(1 - p₂)) / (p₁ - p₂)²

    >>> sample_size(0.10, 0.15)
    683
    """
    from scipy.special import ndtri

    z = float(ndtri(1 - level / 2) + ndtri(power))
    spread = first * (1 - first) + second * (1 - second)
    return int(np.ceil(z**2 * spread / (first - second) ** 2))


def plan_experiment(
    first: float, second: float, *, a_day: float, design_effect: float = 1.0
) -> tuple[int, timedelta]:
    """Customers a group to tell two shares apart, and how long it takes at so many cases `a_day`.

    ``design_effect``: how much more the shares spread because cases come from the same customers.
    """
    size = int(np.ceil(sample_size(first, second) * design_effect))
    return size, timedelta(days=int(np.ceil(2 * size / max(a_day, 1e-9))))


@result
class Experiment(Result):
    """What `read_experiment` returns: ``difference`` of the treated over the control group in the
    share of journeys that reach the goal (95 %: ``low``, ``high``; ``p``), and ``mismatch``, the
    chance of groups as unequal as these where halves were assigned.
    """

    segment: str
    difference: float
    low: float
    high: float
    p: float
    mismatch: float

    title = "What came of the experiment"
    tables = Tables(
        table=Columns(
            "the treated group, then the control group",
            group=Label("value of the segment"),
            journeys=Count("that began", each="journeys"),
            customers=Count("with a journey", each="journeys"),
            goal=Share("of journeys that reach the goal", of="journeys", interval=True),
        )
    )

    def sentences(self) -> list[str]:
        """Say what the experiment shows, and whether it can be trusted."""
        treated, control = self.table.to_dicts()
        gap = points(self.difference, self.low, self.high)
        if self.low > 0 or self.high < 0:
            verdict = "better" if self.low > 0 else "worse"
            judged = f"{treated['group']} does {verdict} than {control['group']}: {gap}"
        else:
            judged = (
                f"no difference between {treated['group']} and {control['group']} is shown: {gap}; "
                f"anything from {points(self.low)} to {points(self.high)} fits"
            )
        said = [
            f"{judged} ({share(treated['goal'])} against {share(control['goal'])} of journeys "
            f"reach the goal; p {chance(self.p)})"
        ]
        if self.mismatch < _MISMATCH:
            said.append(
                f"not to be trusted: {decimal(treated['customers'])} and "
                f"{decimal(control['customers'])} customers are no halves of one draw (p "
                f"{chance(self.mismatch)}); if they were not assigned in halves, disregard this"
            )
        return said


@of_workspace
def read_experiment(
    workspace: Workspace, segment: str, *, treated: str, control: str
) -> Experiment:
    """Compare two groups of customers that were assigned by chance.

    Journeys still running are censored, intervals are over customers; nothing is adjusted, since
    the groups were drawn.

    Parameters
    ----------
    workspace
        The workspace; the assigned group is a segment of the customers.
    segment
        Its name.
    treated, control
        Its two values.

    Raises
    ------
    UnknownNameError
        There is no such segment or value.
    InputError
        Both groups are the same, or one of them has no journey that could be judged.
    """
    if treated == control:
        raise InputError(f"{treated!r} cannot be compared with itself")
    dimension_values(workspace.segments, segment)
    summary = workspace.summary()
    rows = []
    for value in (treated, control):
        where = Selection(segment=(segment, value))
        whole = measure_first_contacts(summary, where=where).whole.to_dicts()
        first = measure_first_contacts(summary, where=where, first_journeys_only=True)
        if not whole or whole[0]["goal"] is None:
            raise InputError(f"no journey of {segment} {value} could be judged")
        named = {k: whole[0][k] for k in ("journeys", "goal", "goal_low", "goal_high")}
        rows.append({"group": value, "customers": first.journeys, **named})
    (a, b) = rows
    se = float(np.hypot(*((r["goal_high"] - r["goal_low"]) / (2 * _Z95) for r in rows)))
    difference = a["goal"] - b["goal"]
    both = a["customers"] + b["customers"]
    uneven = abs(a["customers"] - b["customers"]) / np.sqrt(max(both, 1))
    return Experiment(
        table=Experiment.tables["table"].frame(rows),
        segment=segment,
        difference=difference,
        low=difference - _Z95 * se,
        high=difference + _Z95 * se,
        p=float(p_values(difference, max(se, 1e-12))),
        mismatch=float(p_values(uneven, 1.0)),
        observed_until=workspace.observed_until,
        where=None,
    )
