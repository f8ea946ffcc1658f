"""The training loop, flat, in one place: set the rate, paint, judge, step, log, save."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.errors import TrainingError
from videostyle.nets.transformer import Transformer, architecture
from videostyle.nets.vgg import Perceptual, load_perceptual
from videostyle.ops import losses
from videostyle.ops.warp import warp
from videostyle.plan import TrainConfig
from videostyle.train.curve import draw_losses
from videostyle.train.data import Crops, list_photographs, read_picture, write_picture
from videostyle.train.export import export_models

Log = Callable[[str], None]


class Codes(nn.Module):
    """The style codes being learned: row 0 is the identity, then one row for each painting."""

    amount: Tensor

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.cat([torch.zeros(1, size), 0.01 * torch.randn(count, size)]))
        amount = torch.ones(count + 1, 1)
        amount[0] = 0
        # How much of the untouched picture shows through is fixed: none for paintings, all for the identity.
        self.register_buffer("amount", amount)

    def forward(self, style: Tensor, strength: Tensor) -> Tensor:
        """Codes (N, size) of the paintings numbered `style` (N,), from 1, at `strength` (N,) in 0..1."""
        rows = torch.cat([self.rows[:, :-1], self.amount], dim=1)
        return torch.lerp(rows[:1].expand(len(style), -1), rows[style], strength[:, None])


def train(config: TrainConfig, log: Log = print) -> Path:
    """Train `config`'s network and codes, going on from the last checkpoint in its folder; returns that folder.

    Leaves `checkpoint.pt`, `log.jsonl`, `losses.png`, `sheet-*.png` and, at the end, `models/`: the network and style
    files with their cards, ready to be used (VIDEOSTYLE_MODELS names such a folder).
    Raises TrainingError for no or unreadable pictures and when the loss is not finite.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    photographs = list_photographs(config.photographs)
    if len(photographs) <= config.held_back:
        raise TrainingError(f"{config.photographs}: {len(photographs)} pictures, {config.held_back} to be held back")
    held = photographs[:: max(len(photographs) // max(config.held_back, 1), 1)][: config.held_back]
    crops = Crops([path for path in photographs if path not in held], config.crop, config.seed)

    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    judge = load_perceptual(config.perceptual, config.perceptual_weights)
    # Converted once: autocast would convert frozen weights again at every step.
    judge = judge.to(device, torch.bfloat16 if config.bf16 else torch.float32).to(memory_format=torch.channels_last)
    net = Transformer(architecture(config.network))
    codes = Codes(len(config.paintings), net.code_size)
    both = nn.ModuleDict({"net": net, "codes": codes}).to(device).to(memory_format=torch.channels_last)
    targets = style_targets(judge, config, device)
    optimizer = torch.optim.Adam(both.parameters(), lr=config.rate)
    step = _resume(config, both, optimizer, log)
    layers = (*config.style_layers, *config.content_layers)

    history = _history(config.folder / "log.jsonl", step)
    started, since = time.monotonic(), step
    while step < config.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        generator = crops.generator(step)
        content = crops(config.batch, generator)
        style = 1 + torch.randperm(max(len(config.paintings), config.batch), generator=generator)[: config.batch] % len(
            config.paintings
        )
        weak = torch.rand(config.batch, generator=generator) < config.weak_share
        strength = torch.where(weak, torch.rand(config.batch, generator=generator), torch.ones(config.batch))
        flow, valid = losses.random_motion(config.batch, config.crop, config.crop, generator)
        noise = 0.012 * torch.randn(content.shape, generator=generator)
        gain = 1 + 0.02 * torch.randn(config.batch, 1, 1, 1, generator=generator)
        content, style, strength, flow, valid, noise, gain = (
            x.to(device) for x in (content, style, strength, flow, valid, noise, gain)
        )
        moved = (warp(content, flow) * gain + noise).clamp(0, 1)

        with torch.autocast(device, torch.bfloat16, enabled=config.bf16):
            code = codes(style, strength)
            seen = torch.cat([content, moved]).contiguous(memory_format=torch.channels_last)
            painted, painted_moved = net(seen, torch.cat([code, code])).float().chunk(2)
        features = judge(painted, layers)
        with torch.no_grad():
            wanted = judge(content, config.content_layers)
        style_loss = sum(
            weight * losses.gram_distance(losses.gram(features[layer]), targets[layer][style - 1])
            for layer, weight in zip(config.style_layers, config.style_weights, strict=True)
        )
        content_loss = sum(
            weight * losses.content_distance(features[layer], wanted[layer])
            for layer, weight in zip(config.content_layers, config.content_weights, strict=True)
        )
        smooth = losses.total_variation(painted)
        unsteady = losses.temporal_distance(warp(painted, flow), painted_moved, valid)
        fidelity = (painted - content).abs().mean((1, 2, 3))
        loss = (
            strength * style_loss
            + (2 - strength) * content_loss
            + config.total_variation * smooth
            + config.grid * losses.grid_energy(painted)
            + config.temporal * min(1, step / max(config.temporal_ramp, 1)) * unsteady
            + config.weak_fidelity * (1 - strength) * fidelity
        ).mean()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite at step {step}; the last good state is {config.folder / 'checkpoint.pt'}: "
                "lower the rate and start again"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), config.clip)
        optimizer.step()

        full = strength == 1
        row = {"step": step, "loss": loss.item(), "rate": learning_rate(config, step)}
        for name, values in (("style", style_loss), ("content", content_loss), ("temporal", unsteady)):
            assert isinstance(values, Tensor)
            row[name] = values[full].mean().item() if full.any() else None
        history.write(json.dumps(row) + "\n")
        step += 1
        if step % 20 == 0:
            history.flush()
            pace = (time.monotonic() - started) / (step - since)
            started, since = time.monotonic(), step
            left = pace * (config.steps - step) / 60
            log(
                f"step {step}/{config.steps}  loss {row['loss']:.3f}  style {row['style'] or math.nan:.3f}  "
                f"content {row['content'] or math.nan:.3f}  temporal {row['temporal'] or math.nan:.4f}  "
                f"{pace:.2f} s/step  {left:.0f} min left"
            )
        if step % config.save_every == 0 or step == config.steps:
            _save(config, both, optimizer, step)
        if step % config.sheet_every == 0 or step == config.steps:
            write_picture(config.folder / f"sheet-{step:06d}.png", sheet(net, codes, held, len(config.paintings)))
            draw_losses(config.folder / "log.jsonl", config.folder / "losses.png")
    history.close()
    _export(config, net, codes, judge, targets, held, step)
    if crops.unreadable:
        log(f"{len(crops.unreadable)} unreadable pictures were skipped, {min(crops.unreadable)} the first")
    return config.folder


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.rate * rise * fall


def style_targets(judge: Perceptual, config: TrainConfig, device: str) -> dict[str, Tensor]:
    """Gram matrices of the paintings by layer, (paintings, C, C) each."""
    rows: dict[str, list[Tensor]] = {layer: [] for layer in config.style_layers}
    for painting in config.paintings:
        picture = read_picture(painting.image, painting.size).to(device)
        with torch.no_grad():
            for layer, features in judge(picture, config.style_layers).items():
                rows[layer].append(losses.gram(features)[0])
    return {layer: torch.stack(grams) for layer, grams in rows.items()}


@torch.no_grad()
def held_back_losses(
    net: Transformer,
    code: Tensor,
    judge: Perceptual,
    target: dict[str, Tensor],
    config: TrainConfig,
    held: list[Path],
) -> dict[str, float]:
    """Style and content distances of one style, weighted as in training, mean over the photographs held back.

    `code` (1, code_size); `target` the painting's Gram matrices (1, C, C) by layer. The photographs are cropped to
    whole multiples of the network's stride.
    """
    style, content, stride = 0.0, 0.0, net.architecture.stride
    for path in held:
        picture = read_picture(path).to(code.device)
        height, width = (side // stride * stride for side in picture.shape[2:])
        picture = picture[:, :, :height, :width]
        features = judge(net(picture, code), (*config.style_layers, *config.content_layers))
        wanted = judge(picture, config.content_layers)
        for layer, weight in zip(config.style_layers, config.style_weights, strict=True):
            style += weight * losses.gram_distance(losses.gram(features[layer]), target[layer]).item()
        for layer, weight in zip(config.content_layers, config.content_weights, strict=True):
            content += weight * losses.content_distance(features[layer], wanted[layer]).item()
    return {"style": round(style / len(held), 4), "content": round(content / len(held), 4)}


@torch.no_grad()
def sheet(net: Transformer, codes: Codes, paths: list[Path], paintings: int, side: int = 240) -> Tensor:
    """Every painting on every photograph, (3, H, W): a column a photograph, the photographs themselves on top."""
    device = codes.rows.device
    pictures = torch.cat(
        [F.interpolate(read_picture(path), (side, side), mode="bilinear", antialias=True) for path in paths]
    )
    rows = [pictures]
    for style in range(1, paintings + 1):
        for strength in (0.5, 1.0) if style == 1 else (1.0,):
            number = torch.full((len(paths),), style, device=device)
            code = codes(number, torch.full((len(paths),), strength, device=device))
            rows.append(net(pictures.to(device), code).cpu())
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)


def _history(path: Path, step: int) -> TextIO:
    """The log, open for appending, without what was logged after the checkpoint that is gone on from."""
    if path.exists():
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] < step]
        path.write_text("".join(kept), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def _resume(config: TrainConfig, both: nn.Module, optimizer: torch.optim.Optimizer, log: Log) -> int:
    path = config.folder / "checkpoint.pt"
    if not path.exists():
        return 0
    saved = torch.load(path, map_location="cpu", weights_only=True)
    try:
        both.load_state_dict(saved["model"])
    except RuntimeError as error:
        raise TrainingError(
            f"{path}: made with another network or number of paintings; choose another folder"
        ) from error
    optimizer.load_state_dict(saved["optimizer"])
    log(f"going on from step {saved['step']}")
    return int(saved["step"])


def _save(config: TrainConfig, both: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"model": both.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    partial = config.folder / "checkpoint.partial"
    torch.save(state, partial)
    os.replace(partial, config.folder / "checkpoint.pt")


def _export(
    config: TrainConfig,
    net: Transformer,
    codes: Codes,
    judge: Perceptual,
    targets: dict[str, Tensor],
    held: list[Path],
    step: int,
) -> None:
    one = torch.ones(1, device=codes.rows.device)
    rows, scores = [], []
    for number in range(len(config.paintings)):
        with torch.no_grad():
            rows.append(codes(torch.tensor([number + 1], device=one.device), one))
        target = {layer: grams[number : number + 1] for layer, grams in targets.items()}
        scores.append(held_back_losses(net, rows[-1], judge, target, config, held))
    with torch.no_grad():
        identity = codes(torch.tensor([1], device=one.device), 0 * one)
    export_models(config, net, identity, rows, scores, step)
