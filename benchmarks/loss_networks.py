"""Agreement of the small loss network with VGG-19: ranks of stylized pictures, and results of optimisation.

    python benchmarks/loss_networks.py --data DATA --swan CLIP/00010.jpg --json loss_networks.json --pictures FOLDER

DATA holds `content/` (photographs), `style/` (paintings), `vgg/` (VGG-19 and its 16 times distilled form) and
`squeezenet/`. First, photographs painted by the shipped network at several strengths, blurred, noisy and as they are,
are compared with paintings by VGG-19 and by each rival, and the losses correlated. Then pictures are optimised (Gatys
et al. 2016) by each, and every result is evaluated by VGG-19 and by SqueezeNet, which none was trained against.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle import weights
from videostyle.io.images import write_picture
from videostyle.nets.vgg import LossNetwork, build_loss_network
from videostyle.noise import initial_recurrent_input
from videostyle.ops import losses
from videostyle.train.data import held_back, list_photographs, read_picture
from videostyle.train.plan import TrainConfig, TrainingStyle

CONFIG = TrainConfig(Path(), (TrainingStyle("any", Path()),), Path())
STRENGTHS = (0.3, 0.6, 1.0)
SQUEEZE_STYLE, SQUEEZE_CONTENT = ("1", "4", "7", "10", "12"), ("7",)
Features = Callable[[Tensor], dict[str, Tensor]]


def rounded(full: LossNetwork, bits: dict[str, float]) -> LossNetwork:
    """`full` with every weight rounded to the nearest of 2^bits even steps, clipped where it is best, and no more.

    Bits are the small network's of the same layer, to the nearest whole number.
    """
    net = LossNetwork(
        (2, 2, 4, 4, 1), (64, 128, 256, 512, 512), full.mean.flatten().tolist(), full.std.flatten().tolist()
    )
    net.load_state_dict(full.state_dict())
    for name, convolution in zip(net.names, net.convolutions, strict=True):
        assert isinstance(convolution, nn.Conv2d)
        weight = convolution.weight.data
        half = 2 ** round(bits[name]) / 2
        largest = weight.abs().amax((1, 2, 3), keepdim=True)
        tried = []
        for clip in (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0):
            step = largest * clip / (half - 0.5)
            near = ((weight / step - 0.5).round().clamp(-half, half - 1) + 0.5) * step
            tried.append((float(((near - weight) ** 2).sum()), near))
        convolution.weight.data = min(tried, key=lambda pair: pair[0])[1]
    return net.eval().requires_grad_(False)


def bits(path: Path) -> dict[str, float]:
    """What a weight of each layer takes in a small network's file."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["videostyle"])["bits"]


def squeezenet(path: Path) -> Features:
    """Evaluation network that nothing was trained against: torchvision's squeezenet1_0, features by module number."""
    from torchvision.models import squeezenet1_0

    net = squeezenet1_0()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    modules = net.float().eval().requires_grad_(False).features
    mean = torch.tensor((104.0, 117.0, 123.0)).view(1, 3, 1, 1)

    def features(picture: Tensor) -> dict[str, Tensor]:
        x, found = picture.flip(1) * 255 - mean, {}
        for name, module in modules.named_children():
            # Each map is kept: the network's own ReLU would change it in place.
            x = F.relu(x) if isinstance(module, nn.ReLU) else module(x)
            found[name] = x
        return found

    return features


@torch.no_grad()
def paint(photographs: list[Path], side: int) -> list[list[Tensor]]:
    """Return, for every photograph, itself, stylized versions and degraded ones."""
    network = weights.load_network("fast")
    codes = {e.name: weights.read_style(e.file)[0] for e in weights.gallery() if e.network == "fast"}
    generator = torch.Generator().manual_seed(0)
    made = []
    for path in photographs:
        picture = read_picture(path)
        top, left = ((length - side) // 2 for length in picture.shape[2:])
        picture = picture[:, :, top : top + side, left : left + side]
        outputs = [picture]
        recurrent_input = initial_recurrent_input(picture, np.random.default_rng(0))
        for code in codes.values():
            for strength in STRENGTHS:
                weak = torch.lerp(network.identity, code, strength)
                outputs.append(network.net(picture, weak, None, recurrent_input).clamp(0, 1))
        for amount in (0.1, 0.3):
            outputs.append((picture + amount * torch.randn(picture.shape, generator=generator)).clamp(0, 1))
        outputs.append(F.interpolate(F.avg_pool2d(picture, 8), (side, side), mode="bilinear"))
        outputs.append(torch.rand(picture.shape, generator=generator))
        made.append(outputs)
    return made


@torch.no_grad()
def measure(
    net: LossNetwork, made: list[list[Tensor]], paintings: list[Path], longer_side: int
) -> dict[str, np.ndarray]:
    """Compute style (outputs, paintings) and content losses (outputs, 1), by layer and weighted as in training."""
    layers = tuple({*CONFIG.style_layers, *CONFIG.content_layers})
    targets = [
        {layer: losses.gram(x) for layer, x in net(read_picture(path, longer_side), CONFIG.style_layers).items()}
        for path in paintings
    ]
    rows: dict[str, list[list[float]]] = {}
    for outputs in made:
        wanted = net(outputs[0], CONFIG.content_layers)
        for picture in outputs:
            found = net(picture, layers)
            for layer in CONFIG.style_layers:
                gram = losses.gram(found[layer])
                row = [losses.gram_distance(gram, target[layer]).item() for target in targets]
                rows.setdefault(f"style {layer}", []).append(row)
            for layer in CONFIG.content_layers:
                value = losses.content_distance(found[layer], wanted[layer]).item()
                rows.setdefault(f"content {layer}", []).append([value])
    table = {name: np.array(values) for name, values in rows.items()}
    for kind, names, factors in (
        ("style", CONFIG.style_layers, CONFIG.style_weights),
        ("content", CONFIG.content_layers, CONFIG.content_weights),
    ):
        table[kind] = np.sum([f * table[f"{kind} {name}"] for name, f in zip(names, factors, strict=True)], axis=0)
    return table


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    return values.ravel().argsort().argsort().astype(float)


def agreement(full: np.ndarray, small: np.ndarray, photographs: int) -> dict[str, float]:
    """Compare two tables of losses (outputs, paintings): correlations and the median relative difference.

    `pearson` is of the logarithms. `within` is Spearman's correlation over the outputs for one painting, and `hardest`
    over those of one photograph for one painting; mean and least.
    """
    known = full[:, 0] > 0  # a photograph's distance to itself is nothing in every network
    rank = [correlation(ranks(a), ranks(b)) for a, b in zip(full[known].T, small[known].T, strict=True)]
    each = len(full) // photographs
    blocks = [(full[i : i + each], small[i : i + each], known[i : i + each]) for i in range(0, len(full), each)]
    hardest = [
        correlation(ranks(a), ranks(b))
        for one, other, there in blocks
        for a, b in zip(one[there].T, other[there].T, strict=True)
    ]
    full, small = full[known], small[known]
    return {
        "pearson": round(correlation(np.log(full), np.log(small)), 5),
        "spearman": round(correlation(ranks(full), ranks(small)), 5),
        "within_mean": round(float(np.mean(rank)), 5),
        "within_least": round(min(rank), 5),
        "hardest_mean": round(float(np.mean(hardest)), 5),
        "hardest_least": round(min(hardest), 5),
        "relative_difference": round(float(np.median(np.abs(small / full - 1))), 5),
    }


def optimise(net: LossNetwork, content: Tensor, painting: Tensor, steps: int) -> Tensor:
    """The picture (1, 3, H, W) that Adam finds, beginning with the photograph (Gatys et al. 2016)."""
    layers = tuple({*CONFIG.style_layers, *CONFIG.content_layers})
    with torch.no_grad():
        targets = {layer: losses.gram(x) for layer, x in net(painting, CONFIG.style_layers).items()}
        wanted = net(content, CONFIG.content_layers)
    picture = content.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([picture], lr=0.04)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        found = net(picture, layers)
        loss = CONFIG.total_variation * losses.total_variation(picture).sum()
        for layer, factor in zip(CONFIG.style_layers, CONFIG.style_weights, strict=True):
            loss = loss + factor * losses.gram_distance(losses.gram(found[layer]), targets[layer]).sum()
        for layer, factor in zip(CONFIG.content_layers, CONFIG.content_weights, strict=True):
            loss = loss + factor * losses.content_distance(found[layer], wanted[layer]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
    return picture.detach()


@torch.no_grad()
def distances(
    found: dict[str, Tensor], painting: dict[str, Tensor], content: dict[str, Tensor], vgg: bool
) -> list[float]:
    """Style and content distance: VGG-19's weighted as in training, SqueezeNet's the mean over its layers."""
    style, shares = (CONFIG.style_layers, CONFIG.style_weights) if vgg else (SQUEEZE_STYLE, (0.2,) * 5)
    layers, factors = (CONFIG.content_layers, CONFIG.content_weights) if vgg else (SQUEEZE_CONTENT, (1.0,))
    grams = [
        f * losses.gram_distance(losses.gram(found[n]), losses.gram(painting[n]))
        for n, f in zip(style, shares, strict=True)
    ]
    kept = [f * losses.content_distance(found[n], content[n]) for n, f in zip(layers, factors, strict=True)]
    return [round(sum(x.item() for x in terms), 4) for terms in (grams, kept)]


def existing(path: Path) -> Path:
    if not path.exists():
        raise SystemExit(f"{path}: not found; say where it is (see --help)")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder described above")
    parser.add_argument("--swan", type=Path, default=Path("swan.jpg"), help="a photograph of a swan")
    parser.add_argument("--small", type=Path, help="a small network's file instead of the shipped one")
    parser.add_argument("--photographs", type=int, default=8)
    parser.add_argument("--paintings", type=int, default=16)
    parser.add_argument("--side", type=int, default=160, help="of the pictures compared (default: %(default)s)")
    parser.add_argument("--size", type=int, default=208, help="longer side when optimising (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of optimising; 0 leaves it out (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, help="a folder for what was optimised")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    data = existing(args.data)
    full = build_loss_network("vgg19-caffe", existing(data / "vgg" / "vgg19_features_conv5_1_fp16.pt"))
    small_file = existing(args.small or weights.models_folder() / "loss_networks" / "vgg19-small.safetensors")
    distilled = existing(data / "vgg" / "vgg19_distilled16x_enc_relu5_1_fp32.pt")
    nets = {
        "vgg19": full,
        "vgg19-small": build_loss_network("vgg19-small", small_file),
        "vgg19-rounded": rounded(full, bits(small_file)),
        "vgg19-distilled": build_loss_network("vgg19-distilled", distilled),
    }
    photographs, paintings = list_photographs(data / "content"), list_photographs(data / "style")
    photographs = held_back(photographs, args.photographs)  # the small network has not seen the first eight of them
    paintings = paintings[:: len(paintings) // args.paintings][: args.paintings]
    made = paint(photographs, args.side)
    tables = {name: measure(net, made, paintings, 2 * args.side) for name, net in nets.items()}
    ranking: dict[str, Any] = {}
    for name in list(nets)[1:]:
        ranking[name] = {key: agreement(tables["vgg19"][key], table, len(made)) for key, table in tables[name].items()}
        for key in ("style", "content"):
            print(f"{name:<16} {key:<8} {ranking[name][key]}", flush=True)

    squeeze = squeezenet(existing(next(existing(data / "squeezenet").glob("*.pt"), data / "squeezenet" / "*.pt")))
    one, other = (photographs[len(photographs) * quarter // 4] for quarter in (1, 2))
    pairs = {
        "swan, starry night": (existing(args.swan), "van_gogh_starry_night"),
        f"{one.stem}, great wave": (one, "hokusai_great_wave"),
        f"{other.stem}, composition VII": (other, "kandinsky_composition_vii"),
    }
    optimised: dict[str, Any] = {}
    for title, (photograph, painter) in pairs.items() if args.steps else ():
        content = read_picture(photograph, args.size)
        painting = read_picture(existing(data / "style" / f"{painter}.jpg"), args.size + args.size // 4)
        shown = [content]
        optimised[title] = {}
        for name in ("none", "vgg19", "vgg19-small", "vgg19-distilled"):
            # In bfloat16, as in training; the evaluation networks compute in float32.
            result = content
            if name != "none":
                half = copy.deepcopy(nets[name]).to(torch.bfloat16).to(memory_format=torch.channels_last)
                result = optimise(half, content, painting, args.steps)
            layers = (*CONFIG.style_layers, *CONFIG.content_layers)
            by_vgg = distances(full(result, layers), full(painting, layers), full(content, layers), True)
            by_squeeze = distances(squeeze(result), squeeze(painting), squeeze(content), False)
            keys = ("vgg19_style", "vgg19_content", "squeezenet_style", "squeezenet_content")
            optimised[title][name] = dict(zip(keys, by_vgg + by_squeeze, strict=True))
            print(f"{title:<40} {name:<16} {optimised[title][name]}", flush=True)
            shown += [result] if name != "none" else []
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            file = title.replace(", ", "_").replace(" ", "-")
            write_picture(args.pictures / f"features_{file}.png", torch.cat(shown, 3)[0])

    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "photographs": len(photographs),
            "paintings": len(paintings),
            "outputs": sum(len(outputs) for outputs in made),
            "side": args.side,
            "optimising": {
                "longer_side": args.size,
                "steps": args.steps,
                "optimiser": "Adam 0.04, half a cosine, bf16",
            },
            "small_bytes": small_file.stat().st_size,
            "distilled_bytes": distilled.stat().st_size,
        }
        args.json.write_text(json.dumps({"about": about, "ranking": ranking, "optimised": optimised}, indent=2) + "\n")


if __name__ == "__main__":
    main()
