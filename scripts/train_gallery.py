"""Train the gallery from start to finish: each network with all of its paintings, by one recipe.

    python scripts/train_gallery.py DATA OUT                 # on a GPU, or for days on a CPU
    python scripts/train_gallery.py DATA OUT --steps 10      # a rehearsal

DATA holds `photographs/`, `paintings/` and the weights of the loss network, by the names in models/*/train.toml, which
are the recipes. A run that was interrupted goes on where it stopped. OUT/models is made to be used as models/
(VIDEOSTYLE_MODELS names such a folder). On a GPU batches are larger and drawn ahead; `--minutes` bounds the whole, in
shares by the networks' cost.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from make_pictures import FILM, MOMENTS, frame

from videostyle import weights
from videostyle.cli.terminal import shown_log
from videostyle.files import make_folder
from videostyle.io.images import write_picture
from videostyle.train.config import read_config
from videostyle.train.loop import train
from videostyle.train.plan import TrainConfig

RECIPES = Path(__file__).resolve().parents[1] / "models"
SHARES = {"fast": 0.4, "fine": 0.6}  # of the time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", nargs="+", default=["fast", "fine"])
    parser.add_argument("--start", type=Path, help="a models folder to begin with; default: random numbers")
    parser.add_argument("--steps", type=int, help="so many steps a run, instead of the recipes' numbers")
    parser.add_argument("--minutes", type=float, help="stop after so long in all")
    args = parser.parse_args()
    for network in args.networks:
        # The second network begins from the first, widened.
        start = args.start or (args.out / "models" if (args.out / "models").is_dir() else None)
        config = recipe(args, network, start)
        with shown_log(f"{network}: "):
            train(config)
        shutil.copytree(config.folder / "models" / network, args.out / "models" / network, dirs_exist_ok=True)
    weights.write_manifest(args.out / "models")
    print(f"{args.out / 'models'}: ready")


def recipe(args: argparse.Namespace, network: str, start: Path | None) -> TrainConfig:
    """The recipe of one network, with its paths in the data folder and what suits this machine."""
    changes: dict[str, Any] = {"folder": args.out / network, "start": start, "photographs": args.data / "photographs"}
    if torch.cuda.is_available():
        changes |= {"batch": 12, "workers": max((os.cpu_count() or 2) - 2, 1)}
    if args.steps:
        changes |= {"steps": args.steps, "validate_every": args.steps, "sheet_every": args.steps}
    if args.minutes:
        changes |= {"minutes": args.minutes * SHARES[network] / sum(SHARES[one] for one in args.networks)}
    config = read_config(RECIPES / network / "train.toml", **changes)
    paintings = tuple(replace(one, image=args.data / "paintings" / one.image.name) for one in config.styles)
    file = config.loss_network_weights
    return replace(
        config, styles=paintings, loss_network_weights=file and args.data / file.name, card_picture=card(args.out)
    )


def card(folder: Path) -> Path:
    """A frame of the sample film, which is free, for the cards."""
    path = folder / "card.png"
    if not path.exists():
        make_folder(folder)
        write_picture(path, frame(FILM, MOMENTS[1]).pixels.float() / 255)
    return path


if __name__ == "__main__":
    main()
