"""Command line: one module a command, each of which parses, calls one library function and prints."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import videostyle.cli
from videostyle import __version__, interrupt
from videostyle.cli import events
from videostyle.cli.suggestions import early_option, respelled, unknown_command, unknown_option
from videostyle.cli.surroundings import forgiving_stderr, told_from_threads
from videostyle.cli.terminal import shown_plainly
from videostyle.errors import SettingError, UsageError, VideostyleError, too_little
from videostyle.settings import flag
from videostyle.text import sanitize_line

# Exit status by which shells report SIGPIPE.
_BROKEN_PIPE = 141

_GROUPS = {
    "to paint": {
        "stylize": "paint a film, GIF, picture or image sequence",
        "batch": "paint many films, on many workers, and go on after any stop",
        "live": "paint what a camera sees, as it comes",
    },
    "to look": {
        "styles": "list the gallery of paintings",
        "preview": "see a few seconds side by side in the browser",
        "studio": "films, photos, paintings of your own and the camera, in the browser",
        "probe": "show what videostyle sees in a file",
        "evaluate": "measure a painted film: its flicker, and the cost of stabilising",
    },
    "with paintings of your own": {
        "learn": "learn a painting as a new style",
        "paint": "paint a picture by optimisation: slow, and the best there is",
        "keyframes": "paint keyframes by optimisation or by hand, and propagate them through the film",
    },
    "for other programs": {
        "serve": "an HTTP API with a queue, for programs and other computers",
        "export": "write a style network as an ONNX or OpenVINO file",
    },
    "for research": {
        "train": "train a style network on paintings",
        "tune": "search the weights to train with",
    },
    "for the shell": {
        "completion": "print a script that completes commands and options",
    },
}
_COMMANDS = {name: summary for group in _GROUPS.values() for name, summary in group.items()}


# Commands with progress.
_LONG = ("stylize", "batch", "evaluate", "learn", "paint", "keyframes", "train")

EXIT_STATUS = {
    0: "done",
    1: "failed: an input cannot be read, an output cannot be written, something is missing; of a batch, any film",
    2: "invalid request: an option, a value, a combination, or an output that exists; nothing was begun",
    interrupt.STATUS: "stopped by Ctrl-C, SIGTERM or SIGHUP; what was painted is kept beside the output",
    _BROKEN_PIPE: "the program that read the printed result has ended, as with `| head`",
}
"""Exit status of every command, and its meaning."""


class _Parser(argparse.ArgumentParser):
    """Prints errors in one line, without the usage, with a suggestion of the option that was meant."""

    chosen = ""
    """Name of the command that was given."""

    def error(self, message: str) -> NoReturn:
        prefix, _, rest = message.partition(": ")
        speaker = self.commands.get(self.chosen, self)
        if prefix == "unrecognized arguments":
            option = next((word for word in rest.split() if word.startswith("-")), None)
            others = {name: command.options for name, command in self.commands.items()}
            message = unknown_option(option, speaker.options, others) if option else f"too many inputs: {rest}"
        self.exit(2, f"{sanitize_line(f'{speaker.prog}: {message} (try {speaker.prog} --help)')}\n")

    def parse_known_args(  # type: ignore[override]  # the overloads differ in the namespace only
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments; argparse would take FFmpeg's -q:v for -q and something more."""
        self.chosen = next(iter(args or ()), "")
        for word in args or ():
            if re.fullmatch(r"-\w:\w(:\d+)?", word):
                self.error(f"unrecognized arguments: {word}")
        return super().parse_known_args(args, namespace)

    @property
    def commands(self) -> dict[str, _Parser]:
        """The parsers of the commands."""
        found = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return dict(found[0]) if found else {}

    @property
    def options(self) -> list[str]:
        """All options of this parser and of its commands."""
        own = [option for action in self._actions for option in action.option_strings]
        return own + [option for command in self.commands.values() for option in command.options]


def _parser() -> _Parser:
    from importlib import import_module

    width = max(map(len, _COMMANDS))
    listed = [
        f"{group}:\n" + "".join(f"  {name:{width}}  {summary}\n" for name, summary in commands.items())
        for group, commands in _GROUPS.items()
    ]
    parser = _Parser(
        prog="videostyle",
        usage="videostyle COMMAND ...",
        description="Turns a movie into a painting that does not flicker.\n\n" + "\n".join(listed),
        epilog="videostyle COMMAND --help says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"videostyle {__version__}")
    commands = parser.add_subparsers(prog="videostyle", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    for name in _COMMANDS:
        module = import_module(f"{videostyle.cli.__name__}.{name}")
        command = commands.add_parser(
            name,
            help=_COMMANDS[name],
            description=module.__doc__,
            epilog=getattr(module, "EXAMPLES", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--debug", action="store_true", help="show where in the code a failure happened")
        if name in _LONG:
            events.add_option(command)
        module.add_arguments(command)
        command.set_defaults(run=module.run, command=name)
    return parser


def _normalized(argv: Sequence[str]) -> list[str]:
    """Return the words as the parser expects them; raise UsageError for an unknown command, or an option before it."""
    words = respelled(argv) or ["--help"]
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words and not words[0].startswith("-") and words[0] not in _COMMANDS:
        raise UsageError(unknown_command(words[0], _COMMANDS))
    top_level = ("-h", "--help", "--version")
    if words and words[0].startswith("-") and not any(own.startswith(words[0]) for own in top_level):
        command = next((word for word in words if word in _COMMANDS), None)
        raise UsageError(early_option(words[0], command, _parser().options))
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status, one of `EXIT_STATUS`.

    A signal is a request, which the command checks where it can stop; see `videostyle.interrupt`.
    """
    with interrupt.listening(), forgiving_stderr(), shown_plainly(), told_from_threads():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged pictures, which are reported in a line
        try:
            words = _normalized(sys.argv[1:] if argv is None else argv)
        except UsageError as error:
            _say(f"videostyle: {error}", error)
            return error.status
        args = _parser().parse_args(words)
        with events.told(args, __version__):
            status = _run(args)
            events.tell("end", status=status)
        try:
            sys.stdout.flush()
        except OSError as error:
            # Python closes standard output again at exit, which must not fail then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                return _BROKEN_PIPE  # the reader of the output has ended, as with `| head`
            print(f"videostyle: the result could not be printed ({error.strerror})", file=sys.stderr)
            return status or 1
        return status


def _run(args: argparse.Namespace) -> int:
    try:
        return args.run(args)
    except VideostyleError as error:
        if args.debug:
            raise
        _say(f"videostyle: {_as_option(error, args)}", error)
        return error.status
    except KeyboardInterrupt as error:
        if args.debug:
            raise
        _say("videostyle: interrupted", error)
        return interrupt.STATUS
    except BrokenPipeError:
        return _BROKEN_PIPE
    except Exception as error:
        if args.debug:
            raise
        why = too_little(error)
        name = type(error).__name__
        unexpected = f"unexpected {name}: {error}; please report it with the output of --debug"
        _say(f"videostyle: {why or unexpected}", error)
        return 1


def _as_option(error: VideostyleError, args: argparse.Namespace) -> str:
    """Return the message; if it is about a setting for which the command has an option, it names the option."""
    if isinstance(error, SettingError) and hasattr(args, error.setting):
        return f"{flag(error.setting)} {error.problem}"
    return str(error)


def _say(line: str, error: BaseException) -> None:
    for text in (line, *(f"videostyle: {note}" for note in getattr(error, "__notes__", []))):
        if events.telling():
            events.tell("error", text=sanitize_line(text.removeprefix("videostyle: ")))
        else:
            print(sanitize_line(text), file=sys.stderr)
