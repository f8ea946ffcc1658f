from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import videostyle.engines
from videostyle.engines import choose_device, choose_engine, load_engine
from videostyle.errors import MissingDependencyError, UnknownNameError, UsageError
from videostyle.plan import Style
from videostyle.plugins import available
from videostyle.stylizers import load_stylizer
from videostyle.weights import gallery, load_style

ENGINES = available(videostyle.engines)


def picture(height: int, width: int) -> torch.Tensor:
    """Smooth light with some edges and texture, as pictures have; (1, 3, H, W)."""
    torch.manual_seed(1)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7), (height, width), mode="bicubic").clamp(0, 1)
    return (coarse + 0.05 * torch.randn(1, 3, height, width)).clamp(0, 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("entry", gallery(), ids=lambda entry: f"{entry.network}-{entry.name}")
def test_engines_agree_with_float32_torch(engine: str, entry) -> None:  # type: ignore[no-untyped-def]
    """The stated tolerance, in half precision: 0.006 on average, 0.08 for all but one in ten thousand values."""
    network, code = load_style(Style(((entry.name, 1),), network=entry.network))
    content = picture(128, 192)
    with torch.inference_mode():
        expected = network.net(content, code)
    (painted,) = load_engine(engine, network, "cpu")(content, code)
    difference = (painted - expected).abs()
    assert difference.mean() < 0.006
    assert difference.flatten().quantile(0.9999) < 0.08


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_paint_any_size_and_batch_one_after_the_other(engine: str, toy_gallery: Path) -> None:
    stylizer = load_stylizer(Style((("dots", 1),)), engine, "cpu")
    for shape in [(1, 3, 33, 47), (2, 3, 16, 16), (1, 3, 1, 1), (1, 3, 33, 47)]:
        painted = stylizer(torch.rand(shape))
        assert painted.shape == shape
        assert 0 <= painted.min() <= painted.max() <= 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_painting_is_not_overwritten_by_the_next(engine: str, toy_gallery: Path) -> None:
    stylizer = load_stylizer(Style((("dots", 1),)), engine, "cpu")
    one, two = picture(32, 32), 1 - picture(32, 32)
    first = stylizer(one)
    kept = first.clone()
    stylizer(two)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("engine", ENGINES)
def test_pictures_that_lie_channels_last_are_painted_the_same(engine: str, toy_gallery: Path) -> None:
    stylizer = load_stylizer(Style((("dots", 1),)), engine, "cpu")
    content = picture(32, 48)
    assert torch.allclose(stylizer(content), stylizer(content.contiguous(memory_format=torch.channels_last)), atol=1e-3)


def test_strength_zero_gives_the_film_back(toy_gallery: Path) -> None:
    content = picture(32, 48)
    for engine in ENGINES:
        assert torch.equal(load_stylizer(Style((("dots", 1),), strength=0), engine, "cpu")(content), content)


def test_auto_takes_openvino_on_a_cpu_and_torch_elsewhere() -> None:
    assert choose_engine("auto", "cpu") == "openvino"
    assert choose_engine("auto", "cuda") == "torch"
    with pytest.raises(UsageError, match="runs on the CPU"):
        choose_engine("openvino", "cuda:0")


def test_devices_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(UsageError, match="no CUDA device"):
        choose_device("cuda")
    for bad in ("tpu", "cuda:x", "cuda:"):
        with pytest.raises(UsageError):
            choose_device(bad)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == "cuda"
    with pytest.raises(UsageError, match="numbered from 0"):
        choose_device("cuda:1")


def test_unknown_and_missing_engines_are_named(toy_gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = load_style(Style((("dots", 1),)))
    with pytest.raises(UnknownNameError, match="no engine named 'tensorrt'"):
        load_engine("tensorrt", network, "cpu")
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "videostyle.engines.openvino", raising=False)
    with pytest.raises(MissingDependencyError, match="pip install openvino"):
        load_engine("openvino", network, "cpu")
