"""`python -m videostyle`, and the `videostyle` command."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import NoReturn

from videostyle import interrupt

GC_THRESHOLD = 100_000
"""New objects after which Python looks for unreachable cycles."""


def entry() -> NoReturn:
    """Run the command: open the standard streams, listen for signals, and call `videostyle.cli.main`."""
    open_standard_streams()
    # Imports make some hundred thousand objects that stay. With Python's threshold it looks through them again and
    # again, an eighth of the time that they take.
    gc.set_threshold(GC_THRESHOLD)
    try:
        os.getcwd()
    except OSError:
        # Native libraries end the process where they need it.
        sys.exit("videostyle: the current folder is not there any more; change to another")
    try:
        # An exception in the middle of an import would leave half a module.
        with interrupt.listening(begun=False):
            from videostyle.cli import main

            sys.exit(main())
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
    # Too many files are open even to read the program's own modules.
    sys.exit("videostyle: too many files are open; raise the limit (ulimit -n 1024)")


def open_standard_streams() -> None:
    """Open standard input, output and error on the null device if they are closed.

    Else the next opened file, which may be the output, gets the number, and the messages of libraries go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


if __name__ == "__main__":  # the processes that batch starts import this module
    entry()
