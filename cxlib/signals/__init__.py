"""Signals: what can go wrong. One file a signal; see `docs/adding-a-signal.md`."""

from importlib import import_module
from pkgutil import iter_modules

from cxlib.grounds.kinds import Registry, Signal
from cxlib.numbers import spelled

__all__ = ["SIGNALS", "Signal", "register_signal", "signal_named"]

SIGNALS: Registry[Signal] = Registry()
"""The signals by name, in the order of `docs/signals`."""

register_signal = SIGNALS.register

for _module in iter_modules(__path__):
    for _found in vars(import_module(f"{__name__}.{_module.name}")).values():
        if isinstance(_found, Signal):
            register_signal(_found)


def signal_named(name: str) -> Signal:
    """Give the signal of this name; of an unknown one (an older file) a plain share."""
    spaced = spelled(name)
    return SIGNALS.get(name) or Signal(
        name, 99, spaced, "share of arrivals", says=f"{spaced}: {{}} more"
    )
