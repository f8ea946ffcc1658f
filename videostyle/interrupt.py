"""Stop requests: a signal sets a flag, and the work checks the flag where it can stop safely.

An exception raised by a signal handler can occur anywhere: inside a lock of Python's own, in the middle of an import
or of the conversion of a network, and the interrupted object is then broken. Here SIGINT, SIGTERM and SIGHUP raise no
exception. Loops call `check`, which raises KeyboardInterrupt at a safe place, and every wait for a queue is divided
into waits of `POLL` seconds with a check between them. Only a command that has not begun to write, which is most often
still importing its libraries, ends at once.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType

POLL = 0.1
"""Seconds between two checks of the flag while waiting."""
STATUS = 130
"""Exit status of a stopped command, as shells report SIGINT."""

# SIGHUP, which a closing terminal sends, is not known to Windows.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# GNU timeout sends its signal twice at once, to the process and to its group: signals this close are one request.
_ECHO = 0.1
# Linux's option of sockets by which each datagram brings the time at which it was sent (socket(7)); its number is the
# same on x86 and ARM. Where it is missing, a signal counts from when its thread gets to read it.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_END = b"\0"

# Plain values: a lock, even an Event's, cannot be taken in a signal handler. No two threads need to agree on them.
_requested = False
_acknowledged = False
_listening = False
_begun = True


_extra_condition: ContextVar[Callable[[], bool]] = ContextVar("_extra_condition", default=lambda: False)


def stop_requested() -> bool:
    """Return True once the user or the system has requested a stop, or the condition of `also_stop_if` holds."""
    return _requested or _extra_condition.get()()


def check() -> None:
    """Raise KeyboardInterrupt if a stop was requested."""
    if stop_requested():
        raise KeyboardInterrupt


@contextmanager
def also_stop_if(condition: Callable[[], bool]) -> Iterator[None]:
    """Make the work of the block, in this thread, also stop once `condition` is true, such as one visitor's job."""
    token = _extra_condition.set(condition)
    try:
        yield
    finally:
        _extra_condition.reset(token)


def request_stop() -> None:
    """Request a stop, as a signal does; may be called from any thread."""
    global _requested
    _requested = not _acknowledged


def acknowledge() -> None:
    """Acknowledge the stop request: from here on `check` raises nothing, and the work may finish without a limit."""
    global _requested, _acknowledged
    _requested, _acknowledged = False, True


def _reset() -> None:
    global _requested, _acknowledged
    _requested = _acknowledged = False


def begin() -> None:
    """Declare that something is written or running, which a stop must end in an orderly way."""
    global _begun
    _begun = True


def is_listening() -> bool:
    """Return True inside `listening` or `deferring`, where a signal is a stop request and not an exception."""
    return _listening


@contextmanager
def listening(*, begun: bool = True) -> Iterator[None]:
    """Turn signals into stop requests for the whole process; a second Ctrl-C ends it at once, with status 130.

    Unless `begun`, so does the first signal until `begin` or `deferring` is called.
    Ignored signals stay ignored, as in the background of a shell or under nohup. Only the main thread can receive
    signals: in another thread, and inside another `listening`, this function has no effect.
    """
    global _listening, _begun
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    _begun = begun
    caught = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    # Signal numbers arrive at this socket when they are sent, even while the main thread runs native code.
    ours, theirs = _socket_pair()
    theirs.setblocking(False)
    handlers = {number: signal.signal(number, _do_nothing) for number in caught}
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(ours,), name="videostyle-signals", daemon=True)
    listener.start()
    _listening = True
    try:
        yield
    finally:
        _listening = False
        _begun = True
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        theirs.setblocking(True)
        theirs.sendall(_END)
        listener.join()
        ours.close()
        theirs.close()
        _reset()


@contextmanager
def deferring() -> Iterator[None]:
    """Turn Ctrl-C into a stop request while another program calls a function of this library.

    A second Ctrl-C raises KeyboardInterrupt at once, as Python does by itself. So does leaving the block after a
    request that no check has seen. The function has no effect inside `listening`, in threads other than the main one,
    and where the program has a signal handler of its own.
    """
    global _listening
    begin()
    if (
        _listening
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, _request_or_raise)
    _listening = True
    try:
        yield
        check()
    finally:
        _listening = False
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _reset()


def _request_or_raise(number: int, frame: FrameType | None) -> None:
    check()
    request_stop()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Replace the handler that raises: Python writes the signal's number to the wakeup descriptor."""


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; where possible, the first one gets the time at which a datagram was sent."""
    if sys.platform != "linux":
        return socket.socketpair()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return ours, theirs


def _listen(arriving: socket.socket) -> None:
    first: float | None = None
    while (received := _receive(arriving))[0] not in (b"", _END):
        number, sent = received
        if number[0] not in _SIGNALS:
            continue
        if first is None:
            first = sent
            if not _begun:
                with suppress(OSError):
                    os.write(2, b"videostyle: interrupted\n")
                os._exit(STATUS)
            request_stop()
        elif number[0] == signal.SIGINT and not 0 <= sent - first <= _ECHO:
            # Unfinished files have names of their own, so no clean-up is needed.
            os._exit(STATUS)


def _receive(arriving: socket.socket) -> tuple[bytes, float]:
    """Receive the number of a signal, and the time at which it was sent.

    This thread may read it later: an import of a large library holds Python's lock for a second.
    """
    if not hasattr(arriving, "recvmsg"):  # Windows
        return arriving.recv(1), time.time()
    number, extra, _, _ = arriving.recvmsg(1, socket.CMSG_SPACE(_TIMESPEC.size))
    for level, kind, data in extra:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _TIMESPEC.size):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return number, seconds + nanoseconds / 1e9
    return number, time.time()
