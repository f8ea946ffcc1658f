"""Processes that this program starts: spawned, deaf to the terminal's signals, and ended together with their master."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait

from videostyle import interrupt

# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
CONTEXT = multiprocessing.get_context("spawn")
"""Spawned rather than forked: the libraries used have threads, which a fork would leave out."""


def follow_master(is_stopped: Callable[[], bool]) -> None:
    """Make this process end with its master, and request a stop once `is_stopped` returns True.

    Ctrl-C reaches every process of a terminal, and its closing too; the master alone decides.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _die_with_master()
    threading.Thread(target=_watch, args=(is_stopped,), daemon=True).start()


def _die_with_master() -> None:
    """Let Linux kill this process together with its master: at once, even while a library holds Python's lock.

    A killed master cannot stop its workers, which would then write to the same files as the workers of the next run.
    """
    master = multiprocessing.parent_process()
    if master is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master.pid:  # the master died before prctl took effect
        os._exit(1)


def _watch(is_stopped: Callable[[], bool]) -> None:
    """Pass on the master's request to stop, and end with it on systems other than Linux, when its pipe breaks."""
    master = multiprocessing.parent_process()
    assert master is not None
    while not wait([master.sentinel], interrupt.POLL):
        if is_stopped():
            interrupt.request_stop()
    os._exit(1)
