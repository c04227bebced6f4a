"""Grounds: with what a signal is compared. One file a ground; see `docs/adding-a-signal.md`."""

from cxlib.grounds.groups import GROUPS
from cxlib.grounds.kinds import Counts, Ground, Registry, Signal
from cxlib.grounds.like import LIKE
from cxlib.grounds.past import PAST
from cxlib.grounds.plan import PLAN

__all__ = ["GROUNDS", "Counts", "Ground", "Signal", "register_ground"]

GROUNDS: Registry[Ground] = Registry()
"""The grounds by name, in the order in which they are told."""

register_ground = GROUNDS.register

for _ground in (LIKE, PAST, GROUPS, PLAN):
    register_ground(_ground)
