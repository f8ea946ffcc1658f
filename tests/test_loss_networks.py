from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videostyle import weights
from videostyle.errors import WeightsError
from videostyle.nets.packed import pack, unpack
from videostyle.nets.vgg import LossNetwork, build_loss_network, build_small
from videostyle.train.data import list_photographs, read_picture
from videostyle.train.distil import choose_steps, compare, compress, distil, round_compensated

MODELS = Path(__file__).parents[1] / "models"
SHIPPED = MODELS / "loss_networks" / "vgg19-small.safetensors"
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def full() -> LossNetwork:
    """Something with the layout of a VGG, of random numbers."""
    torch.manual_seed(0)
    return LossNetwork((1, 2), (8, 12), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures: blurred noise."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(12):
        picture = cv2.GaussianBlur(random.integers(0, 255, (64, 72, 3)).astype(np.uint8), (0, 0), 1 + number % 4)
        cv2.imwrite(str(folder / f"{number:02}.png"), cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX))
    return folder


def test_a_layer_may_be_named_twice(full: LossNetwork) -> None:
    found = full(torch.rand(1, 3, 16, 16), ("relu1_1", "relu2_1", "relu1_1"))
    assert list(found) == ["relu1_1", "relu2_1"]


@given(st.lists(st.integers(-32768, 32767)))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    tensor = torch.tensor(numbers, dtype=torch.float32)
    packed = pack(tensor)
    assert packed.dtype == torch.uint8
    assert torch.equal(unpack(packed, tensor.shape), tensor)


def test_packing_takes_little_more_than_the_entropy() -> None:
    numbers = (2 * torch.randn(100, 1000, generator=torch.Generator().manual_seed(0))).round()
    share = torch.unique(numbers, return_counts=True)[1] / numbers.numel()
    entropy = -(share * share.log2()).sum().item()
    assert entropy < 8 * len(pack(numbers)) / numbers.numel() < 1.04 * entropy


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bits"):
        pack(torch.tensor([40000.0]))
    with pytest.raises(ValueError, match="3 numbers packed, 4 needed"):
        unpack(pack(torch.zeros(3)), (2, 2))
    with pytest.raises(ValueError, match="damaged"):
        unpack(torch.zeros(9, dtype=torch.uint8), (3,))


def test_passing_errors_on_beats_rounding() -> None:
    torch.manual_seed(0)
    weight = torch.randn(16, 72)
    inputs = torch.randn(72, 20) @ torch.randn(20, 4000) + 0.3 * torch.randn(72, 4000)  # correlated, as features are
    covariance = inputs @ inputs.T / 4000
    numbers = round_compensated(weight, covariance, block=32)
    assert torch.equal(numbers, numbers.round())
    near, plain = (((n - weight) @ inputs).square().mean() for n in (numbers, weight.round()))
    assert near < 0.5 * plain


@pytest.mark.parametrize("bits", [2.0, 4.0])
def test_steps_take_the_bits_they_may(bits: float) -> None:
    weight = torch.randn(32, 300, generator=torch.Generator().manual_seed(0))
    numbers = (weight / choose_steps(weight, bits)).round()
    share = torch.unique(numbers, return_counts=True)[1] / numbers.numel()
    assert -(share * share.log2()).sum().item() == pytest.approx(bits, abs=0.05)


def test_a_network_is_distilled_and_loads(
    full: LossNetwork, photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "loss_network" / "vgg19-small.safetensors"
    caplog.set_level(logging.INFO, "videostyle")
    card = distil(full, photographs, output, bits=4, pictures=6, side=48, made_from="chance")
    assert len(caplog.messages) == 3
    assert card["errors"]["relu2_2"]["features"] < 0.01
    assert "chance" in output.with_suffix(".md").read_text(encoding="utf-8")
    picture = read_picture(photographs / "00.png")
    net = build_loss_network("vgg19-small", output)
    assert torch.allclose(net(picture, ["relu2_2"])["relu2_2"], full(picture, ["relu2_2"])["relu2_2"], atol=0.2)


def test_the_same_seed_gives_the_same_file(full: LossNetwork, photographs: Path, tmp_path: Path) -> None:
    files = [tmp_path / name / "small.safetensors" for name in ("one", "two")]
    for file in files:
        distil(full, photographs, file, pictures=4, side=32)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_more_bits_are_nearer(full: LossNetwork, photographs: Path) -> None:
    pictures = [read_picture(path)[:, :, :48, :48] for path in list_photographs(photographs)]
    seen, unseen = pictures[:8], torch.cat(pictures[8:])
    errors = []
    for bits in (2, 3, 5):
        tensors = compress(full, seen, bits, 512, torch.Generator().manual_seed(0))
        errors.append(compare(full, build_small(tensors), unseen)["relu2_2"]["features"])
    assert errors[0] > errors[1] > errors[2]


def test_the_manifest_lists_it_and_a_changed_file_is_refused(
    full: LossNetwork, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "loss_network" / "vgg19-small.safetensors"
    distil(full, photographs, output, pictures=4, side=32)
    weights.write_manifest(tmp_path)
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(tmp_path))
    assert weights.load_loss_network("vgg19-small").names == full.names
    data = bytearray(output.read_bytes())
    data[-1] ^= 1
    output.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="checksum"):
        weights.load_loss_network("vgg19-small")


def test_the_shipped_one_is_found_beside_a_gallery_without_one(toy_gallery: Path) -> None:
    assert weights.load_loss_network("vgg19-small").names[-1] == "relu5_1"


def test_the_shipped_one_is_small() -> None:
    assert SHIPPED.stat().st_size < 6e6
    assert SHIPPED.with_suffix(".md").is_file()


def test_it_needs_no_path_and_others_may(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.load_loss_network("vgg19-small", tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="give the path"):
        weights.load_loss_network("vgg19-caffe")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="not the weights of vgg19-small"):
        weights.load_loss_network("vgg19-small", tmp_path / "other.pt")


def test_its_features_are_those_of_vgg19(data: Path) -> None:
    path = next(path for path in list_photographs(data / "content") if path.name.startswith("kodak"))
    picture = read_picture(path)[:, :, :128, :192]
    found = weights.load_loss_network("vgg19-small")(picture, LAYERS)
    wanted = build_loss_network("vgg19-caffe", data / "vgg" / "vgg19_features_conv5_1_fp16.pt")(picture, LAYERS)
    for layer in LAYERS:
        both = torch.stack([found[layer].flatten(), wanted[layer].flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.99, layer
