"""A process that ends before any of its file-system steps, by fault injection and not by luck."""

import os
from pathlib import Path

import polars as pl

STEPS = [
    (pl.DataFrame, "write_parquet"),
    (Path, "write_text"),
    (Path, "write_bytes"),
    (Path, "chmod"),
    (os, "mkdir"),
    (os, "rename"),
    (os, "replace"),
    (os, "link"),
    (os, "symlink"),
    (os, "unlink"),
    (os, "rmdir"),
    (os, "fsync"),
]


class PulledPlugError(BaseException):
    """The machine is off: nothing that would tidy up runs."""


def pull_the_plug(monkeypatch, *, at: int, without: tuple[str, ...] = ()) -> list[str]:
    """End the process before the step with that number; a write is cut off half way.

    Returns the steps seen; `without`: names of steps that are not counted.
    """
    seen: list[str] = []

    def watched(owner, name):
        real = getattr(owner, name)

        def call(*given, **named):
            if len(seen) >= at:
                raise PulledPlugError  # switched off: nothing more is written or tidied up
            seen.append(name)
            if len(seen) < at:
                return real(*given, **named)
            if name == "write_text":
                real(given[0], given[1][: len(given[1]) // 2], **named)
            elif name == "write_parquet":
                real(*given, **named)
                os.truncate(given[1], 20)
            raise PulledPlugError

        monkeypatch.setattr(owner, name, call)

    for owner, name in STEPS:
        if name not in without:
            watched(owner, name)
    return seen
