"""Learn a painting of your own as a new style; after an interruption, the same command resumes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videostyle.cli.terminal import print_path, shown_log
from videostyle.text import sanitize_line
from videostyle.train.plan import LearnPlan, TrainingStyle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("painting", metavar="PAINTING", type=Path, help="a picture of the painting")
    parser.add_argument("--name", help="name of the style for --style; default: PAINTING's name")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.safetensors",
        type=Path,
        help="file of the style; default: among your own styles",
    )
    parser.add_argument("--title", default="", help="title for its card and the list of styles")
    parser.add_argument("--painter", default="", help="painter for its card and the list of styles")
    parser.add_argument("--overwrite", action="store_true", help="replace the style if it exists")

    how = parser.add_argument_group("the training")
    how.add_argument(
        "--minutes",
        metavar="M",
        type=float,
        default=LearnPlan.minutes,
        help="time for everything; default: %(default)g",
    )
    how.add_argument("--steps", metavar="N", type=int, help="number of steps, instead of --minutes")
    how.add_argument(
        "--size",
        metavar="PIXELS",
        type=int,
        default=TrainingStyle.size,
        help="longer side of the painting: larger makes larger marks; default: %(default)s",
    )
    how.add_argument(
        "--content",
        metavar="FOLDER|FILM",
        type=Path,
        help="photographs or a film like those to be painted; default: synthetic scenes",
    )
    how.add_argument("--network", metavar="NAME", default=LearnPlan.network, help="default: %(default)s")
    how.add_argument("--whole", action="store_true", help="train the whole network for this painting alone")
    how.add_argument(
        "--loss-network",
        metavar="NAME",
        help="network of the losses; default: vgg19 if it is installed, or vgg19-small",
    )
    how.add_argument("--loss-network-weights", metavar="FILE", type=Path, help="weights of the loss network")


def run(args: argparse.Namespace) -> int:
    """Learn the style, and print how to use it."""
    from videostyle.train.learn import learn
    from videostyle.weights import styles_folder

    name = args.name or (args.output or args.painting).stem
    plan = LearnPlan(
        style=TrainingStyle(name, args.painting, args.title, args.painter, size=args.size),
        output=args.output or styles_folder() / f"{name}.safetensors",
        content=args.content,
        network=args.network,
        whole=args.whole,
        minutes=args.minutes,
        steps=args.steps,
        loss_network=args.loss_network,
        loss_network_weights=args.loss_network_weights,
        overwrite=args.overwrite,
    )
    with shown_log():
        output = learn(plan)
    print(f"now: videostyle stylize FILM --style {sanitize_line(args.output or name)}", file=sys.stderr)
    print_path(output)
    return 0
