"""How the server starts a session: forked from a process that has everything imported.

Python's own fork server keeps that process (`cxlib.serve.warm`), starts it again should it be gone,
and ends it with the server. Where there is none (no Linux, or a fault), the ordinary way: slower
and larger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Type

from cxlib.serve.kernel import run_session

NAME = "cx-warm"
"""How the kernel specification in `jupyter/kernels/python3` calls `WarmProvisioner`."""

ANSWERS_WITHIN = 60.0
"""Seconds after which a fork is given up; the imports before the first take some four."""

LOOKS_EVERY = 1.0
"""Seconds after which a wait for a reply looks itself whether it is there."""

_log = logging.getLogger("cxlib.serve")


class ForkedSession:
    """A forked session with the interface of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, process: BaseProcess) -> None:
        self._process, self.pid = process, process.pid or 0

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired(NAME, timeout or 0)
        return code

    def send_signal(self, signum: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Forks sessions, one at a time."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["cxlib.serve.warm"])
        self._lock = threading.Lock()
        self.has_worked = False

    def prepare(self) -> None:
        """Start the process to fork from, without waiting until it has imported everything."""
        forkserver.ensure_running()

    def fork(self, arguments: list[str], environment: dict[str, str], folder: str) -> ForkedSession:
        """Fork a session; OSError, EOFError: the process does not answer."""
        given = (arguments, environment, folder)
        session = self._context.Process(target=run_session, args=given, daemon=True)
        with self._lock:
            # A session needs nothing of the program that serves: hidden, it is not run in it again.
            program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
            try:
                session.start()
            finally:
                sys.modules["__main__"] = program
        self.has_worked = True
        return ForkedSession(session)


class WatchfulChannel(AsyncZMQSocketChannel):
    """A channel that looks for messages again and again, and does not wait to be woken only.

    On a busy machine one in a hundred was not woken although the reply had come.
    """

    async def get_msg(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the next message; raise `queue.Empty` where none comes in `timeout` seconds."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while (left := until - time.monotonic()) > LOOKS_EVERY:
            with contextlib.suppress(queue.Empty):
                return await super().get_msg(LOOKS_EVERY)
        return await super().get_msg(max(left, 0))


class WatchfulClient(AsyncKernelClient):
    """What runs a dashboard's cells in its session."""

    shell_channel_class = Type(WatchfulChannel)
    iopub_channel_class = Type(WatchfulChannel)


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel by a fork, or else as Jupyter does."""

    forks: Forks | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel; `cmd` is the command of the kernel specification."""
        forks = self.forks
        if forks is None:
            return await super().launch_kernel(cmd, **kwargs)
        # The arguments proper follow on `python -c CODE`.
        arguments, folder = cmd[3:], str(kwargs.get("cwd") or Path.cwd())
        asked = asyncio.to_thread(forks.fork, arguments, kwargs["env"], folder)
        try:
            session = await asyncio.wait_for(asked, ANSWERS_WITHIN)
        except (OSError, EOFError, TimeoutError) as error:
            _log.warning("a session is started the slow way: %r", error)
            if not forks.has_worked:  # what fails before the first fork fails every time
                WarmProvisioner.forks = None
            return await super().launch_kernel(cmd, **kwargs)
        self.process = cast("subprocess.Popen[bytes]", session)
        # It leads a group of its own, see `run_session`.
        self.pid = self.pgid = session.pid
        self.cwd = folder
        return self.connection_info


def use_warm_sessions() -> None:
    """Make Jupyter start kernels by `WarmProvisioner`, which forks them where the system can."""
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, f"{__name__}:{WarmProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME
    )
    if sys.platform == "linux":
        WarmProvisioner.forks = Forks()
        WarmProvisioner.forks.prepare()
