"""The formatter of `cxlib.numbers`, for what still looks for it here."""

from cxlib.numbers import *  # noqa: F403
