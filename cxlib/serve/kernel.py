"""The process behind one open dashboard: an IPython kernel, started lean and with a bound on its
memory.

Started by the kernel specification in `jupyter/kernels/python3`, which counts inside
`serve_dashboards` only.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main", "skip_unused_validators"]

MEMORY_VARIABLE = "CX_KERNEL_MEMORY_MB"

LEAN = [
    "--HistoryManager.enabled=False",
    "--InteractiveShell.cache_size=0",
    "--IPKernelApp.log_level=40",
]


def skip_unused_validators() -> None:
    """Keep `jsonschema` from building its grammars for IRIs and ISO durations.

    They are optional, nothing here validates such formats, and building them costs two to three
    seconds of processor time in every process that reads a notebook or makes a figure widget.
    """
    for optional in ("rfc3987_syntax", "isoduration"):
        sys.modules.setdefault(optional, None)  # type: ignore[arg-type]


def _bound_memory() -> None:
    """End the kernel of one visitor with a MemoryError rather than the machine of all of them."""
    limit = int(os.environ.get(MEMORY_VARIABLE, "0"))
    if limit <= 0:
        return
    try:
        import resource
    except ImportError:  # not a POSIX system: no such bound there
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit << 20, limit << 20))


def main() -> None:
    """Run the kernel until the server ends it."""
    skip_unused_validators()
    _bound_memory()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(argv=[*sys.argv[1:], *LEAN])


if __name__ == "__main__":
    main()
