"""The process behind one open dashboard: an IPython kernel, lean and bounded in its memory.

Forked from the process in `cxlib.serve.warm` where the system can, else a program of its own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

MEMORY_VARIABLE = "CX_KERNEL_MEMORY_MB"

LEAN = [
    "--HistoryManager.enabled=False",
    "--InteractiveShell.cache_size=0",
    "--IPKernelApp.log_level=40",
    # Imported before there was a kernel, it has not told this one of its widgets.
    "--IPKernelApp.extra_extensions=ipywidgets",
]


VALIDATORS = ("rfc3987_syntax", "isoduration")
"""Grammars for IRIs and ISO durations, which `jsonschema` would build in seconds for nothing."""
UNUSED = (*VALIDATORS, "debugpy", "kaleido", "PIL")
"""And what Jupyter and plotly import into a session if it is there: a debugger, which no visitor
may use, and the export of pictures, which the browser does."""


def skip_imports(optional: Iterable[str] = UNUSED) -> None:
    """Keep optional packages out of this process."""
    for name in optional:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


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
    threading.stack_size(2 << 20)  # 8 MB of the limit for each of a kernel's threads are too many


def run_kernel(arguments: list[str], *, parent: int) -> None:
    """Run the kernel until the server ends it, or the process `parent` that started it is gone."""
    skip_imports()
    _bound_memory()
    from ipykernel.kernelapp import IPKernelApp

    class LeanKernelApp(IPKernelApp):
        """A kernel without subshells, which would pass every message through one more thread."""

        def init_control(self, context: Any) -> None:
            super().init_control(context)
            self.shell_channel_thread.io_loop.close()
            self.shell_channel_thread = None

    watched = f"--IPKernelApp.parent_handle={parent}"
    LeanKernelApp.launch_instance(argv=[*arguments, *LEAN, watched])


def main() -> None:
    """Run the kernel as a program of its own."""
    run_kernel(sys.argv[1:], parent=os.getppid())


if __name__ == "__main__":
    main()
