"""Requests to stop. A signal sets a flag, and the work looks at the flag where it can be left.

An exception raised by a signal handler can come up anywhere: inside a lock of Python's own, in the middle of an import
or of a network's conversion, and what was interrupted is then broken. Here SIGINT, SIGTERM and SIGHUP raise nothing.
Loops call `check`, which raises KeyboardInterrupt at a place of their own choosing, and every wait for a queue is cut
into waits of `POLL` seconds with a check between them.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

POLL = 0.1
"""Seconds between two looks at the flag while waiting."""
STATUS = 130
"""The exit status of a command that was stopped, as shells report SIGINT."""

# SIGHUP, which a closing terminal sends, is not known to Windows.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# GNU timeout sends its signal twice at once, to the process and to its group: that is one request.
_ECHO = 0.1
_END = b"\0"

# Plain values: a lock, even an Event's, cannot be taken in a signal handler. No two threads need to agree on them.
_asked = False
_settled = False
_listening = False


_also: ContextVar[Callable[[], bool]] = ContextVar("_also", default=lambda: False)


def asked() -> bool:
    """True once the user, or the system, has asked to stop, or whoever the work at hand is done for."""
    return _asked or _also.get()()


def check() -> None:
    """Raise KeyboardInterrupt if a stop was asked for."""
    if asked():
        raise KeyboardInterrupt


@contextmanager
def also_if(ended: Callable[[], bool]) -> Iterator[None]:
    """Let what is done in the block, in this thread, stop once `ended` says so too: one visitor's work of several."""
    token = _also.set(ended)
    try:
        yield
    finally:
        _also.reset(token)


def request() -> None:
    """Ask to stop, as a signal does; from any thread."""
    global _asked
    _asked = not _settled


def settle() -> None:
    """Say that the request is being carried out: `check` is quiet from here on, and finishing may take its time."""
    global _asked, _settled
    _asked, _settled = False, True


def _forget() -> None:
    global _asked, _settled
    _asked = _settled = False


def is_listening() -> bool:
    """True inside `listening` or `deferring`: a signal is a request, and not an exception."""
    return _listening


@contextmanager
def listening() -> Iterator[None]:
    """Turn signals into requests for the whole process; a second Ctrl-C ends it at once, with status 130.

    Signals that are ignored stay ignored, as in the background of a shell or under nohup. Only the main thread can
    receive signals: in another one, and inside another `listening`, this does nothing.
    """
    global _listening
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    # The numbers of signals arrive here the moment they are sent, even while the main thread is in native code.
    ours, theirs = socket.socketpair()
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
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        theirs.setblocking(True)
        theirs.sendall(_END)
        listener.join()
        ours.close()
        theirs.close()
        _forget()


@contextmanager
def deferring() -> Iterator[None]:
    """Turn Ctrl-C into a request while a function of this library is called from somebody's program.

    A second one raises KeyboardInterrupt at once, as Python does by itself. So does leaving the block after a request
    that came too late to be seen. Does nothing inside `listening`, in other threads than the main one, and where the
    program has a handler of its own.
    """
    global _listening
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
        _forget()


def _request_or_raise(number: int, frame: FrameType | None) -> None:
    check()
    request()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Stand in for the handler that raises: Python writes the signal's number to the wakeup descriptor."""


def _listen(arriving: socket.socket) -> None:
    first: float | None = None
    while (number := arriving.recv(1)) not in (b"", _END):
        if number[0] not in _SIGNALS:
            continue
        now = time.monotonic()
        if first is None:
            first = now
            request()
        elif number[0] == signal.SIGINT and now - first > _ECHO:
            # What grows has another name than what is whole, so there is nothing to clear up.
            os._exit(STATUS)
