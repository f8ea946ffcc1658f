from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import moving
import pytest
import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_small

import videostyle.flow
from videostyle.errors import SettingError, WeightsError
from videostyle.flow import choose_flow, load_flow
from videostyle.ops.warp import warp
from videostyle.plan import FlowOptions
from videostyle.plugins import available
from videostyle.types import TwoWayEstimator

# The largest mean end-point error in pixels, on textures that pan by a few pixels: what each has with some room.
# Measured when written: up to 0.07 for DIS and 0.19 for RAFT-small.
TOLERANCE = {"dis": 0.3, "raft": 0.3}

Load = Callable[[str], TwoWayEstimator]


@pytest.fixture(scope="session")
def load(request: pytest.FixtureRequest) -> Load:
    """An estimator by name; skips where its weights are not at hand."""
    loaded: dict[str, TwoWayEstimator] = {}

    def find(name: str) -> TwoWayEstimator:
        weights = None
        if name.startswith("raft"):
            folder: Path = request.getfixturevalue("data") / "raft"
            weights = folder / f"{name.replace('-', '_') if name != 'raft' else 'raft_small'}_torchvision.pt"
            if not weights.exists():
                pytest.skip(f"no weights for {name}")
        if name not in loaded:
            loaded[name] = load_flow(FlowOptions(name, weights, longest_side=192), "cpu")
        return loaded[name]

    return find


every = pytest.mark.parametrize("name", available(videostyle.flow))
moves = pytest.mark.parametrize("name", sorted(TOLERANCE))


def middle(field: Tensor, margin: int = 16) -> Tensor:
    return field[..., margin:-margin, margin:-margin]


@every
def test_shapes_types_and_ranges(name: str, load: Load) -> None:
    current, previous = torch.rand(2, 1, 3, 72, 130)
    flow = load(name)(current, previous)
    assert flow.vectors.shape == (1, 2, 72, 130)
    assert flow.confidence.shape == (1, 1, 72, 130)
    assert flow.vectors.dtype == flow.confidence.dtype == torch.float32
    assert flow.vectors.isfinite().all()
    assert 0 <= flow.confidence.min() <= flow.confidence.max() <= 1


@every
def test_a_still_picture_does_not_move(name: str, load: Load) -> None:
    picture = moving.pan(1, (0, 0))[0]
    flow = load(name)(picture, picture)
    assert flow.vectors.abs().mean() < 0.1
    if name != "none":
        assert flow.confidence.mean() > 0.95


def test_the_motion_of_a_large_film_is_found_on_smaller_pictures() -> None:
    previous, current = moving.pan(2, (14.0, -6.0), size=(1080, 1920), finest=6.0)
    flow = load_flow(FlowOptions("dis"), "cpu")(current, previous)
    assert flow.vectors.shape == (1, 2, 1080, 1920)
    error = (flow.vectors - torch.tensor((14.0, -6.0)).view(1, 2, 1, 1)).square().sum(1).sqrt()
    assert middle(error).mean() < 0.5


@moves
@pytest.mark.parametrize("step", [(3.0, 0.0), (0.0, -2.0), (4.5, 2.5), (-1.25, 3.75)])
def test_a_pan_is_found_from_current_to_previous(name: str, step: tuple[float, float], load: Load) -> None:
    previous, current = moving.pan(2, step)
    flow = load(name)(current, previous)
    error = (flow.vectors - torch.tensor(step).view(1, 2, 1, 1)).square().sum(1).sqrt()
    assert middle(error).mean() < TOLERANCE[name]
    assert middle(flow.confidence).mean() > 0.9
    assert middle((warp(previous, flow.vectors) - current).abs()).mean() < 0.03


@moves
def test_both_ways_at_once_are_the_two_ways(name: str, load: Load) -> None:
    previous, current = moving.pan(2, (4.5, 2.5))
    back, ahead = load(name).both(current, previous)
    assert torch.equal(back.vectors, load(name)(current, previous.clone()).vectors)
    for flow, step in ((back, (4.5, 2.5)), (ahead, (-4.5, -2.5))):
        error = (flow.vectors - torch.tensor(step).view(1, 2, 1, 1)).square().sum(1).sqrt()
        assert middle(error).mean() < TOLERANCE[name]
        assert middle(flow.confidence).mean() > 0.9
    # What goes out of the picture to the right in one is on the left in the other.
    assert back.confidence[..., -2:].mean() < 0.5 < back.confidence[..., :2].mean()
    assert ahead.confidence[..., :2].mean() < 0.5 < ahead.confidence[..., -2:].mean()


@moves
def test_what_leaves_the_picture_is_not_believed(name: str, load: Load) -> None:
    previous, current = moving.pan(2, (8.0, 0.0))  # the right edge of the current frame is new
    flow = load(name)(current, previous)
    assert flow.confidence[..., -4:].mean() < 0.2
    assert middle(flow.confidence).mean() > 0.9


@moves
def test_unlike_pictures_are_hardly_believed(name: str, load: Load) -> None:
    one, other = moving.pan(1, (0, 0), seed=1)[0], moving.pan(1, (0, 0), seed=2)[0]
    assert load(name)(one, other).confidence.mean() < 0.6


@moves
def test_calls_do_not_depend_on_each_other(name: str, load: Load) -> None:
    first, second, third = moving.pan(3, (2.0, 1.0))
    estimate = load(name)
    before = estimate(second, first)
    estimate(third, first)
    after = estimate(second, first)
    assert torch.equal(before.vectors, after.vectors)
    assert torch.equal(before.confidence, after.confidence)


@every
def test_a_batch_is_its_pictures(name: str, load: Load) -> None:
    first, second, third = moving.pan(3, (2.0, 1.0))
    estimate = load(name)
    together = estimate(torch.cat((second, third)), torch.cat((first, second)))
    alone = estimate(third, second)
    assert torch.allclose(together.vectors[1:], alone.vectors, atol=1e-2)


@every
@pytest.mark.parametrize("size", [(1, 1), (16, 9), (9, 300), (300, 16), (33, 31)])
def test_any_size_will_do(name: str, size: tuple[int, int], load: Load) -> None:
    flow = load(name)(torch.rand(1, 3, *size), torch.rand(1, 3, *size))
    assert flow.vectors.shape == (1, 2, *size)
    assert flow.vectors.isfinite().all()
    assert flow.confidence.isfinite().all()


@every
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_pictures_are_no_trouble(name: str, value: float, load: Load) -> None:
    blank = torch.full((1, 3, 64, 96), value)
    flow = load(name)(blank, blank)
    assert flow.vectors.isfinite().all()
    assert (flow.vectors * flow.confidence).abs().mean() < 1


@every
def test_the_pictures_are_left_as_they_were(name: str, load: Load) -> None:
    current, previous = torch.rand(2, 1, 3, 64, 96)
    copies = current.clone(), previous.clone()
    load(name)(current, previous)
    assert torch.equal(current, copies[0])
    assert torch.equal(previous, copies[1])


def test_dis_goes_on_from_the_last_flow_in_a_quick_pan() -> None:
    film = moving.pan(5, (26.0, 0.0), size=(180, 320))
    pairs = list(zip(film[1:], film, strict=False))
    watching, afresh = load_flow(FlowOptions("dis"), "cpu"), load_flow(FlowOptions("dis"), "cpu")
    for current, previous in pairs:
        seen = watching(current, previous).confidence.mean()
        alone = afresh(current, previous.clone()).confidence.mean()
    assert seen > alone + 0.3
    assert seen > 0.7


def test_raft_remembers_what_it_encoded_and_agrees_with_torchvision(load: Load) -> None:
    film = moving.pan(3, (2.0, 1.0), size=(128, 192))
    watching = load("raft")
    watching(film[1], film[0])
    remembered = watching(film[2], film[1])
    afresh = watching(film[2], film[1].clone())
    assert torch.allclose(remembered.vectors, afresh.vectors, atol=1e-3)
    net = raft_small(weights=None)
    net.load_state_dict(watching._net.state_dict())  # type: ignore[attr-defined]
    with torch.inference_mode():
        expected = net.eval()(film[2] * 2 - 1, film[1] * 2 - 1)[-1]
    assert torch.allclose(remembered.vectors, expected, atol=1e-3)


def test_none_knows_nothing() -> None:
    flow = load_flow(FlowOptions("none"), "cpu")(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    assert not flow.confidence.any()


# Choosing and loading


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


@pytest.mark.usefixtures("no_cache")
def test_auto_is_dis_on_a_cpu_and_raft_on_a_gpu_that_has_weights() -> None:
    assert choose_flow(FlowOptions(), "cpu") == "dis"
    assert choose_flow(FlowOptions(weights=Path("raft.pt")), "cpu") == "dis"
    assert choose_flow(FlowOptions(), "cuda") == "dis"
    assert choose_flow(FlowOptions(weights=Path("raft.pt")), "cuda") == "raft"
    assert choose_flow(FlowOptions(allow_download=True), "cuda") == "raft"
    assert choose_flow(FlowOptions("none"), "cuda") == "none"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match="flow cannot be 'raftt'; did you mean raft"):
        load_flow(FlowOptions("raftt"), "cpu")


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("name", ["raft", "raft-large"])
def test_nothing_is_downloaded_unasked(name: str) -> None:
    with pytest.raises(WeightsError, match=r"allow the download of https://download\.pytorch\.org"):
        load_flow(FlowOptions(name), "cpu")


def test_missing_damaged_and_foreign_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    with pytest.raises(WeightsError, match=r"no weights of raft_small at .*weights\.pt"):
        load_flow(FlowOptions("raft", file), "cpu")
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="not a readable PyTorch state dict"):
        load_flow(FlowOptions("raft", file), "cpu")
    torch.save({"weight": torch.zeros(2)}, file)
    with pytest.raises(WeightsError, match="not a state dict of torchvision's raft_small"):
        load_flow(FlowOptions("raft", file), "cpu")
    state = raft_small(weights=None).state_dict()
    torch.save(state | {next(iter(state)): torch.zeros(2)}, file)
    with pytest.raises(WeightsError, match="another shape"):
        load_flow(FlowOptions("raft", file), "cpu")
