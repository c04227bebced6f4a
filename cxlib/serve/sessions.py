"""How the server starts a session, and how many (processes) there may be.

A session is forked from a process that has everything imported; where that is not to be had (no
Linux, or a fault), it starts the ordinary way: slower and larger.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Type

from cxlib.serve.launch import MATH_THREADS, ServerSettings
from cxlib.serve.warm import READY

NAME = "cx-warm"
"""How the kernel specification in `jupyter/kernels/python3` calls `WarmProvisioner`."""

ANSWERS_WITHIN = 60.0
"""Seconds after which the process is given up; importing takes some four on an idle machine."""

LOOKS_EVERY = 1.0
"""Seconds after which a wait for a reply looks itself whether it is there."""

_log = logging.getLogger("cxlib.serve")


class ForkedSession:
    """A session that is not this process's child, with the interface of `subprocess.Popen`.

    Its handle stays right when its process id is given to another process.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, handle: int | None) -> None:
        self.pid = pid
        self.returncode: int | None = 0 if handle is None else None
        self._handle = -1 if handle is None else handle

    def poll(self) -> int | None:
        """Return None while the session runs; how it ended is not known to this process."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the session has ended."""
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(NAME, timeout or 0)
            self.returncode = 0
            os.close(self._handle)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal, to no other process than this one."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, signum)

    def terminate(self) -> None:
        """Ask the session to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the session."""
        self.send_signal(signal.SIGKILL)


class WarmProcess:
    """The process of `cxlib.serve.warm`, started when first needed and again should it be gone."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None
        self._imported = self._useless = False

    def start(self) -> socket.socket:
        """Start it, without waiting until it has imported everything; return the wire to it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with self._lock, theirs:
            self.stop()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cxlib.serve.warm", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | MATH_THREADS,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            ours.settimeout(ANSWERS_WITHIN)
            self._wire = ours
        return ours

    def fork(self, arguments: list[str], environment: dict[str, str], folder: str) -> ForkedSession:
        """Fork a session; OSError: the process does not answer."""
        request = {"arguments": arguments, "environment": environment, "folder": folder}
        message = json.dumps(request).encode()
        with self._lock:
            if self._useless:
                raise OSError("sessions cannot be forked here")
            try:
                return self._ask(message)
            except OSError:
                # What fails before it is ready fails every time.
                self._useless = not self._imported
                self.stop()
                raise

    def _ask(self, message: bytes) -> ForkedSession:
        wire = self._wire
        if self._process is None or wire is None or self._process.poll() is not None:
            wire = self.start()
        wire.send(message)
        while True:
            answer, handles, _, _ = socket.recv_fds(wire, 64, 1)
            if not answer:
                raise ConnectionError("the process that sessions are forked from is gone")
            if answer != READY:
                return ForkedSession(int(answer), handles[0] if handles else None)
            self._imported = True

    def stop(self) -> None:
        """End it, and with it the sessions forked from it."""
        with self._lock:
            if self._wire is not None:
                self._wire.close()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._process = self._wire = None


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
    """Starts a kernel by a fork of the one `WarmProcess`, or else as Jupyter does."""

    warm: WarmProcess | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel; `cmd` is the command of the kernel specification."""
        if self.warm is None:
            return await super().launch_kernel(cmd, **kwargs)
        # The arguments proper follow on `python -c CODE`.
        arguments, folder = cmd[3:], str(kwargs.get("cwd") or Path.cwd())
        try:
            session = await asyncio.to_thread(self.warm.fork, arguments, kwargs["env"], folder)
        except OSError as error:
            _log.warning("a session is started the slow way: %s", error)
            return await super().launch_kernel(cmd, **kwargs)
        self.process = cast("subprocess.Popen[bytes]", session)
        # It leads a group of its own, see `cxlib.serve.warm`.
        self.pid = self.pgid = session.pid
        self.cwd = folder
        return self.connection_info


def use_warm_sessions() -> WarmProcess | None:
    """Make Jupyter start kernels by `WarmProvisioner`, forked from the process returned.

    None where this system knows no handles on processes: kernels are then started as ever.
    """
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, f"{__name__}:{WarmProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME
    )
    if not (sys.platform == "linux" and hasattr(os, "pidfd_open")):
        return None
    WarmProvisioner.warm = WarmProcess()
    WarmProvisioner.warm.start()
    return WarmProvisioner.warm


_OF_MEMORY = 0.75
"""Part of the machine's memory that sessions may fill together."""
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int | None:
    """Return the bytes of memory of the machine or container; None where the system is silent."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # no POSIX system
        return None
    for path in _CGROUPS:
        with suppress(OSError, ValueError):
            found = min(found, int(Path(path).read_text(encoding="ascii")))
    return found


@dataclass(slots=True)
class _Place:
    visitor: str
    user: str
    alone_since: float | None
    had_a_page: bool = False


@contextmanager
def _counted(counter: Counter[str], name: str) -> Iterator[None]:
    counter[name] += 1
    try:
        yield
    finally:
        counter[name] -= 1
        counter += Counter()  # forgets those at 0


class Places:
    """The sessions given out, at most `most` at a time, and `most_of_one` for one visitor.

    `waiting` ones are kept ready and belong to nobody; unknown `memory` sets no limit.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        waiting: int = 0,
        memory: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = settings.max_visitors
        if memory is not None and settings.kernel_memory_mb > 0:
            fit = int(memory * _OF_MEMORY) // (settings.kernel_memory_mb << 20)
            self.most = min(self.most, max(fit - waiting, 1))
        given = settings.max_per_visitor
        self.most_of_one = min(self.most, -(-self.most // 2) if given is None else given)
        self._settings, self._clock = settings, clock
        self._places: dict[str, _Place] = {}
        self._arriving: Counter[str] = Counter()
        self._wires: Counter[str] = Counter()

    def are_left(self, visitor: str) -> bool:
        """Whether one more session may be given to this visitor."""
        his = sum(place.visitor == visitor for place in self._places.values())
        return (
            len(self._places) + self._arriving.total() < self.most
            and his + self._arriving[visitor] < self.most_of_one
        )

    @property
    def are_arriving(self) -> bool:
        """Whether a session is being made for anybody."""
        return self._arriving.total() > 0

    @property
    def given(self) -> set[str]:
        """The sessions that visitors have."""
        return set(self._places)

    def arriving(self, visitor: str) -> AbstractContextManager[None]:
        """Count a visitor whose session is being made."""
        return _counted(self._arriving, visitor)

    def wired(self, kernel: str) -> AbstractContextManager[None]:
        """Count a wire to a session, from the moment it is asked for until it is closed."""
        return _counted(self._wires, kernel)

    def give(self, kernel: str, *, visitor: str, user: str) -> None:
        """Give a session to a visitor; from now on its page must come, and must stay."""
        self._places[kernel] = _Place(visitor, user, self._clock())

    def free(self, kernel: str) -> None:
        """Take a session back."""
        self._places.pop(kernel, None)

    def of(self, user: str) -> list[str]:
        """Return the sessions of somebody who signed in."""
        return [kernel for kernel, place in self._places.items() if place.user == user]

    def abandoned(self, running: set[str]) -> list[str]:
        """Return the sessions without a page for too long; those that run no more are forgotten."""
        now, ended = self._clock(), []
        for kernel in self._places.keys() - running:
            self.free(kernel)
        for kernel, place in self._places.items():
            if self._wires[kernel]:
                place.had_a_page, place.alone_since = True, None
                continue
            if place.alone_since is None:
                place.alone_since = now
            settings = self._settings
            patience = settings.grace_seconds if place.had_a_page else settings.wire_seconds
            if now - place.alone_since > patience:
                ended.append(kernel)
        return ended
