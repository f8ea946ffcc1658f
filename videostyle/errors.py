"""Everything videostyle raises on purpose.

VideostyleError
├── UsageError (ValueError)               a request that cannot be carried out as asked; exit status 2
│   ├── SettingError                      a value that a setting cannot have
│   └── UnknownNameError (LookupError)    no style, codec, flow or engine of that name
├── SourceError (OSError)                 the input cannot be read
├── SinkError (OSError)                   the output cannot be written
├── WeightsError (RuntimeError)           a weights file is missing, damaged or of another kind
├── MissingDependencyError (ImportError)  an optional package is not installed
└── TrainingError (RuntimeError)          training cannot start or go on
    └── DivergedError                     its loss is not finite any more

Each message names the thing, says what is wrong and what to do about it, in one line.
Each class also derives from the builtin a caller would expect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from videostyle.text import plain


class VideostyleError(Exception):
    """Base of everything raised on purpose; the command line prints its message and exits with `status`."""

    status = 1

    # OSError formats (errno, text) pairs and ImportError keeps a `msg`: say plainly what to print.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class UsageError(VideostyleError, ValueError):
    """A request that cannot be carried out as asked."""

    status = 2


class SettingError(UsageError):
    """A value that a setting cannot have; the message begins with the setting's name."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str]]:
        return type(self), (self.setting, self.problem)


class UnknownNameError(UsageError, LookupError):
    """No such name; the message lists the allowed ones and suggests near ones."""

    @classmethod
    def among(cls, kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
        """The error for `name`, which is not one of the `allowed` names of this `kind` of thing."""
        names = sorted(allowed)
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return cls(f"no {kind} named '{plain(name, 100)}'; {hint}choose from: {', '.join(names) or 'none installed'}")


class SourceError(VideostyleError, OSError):
    """The input cannot be read."""


class SinkError(VideostyleError, OSError):
    """The output cannot be written."""


class WeightsError(VideostyleError, RuntimeError):
    """A weights file is missing, damaged or of another kind."""


class MissingDependencyError(VideostyleError, ImportError):
    """An optional package is not installed."""


class TrainingError(VideostyleError, RuntimeError):
    """Training cannot start or go on."""


class DivergedError(TrainingError):
    """The loss is not finite any more."""
