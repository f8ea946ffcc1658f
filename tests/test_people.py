"""Masks of people: the segmenters, and what `--mask person` and `--mask background` paint."""

from __future__ import annotations

import importlib
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import torch
from absent import missing
from command import failing
from torch import Tensor
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, lraspp_mobilenet_v3_large

import videostyle.segmenters
from videostyle.batch.jobs import read_jobs
from videostyle.batch.journal import fingerprint
from videostyle.cli import main
from videostyle.errors import WeightsError
from videostyle.io import open_source
from videostyle.masks import mask_of_people
from videostyle.people import PeopleMask
from videostyle.plan import RenderPlan, SegmenterOptions
from videostyle.segmenters import load_segmenter
from videostyle.stabilize import load_stabilizer
from videostyle.style import Region, Style
from videostyle.timeline import Span
from videostyle.types import Moment

NETS: dict[str, Callable[..., torch.nn.Module]] = {
    "lraspp": lambda: lraspp_mobilenet_v3_large(weights=None, weights_backbone=None),
    "deeplab": lambda: deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True),
}
# A segmenter for films in which people are white, and everything else is black.
WHITE = '''"""People are white."""
SEEN = []

def build(options, allow_download, device):
    def segment(content):
        SEEN.append(content.shape)
        return content.mean(1, keepdim=True)
    return segment
'''
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def toys(toy_gallery: Path) -> Path:
    return toy_gallery


@pytest.fixture
def white(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a segmenter that is dropped in."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    name = f"white{next(_numbers)}"  # modules of one name are imported once
    (folder / f"{name}.py").write_text(WHITE, encoding="utf-8")
    monkeypatch.setattr(videostyle.segmenters, "__path__", [*videostyle.segmenters.__path__, str(folder)])
    return name


def walker(count: int = 8, size: tuple[int, int] = (96, 64), missed: int | None = None) -> list[np.ndarray]:
    """Pictures of a bright figure that walks to the right over dark ground; in one it is `missed`, dark as well."""
    width, height = size
    noise = np.random.default_rng(0).normal(size=(2, height, width))
    rough = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in noise])
    ground, figure = np.clip(30 + 12 * rough[0] / rough[0].std(), 0, 60), 225 + 12 * rough[1] / rough[1].std()
    pictures = []
    for number in range(count):
        picture = ground.copy()
        picture[12:56, 20 + 3 * number : 44 + 3 * number] = figure[12:56, :24] - (170 if number == missed else 0)
        pictures.append(cv2.merge([picture.clip(0, 255).astype(np.uint8)] * 3))
    return pictures


def film_of(folder: Path, pictures: list[np.ndarray]) -> str:
    """A numbered sequence, which keeps every pixel."""
    folder.mkdir()
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:02d}.png"), picture)
    return str(folder / "%02d.png")


def to_folder(folder: Path) -> str:
    folder.mkdir()
    return str(folder / "%02d.png")


def frames_of(path: str | Path) -> list[Tensor]:
    with open_source(str(path)) as source:
        return [frame.pixels for frame in source.frames(Span())]


@pytest.mark.parametrize("name", NETS)
def test_weights_of_torchvision_are_loaded(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = NETS[name]().eval()
    file = tmp_path / "weights.pt"
    torch.save(net.state_dict(), file)
    content = torch.rand(1, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    found = load_segmenter(SegmenterOptions(name, file), False, "cpu")(content)
    mean, deviation = (torch.tensor(row).view(1, 3, 1, 1) for row in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        wanted = net((content - mean) / deviation)["out"].softmax(1)[:, 15:16]  # Pascal VOC's person
    assert torch.allclose(found, wanted, atol=1e-5)
    large = load_segmenter(SegmenterOptions(name, file), False, "cpu")(torch.rand(1, 3, 500, 1000))
    assert large.shape == (1, 1, 224, 448)
    other = next(each for each in NETS if each != name)
    with pytest.raises(WeightsError, match="not a state dict of torchvision's"):
        load_segmenter(SegmenterOptions(other, file), False, "cpu")


def test_selfie_finds_the_person_of_a_clip(data: Path) -> None:
    file = data / "mediapipe" / "selfie_segmentation_landscape.tflite"
    if not file.is_file():
        missing("clips", "no weights of MediaPipe")
    segmenter = load_segmenter(SegmenterOptions("selfie", file), False, "cpu")
    with open_source(str(data / "clips" / "01_dog.mp4")) as source:
        frame = next(iter(source.frames(Span(Fraction(40, 30)))))
    content = frame.pixels[None].float().div(255).contiguous(memory_format=torch.channels_last)
    found = mask_of_people(segmenter(content), "person", (72, 128), 0)
    assert found[0, 25:45, 23:29].mean() > 0.9  # the woman on the left
    assert found[0, :, 64:].mean() < 0.02


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("lraspp", None, "there are no weights of lraspp_mobilenet_v3_large at"),
        ("deeplab", b"nothing", "is not a readable PyTorch state dict"),
        ("selfie", None, "there are no weights of selfie at"),
        ("selfie", b"nothing at all", "is not a TensorFlow Lite file"),
        ("selfie", b"\x1c\0\0\0TFL3" + bytes(60), "is damaged, or not a network that OpenVINO can read"),
    ],
)
def test_weights_that_cannot_be_used_are_one_line(
    name: str, content: bytes | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, file = str(media.film(tmp_path / "film.mp4", 2)), tmp_path / "weights"
    if content is not None:
        file.write_bytes(content)
    words = ["--style", "dots", "--mask", "person", "--segmenter", name, "--segmenter-weights", str(file), "-q"]
    status, text = failing(capsys, "stylize", film, "-o", str(tmp_path / "o.mp4"), *words)
    assert status == 1
    assert line in text
    assert len(text.splitlines()) == 1
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize("name", ["lraspp", "deeplab", "selfie"])
def test_absent_weights_are_asked_for(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="--segmenter-weights"):
        videostyle.segmenters.load_segmenter(SegmenterOptions(), False, "cpu") if name == "lraspp" else build(name)


def build(name: str) -> object:
    return importlib.import_module(f"videostyle.segmenters.{name}").build(SegmenterOptions(name), False, "cpu")


def test_people_or_what_surrounds_them_are_painted(white: str, tmp_path: Path) -> None:
    film = film_of(tmp_path / "film", walker())
    plain = ["stylize", film, "--style", "dots", "--engine", "torch", "-q", "--segmenter", white]
    report = tmp_path / "report.json"
    painted = {}
    for mask in ("person", "background"):
        out = to_folder(tmp_path / mask)
        words = [*plain, "--mask", mask, "--mask-feather", "0", "-o", out, "--report", str(report)]
        assert main([*words, "--overwrite"]) == 0
        painted[mask] = frames_of(out)
    assert json.loads(report.read_text())["stages"]["segment"] > 0
    assert main([*plain, "-o", to_folder(tmp_path / "whole")]) == 0
    whole = frames_of(tmp_path / "whole" / "%02d.png")
    for number, (source, one, other, all_over) in enumerate(
        zip(frames_of(film), painted["person"], painted["background"], whole, strict=True)
    ):
        inside = (slice(None), slice(16, 52), slice(25 + 3 * number, 40 + 3 * number))
        outside = (slice(None), slice(None), slice(0, 15))
        assert torch.equal(one[outside], source[outside])
        assert torch.equal(one[inside], all_over[inside])
        assert torch.equal(other[inside], source[inside])
        assert torch.equal(other[outside], all_over[outside])
        assert not torch.equal(all_over[inside], source[inside])


def test_a_region_is_of_people_too(white: str, tmp_path: Path) -> None:
    film = film_of(tmp_path / "film", walker(3))
    look = {"engine": "torch", "segmenter": white, "mask_feather": 0, "stabilize": 0}
    regions = [Region("lines", "background")]
    videostyle.stylize(film, to_folder(tmp_path / "two"), "dots", region=regions, **look)
    for style in ("dots", "lines"):
        videostyle.stylize(film, to_folder(tmp_path / style), style, **look)
    two, dots, lines = (frames_of(tmp_path / name / "%02d.png")[0] for name in ("two", "dots", "lines"))
    assert torch.equal(two[:, 16:52, 25:40], dots[:, 16:52, 25:40])
    assert torch.equal(two[:, :, :15], lines[:, :, :15])


def test_people_are_looked_for_only_where_they_are_asked_for(white: str, tmp_path: Path) -> None:
    film = film_of(tmp_path / "film", [*walker(2), walker(2)[1]])
    seen = importlib.import_module(f"videostyle.segmenters.{white}").SEEN
    look = {"engine": "torch", "segmenter": white}
    videostyle.stylize(film, tmp_path / "plain.mkv", "dots", **look)
    videostyle.stylize(film, tmp_path / "none.mkv", "none", mask="person", **look)
    assert seen == []
    report = videostyle.stylize(film, tmp_path / "mask.mkv", "dots", mask="person", **look)
    assert report.repeated == 1
    assert len(seen) == 2  # a repeated frame has the mask of the one before


def test_a_mask_of_people_does_not_flicker() -> None:
    """Somebody whom the segmenter misses in one frame stays painted, where he is by then; after a cut nothing does."""
    pictures = walker(10, missed=6)
    contents = [torch.from_numpy(one).permute(2, 0, 1)[None].float() / 255 for one in pictures]
    seen = walker(10)  # the flow is of the film, in which nobody disappears
    stabilizer = load_stabilizer(RenderPlan("", "").stabilize, RenderPlan("", "", flow="dis").flow, "cpu")
    moments = []
    for number, one in enumerate(seen):
        content = (torch.from_numpy(one)[None].float() / 255).permute(0, 3, 1, 2)
        moments.append(Moment(Fraction(number, 24), number == 0, stabilizer.motion(number == 0, content)))
    following, alone = (PeopleMask(lambda content: (content.mean(1, keepdim=True) > 0.5).float()) for _ in range(2))
    masks = [following(content, moment) for content, moment in zip(contents, moments, strict=True)]
    fresh = [alone(content, replace(moment, motion=None)) for content, moment in zip(contents, moments, strict=True)]
    there = (0, 0, slice(20, 48), slice(26 + 18, 38 + 18))
    assert fresh[6][there].max() == 0
    assert masks[6][there].min() > 0.7
    for number, mask in enumerate(masks):
        assert mask[0, 0, :, : 14 + 3 * number].max() == 0, "nobody is left behind"
        assert mask[0, 0, 20:48, 26 + 3 * number : 38 + 3 * number].min() > 0.7


def test_masks_of_people_are_no_files(white: str, tmp_path: Path) -> None:
    (tmp_path / "person").write_bytes(b"a file of that name")
    jobs = tmp_path / "jobs.toml"
    table = 'region = [{ style = "lines", mask = "background" }]\nsegmenter_weights = "p.pt"'
    jobs.write_text(f'[[jobs]]\nsource = "film.mp4"\nstyle = "dots"\nmask = "person"\n{table}')
    media.film(tmp_path / "film.mp4", 2)
    (plan,) = read_jobs(jobs, [], tmp_path, RenderPlan("", ""))
    assert plan.style.masks == ("person", "background")
    assert plan.segmenter.weights == tmp_path / "p.pt"
    assert plan.files == (str(tmp_path / "film.mp4"), "dots", "lines", str(tmp_path / "p.pt"))
    before = fingerprint(plan)
    (tmp_path / "p.pt").write_bytes(b"other weights")
    assert fingerprint(plan) != before
    assert Style("dots", mask="./person").mask_files == ("./person",)


@pytest.mark.slow
def test_a_batch_paints_people_as_a_single_run_does(white: str, tmp_path: Path) -> None:
    """Its workers are processes of their own, in which nothing is dropped in: so with weights of random numbers."""
    torch.manual_seed(0)
    net = NETS["lraspp"]()
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    film = str(media.film(tmp_path / "film.mp4", 4))
    words = [film, "--style", "dots", "--engine", "torch", "-q", "--codec", "ffv1", "--mask", "person"]
    words += ["--segmenter-weights", str(tmp_path / "weights.pt")]
    assert main(["stylize", *words, "-o", str(tmp_path / "one.mkv")]) == 0
    assert main(["batch", *words, "-o", str(tmp_path / "many"), "--workers", "1", "--name", "{stem}.mkv"]) == 0
    one, many = frames_of(tmp_path / "one.mkv"), frames_of(tmp_path / "many" / "film.mkv")
    assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True))


def test_options_without_effect_are_named(white: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = film_of(tmp_path / "film", walker(2))
    words = ["stylize", film, "--style", "dots", "--engine", "torch", "-q", "--segmenter", white]
    assert main([*words, "-o", str(tmp_path / "a.mkv")]) == 0
    assert f"no mask is person or background, so --segmenter {white} has no effect" in capsys.readouterr().err
    assert main([*words, "-o", str(tmp_path / "b.mp4"), "--region", "lines=person"]) == 0
    assert capsys.readouterr().err == ""


def test_the_mask_takes_any_size() -> None:
    people = torch.zeros(1, 1, 10, 16)
    people[..., 8:] = 1
    mask = mask_of_people(people, "person", (45, 81), 2)
    assert mask.shape == (1, 45, 81)
    assert mask[0, :, 0].max() == 0
    assert math.isclose(mask[0, :, -1].min(), 1, abs_tol=1e-6)
    assert torch.allclose(mask_of_people(people, "background", (45, 81), 2), 1 - mask, atol=1e-6)
