from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videostyle.errors import UnknownNameError
from videostyle.nets.style_network import (
    ARCHITECTURES,
    RECURRENT_CHANNELS,
    Architecture,
    StyleNetwork,
    architecture,
    binomial,
    macs_per_pixel,
)
from videostyle.nets.vgg import build_loss_network


@pytest.fixture(params=sorted(ARCHITECTURES))
def net(request: pytest.FixtureRequest) -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(ARCHITECTURES[request.param]).eval()


def code_of(net: StyleNetwork, amount: float) -> torch.Tensor:
    code = torch.randn(1, net.code_size)
    code[:, -1] = amount
    return code


@torch.no_grad()
def test_paints_the_size_it_is_given(net: StyleNetwork) -> None:
    picture = torch.rand(2, 3, 16, 24)
    painted = net(picture, code_of(net, 1).expand(2, -1))
    assert painted.shape == picture.shape
    assert 0 <= painted.min() <= painted.max() <= 1


@torch.no_grad()
def test_no_amount_of_painting_gives_the_picture_back_bit_for_bit(net: StyleNetwork) -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(net(picture, code_of(net, 0)), picture)


@torch.no_grad()
def test_each_picture_of_a_batch_is_painted_by_its_own_code(net: StyleNetwork) -> None:
    picture = torch.rand(1, 3, 16, 16)
    one, two = code_of(net, 1), code_of(net, 1)
    together = net(torch.cat([picture, picture]), torch.cat([one, two]))
    assert torch.allclose(together[:1], net(picture, one), atol=1e-5)
    assert torch.allclose(together[1:], net(picture, two), atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


@torch.no_grad()
def test_folding_changes_nothing_up_to_the_border(net: StyleNetwork) -> None:
    net, picture = net.double(), torch.rand(1, 3, 24, 32, dtype=torch.float64)
    code = code_of(net, 1).double()
    assert torch.allclose(net.folded()(picture, code), net(picture, code), atol=1e-9)


@torch.no_grad()
def test_a_flat_picture_is_painted_flat_with_no_grid(net: StyleNetwork) -> None:
    painted = net(torch.full((1, 3, 64, 64), 0.5), code_of(net, 1))
    assert (painted.amax((2, 3)) - painted.amin((2, 3))).max() < 1 / 255


def test_the_fast_network_costs_what_a_laptop_can_pay() -> None:
    assert 10_000 < macs_per_pixel(ARCHITECTURES["fast"]) < 40_000
    assert macs_per_pixel(ARCHITECTURES["fine"]) < 150_000
    # Johnson's own, counted from the published code, is 153.8 thousand.
    johnson = Architecture(unshuffle=1, widths=(32, 64, 128), blocks=5, kernel=9, head=32)
    assert macs_per_pixel(johnson) == pytest.approx(153_800, rel=0.01)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_cost_is_what_the_convolutions_do(recurrent: bool) -> None:
    small = Architecture(unshuffle=2, widths=(8, 12), blocks=2, kernel=3, head=4, recurrent=recurrent)
    net = StyleNetwork(small)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(1, 3, 64, 96), code_of(net, 1), None, torch.rand(1, RECURRENT_CHANNELS, 64, 96))
    # A multiplication and an addition each; the means that go around the up-convolutions are one position each.
    assert counter.get_total_flops() / 2 / (64 * 96) == pytest.approx(macs_per_pixel(small), rel=1e-3)


def test_unknown_networks_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean fast"):
        architecture("fats")


@pytest.mark.parametrize(
    ("name", "file"),
    [("vgg19-caffe", "vgg19_features_conv5_1_fp16.pt"), ("vgg19-distilled", "vgg19_distilled16x_enc_relu5_1_fp32.pt")],
)
def test_perceptual_features_have_the_layers_of_vgg(data, name: str, file: str) -> None:  # type: ignore[no-untyped-def]
    loss_network = build_loss_network(name, data / "vgg" / file)
    features = loss_network(torch.rand(1, 3, 64, 64), ("relu1_1", "relu3_1", "relu5_1"))
    assert {k: tuple(v.shape) for k, v in features.items()} == {
        "relu1_1": (1, 64, 64, 64),
        "relu3_1": (1, 256, 16, 16),
        "relu5_1": (1, 512, 4, 4),
    }
    assert all(0.05 < (v == 0).float().mean() < 0.98 for v in features.values())


def test_oxfords_weights_take_colours_in_their_order(data) -> None:  # type: ignore[no-untyped-def]
    """The mean of the training pictures is what the first layer should see as zero."""
    loss_network = build_loss_network("vgg19-caffe", data / "vgg" / "vgg19_features_conv5_1_fp16.pt")
    grey = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1).expand(1, 3, 32, 32) / 255
    bias = loss_network.convolutions[0].bias
    features = loss_network(grey, ("relu1_1",))["relu1_1"][0, :, 16, 16]
    assert torch.allclose(features, bias.relu(), atol=1e-3)


def test_distilled_weights_imitate_the_full_ones(data) -> None:  # type: ignore[no-untyped-def]
    import cv2

    picture = cv2.imread(str(data / "content" / "bsds_100007.jpg"))[..., ::-1].copy()
    picture = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    full = build_loss_network("vgg19-caffe", data / "vgg" / "vgg19_features_conv5_1_fp16.pt")(picture, ("relu2_1",))
    small = build_loss_network("vgg19-distilled", data / "vgg" / "vgg19_distilled16x_enc_relu5_1_fp32.pt")(
        picture, ("relu2_1",)
    )
    # Up to a scale for each channel, which the distilled network's normalisation leaves open.
    one, two = (f["relu2_1"][0].flatten(1) for f in (full, small))
    correlation = torch.stack([torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(one, two, strict=True)])
    assert correlation.nanmedian() > 0.8


def test_blurred_halvings_forget_what_repeats_every_two_pixels() -> None:
    checks = (torch.arange(16).view(-1, 1) + torch.arange(16)).remainder(2).float().expand(1, 3, 16, 16)
    assert torch.allclose(binomial(checks), torch.full_like(checks, 0.5))
    plain = Architecture(unshuffle=1, widths=(8, 12), blocks=1, kernel=3, head=8)
    sharp, blurred = StyleNetwork(plain), StyleNetwork(replace(plain, blur=True))
    blurred.load_state_dict(sharp.state_dict())  # the same weights, another way to read them
    code = code_of(sharp, 1)
    picture = torch.rand(1, 3, 32, 32)
    assert not torch.equal(sharp(picture, code), blurred(picture, code))
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert torch.allclose(sharp(flat, code), blurred(flat, code), atol=1e-3)
