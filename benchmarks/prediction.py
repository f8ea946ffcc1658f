"""Predicted codes beside learned ones, on the paintings that no predictor was trained with.

    python benchmarks/prediction.py paintings --photographs FOLDER --minutes 1 10 --keep work --json prediction.json

`paintings` is a folder with the pictures that the predictor's card names as held back. For each, the style code is
predicted, and learned for each of --minutes (from the prediction, as `videostyle learn` does). Losses are those of
`benchmarks/learn.py`, on photographs that were not learned on; each is also given over that of the longest learning.
Styles in --keep are not learned again, only measured, so an interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from learn import HELD, Losses, evaluation_config, measure
from torch import Tensor

import videostyle
from videostyle import weights
from videostyle.io.style_image import read_on_white
from videostyle.train.data import held_back, list_photographs
from videostyle.train.learn import learn
from videostyle.train.plan import LearnPlan, TrainingStyle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", type=Path, help="a folder with the paintings that were held back")
    parser.add_argument("--names", nargs="+", help="some of them (default: all)")
    parser.add_argument("--photographs", type=Path, required=True, help=f"{HELD} of them are for the losses")
    parser.add_argument("--network", default=LearnPlan.network)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0], help="(default: 1 10)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the styles and their samples here")
    parser.add_argument("--evaluation-network", default="vgg19", help="measures the losses (default: %(default)s)")
    parser.add_argument("--evaluation-weights", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    network = weights.load_network(args.network)
    predictor = weights.load_predictor(network)
    files = {path.stem: path for path in list_photographs(args.paintings)}
    names = args.names or sorted(predictor.card["held_back"])
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            rows.append(compare(files[name], network, predictor, args, folder))
            print(json.dumps(rows[-1]), flush=True)
            if args.json:
                args.json.write_text(json.dumps(summary(rows, args), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary(rows, args)["medians"], indent=1))


def compare(
    path: Path, network: weights.Network, predictor: weights.Predictor, args: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """One row: the losses of the predicted code and of the learned ones, and the seconds of the prediction."""
    style = TrainingStyle(path.stem.replace("_", "-"), path)
    config = evaluation_config(style, folder, args)
    held = held_back(list_photographs(args.photographs), HELD)
    began = time.perf_counter()
    with torch.inference_mode():
        code = predictor.net(weights.picture_statistics(predictor, read_on_white(path))).clone()
    row: dict[str, Any] = {"painting": path.stem, "seconds": round(time.perf_counter() - began, 2)}
    row["predicted"] = measure(network, code, config, held)
    for minutes in args.minutes:
        learned, steps = learned_code(style, folder / f"{style.name}-{minutes:g}.safetensors", minutes, args.network)
        row[f"{minutes:g} min"] = {"steps": steps, **measure(network, learned, config, held)}
    if args.minutes:
        best: Losses = row[f"{args.minutes[-1]:g} min"]
        for key in ("predicted", *(f"{minutes:g} min" for minutes in args.minutes)):
            row[f"{key}, times"] = round(row[key]["style"] / best["style"], 3)
    return row


def learned_code(style: TrainingStyle, output: Path, minutes: float, network: str) -> tuple[Tensor, int]:
    """The code learned in so many minutes, and its number of steps."""
    if not output.exists():
        learn(LearnPlan(style, output, network=network, minutes=minutes))
    code, card = weights.read_style(output)
    return code, card.get("recipe", {}).get("steps", 0)  # a predicted code has no recipe


def summary(rows: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """The file of results."""
    keys = [key for key in rows[0] if key.endswith("times")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "network": args.network,
        "evaluation network": args.evaluation_network,
        "medians": {
            "seconds": statistics.median(row["seconds"] for row in rows),
            "predicted style": statistics.median(row["predicted"]["style"] for row in rows),
            **{key: statistics.median(row[key] for row in rows) for key in keys},
        },
        "paintings": rows,
    }


if __name__ == "__main__":
    main()
