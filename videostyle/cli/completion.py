"""Print a script that completes videostyle's commands and options in a shell."""

from __future__ import annotations

import argparse

from videostyle.errors import MissingDependencyError

SHELLS = ("bash", "zsh", "tcsh")
EXAMPLES = """to install it:
  videostyle completion bash > ~/.local/share/bash-completion/completions/videostyle
  videostyle completion zsh > "${fpath[1]}/_videostyle"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ImportError as error:
        raise MissingDependencyError("completion needs shtab: pip install shtab") from error
    from videostyle.cli import _parser

    parser = _parser()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:  # the commands, which --help lists in groups
            action.help = "command"
    print(shtab.complete(parser, args.shell))
    return 0
