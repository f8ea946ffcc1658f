"""Loss networks: VGG classifiers whose feature maps measure content and style (Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.errors import UnknownNameError, WeightsError
from videostyle.nets.packed import unpack
from videostyle.threads import silence_ffmpeg

# Convolutions in each stage, with 2x2 max-pooling between the stages; cut after the first layer of stage 5, the deepest
# that style transfer has found use for.
_STAGES = {"vgg16": (2, 2, 3, 3, 1), "vgg19": (2, 2, 4, 4, 1)}
_CHANNELS = (64, 128, 256, 512, 512)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Mean subtracted from BGR in 0..255 for Oxford's own weights (Simonyan and Zisserman 2015); here in RGB order.
_CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)

LOSS_NETWORKS = ("vgg16", "vgg19", "vgg19-caffe", "vgg19-distilled", "vgg19-small")


class LossNetwork(nn.Module):
    """VGG network up to conv5_1 that returns the feature maps of named layers: relu1_1, relu4_2..."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: Sequence[int],
        channels: Sequence[int],
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        reflect: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.names: list[str] = []
        self.convolutions = nn.ModuleList()
        self.expansions = nn.ModuleDict()
        self.pooling: Literal["max", "average"] = "max"
        """Pooling between the stages: max, as the network was trained, or average (Gatys, Ecker and Bethge 2016)."""
        width = 3
        for stage, (count, channel) in enumerate(zip(stages, channels, strict=True), 1):
            for i in range(1, count + 1):
                mode: Literal["reflect", "zeros"] = "reflect" if reflect else "zeros"
                self.convolutions.append(nn.Conv2d(width, channel, 3, padding=1, padding_mode=mode))
                self.names.append(f"relu{stage}_{i}")
                width = channel

    def forward(self, picture: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Compute the feature maps of `picture` (N, 3, H, W), RGB in 0..1, at the named layers.

        Nothing is computed beyond the deepest of them.
        """
        x = ((picture - self.mean) / self.std).to(next(self.parameters()).dtype)
        found: dict[str, Tensor] = {}
        for name, convolution in zip(self.names, self.convolutions, strict=True):
            if name.endswith("_1") and name != "relu1_1":
                # The greatest of four is about twice their mean: deeper layers need the range they were trained on.
                x = F.max_pool2d(x, 2) if self.pooling == "max" else 2 * F.avg_pool2d(x, 2)
            x = F.relu(convolution(x), inplace=True)
            if name in layers:
                key = name.replace("_", "-")
                found[name] = F.relu(self.expansions[key](x)) if key in self.expansions else x
                if len(found) == len(set(layers)):
                    return found
        raise UnknownNameError.among("layer", next(n for n in layers if n not in found), self.names)


def build_loss_network(name: str, weights: Path | None = None) -> LossNetwork:
    """Build a frozen loss network.

    `vgg16` and `vgg19` are torchvision's (downloaded by torchvision unless `weights` names a state dict);
    `vgg19-caffe` is Oxford's original under torchvision's key names and `vgg19-distilled` is the 16 times smaller one
    of Wang et al. 2020 (Collaborative Distillation): both need `weights`. So does `vgg19-small`, a file that
    `train.distil` wrote; `videostyle.weights.load_loss_network` finds the shipped one. Each includes its own
    preprocessing. Raises UnknownNameError, or WeightsError if the file is missing or does not fit.
    """
    if name not in LOSS_NETWORKS:
        raise UnknownNameError.among("loss network", name, LOSS_NETWORKS)
    state = _read(weights) if weights is not None else _download(name)
    try:
        if name == "vgg19-small":
            net = build_small(state)
        else:
            net = _distilled(state) if name == "vgg19-distilled" else _vgg(name, state)
    except (KeyError, RuntimeError, ValueError) as error:
        where = weights or "the downloaded weights"
        raise WeightsError(f"{where}: not the weights of {name} ({error})") from error
    return net.eval().requires_grad_(False)


def has_bf16(device: str) -> bool:
    """Return True if `device` (cpu, cuda...) has instructions for bfloat16; emulation is slower than float32.

    The capability is queried, not timed: the answer must not depend on the load of the machine.
    """
    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the path of the loss network's weights")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
            state = {key: value.float() for key, value in found.items()}
        whole = all(torch.isfinite(value).all() for value in state.values())
    except Exception as error:  # torch.load raises whatever the unpickler met
        raise WeightsError(f"{path}: cannot be read as PyTorch weights ({type(error).__name__})") from error
    if not whole:
        raise WeightsError(f"{path}: damaged: it holds values that are not finite")
    return state


def _download(name: str) -> dict[str, Tensor]:
    if name not in ("vgg16", "vgg19"):
        raise WeightsError(f"{name} is not downloaded; give the path of its weights")
    from torchvision import models

    silence_ffmpeg()
    try:
        return models.get_model_weights(name).IMAGENET1K_V1.get_state_dict(progress=True)
    except OSError as error:
        raise WeightsError(
            f"torchvision could not download {name} ({error}); download it elsewhere and give its path"
        ) from error


def _vgg(name: str, state: dict[str, Tensor]) -> LossNetwork:
    caffe = name == "vgg19-caffe"
    # Oxford's scale is kept: the features are 255 times those of a 0..1 network, which changes no relative loss.
    mean, std = (_CAFFE_MEAN, (1 / 255,) * 3) if caffe else (_IMAGENET_MEAN, _IMAGENET_STD)
    net = LossNetwork(_STAGES[name.removesuffix("-caffe")], _CHANNELS, mean, std)
    # torchvision numbers ReLU and pooling modules too: only the order of the convolutions matters.
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith("features.")})
    for number, convolution in zip(numbers, net.convolutions, strict=False):
        kernel = state[f"features.{number}.weight"]
        if caffe and number == 0:
            kernel = kernel.flip(1)  # these kernels expect BGR
        convolution.load_state_dict({"weight": kernel, "bias": state[f"features.{number}.bias"]})
    if len(numbers) < len(net.convolutions):
        raise KeyError(f"it has {len(numbers)} convolutions, {len(net.convolutions)} are needed")
    return net


def build_small(state: dict[str, Tensor]) -> LossNetwork:
    """Build the network from the tensors that `train.distil` writes; raises KeyError or ValueError if some are missing.

    The names and widths of the layers define the architecture, since any VGG may have been distilled.
    """
    widths = {key.removesuffix(".steps"): len(value) for key, value in state.items() if key.endswith(".steps")}
    stages = sorted({name.split("_")[0] for name in widths})
    counts = [sum(name.startswith(stage) for name in widths) for stage in stages]
    channels = [widths[f"{stage}_1"] for stage in stages]
    net = LossNetwork(counts, channels, state["mean"].tolist(), state["std"].tolist())
    for name, convolution in zip(net.names, net.convolutions, strict=True):
        assert isinstance(convolution, nn.Conv2d)
        numbers = unpack(state[f"{name}.numbers"], convolution.weight.shape)
        weight = numbers * state[f"{name}.steps"].view(-1, 1, 1, 1)
        convolution.load_state_dict({"weight": weight, "bias": state[f"{name}.bias"]})
    return net


def _distilled(state: dict[str, Tensor]) -> LossNetwork:
    net = LossNetwork(_STAGES["vgg19"], (16, 32, 64, 128, 128), reflect=True)
    kernel = state["conv11.weight"]
    # The original begins with a 1x1 convolution that swaps to BGR, multiplies by 255 and subtracts the mean. It is
    # folded into conv1_1, which has reflected borders, so the result is the same.
    first, offset = state["conv0.weight"][:, :, 0, 0], state["conv0.bias"]
    for name, convolution in zip(net.names, net.convolutions, strict=True):
        key = "conv" + name.removeprefix("relu").replace("_", "")
        weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
        if name == "relu1_1":
            bias = bias + torch.einsum("oikl,i->o", kernel, offset)
            weight = torch.einsum("oikl,ij->ojkl", kernel, first)
        convolution.load_state_dict({"weight": weight, "bias": bias})
        if f"{key}_aux.weight" in state:
            wide, narrow = state[f"{key}_aux.weight"].shape[:2]
            expansion = nn.Conv2d(narrow, wide, 1)
            expansion.load_state_dict({"weight": state[f"{key}_aux.weight"], "bias": state[f"{key}_aux.bias"]})
            net.expansions[name.replace("_", "-")] = expansion
    return net
