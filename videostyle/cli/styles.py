"""List the styles: those that come with videostyle, and your own."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from videostyle.cli.options import warn
from videostyle.text import sanitize_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--like",
        metavar="PICTURE",
        type=Path,
        help="list the gallery by its likeness to a picture, the most similar first, with the distance: 1 is that of "
        "two paintings of the gallery, on average",
    )


def run(args: argparse.Namespace) -> int:
    """Print the gallery, the user's own styles, and those that need no code."""
    from videostyle.stylizers import styles_without_code
    from videostyle.weights import gallery, own_styles

    if args.like is not None:
        return _list_similar(args)
    entries = [*gallery(), *own_styles(on_damaged=lambda line: warn([line]))]
    if args.json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2, default=str))
        return 0
    names = [sanitize_line(entry.name, 80) for entry in entries]
    others = styles_without_code()
    width = max(map(len, [*names, *others]), default=0)
    for name, entry in zip(names, entries, strict=True):
        painting = sanitize_line(", ".join(part for part in (entry.title, entry.painter, entry.year) if part), 200)
        owner = "yours, " if entry.own else ""
        print(f"{name:{width}}  {painting}  ({owner}{entry.network}, {entry.size / 1024:.1f} kB)")
    for name, summary in others.items():
        print(f"{name:{width}}  {summary}")
    return 0


def _list_similar(args: argparse.Namespace) -> int:
    """Print the gallery by its likeness to the picture `args.like`."""
    from videostyle.style import Style
    from videostyle.weights import load_network, similar_styles

    found = similar_styles(args.like, load_network(Style().network))
    if args.json:
        print(json.dumps([{"name": name, "distance": distance} for name, distance in found], indent=2))
        return 0
    width = max(len(name) for name, _ in found)
    for name, distance in found:
        print(f"{sanitize_line(name, 80):{width}}  {distance:.2f}")
    return 0
