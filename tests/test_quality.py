"""The benchmarks of quality and of sub-pixel steadiness: what they compute, on cases with a known answer."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.io.images import write_picture
from videostyle.nets.vgg import LossNetwork
from videostyle.optimize.objective import Terms
from videostyle.train.plan import TrainConfig, TrainingStyle

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from equivariance import equivariance, noise_gain, shift
from quality import Curves, Objective, best_so_far, curve_of, equal_step, mean, median_step, square, table


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    stripes = torch.zeros(3, 64, 64)
    stripes[0, :, ::8] = 1
    write_picture(tmp_path / "stripes.png", stripes)
    return TrainConfig(
        photographs=tmp_path,
        styles=(TrainingStyle("stripes", tmp_path / "stripes.png", "Stripes", "Nobody", "1900", size=64),),
        folder=tmp_path,
        style_layers=("relu1_1", "relu2_1"),
        style_weights=(1.0, 1.0),
        content_layers=("relu2_2",),
        content_weights=(0.3,),
    )


@pytest.fixture
def objective(config: TrainConfig) -> Objective:
    torch.manual_seed(0)
    judge = LossNetwork((1, 2), (8, 8)).requires_grad_(False)
    return Objective(config, judge, config.styles[0], photograph())


def photograph() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_descending_lowers_the_objective(objective: Objective) -> None:
    curve = best_so_far(curve_of(objective, photograph(), 20))
    assert len(curve) == 21
    assert curve[0].content == 0  # it starts from the photograph
    assert curve[20].total < 0.5 * curve[0].total


def test_no_step_is_worse_than_the_best_before_it() -> None:
    curve = [Terms(3, 0, 0, 0), Terms(1, 1, 0, 0), Terms(2, 2, 0, 0), Terms(0.5, 1, 0, 0)]
    assert [terms.total for terms in best_so_far(curve)] == [3, 2, 2, 1.5]


def test_the_equal_step_is_interpolated() -> None:
    falling = [4.0, 2.0, 1.0, 0.5]
    assert equal_step(falling, 3.0) == 0.5
    assert equal_step(falling, 1.0) == 2
    assert equal_step(falling, 5.0) == 0
    assert equal_step(falling, 0.4) is None


def test_never_reached_is_later_than_any_step() -> None:
    assert median_step([None, 3.0, 7.0]) == 7.0
    assert median_step([None, None, 7.0]) is None


def test_means_are_taken_term_by_term() -> None:
    assert mean([Terms(1, 2, 3, 0), Terms(3, 2, 1, 0)]) == Terms(2, 2, 2, 0)


def test_a_known_curve_is_not_computed_again(config: TrainConfig, tmp_path: Path) -> None:
    def curve(steps: int) -> list[Terms]:
        calls.append(steps)
        return [Terms(1.0, 2.0, 0.5, 0)] * (steps + 1)

    calls: list[int] = []
    painting, picture, cache = config.styles[0], tmp_path / "dog.jpg", tmp_path / "curves.json"
    assert Curves(cache, config, "noise", 64, steps=50)(painting, picture, curve) == [Terms(1.0, 2.0, 0.5, 0)] * 51
    assert len(Curves(cache, config, "noise", 64, steps=20)(painting, picture, curve)) == 21
    assert calls == [50]
    Curves(cache, config, "noise", 64, steps=100)(painting, picture, curve)  # longer than what is known
    Curves(cache, config, "noise", 32, steps=50)(painting, picture, curve)  # another size
    Curves(cache, config, "photograph", 64, steps=50)(painting, picture, curve)  # another start
    assert calls == [50, 100, 50, 50]


def test_squares_are_cut_from_the_middle(tmp_path: Path) -> None:
    wide = torch.zeros(3, 20, 60)
    wide[:, :, 20:40] = 1
    write_picture(tmp_path / "wide.png", wide)
    assert torch.equal(square(tmp_path / "wide.png", 20), torch.ones(1, 3, 20, 20))


def test_the_table_shows_what_there_is() -> None:
    terms = {"objective": 1.0, "style": 0.6, "content": 0.3}
    rows = [
        {"style": "dots", "optimised": {"0": terms, "50": terms}, "networks": {"fast": {**terms, "equal_step": None}}},
        {"style": "waves", "optimised": {"0": terms, "50": terms}, "networks": {}},
    ]
    head, _, dots, waves, median = table(rows, {"fast": None}).splitlines()
    assert head == "| style | start | L-BFGS 50 | `fast` | equals step |"
    assert dots.endswith("| 1.00 (0.60, 0.30) | over 50 |")
    assert waves.endswith("| 1.00 (0.60, 0.30) |  |  |")
    assert median.startswith("| median |")


def wave(across: float = 0.0, down: float = 0.0, side: int = 96) -> Tensor:
    """Waves of 9 and 7 pixels, moved."""
    at = torch.arange(side, dtype=torch.float64)
    return (torch.sin((at - across) / 9 * 2 * math.pi) + torch.cos((at[:, None] - down) / 7 * 2 * math.pi))[None, None]


def test_a_band_limited_picture_moves_exactly() -> None:
    moved = shift(wave(), 0.25, -1.5)
    inside = (moved - wave(0.25, -1.5))[:, :, 32:-32, 32:-32]
    # Not quite nothing: what is mirrored at the border has a kink there.
    assert inside.abs().max() < 0.01


def test_whole_pixels_move_exactly() -> None:
    picture = torch.rand(1, 3, 24, 30)
    torch.testing.assert_close(shift(picture, 2, 3)[:, :, 3:, 2:], picture[:, :, :-3, :-2], atol=1e-5, rtol=0)


def test_the_identity_moves_with_the_picture() -> None:
    assert equivariance(lambda picture: picture, [wave()], 0.5) == math.inf
    assert equivariance(lambda picture: 0.5 * picture, [torch.rand(1, 3, 96, 96)], 0.25) > 120


def test_squares_of_pixels_do_not_move_with_the_picture() -> None:
    def squares(picture: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(picture, 4), scale_factor=4)

    picture = wave()
    assert equivariance(squares, [picture], 1) < 30
    assert equivariance(squares, [picture], 4) > equivariance(squares, [picture], 1) + 20


def test_the_noise_gain_is_that_of_a_linear_painter() -> None:
    pictures = [torch.rand(1, 3, 96, 96)]
    assert noise_gain(lambda picture: picture, pictures) == pytest.approx(1, abs=0.02)
    assert noise_gain(lambda picture: 3 * picture, pictures) == pytest.approx(3, abs=0.06)
    assert noise_gain(torch.ones_like, pictures) == 0
