"""Networks that read their previous output and noise: in a film, at cuts, by seed, in every engine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from moving import pan
from torch import Tensor, nn

from videostyle import weights
from videostyle.engines import load_engine
from videostyle.flow import load_flow
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.live.painter import LivePainter
from videostyle.live.plan import LivePlan
from videostyle.moments import Moments
from videostyle.nets.style_network import RECURRENT_CHANNELS, Architecture, StyleNetwork
from videostyle.noise import Particles
from videostyle.ops.pixels import to_pixels
from videostyle.pipeline import render
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.stabilize import CausalStabilizer
from videostyle.style import Region, Style
from videostyle.stylizers import load_stylizer
from videostyle.types import Flow, Frame, Moment, Motion
from videostyle.weights import load_codes

SIZE = (48, 64)
PAN = [to_pixels(picture[0]) for picture in pan(6, (2, 0), size=SIZE)]
OTHER = [to_pixels(1 - picture[0]) for picture in pan(4, (0, 2), seed=5, size=SIZE)]
DOTS = Style((("dots", 1.0),))


@pytest.fixture(scope="module")
def recurrent_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a tiny recurrent network of random numbers and the styles `dots` and `lines`."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    net = StyleNetwork(Architecture(unshuffle=2, widths=(8, 8), blocks=1, kernel=3, head=4, recurrent=True))
    for convolution in (net.carried_first, net.carried_last, net.correction):
        nn.init.normal_(convolution.conv.weight, std=0.1)
    assert net.correction.conv.bias is not None
    nn.init.zeros_(net.correction.conv.bias)  # the gate is half open
    digest = weights.save_network(
        folder / "fast" / "network.safetensors", "fast", net, torch.zeros(1, net.code_size), {}
    )
    for name in ("dots", "lines"):
        code = torch.randn(1, net.code_size)
        code[:, -1] = 1
        card = {"name": name, "title": name.title(), "painter": "Nobody", "year": "1900"}
        weights.save_style(folder / "fast" / f"{name}.safetensors", code, "fast", digest, card)
    weights.write_manifest(folder)
    return folder


@pytest.fixture(autouse=True)
def gallery(recurrent_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(recurrent_models))
    monkeypatch.setenv("VIDEOSTYLE_STYLES", str(tmp_path / "own styles"))


def painted(film: list[Tensor], style: Style = DOTS, **plan) -> list[Tensor]:  # type: ignore[no-untyped-def]
    sink = MemorySink()
    plan = {"engine": "torch", **plan}
    render(RenderPlan("memory", "memory", style=style, **plan), source=MemorySource(film), sink=sink)
    return [frame.pixels for frame in sink.frames]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_film_is_painted_the_same_twice_and_otherwise_by_another_seed() -> None:
    assert same(painted(PAN), painted(PAN))
    assert not same(painted(PAN), painted(PAN, Style(DOTS.blend, seed=1)))


def test_strength_0_is_the_film_bit_for_bit() -> None:
    assert same(painted(PAN, Style(DOTS.blend, strength=0.0)), PAN)


STILL = Motion(Flow(torch.zeros(1, 2, *SIZE), torch.ones(1, 1, *SIZE)))


@pytest.mark.parametrize(
    ("moment", "reads"),
    [
        (Moment(is_cut=False, motion=STILL), True),
        (Moment(is_cut=True, motion=STILL), False),
        (Moment(is_cut=False, motion=None), False),
    ],
)
def test_the_previous_output_is_read_unless_there_was_a_cut_or_no_motion_is_known(moment: Moment, reads: bool) -> None:
    stylizer = load_stylizer(DOTS, "torch", "cpu")

    def after(before: Tensor) -> Tensor:
        stylizer(before[None] / 255)
        return stylizer(PAN[1][None] / 255, moment)

    assert torch.equal(after(PAN[0]), after(OTHER[0])) != reads


@pytest.mark.parametrize(("strength", "motions"), [(1.0, 5), (0.0, 0)])
def test_without_stabilizing_the_prior_is_empty_and_there_is_noise(strength: float, motions: int) -> None:
    stylizer = load_stylizer(DOTS, "torch", "cpu")
    stabilizer = CausalStabilizer(load_flow(FlowOptions(), "cpu"), StabilizeOptions(strength, "causal"))
    moments = Moments(stylizer, stabilizer, FlowOptions(), "cpu", with_motion=strength > 0, seed=0)
    told = [moments(frame[None] / 255, Fraction(number, 24), number == 0) for number, frame in enumerate(PAN)]
    assert sum(moment.motion is not None for moment in told) == motions
    assert all(moment.noise is not None for moment in told)


def test_live_without_stabilizing_keeps_the_noise_on_what_stands_still() -> None:
    plan = LivePlan(styles=("dots",), stabilize=0.0, engine="torch", gate=False, adapt=False, window=False)
    frames = [Frame(PAN[0], number * 40, Fraction(1, 1000), None, number) for number in range(4)]
    outputs = [live.stylized.pixels for live in LivePainter(plan, SIZE[::-1]).painted(frames)]
    assert len(outputs) == 4
    # New particles fade in; a field that was drawn anew would change everything.
    assert (outputs[-1].float() - outputs[-2].float()).abs().mean() < 1


def test_a_flat_picture_is_painted_with_noise_and_flat_without() -> None:
    stylizer = load_stylizer(DOTS, "torch", "cpu")
    grey = torch.full((1, 3, *SIZE), 0.5)
    noise = Particles()(SIZE, None)
    assert stylizer(grey, Moment()).std(dim=(2, 3)).max() < 1e-4
    assert stylizer(grey, Moment(noise=noise)).std(dim=(2, 3)).max() > 0.005


@pytest.mark.parametrize("running_norm", [False, True])
def test_engines_agree(running_norm: bool) -> None:
    network, codes = load_codes(DOTS)
    code = codes.at(0)
    content = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    recurrent_input = torch.rand(1, RECURRENT_CHANNELS, *SIZE, generator=torch.Generator().manual_seed(3))
    inputs = [content, code]
    if running_norm:
        inputs += [torch.ones(1, code.shape[1] - 1), torch.full((1, 1), 0.5)]
    one, other = (
        load_engine(name, network, "cpu", running_norm=running_norm)(*inputs, recurrent_input)[0]
        for name in ("torch", "openvino")
    )
    # Where the processor computes in bfloat16, OpenVINO does.
    assert (one - other).abs().max() < 0.03


def test_regions_carry_an_output_each() -> None:
    region = Region((("lines", 1.0),), "right.png")
    stylizer = load_stylizer(Style(DOTS.blend, regions=(region,)), "torch", "cpu")
    alone = load_stylizer(Style((("lines", 1.0),)), "torch", "cpu")
    noise = Particles()(SIZE, None)
    for number, frame in enumerate(PAN[:3]):
        content = frame[None].float() / 255
        moment = Moment(is_cut=number == 0, noise=noise)
        both, lines = stylizer(content, moment), alone(content, moment)
    assert torch.allclose(both[1], lines[0], atol=1e-5)
