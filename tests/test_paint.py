"""Painting by optimisation: the gradient is right, tiles leave no seams, and a user loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from videostyle.cli import main
from videostyle.errors import UsageError
from videostyle.io import open_source
from videostyle.metrics.temporal import laplacian_energy
from videostyle.nets.vgg import LossNetwork
from videostyle.ops.color import match_colors
from videostyle.ops.losses import total_variation
from videostyle.ops.pixels import resize, to_float
from videostyle.optimize import objective, stills
from videostyle.optimize.objective import HALO, Anchor, Objective, Target, Terms, style_image_grams
from videostyle.optimize.optimizers import Conditioned, descend
from videostyle.optimize.plan import GatysOptions, PaintPlan, StyleImage
from videostyle.optimize.stills import Gatys
from videostyle.progress import Progress
from videostyle.timeline import Span

STYLE = (("relu1_1", 1.0), ("relu2_1", 0.5), ("relu3_1", 1.0), ("relu4_1", 2.0), ("relu5_1", 1.0))
OPTIONS = GatysOptions(style_layers=STYLE, content_layers=(("relu4_2", 0.4), ("relu3_1", 0.2)), strength=0.7)


@pytest.fixture(scope="module")
def judge() -> LossNetwork:
    """A narrow VGG-19 of random numbers, in float64."""
    torch.manual_seed(0)
    net = LossNetwork((2, 2, 4, 4, 1), (4, 5, 6, 7, 8), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    with torch.no_grad():
        for convolution in net.convolutions:
            convolution.weight.mul_(2)  # type: ignore[operator, union-attr]
    return net.double().eval().requires_grad_(False)


def noise(height: int, width: int, seed: int) -> Tensor:
    """(1, 3, H, W), away from 0 and 1 where clamping has a kink."""
    generator = torch.Generator().manual_seed(seed)
    return 0.05 + 0.9 * torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def setting(judge: LossNetwork, height: int, width: int, tile: int | None = None) -> Objective:
    """Two paintings, one of them on the left, and an anchor."""
    left = torch.zeros(1, 1, height, width, dtype=torch.float64)
    left[..., : width // 2] = 1
    layers = [layer for layer, _ in STYLE]
    targets = [
        Target(0.75, style_image_grams(judge, noise(64, 80, 1), layers), left),
        Target(0.5, style_image_grams(judge, noise(70, 64, 2) ** 2, layers)),
    ]
    anchors = [Anchor(noise(height, width, 3), left, 1.5)]
    return Objective(judge, OPTIONS, noise(height, width, 4), targets, anchors, tile)


def plain_loss(judge: LossNetwork, picture: Tensor, objective: Objective) -> Tensor:
    """The objective once more, in one piece and as the papers write it down."""

    def features(x: Tensor) -> dict[str, Tensor]:
        found, x = {}, (x - 0.5) / 0.25
        for name, layer in zip(judge.names, judge.convolutions, strict=True):
            if name in ("relu2_1", "relu3_1", "relu4_1", "relu5_1"):
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, layer.weight, layer.bias, padding=1).clamp(min=0)  # type: ignore[arg-type]
            found[name] = x
        return found

    painted, content = features(picture), features(objective.photograph)
    loss = OPTIONS.total_variation * total_variation(picture).sum()
    for target in objective.targets:
        for name, weight in STYLE:
            f = painted[name][0]
            mask = torch.ones(f.shape[1:], dtype=f.dtype)
            if target.mask is not None:
                mask = F.adaptive_avg_pool2d(target.mask, f.shape[1:])[0, 0]
            gram = torch.einsum("ahw,bhw,hw->ab", f, f, mask) / mask.sum()
            wanted = target.grams[name][0]
            loss = loss + 0.7 * target.weight * weight * ((gram - wanted) ** 2).sum() / (wanted**2).sum()
    for name, weight in OPTIONS.content_layers:
        difference = ((painted[name] - content[name]) ** 2).sum() / (content[name] ** 2).sum()
        loss = loss + 1.3 * weight * difference
    loss = loss + 2 * 0.3**2 * (picture - objective.photograph).abs().mean()
    for anchor in objective.anchors:
        loss = loss + anchor.weight * ((picture - anchor.picture) ** 2 * anchor.confidence).mean()
    return loss


def test_the_loss_is_that_of_the_papers(judge: LossNetwork) -> None:
    objective, picture = setting(judge, 64, 96), noise(64, 96, 5)
    terms, _ = objective(picture)
    assert terms.total == pytest.approx(float(plain_loss(judge, picture, objective)), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences(judge: LossNetwork) -> None:
    objective, picture = setting(judge, 48, 64), noise(48, 64, 5)
    _, gradient = objective(picture)
    for seed in range(5):
        direction = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        step = 1e-6 * direction
        slope = (objective(picture + step)[0].total - objective(picture - step)[0].total) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_what_leaves_the_range_is_judged_clamped(judge: LossNetwork) -> None:
    objective, picture = setting(judge, 48, 64), 3 * noise(48, 64, 5) - 1
    terms, gradient = objective(picture)
    assert terms == objective(picture.clamp(0, 1))[0]
    assert not gradient[(picture > 1) | (picture < 0)].any()


@pytest.mark.parametrize(("height", "width", "tile"), [(245, 203, 64), (160, 331, 96)])
def test_tiles_have_the_gradient_of_the_whole_picture(judge: LossNetwork, height: int, width: int, tile: int) -> None:
    picture = noise(height, width, 5)
    whole, tiled = setting(judge, height, width), setting(judge, height, width, tile)
    assert len(tiled.tiles) > 1
    terms, gradient = whole(picture)
    tiled_terms, tiled_gradient = tiled(picture)
    assert tiled_terms.total == pytest.approx(terms.total, rel=1e-9)
    assert (tiled_gradient - gradient).abs().max() < 1e-9 * gradient.abs().max()


def test_a_narrower_halo_would_show(judge: LossNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HALO == 96
    monkeypatch.setattr(objective, "HALO", 32)
    picture = noise(245, 203, 5)
    _, gradient = setting(judge, 245, 203)(picture)
    _, tiled = setting(judge, 245, 203, 64)(picture)
    assert (tiled - gradient).abs().max() > 1e-6 * gradient.abs().max()


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_both_ways_lead_downhill(judge: LossNetwork, method: str) -> None:
    objective, picture = setting(judge, 48, 64), noise(48, 64, 5)
    options = GatysOptions(method=method, lr=0.01, warmup=3)  # type: ignore[arg-type]
    totals = [step.terms.total for step, _ in zip(descend(objective, picture, options), range(25), strict=False)]
    assert min(totals[-5:]) < 0.7 * totals[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_matched_colours_have_the_mean_and_covariance(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mix = 0.05 * torch.eye(3) + 0.01 * torch.randn(3, 3, generator=generator, dtype=torch.float64)
    # Narrow enough that nothing is clamped.
    picture, to = (
        0.5 + torch.einsum("ij,njhw->nihw", turned, torch.randn(1, 3, 20, 20, generator=generator, dtype=torch.float64))
        for turned in (mix, mix.T)
    )
    matched = match_colors(picture, to)
    if matched.min() > 0 and matched.max() < 1:
        assert torch.allclose(matched.mean((2, 3)), to.mean((2, 3)), atol=1e-6)
        floor = 1 / 255**2
        difference = torch.cov(matched[0].flatten(1)) - torch.cov(to[0].flatten(1))
        assert difference.abs().max() < 4 * floor


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A photograph of blobs; paintings of stripes, red and blue, and one that is too small."""
    random = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(random.integers(0, 255, (72, 96, 3)).astype(np.uint8), (0, 0), 6)
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.normalize(blobs, None, 40, 215, cv2.NORM_MINMAX))
    wave = (127 + 100 * np.sin(np.arange(96) / 2)).astype(np.uint8)
    stripes = np.zeros((80, 96, 3), np.uint8)
    stripes[..., 2] = wave
    cv2.imwrite(str(tmp_path / "red.png"), stripes)
    cv2.imwrite(str(tmp_path / "blue.png"), stripes[..., ::-1])
    cv2.imwrite(str(tmp_path / "small.png"), stripes[:40])
    mask = np.zeros((72, 96), np.uint8)
    mask[:, 48:] = 255
    cv2.imwrite(str(tmp_path / "right.png"), mask)
    return tmp_path


def read(path: Path) -> Tensor:
    return torch.from_numpy(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)).permute(2, 0, 1).float() / 255


def command(folder: Path, *options: str) -> list[str]:
    """With little content, so that few steps show."""
    weak = ["--content-layers", "relu4_2:0.3", "-q"]
    return ["paint", str(folder / "photo.png"), *options, "-o", str(folder / "out.png"), *weak]


def test_a_picture_takes_on_the_painting(pictures: Path) -> None:
    every = ["--steps", "30", "--save-every", "10", "--curve", str(pictures / "curve.png")]
    assert main(command(pictures, str(pictures / "red.png"), *every)) == 0
    photo, painted = read(pictures / "photo.png"), read(pictures / "out.png")
    assert painted.shape == photo.shape
    assert painted[0].mean() - painted[2].mean() > 0.1 + (photo[0].mean() - photo[2].mean()).abs()
    assert {path.name for path in pictures.glob("out-*.png")} == {"out-0010.png", "out-0020.png", "out-0030.png"}
    assert cv2.imread(str(pictures / "curve.png")) is not None


@pytest.mark.slow
def test_paintings_keep_to_their_regions(pictures: Path) -> None:
    blue = f"{pictures / 'blue.png'}={pictures / 'right.png'}"
    assert main(command(pictures, str(pictures / "red.png"), "--region", blue, "--steps", "40")) == 0
    painted = read(pictures / "out.png")
    left, right = painted[:, :, :40], painted[:, :, 56:]
    assert left[0].mean() > 1.5 * left[2].mean()
    assert right[2].mean() > 1.5 * right[0].mean()


@pytest.mark.slow
def test_a_part_of_a_painting_is_all_that_is_seen(pictures: Path) -> None:
    both = np.hstack([cv2.imread(str(pictures / "red.png")), cv2.imread(str(pictures / "blue.png"))])
    cv2.imwrite(str(pictures / "both.png"), both)
    half = np.zeros(both.shape[:2], np.uint8)
    half[:, 96:] = 255
    cv2.imwrite(str(pictures / "half.png"), half)
    part = f"{pictures / 'both.png'}={pictures / 'half.png'}"
    assert main(command(pictures, str(pictures / "both.png"), "--part", part, "--steps", "30")) == 0
    painted = read(pictures / "out.png")
    assert painted[2].mean() > 1.5 * painted[0].mean()


def gatys(pictures: Path, **changes: object) -> Gatys:
    options = GatysOptions(**{"steps": 20, "half": False, **changes})  # type: ignore[arg-type]
    return Gatys([StyleImage(pictures / "red.png")], options)


def test_strength_is_a_way_from_the_photograph_to_the_painting(pictures: Path) -> None:
    photo = read(pictures / "photo.png")[None]
    distances = [
        float((gatys(pictures, strength=strength)(photo).picture - photo).abs().mean()) for strength in (0.0, 0.3, 1.0)
    ]
    assert distances[0] == 0
    assert distances[0] < distances[1] < 0.6 * distances[2]


def test_hues_stay_where_luminance_is_painted(pictures: Path) -> None:
    photo = read(pictures / "photo.png")[None]
    plain, kept = (gatys(pictures, keep_colors=how)(photo).picture for how in ("no", "luminance"))

    def chroma(picture: Tensor) -> Tensor:
        return picture - picture.mean(1, keepdim=True)

    assert (chroma(kept) - chroma(photo)).abs().mean() < 0.3 * (chroma(plain) - chroma(photo)).abs().mean()


def test_of_many_frames_whose_colours_are_matched_few_gram_matrices_are_kept(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostyle.optimize.stills._GRAMS", 3)
    painter = gatys(pictures, keep_colors="match", steps=1, smallest=64)
    for seed in range(6):
        painter(noise(64, 64, seed))
    assert len(painter._grams) == 3


def test_tiles_leave_no_seam(pictures: Path) -> None:
    photo = F.interpolate(read(pictures / "photo.png")[None], (96, 176), mode="bicubic").clamp(0, 1)
    whole = gatys(pictures, steps=5, smallest=176)(photo).picture
    tiled = gatys(pictures, steps=5, smallest=176, tile=64)(photo).picture
    # Summed in another order, a few steps of L-BFGS part by less than can be seen.
    assert (whole - tiled).abs().mean() < 1 / 255


@pytest.mark.slow
def test_where_memory_runs_out_it_goes_on_in_tiles(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(Objective):
        def __call__(self, picture: Tensor) -> tuple[Terms, Tensor]:
            if len(self.tiles) == 1 and picture.shape[3] > 150:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(picture)

    monkeypatch.setattr(stills, "Objective", Small)
    photo = torch.rand(1, 3, 170, 300, generator=torch.Generator().manual_seed(0))
    painter = gatys(pictures, steps=4)
    assert painter(photo).picture.shape == photo.shape
    assert painter.warnings == ["memory ran out at 300x170: painting in tiles of 144 pixels"]


def test_what_does_not_get_better_is_left(pictures: Path) -> None:
    painted = gatys(pictures, steps=200, tolerance=0.5)(read(pictures / "photo.png")[None])
    assert 20 < len(painted.curve) < 100


@given(height=st.integers(32, 70), width=st.integers(32, 70), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_gradients_in_other_coordinates_say_what_a_step_does(height: int, width: int, seed: int) -> None:
    """A step's gain is its gradient times the step, whichever coordinates both are in: one is the other's transpose."""
    generator = torch.Generator().manual_seed(seed)
    origin, gradient, step = torch.randn(3, 1, 3, height, width, generator=generator, dtype=torch.float64)
    space = Conditioned(origin, gradient)
    assert torch.equal(space.picture(torch.zeros_like(step)), origin)
    moved = space.picture(step) - origin
    assert (moved * gradient).sum().item() == pytest.approx((step * space.gradient(gradient)).sum().item(), rel=1e-9)


def test_a_flat_picture_without_gradient_has_coordinates() -> None:
    origin = torch.full((1, 3, 40, 40), 0.5)
    space = Conditioned(origin, torch.zeros_like(origin))
    assert space.picture(torch.ones_like(origin)).isfinite().all()


@pytest.mark.slow
def test_it_takes_fewer_steps_than_plain_lbfgs() -> None:
    """On what people paint: test pictures of one colour have another valley."""
    root = Path(__file__).parents[1]
    with open_source(str(root / "samples" / "harbour.mp4")) as film:
        photo = resize(to_float(next(film.frames(Span()))), (108, 192))

    def objective(**changes: Any) -> float:
        painter = Gatys(
            [StyleImage(root / "models" / "fast" / "starry-night.jpg")],
            GatysOptions(half=False, tolerance=0, **changes),
        )
        return min(terms.total for _, terms in painter(photo).curve)

    assert objective(steps=18) < objective(steps=24, precondition=False)


def test_coarse_scales_leave_what_is_fine(pictures: Path) -> None:
    photo = torch.rand(1, 3, 200, 301, generator=torch.Generator().manual_seed(0))
    painted = gatys(pictures, steps=1, smallest=64)(photo)
    assert laplacian_energy(painted.picture) == pytest.approx(laplacian_energy(photo), rel=0.1)


@pytest.mark.slow
def test_coarse_to_fine_ends_at_the_size_asked_for(pictures: Path) -> None:
    photo = torch.rand(1, 3, 200, 301, generator=torch.Generator().manual_seed(0))
    seen: list[Progress] = []
    painted = gatys(pictures, steps=9, smallest=64)(photo, on_progress=seen.append)
    assert painted.scales == [(75, 50), (150, 100), (301, 200)]
    assert painted.picture.shape == photo.shape
    assert [one.latest.number for one in seen] == list(range(1, 5 + 5 + 9 + 1))
    assert [one.share for one in seen] == sorted(one.share for one in seen)
    assert seen[-1].share == pytest.approx(1)


def test_interrupted_it_keeps_the_best_so_far(pictures: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.latest.number == 5:
            raise KeyboardInterrupt

    plan = PaintPlan(
        str(pictures / "photo.png"),
        str(pictures / "out.png"),
        (StyleImage(pictures / "red.png"),),
        options=GatysOptions(steps=20),
    )
    with pytest.raises(KeyboardInterrupt) as caught:
        stills.paint_picture(plan, stop)
    assert read(pictures / "out.png").shape == (3, 72, 96)
    assert "the best so far, of 5 steps" in caught.value.__notes__[0]


def test_begun_from_noise_or_another_picture(pictures: Path) -> None:
    for start in ("noise", str(pictures / "blue.png")):
        assert main(command(pictures, str(pictures / "red.png"), "--steps", "10", "--start", start, "--overwrite")) == 0
        assert read(pictures / "out.png").shape == (3, 72, 96)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["missing.png"], "no such file"),
        (["photo.png"], "both the picture and the painting"),
        (["small.png"], "show no brush strokes; choose an image of 64x64 at least"),
        (["red.png", "--steps", "0"], "steps must be at least 1"),
        (["red.png", "--tile", "100"], "multiple of 16"),
        (["red.png", "--part", "blue.png=right.png"], "is not one of the paintings"),
        (["red.png", "--region", "right.png"], "PAINTING=MASK"),
        (["red.png", "--loss-network", "vgg11"], "no loss network named 'vgg11'"),
        (["red.png", "--start", "nowhere.png"], "no such file"),
        (["red.png", "--style-layers", "conv9"], "not a layer"),
        (["red.png", "--size", "20"], "at least 32"),
        (["red.png:0"], "weight must be above 0"),
        (["red.png", "-o", "out.mp4"], "not the name of a picture"),
        (["red.png", "-o", "nowhere/out.png"], "there is no folder"),
    ],
)
def test_a_request_that_cannot_be_says_so_in_one_line(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    monkeypatch.chdir(pictures)
    try:
        status = main(["paint", "photo.png", "-o", "out.png", "-q", *options])
    except SystemExit as error:  # a value that argparse refuses
        status = int(str(error.code))
    told = capsys.readouterr().err
    assert status != 0
    assert words in told
    assert len(told.splitlines()) == 1
    assert not (pictures / "out.png").exists()


def test_without_a_painting_for_the_rest_nothing_is_painted() -> None:
    with pytest.raises(UsageError, match="one for the rest"):
        PaintPlan("photo.png", "out.png", (StyleImage(Path("red.png"), region="right.png"),))


def test_the_report_can_be_written_down(pictures: Path) -> None:
    plan = PaintPlan(
        str(pictures / "photo.png"),
        str(pictures / "out.png"),
        (StyleImage(pictures / "red.png"), StyleImage(pictures / "blue.png", 0.5)),
        options=GatysOptions(steps=3),
    )
    report = stills.paint_picture(plan)
    assert (report.size, report.steps) == ((96, 72), 3)
    assert json.loads(json.dumps(report.terms._asdict()))["style"] > 0
