from __future__ import annotations

import os
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import videostyle.engines
from videostyle.engines import choose_device, choose_engine, load_engine, openvino
from videostyle.errors import MissingDependencyError, UnknownNameError, UsageError
from videostyle.noise import initial_recurrent_input
from videostyle.plugins import available, load
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.weights import gallery, load_style

ENGINES = available(videostyle.engines)


def picture(height: int, width: int) -> torch.Tensor:
    """Smooth light with some edges and texture, as pictures have; (1, 3, H, W)."""
    torch.manual_seed(1)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7), (height, width), mode="bicubic").clamp(0, 1)
    return (coarse + 0.05 * torch.randn(1, 3, height, width)).clamp(0, 1)


def flat(*color: float) -> torch.Tensor:
    """A picture of one colour."""
    return torch.tensor(color, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 64, 96).contiguous()


def title_card() -> torch.Tensor:
    """A little text on a ground of one colour."""
    card = flat(0.95, 0.95, 0.9)
    card[:, :, 30:33, 40:60:3] = 0.1
    return card


FLAT = torch.cat([flat(1, 1, 1), flat(0.9, 0.2, 0.05)])


def assert_agree(painted: torch.Tensor, expected: torch.Tensor) -> None:
    """Within the stated tolerance of half precision: 0.008 on average, 0.2 for all but one value in ten thousand."""
    difference = (painted - expected).abs()
    assert difference.mean() < 0.008
    assert difference.flatten().quantile(0.9999) < 0.2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("entry", gallery(), ids=lambda entry: f"{entry.network}-{entry.name}")
def test_engines_agree_with_float32_torch(engine: str, entry) -> None:  # type: ignore[no-untyped-def]
    network, code = load_style(Style(((entry.name, 1),), network=entry.network))
    paint = load_engine(engine, network, "cpu")
    for content in (picture(128, 192), torch.cat([FLAT, title_card()])):
        recurrent_input = (
            [initial_recurrent_input(content, np.random.default_rng(0))] if network.net.architecture.recurrent else []
        )
        with torch.inference_mode():
            expected = network.net(content, code, None, *recurrent_input)
        assert_agree(paint(content, code.expand(len(content), -1), *recurrent_input)[0], expected)


def in_bfloat16(net: torch.nn.Module) -> torch.nn.Module:
    """The network with its weights, and what its convolutions read and write, rounded to bfloat16.

    Engines compute so on processors that can, which not every machine that runs the tests has.
    """

    def rounded(value: torch.Tensor) -> torch.Tensor:
        return value.bfloat16().float()

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = rounded(module.weight.data)
            module.register_forward_pre_hook(lambda _, given: (rounded(given[0]),))
            module.register_forward_hook(lambda _, given, result: rounded(result))
    return net


@pytest.mark.parametrize("name", ["great-wave", "mosaic", "scream", "starry-night"])
def test_flat_pictures_are_painted_flat_in_bfloat16(name: str) -> None:
    network, code = load_style(Style(((name, 1),)))
    half = in_bfloat16(network.net.folded())
    noise = initial_recurrent_input(FLAT, np.random.default_rng(0)).expand(len(FLAT), -1, -1, -1)
    with torch.inference_mode():
        # As frames are painted: a recurrent network with noise.
        recurrent_input = [None, noise] if network.net.architecture.recurrent else []
        assert_agree(half(FLAT, code, *recurrent_input), network.net(FLAT, code, *recurrent_input))
        # Without, every normalisation divides by next to nothing: the colour may be off, but not from place to place.
        painted = half(FLAT, code)
        assert (painted - network.net(FLAT, code)).abs().mean() < 0.02
    assert (painted.amax((2, 3)) - painted.amin((2, 3))).max() < 0.01


class Many(torch.nn.Module):
    """Several pictures and numbers in, one of them unused, and two of different shapes out."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(4, 3, 1)
        self.register_buffer("offset", torch.full((1, 3, 1, 1), 0.25))

    def forward(
        self, content: torch.Tensor, code: torch.Tensor, mask: torch.Tensor, unused: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = self.mix(torch.cat([content, mask], 1)) * code[:, :, None, None] + self.offset
        return mixed, mixed.mean((2, 3))


@pytest.mark.parametrize("engine", ["openvino", "torch"])  # onnx writes the graphs of style networks only
def test_a_network_may_have_any_inputs_and_outputs(engine: str) -> None:
    net = Many().requires_grad_(False)

    def inputs(n: int, height: int, width: int) -> list[torch.Tensor]:
        return [torch.rand(n, 3, height, width), torch.rand(n, 3), torch.rand(n, 1, height, width), torch.rand(n, 2)]

    run = load(videostyle.engines, engine)(net, inputs(1, 8, 8), "cpu")
    for shape in [(1, 16, 24), (2, 8, 12), (1, 16, 24)]:
        given = inputs(*shape)
        for found, expected in zip(run(*given), net(*given), strict=True):
            assert torch.allclose(found, expected, atol=0.02)


def test_the_network_is_converted_once_for_all_who_paint_with_it(toy_gallery: Path) -> None:
    network, _ = load_style(Style((("dots", 1),)))
    other, _ = load_style(Style((("lines", 1),)))
    for engine in ENGINES:
        first = load_engine(engine, network, "cpu")
        assert load_engine(engine, other, "cpu") is first
        assert load_engine(engine, network, "cpu", running_norm=True) is not first


def test_a_bounded_number_of_networks_and_sizes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "_pool", openvino._Pool())

    def inputs(side: int) -> list[torch.Tensor]:
        return [torch.rand(1, 3, side, side), torch.rand(1, 3), torch.rand(1, 1, side, side), torch.rand(1, 2)]

    run = openvino.build(Many().requires_grad_(False), inputs(8), "cpu")
    for side in range(4, 4 + 2 * openvino.CACHE_SIZE):
        run(*inputs(side))
    kept = [shapes[0][-1] for _, shapes in openvino._pool._cache]
    assert kept == list(range(4 + openvino.CACHE_SIZE, 4 + 2 * openvino.CACHE_SIZE))
    monkeypatch.setattr(openvino, "CACHE_PIXELS", 1000)
    run(*inputs(20))
    assert [shapes[0][-1] for _, shapes in openvino._pool._cache] == [19, 20]


def test_what_is_too_large_to_be_kept_stays_as_long_as_its_painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "CACHE_PIXELS", 1000)
    pool, network, shapes = openvino._Pool(), openvino._Network(Many(), [], "cpu"), ((1, 3, 40, 40),)
    left: list[weakref.ref[object]] = []

    def paint() -> None:
        compiled = pool.get(network, shapes)
        left.append(weakref.ref(compiled) if pool.get(network, shapes) is compiled else lambda: "compiled again")

    thread = threading.Thread(target=paint)
    thread.start()
    thread.join()
    assert left[0]() is None
    assert not pool._cache


def test_several_threads_paint_with_one_engine_at_a_time(toy_gallery: Path) -> None:
    stylizer = load_stylizer(Style((("dots", 1),)), "openvino", "cpu")
    contents = [picture(32, 48).roll(shift, 3) for shift in range(4)]
    expected = [stylizer(content) for content in contents]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            for found, wanted in zip(threads.map(stylizer, contents), expected, strict=True):
                assert torch.equal(found, wanted)


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


def test_auto_takes_openvino_on_a_cpu_and_torch_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_engine("auto", "cpu") == "openvino"
    assert choose_engine("auto", "cuda") == "torch"
    with pytest.raises(UsageError, match="runs on cpu and gpu and npu, not on cuda:0; engines for it: torch, onnx"):
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


# Compiled networks on disk


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def built(net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> tuple[list[torch.Tensor], list[str]]:
    """What a network gives as in a new process, and which of its steps were taken for it."""
    steps: list[str] = []

    with monkeypatch.context() as patch:

        def noted(home: object, name: str) -> None:
            inner = getattr(home, name)
            patch.setattr(home, name, lambda *args: (steps.append(name), inner(*args))[1])

        noted(openvino, "convert")
        noted(openvino._model_cache, "store")
        given = [torch.full((1, 3, 8, 8), 0.25), torch.ones(1, 3), torch.ones(1, 1, 8, 8), torch.ones(1, 2)]
        patch.setattr(openvino, "_pool", openvino._Pool())
        found = list(openvino.build(net, given, "cpu")(*given))
    return found, steps


def test_a_network_is_compiled_once_for_all_later_runs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Many().requires_grad_(False)
    first, steps = built(net, monkeypatch)
    assert steps == ["convert", "store"]
    later, steps = built(net, monkeypatch)
    assert steps == []
    assert all(torch.equal(one, other) for one, other in zip(first, later, strict=True))


@pytest.mark.parametrize("what", ["weights", "code", "version", "threads"])
def test_what_was_compiled_otherwise_is_compiled_again(what: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Many().requires_grad_(False)
    built(net, monkeypatch)
    if what == "weights":
        net.mix.weight.mul_(1.5)
    elif what == "code":
        monkeypatch.setattr(openvino._model_cache, "_source", lambda file: b"other code")
    else:
        monkeypatch.setattr(openvino, "_compiler", lambda: (what,))
    found, steps = built(net, monkeypatch)
    assert steps == ["convert", "store"]
    given = [torch.full((1, 3, 8, 8), 0.25), torch.ones(1, 3), torch.ones(1, 1, 8, 8), torch.ones(1, 2)]
    assert all(torch.allclose(one, other, atol=0.02) for one, other in zip(found, net(*given), strict=True))


@pytest.mark.parametrize("damage", ["cut", "changed", "no network", "empty"])
def test_a_damaged_compiled_network_is_made_again(damage: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Many().requires_grad_(False)
    expected, _ = built(net, monkeypatch)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    if damage == "no network":
        path.unlink()
        monkeypatch.setattr(openvino._model_cache, "load", lambda key: b"no network")
    else:
        path.write_bytes({"cut": content[:-9], "changed": content[:-9] + b"x" * 9, "empty": b""}[damage])
    found, steps = built(net, monkeypatch)
    assert steps == ["convert", "store"]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    if damage != "no network":
        assert built(net, monkeypatch)[1] == []


def test_where_nothing_can_be_kept_networks_are_compiled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "file"))
    assert built(Many().requires_grad_(False), monkeypatch)[1] == ["convert", "store"]


def test_the_least_recently_used_compiled_networks_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino._model_cache, "MOST_BYTES", 3 * (32 + 100))
    store, load = openvino._model_cache.store, openvino._model_cache.load
    for number in range(3):
        store(str(number), bytes(100))
        os.utime(openvino._model_cache._path(str(number)), (number, number))
    assert load("0") == bytes(100)
    store("3", bytes(100))
    assert [load(str(number)) is not None for number in range(4)] == [True, False, True, True]
