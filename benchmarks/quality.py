"""How good a painting is against optimising its pixels: the table of Johnson, Alahi and Fei-Fei 2016 for the gallery.

    python benchmarks/quality.py gallery.toml --json benchmarks/results/quality.json --table docs/notes/quality.md

`gallery.toml` is the recipe the styles were trained by: its paintings, loss network, weights and the photographs
held back. What is compared is what training minimises at full strength, less its terms for grid and motion: style,
content and total variation, on square pictures, by the loss network in the recipe's precision. Gatys, Ecker and
Bethge 2016 minimise it by L-BFGS on the pixels; a *step* is one evaluation of objective and gradient, as in Gatys' and
Johnson's code. From the photograph; Johnson's table starts from noise (--start noise), which takes more steps.

A curve of 500 steps takes minutes. It knows nothing of our networks, so curves are kept in --cache and an interrupted
run goes on from there; --steps 100 is a quick look.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle import weights
from videostyle.nets.vgg import LossNetwork
from videostyle.ops import losses
from videostyle.optimize.objective import Terms
from videostyle.optimize.optimizers import descend
from videostyle.optimize.plan import GatysOptions
from videostyle.train.config import read_config
from videostyle.train.data import held_back, list_photographs, read_picture
from videostyle.train.objective import style_and_content_terms, style_grams
from videostyle.train.plan import TrainConfig, TrainingStyle

STEPS = (50, 100, 200, 500)
"""Of L-BFGS, that the table shows."""


class Objective:
    """Computes the loss of pictures of one photograph in the style of one painting."""

    def __init__(
        self, config: TrainConfig, loss_network: LossNetwork, painting: TrainingStyle, photograph: Tensor
    ) -> None:
        self.config = config
        self.loss_network = loss_network
        self.grams = style_grams(loss_network, painting, config.style_layers, "cpu")
        with torch.no_grad():
            self.wanted = loss_network(photograph, config.content_layers)

    def __call__(self, picture: Tensor) -> tuple[Terms, Tensor]:
        """The terms of a picture (1, 3, H, W), and the gradient of their sum.

        The loss is that of the picture clamped to 0..1, since the result has to be a picture. Features in float32 or
        bfloat16 make no difference: 0.314 and 0.311 after 100 steps of starry-night, both evaluated in float32.
        """
        config = self.config
        picture = picture.detach().requires_grad_()
        clamped = picture.clamp(0, 1)
        with torch.enable_grad():
            features = self.loss_network(clamped, (*config.style_layers, *config.content_layers))
            terms = style_and_content_terms(config, features, self.wanted, self.grams)
            smooth = config.total_variation * losses.total_variation(clamped)
            (gradient,) = torch.autograd.grad((terms["style"] + terms["content"] + smooth).sum(), picture)
        style, content, smoothness = (float(term.detach()) for term in (terms["style"], terms["content"], smooth))
        return Terms(style, content, smoothness, 0.0), gradient


def curve_of(objective: Objective, start: Tensor, steps: int) -> list[Terms]:
    """The terms of `start` and after each of `steps` steps of L-BFGS on its pixels."""
    return [step.terms for step in islice(descend(objective, start, GatysOptions(precondition=False)), steps + 1)]


def best_so_far(curve: Sequence[Terms]) -> list[Terms]:
    """At each step the terms of the best picture found until then: without line search, some steps go wrong."""
    best = [curve[0]]
    for terms in curve[1:]:
        best.append(min(best[-1], terms, key=lambda terms: terms.total))
    return best


def mean(rows: Sequence[Terms]) -> Terms:
    return Terms(*(sum(values) / len(rows) for values in zip(*rows, strict=True)))


def equal_step(objectives: Sequence[float], wanted: float) -> float | None:
    """The step at which falling `objectives` reach `wanted`, interpolated; None if they never do."""
    for step, value in enumerate(objectives):
        if value <= wanted:
            if step == 0:
                return 0.0
            above = objectives[step - 1]
            return step - 1 + (above - wanted) / (above - value)
    return None


def square(path: Path, side: int) -> Tensor:
    """The middle of a photograph, (1, 3, side, side) in 0..1."""
    picture = read_picture(path)
    shorter = min(picture.shape[2:])
    top, left = ((length - shorter) // 2 for length in picture.shape[2:])
    middle = picture[:, :, top : top + shorter, left : left + shorter]
    return F.interpolate(middle, (side, side), mode="bicubic", antialias=True).clamp(0, 1)


class Curves:
    """L-BFGS curves in a JSON file, by painting, photograph and everything else they depend on."""

    def __init__(self, path: Path, config: TrainConfig, start: str, side: int, steps: int) -> None:
        self.path = path
        self.start = start
        self.steps = steps
        self.known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        names = ("loss_network", "bf16", "style_layers", "style_weights", "content_layers", "content_weights")
        self.settings = [getattr(config, name) for name in (*names, "total_variation")] + [side]

    def __call__(self, painting: TrainingStyle, photograph: Path, compute: Callable[[int], list[Terms]]) -> list[Terms]:
        """The curve of `painting` on `photograph`: known, or computed for so many steps and written down."""
        settings = json.dumps([painting.image.name, painting.size, *self.settings])
        key = f"{painting.name} {photograph.name} {self.start} {hashlib.sha256(settings.encode()).hexdigest()[:12]}"
        if len(self.known.get(key, ())) <= self.steps:
            self.known[key] = [[round(value, 5) for value in terms[:3]] for terms in compute(self.steps)]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            partial.write_text(json.dumps(self.known), encoding="utf-8")
            os.replace(partial, self.path)
        return [Terms(style, content, smooth, 0.0) for style, content, smooth in self.known[key][: self.steps + 1]]


def table(rows: list[dict[str, Any]], medians: dict[str, float | None]) -> str:
    """The rows as Markdown: objective (style, content) of the start, of L-BFGS and of the networks."""
    _, *steps = rows[0]["optimised"]

    def cell(terms: dict[str, float]) -> str:
        return f"{terms['objective']:.2f} ({terms['style']:.2f}, {terms['content']:.2f})"

    def step(value: float | None) -> str:
        return f"over {steps[-1]}" if value is None else f"{value:.0f}"

    head = ["style", "start", *(f"L-BFGS {step}" for step in steps)]
    for name in medians:
        head += [f"`{name}`", "equals step"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [row["style"], *(cell(terms) for terms in row["optimised"].values())]
        for name in medians:
            found = row["networks"].get(name)
            cells += [cell(found), step(found["equal_step"])] if found else ["", ""]
        lines.append(cells)
    last = ["median"] + [""] * (len(steps) + 1)
    for median in medians.values():
        last += ["", step(median)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*lines, last]) + "\n"


def median_step(steps: Sequence[float | None]) -> float | None:
    """The (upper) median, where None is later than any step."""
    return sorted(steps, key=lambda step: float("inf") if step is None else step)[len(steps) // 2]


def as_dict(terms: Terms) -> dict[str, float]:
    return {"objective": round(terms.total, 4)} | {k: round(v, 4) for k, v in terms._asdict().items() if k != "near"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="the recipe of the gallery, a TOML file")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="instead of the recipe's")
    parser.add_argument("--loss-network-weights", type=Path, metavar="FILE", help="instead of the recipe's")
    parser.add_argument("--on", nargs="+", metavar="NAME", help="of the photographs held back; default: all")
    parser.add_argument("--models", type=Path, metavar="DIR", help="networks to compare; default: the shipped ones")
    parser.add_argument("--side", type=int, default=224, help="of the square pictures (default: %(default)s)")
    parser.add_argument("--start", choices=("photograph", "noise"), default="photograph", help="of L-BFGS")
    parser.add_argument("--steps", type=int, choices=STEPS, default=STEPS[-1], help="of L-BFGS (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/quality_curves.json"), help="(default: %(default)s)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, metavar="FILE", help="Markdown")
    args = parser.parse_args()

    given = {name: getattr(args, name) for name in ("photographs", "loss_network_weights") if getattr(args, name)}
    config = read_config(args.config, **given)
    held = held_back(list_photographs(config.photographs), config.held_back)
    if args.on:
        held = [path for name in args.on for path in held if path.name == name]
        if len(held) < len(args.on):
            parser.error("--on takes names of photographs that are held back")
    loss_network = weights.load_loss_network(config.loss_network, config.loss_network_weights)
    loss_network = loss_network.to(torch.bfloat16 if config.bf16 else torch.float32).to(
        memory_format=torch.channels_last
    )
    photographs = [square(path, args.side) for path in held]

    curves = Curves(args.cache, config, args.start, args.side, args.steps)
    found: dict[str, list[list[Terms]]] = {painting.name: [] for painting in config.styles}
    # A photograph for every painting first, then the next: what there is after an interruption is even.
    for path, photograph in zip(held, photographs, strict=True):
        for painting in config.styles:

            def compute(steps: int, painting: TrainingStyle = painting, photograph: Tensor = photograph) -> list[Terms]:
                noise = torch.rand(photograph.shape, generator=torch.Generator().manual_seed(0))
                start = noise if args.start == "noise" else photograph
                return curve_of(Objective(config, loss_network, painting, photograph), start, steps)

            started = time.monotonic()
            found[painting.name].append(best_so_far(curves(painting, path, compute)))
            print(f"{painting.name} on {path.name}: {time.monotonic() - started:.0f} s", flush=True)

    networks, entries = weights.read_manifest(args.models or weights.models_folder())
    loaded = {name: weights.read_network(name, *where).net for name, where in networks.items()}
    rows: list[dict[str, Any]] = []
    for painting in config.styles:
        curve = [mean(terms) for terms in zip(*found[painting.name], strict=True)]
        judged = [(picture, Objective(config, loss_network, painting, picture)) for picture in photographs]
        row: dict[str, Any] = {
            "style": painting.name,
            "optimised": {str(step): as_dict(curve[step]) for step in (0, *STEPS) if step <= args.steps},
            "networks": {},
        }
        for entry in entries:
            if entry.name == painting.name:
                code, _ = weights.read_style(entry.file)
                with torch.no_grad():
                    painted = [(loaded[entry.network](picture, code), objective) for picture, objective in judged]
                terms = mean([objective(picture)[0] for picture, objective in painted])
                step = equal_step([terms.total for terms in curve], terms.total)
                row["networks"][entry.network] = {**as_dict(terms), "equal_step": step and round(step, 1)}
        rows.append(row)
    medians = {
        name: median_step([row["networks"][name]["equal_step"] for row in rows if name in row["networks"]])
        for name in networks
        if any(name in row["networks"] for row in rows)
    }
    text = table(rows, medians)
    print(text)
    about = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "loss_network": config.loss_network,
        "features": "bfloat16" if config.bf16 else "float32",
        "side": args.side,
        "photographs": [path.name for path in held],
        "start": args.start,
        "a step": "one evaluation of objective and gradient, L-BFGS without line search",
        "median equal step": medians,
    }
    if args.json:
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if args.table:
        args.table.write_text(INTRODUCTION.format(count=len(held), **about) + text, encoding="utf-8")


INTRODUCTION = """# How good the paintings are

Written by `benchmarks/quality.py` on {date}; do not edit.

Optimising the pixels of one picture (Gatys, Ecker and Bethge 2016) is the yardstick of style transfer: slow, and free
to choose every pixel. The table of Johnson, Alahi and Fei-Fei 2016: after how many steps of L-BFGS from the {start}
is the objective as low as the network's, which needs none? The objective is what training minimises at full strength,
less its terms for grid and motion, which only the networks have to obey: style + content + total variation, by
{loss_network} in {features}. A step is one evaluation of objective and gradient. Means over {count} of the photographs
held back from training, {side} pixels square.

Each cell is the objective, lower is better; in brackets its style and content. "Equals step" is interpolated.
There is a table [from the photograph](quality.md), and one [from noise](quality_noise.md), as Johnson's is.

"""


if __name__ == "__main__":
    main()
