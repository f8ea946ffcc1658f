"""CUDA graphs of the engine `torch`: bounded, for several threads, by a recorder that runs on the processor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from videostyle.engines import load_engine
from videostyle.engines import torch as engine
from videostyle.nets.style_network import BINOMIAL, binomial
from videostyle.style import Style
from videostyle.weights import load_style


class Recorder:
    """A recorder whose replay writes new results to the place of the recorded ones, as a graph's does."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(
        self, run: Callable[[], tuple[Tensor, ...]], device: str
    ) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        self.recorded += 1
        outputs = run()

        def replay() -> None:
            for place, result in zip(outputs, run(), strict=True):
                place.copy_(result)

        return outputs, replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(engine, "record", recorder)
    return recorder


def doubled(content: Tensor, code: Tensor) -> tuple[Tensor, ...]:
    return 2 * content + code, content.mean((2, 3))


def given(number: int, side: int = 4) -> tuple[Tensor, Tensor]:
    return torch.full((1, 3, side, side), float(number)), torch.full((1, 1, 1, 1), 0.5)


def test_a_size_is_recorded_the_second_time_and_then_replayed(recorder: Recorder) -> None:
    run = engine.GraphedEngine(doubled, "cpu")
    for number, recorded in enumerate([0, 1, 1, 1]):
        outputs = run(*given(number))
        assert recorder.recorded == recorded
        for found, expected in zip(outputs, doubled(*given(number)), strict=True):
            assert torch.equal(found, expected)


def test_an_output_is_not_overwritten_by_the_next(recorder: Recorder) -> None:
    run = engine.GraphedEngine(doubled, "cpu")
    outputs = [run(*given(number))[0] for number in range(5)]
    assert [float(each.mean()) for each in outputs] == [0.5, 2.5, 4.5, 6.5, 8.5]


def test_what_was_given_is_left_as_it_is(recorder: Recorder) -> None:
    run = engine.GraphedEngine(doubled, "cpu")
    first = given(1)
    for number in (0, 1, 2):
        run(*(first if number == 1 else given(number)))
    assert torch.equal(first[0], given(1)[0])


def test_the_least_recently_used_size_goes(recorder: Recorder) -> None:
    run = engine.GraphedEngine(doubled, "cpu")
    for side in (1, 2, 3, 4, 1, 5):
        run(*given(0, side))
        run(*given(0, side))
    assert [shapes[0][-1] for shapes in run._graphs] == [3, 4, 1, 5]
    assert recorder.recorded == 5


def test_threads_take_turns(recorder: Recorder) -> None:
    run = engine.GraphedEngine(doubled, "cpu")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: float(run(*given(number))[0].mean()), range(40)))
    assert found == [2 * number + 0.5 for number in range(40)]


def test_the_blur_is_the_binomial_one() -> None:
    point = torch.zeros(1, 1, 5, 5)
    point[..., 2, 2] = 1
    taps = torch.tensor(BINOMIAL)
    assert torch.equal(binomial(point)[0, 0, 1:4, 1:4], taps[:, None] * taps)


def test_a_graph_computes_what_the_network_computes(cuda: str) -> None:
    network, code = load_style(Style("great-wave"))
    run = load_engine("torch", network, cuda)
    pictures = [torch.rand(1, 3, 64, 96, device=cuda) for _ in range(4)]
    carried = [torch.rand(1, 8, 64, 96, device=cuda)]
    found = [run(picture, code, *carried)[0] for picture in pictures]
    for picture, one in zip(pictures, found, strict=True):
        expected = network.net.to(cuda)(picture, code.to(cuda), None, *carried)
        assert (one - expected).abs().mean() < 0.006
