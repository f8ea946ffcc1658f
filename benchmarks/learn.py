"""Losses of styles learned in minutes, beside the gallery's and those of the same styles trained in full.

    python benchmarks/learn.py cypresses=cypresses.jpg collage=collage.jpg --photographs FOLDER --json learn.json

Each style is learned as `videostyle learn` does by default, from the installed network; then its losses are measured on
real photographs that were not learned on, by VGG-19 (--evaluation-network). --reference names a models folder in which
styles of the same names were trained together with their network. Styles in --keep are not learned again, only
measured. Losses are as in the cards: style and content, weighted as in training, and the temporal one, the change of
the output under motion.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

import videostyle
from videostyle import weights
from videostyle.train.data import held_back, list_photographs
from videostyle.train.learn import learn
from videostyle.train.model import StyleCodes, StyleModel
from videostyle.train.objective import Objective
from videostyle.train.plan import LearnPlan, TrainConfig, TrainingStyle
from videostyle.train.validation import card_losses, validate

HELD = 6
Losses = dict[str, float]


def measure(
    network: weights.Network, code: Tensor, config: TrainConfig, held: list[Path], *, temporal_only: bool = False
) -> Losses:
    """Measure the losses of a code (1, code_size) of `network` by the loss network of `config`."""
    codes = StyleCodes(1, network.net.code_size)
    codes.load_state_dict({"identity": network.identity[:, :-1], "rows": code[:, :-1]})
    model = StyleModel(network.net, codes)
    objective = Objective(config, weights.load_loss_network(config.loss_network, config.loss_network_weights), "cpu")
    temporal = {"temporal": validate(config, model, objective, held)["temporal"]}
    if temporal_only:
        return temporal
    found = card_losses(model, objective, 0, held)
    return {"style + content": found["style"] + found["content"], **found, **temporal}


def evaluation_config(style: TrainingStyle, folder: Path, args: argparse.Namespace) -> TrainConfig:
    """Return the settings by which the losses of a style are measured."""
    return TrainConfig(
        args.photographs,
        (style,),
        folder,
        network=args.network,
        loss_network=args.evaluation_network,
        loss_network_weights=args.evaluation_weights,
        crop=192,
        bf16=False,
    )


def trained(folder: Path, name: str, config: TrainConfig, held: list[Path]) -> Losses:
    """Measure the losses of the style `name` in a models folder."""
    networks, entries = weights.read_manifest(folder)
    entry = next(entry for entry in entries if (entry.name, entry.network) == (name, config.network))
    network = weights.read_network(config.network, *networks[config.network])
    return measure(network, weights.read_style(entry.file)[0], config, held)


def mean(rows: list[Losses]) -> Losses:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paintings", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--photographs", type=Path, required=True, help=f"{HELD} of them are for the losses")
    parser.add_argument("--content", choices=["scenes", "photographs"], default="scenes", help="to learn on")
    parser.add_argument("--network", default=LearnPlan.network)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, help="so many steps instead of minutes")
    parser.add_argument("--size", type=int, default=TrainingStyle.size)
    parser.add_argument("--loss-network", help="to learn by (default: that of the command)")
    parser.add_argument("--loss-network-weights", type=Path)
    parser.add_argument("--evaluation-network", default="vgg19", help="measures the losses (default: %(default)s)")
    parser.add_argument("--evaluation-weights", type=Path)
    parser.add_argument("--reference", type=Path, metavar="MODELS", help="the same paintings, trained in full")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the styles and their samples here")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    photographs = list_photographs(args.photographs)
    held = held_back(photographs, HELD)
    gallery = [entry for entry in weights.gallery() if entry.network == args.network]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        others = Path(temporary) / "photographs"
        others.mkdir()
        for number, path in enumerate(photographs):
            if path not in held:
                (others / f"{number}{path.suffix}").symlink_to(path.absolute())
        installed = weights.load_network(args.network)
        for name, file in (text.split("=", 1) for text in args.paintings):
            painting = TrainingStyle(name, Path(file), size=args.size)
            plan = LearnPlan(
                painting,
                folder / f"{name}.safetensors",
                content=others if args.content == "photographs" else None,
                network=args.network,
                minutes=args.minutes,
                steps=args.steps,
                loss_network=args.loss_network,
                loss_network_weights=args.loss_network_weights,
            )
            started = time.perf_counter()
            if not plan.output.exists():
                learn(plan)
            seconds = time.perf_counter() - started
            code, card = weights.read_style(plan.output)
            config = evaluation_config(painting, folder, args)
            row = {
                "painting": name,
                "minutes allowed": args.minutes,
                "seconds in this run": round(seconds, 1),
                "steps": card["recipe"]["steps"],
                "loss network": card["recipe"]["loss_network"],
                "learned": measure(installed, code, config, held),
            }
            if args.reference:
                row["reference"] = trained(args.reference, name, config, held)
                learned, reference = (row[key]["style + content"] for key in ("learned", "reference"))
                row["over reference"] = round(learned / reference - 1, 4)
            print(json.dumps(row), flush=True)
            rows.append(row)
    # The gallery's losses are in its cards, except the temporal one, which is measured here with any style image.
    known = [weights.read_style(entry.file) for entry in gallery]
    cards = mean([card["losses"] for _, card in known])
    temporal = mean([measure(installed, code, config, held, temporal_only=True) for code, _ in known])
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "learned on": args.content,
        "evaluation network": args.evaluation_network,
        "gallery": {"style + content": cards["style"] + cards["content"], **cards, **temporal},
        "learned": mean([row["learned"] for row in rows]),
        **({"reference": mean([row["reference"] for row in rows])} if args.reference else {}),
        "paintings": rows,
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
