"""Exceptions that videostyle raises on purpose.

VideostyleError
├── UsageError (ValueError)               an invalid request; exit status 2
│   ├── SettingError                      an invalid value of a setting
│   └── UnknownNameError (LookupError)    no style, codec, flow or engine of that name
├── SourceError (OSError)                 the input cannot be read
├── SinkError (OSError)                   the output cannot be written
├── WeightsError (RuntimeError)           a weights file is missing, damaged or of another kind
├── MissingDependencyError (ImportError)  an optional package is not installed
└── TrainingError (RuntimeError)          training cannot start or continue
    └── DivergedError                     the loss is no longer finite

Each message states in one line which input or setting is concerned, the problem, and a remedy.
Each class also derives from the builtin exception that a caller would expect.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from videostyle.text import sanitize_line

if TYPE_CHECKING:
    from pydantic import ValidationError


def suggestion(name: str, names: Iterable[str], most: int = 1) -> str:
    """Return "did you mean ...? " with the names that are nearest to `name`, `most` of them; "" if none is near."""
    near = difflib.get_close_matches(name, list(names), n=most, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


class VideostyleError(Exception):
    """Base class of all errors raised on purpose; the command line prints the message and exits with `status`."""

    status = 1

    # OSError formats (errno, text) pairs and ImportError keeps a `msg`: the first argument alone is the message.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class UsageError(VideostyleError, ValueError):
    """A request that is invalid: an option, a value or a combination of them."""

    status = 2


class SettingError(UsageError):
    """An invalid value of a setting; the message begins with the setting's name."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str]]:
        return type(self), (self.setting, self.problem)


class UnknownNameError(UsageError, LookupError):
    """An unknown name; the message lists the allowed names and suggests similar ones."""

    @classmethod
    def among(cls, kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
        """Make the error for `name`, which is not one of the `allowed` names of this `kind`, such as "style"."""
        names = sorted(allowed)
        hint, shown = suggestion(name, names, 2), sanitize_line(name, 100)
        return cls(f"no {kind} named '{shown}'; {hint}choose from: {', '.join(names) or 'none installed'}")


class SourceError(VideostyleError, OSError):
    """An input that cannot be read."""


class SinkError(VideostyleError, OSError):
    """An output that cannot be written."""


class WeightsError(VideostyleError, RuntimeError):
    """A weights file that is missing, damaged or of another kind."""


class MissingDependencyError(VideostyleError, ImportError):
    """An optional package that is not installed."""


class TrainingError(VideostyleError, RuntimeError):
    """A training that cannot start or continue."""


class DivergedError(TrainingError):
    """A training whose loss is no longer finite."""


def first_error(error: ValidationError) -> tuple[str, Any]:
    """Return the place of the first of pydantic's errors, "styles.0.size", and its details."""
    first = error.errors(include_url=False)[0]
    return ".".join(str(part) for part in first["loc"]), first


def first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's errors in one line."""
    where, first = first_error(error)
    return f"{where}: {first['msg']}" if where else str(first["msg"])


# Messages of the system, C++, torch, the dynamic linker and oneDNN, whose kernels are made in memory of their own.
_NO_MEMORY = (
    *("allocate memory", "bad_alloc", "can't alloc", "failed to map segment", "not enough memory"),
    "could not create a primitive",
)


def too_little(error: BaseException) -> str:
    """Return a line about the resource that the machine lacked; "" if that is not the cause of the error."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        number = getattr(cause, "errno", None)
        if number in (errno.EMFILE, errno.ENFILE) or "too many open files" in text:
            return "too many files are open; raise the limit (ulimit -n 1024)"
        if "can't start new thread" in text or number == errno.EAGAIN or "resource temporarily unavailable" in text:
            return "the system allows no more threads; raise the limits of memory (ulimit -v) and processes (ulimit -u)"
        if isinstance(cause, MemoryError) or number == errno.ENOMEM or any(words in text for words in _NO_MEMORY):
            return "there is too little memory; close other programs, raise the limit (ulimit -v), or give --size 360"
        if number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in text:  # SQLite's has no number
            return "the disk is full; free some space"
        if "no usable temporary directory" in text:
            return "no folder for temporary files can be written to; set TMPDIR to one"
        cause = cause.__cause__ or cause.__context__
    return ""
