"""Judging whole films: obvious truths, from the library to the page."""

from __future__ import annotations

import json
import math
import re
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import moving
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import alexnet

from videostyle.cli import main
from videostyle.errors import SourceError, UsageError
from videostyle.io.images import write_picture
from videostyle.io.memory import MemorySource
from videostyle.metrics.appearance import FeatureExtractor
from videostyle.metrics.evaluation import evaluate, heat_map
from videostyle.metrics.exact import ExactFlowFolder
from videostyle.metrics.lpips import Lpips
from videostyle.metrics.options import EvaluateOptions
from videostyle.metrics.probes import probe
from videostyle.metrics.report import chart, findings, write_html
from videostyle.metrics.scores import FILM, REFERENCE, STYLIZED, Evaluation
from videostyle.metrics.temporal import ExactMotion
from videostyle.nets.vgg import LossNetwork
from videostyle.ops.filters import box
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.ops.warp import warp
from videostyle.text import sanitize
from videostyle.types import Frame

FIXTURE = Path(__file__).parent / "fixtures" / "exact_flow.npz"


def frames(pictures: Sequence[Tensor], cuts: Sequence[int] = ()) -> Iterator[Frame]:
    """As a film of 8 bits."""
    for frame in MemorySource([to_pixels(picture)[0] for picture in pictures]).frames():
        yield replace(frame, is_cut=frame.index in cuts)


def judged(
    film: Sequence[Tensor],
    painted: Sequence[Tensor],
    reference: Sequence[Tensor] | None = None,
    cuts: Sequence[int] = (),
    **more: Any,
) -> Evaluation:
    return evaluate(frames(film, cuts), frames(painted), frames(reference) if reference else None, **more)


def noisy(pictures: Sequence[Tensor], sigma: float = 0.05) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [(one + sigma * torch.randn(one.shape, generator=generator)).clamp(0, 1) for one in pictures]


@pytest.fixture(scope="module")
def pan() -> list[Tensor]:
    return moving.pan(13, (2.0, 1.0), finest=1.0)


@pytest.fixture(scope="module")
def exact() -> tuple[list[Tensor], list[ExactMotion]]:
    """The sample film's frames and the motion to each from the one before."""
    with np.load(FIXTURE) as stored:
        pictures = [to_float(torch.from_numpy(one).permute(2, 0, 1)) for one in stored["frames"]]
        backward = torch.from_numpy(stored["backward"].astype(np.float32)).permute(0, 3, 1, 2)
        hidden = torch.from_numpy(stored["occlusion"])
    return pictures, [ExactMotion(way[None], out[None, None]) for way, out in zip(backward, hidden, strict=True)]


@pytest.fixture(scope="module")
def full(pan: list[Tensor]) -> Evaluation:
    """Two shots, everything measured, with a random loss network."""
    torch.manual_seed(0)
    extractor = FeatureExtractor(LossNetwork((2, 2, 4, 4, 1), (8,) * 5).eval().requires_grad_(False), side=64)
    film = pan + moving.pan(5, (1.0, 0.0), seed=9)
    alone = noisy(film)
    steady = [box(one, 1) for one in alone]
    return judged(film, steady, alone, cuts=[13], options=EvaluateOptions(apart=3), extractor=extractor)


def test_a_film_against_itself_is_the_floor(pan: list[Tensor]) -> None:
    found = judged(pan, pan, pan)
    film = found.scores[FILM]
    for scores in found.scores.values():
        assert (scores.warping_error, scores.change) == (film.warping_error, film.change)
        assert (scores.laplacian_energy, scores.gradient_energy) == (film.laplacian_energy, film.gradient_energy)
    assert found.kept is not None
    assert (found.kept.laplacian, found.kept.gradient, found.kept.change) == (1, 1, 1)
    assert found.kept.ssim == pytest.approx(1, abs=1e-5)
    assert found.pairs == {1: 12, 10: 3}
    assert found.frames == 13


def test_noise_flickers_more_and_blur_less_but_at_a_price(pan: list[Tensor]) -> None:
    alone = noisy(pan)
    blurred = [box(one, 2) for one in alone]
    found = judged(pan, blurred, alone)
    errors = {name: scores.warping_error[1] for name, scores in found.scores.items()}
    assert errors[REFERENCE] > 4 * errors[FILM]
    # The noise of two frames: twice its variance.
    assert errors[REFERENCE] - errors[FILM] == pytest.approx(2 * 0.05**2, rel=0.25)
    assert errors[STYLIZED] < 0.5 * errors[REFERENCE]
    assert found.kept is not None
    assert found.kept.laplacian < 0.2
    assert any("blurred" in line for line in findings(found))


def test_a_frozen_film_does_not_change_and_is_found_out(pan: list[Tensor]) -> None:
    found = judged(pan, [pan[0]] * len(pan), pan)
    assert found.scores[STYLIZED].change == 0
    assert found.kept is not None
    assert found.kept.change == 0
    assert any("stands still" in line for line in findings(found))


def test_flicker_is_seen_where_the_film_stands_still() -> None:
    picture = moving.pan(1, (0, 0), finest=0.7)[0]
    flickering = [(picture + 0.04 * (number % 2)).clamp(0, 1) for number in range(5)]
    found = judged([picture] * 5, flickering)
    assert found.scores[FILM].flicker == 0
    assert found.scores[STYLIZED].flicker == pytest.approx(0.04, rel=0.1)


def test_no_pair_spans_a_cut_and_what_is_left_after_it_is_found(pan: list[Tensor]) -> None:
    film = pan[:6] + moving.pan(6, (1.0, 0.0), seed=5)
    painted = list(film)
    painted[6] = 0.75 * film[6] + 0.25 * film[5]
    found = judged(film, painted, film, cuts=[6])
    assert found.cuts == [0.25]
    assert found.pairs == {1: 10, 10: 0}
    assert math.isnan(found.scores[STYLIZED].warping_error[10])
    assert found.kept is not None
    assert found.kept.after_cut == pytest.approx(0.25, abs=0.01)


def test_exact_motion_judges_and_a_planted_ghost_is_found(exact: tuple[list[Tensor], list[ExactMotion]]) -> None:
    film, motions = exact
    painted = list(film)
    for number, motion in enumerate(motions, start=1):
        moved = warp(painted[number - 1], motion.vectors)
        painted[number] = torch.where(motion.hidden, 0.5 * film[number] + 0.5 * moved, film[number])
    found = judged(film, painted, film, exact=lambda index: motions[index - 1])
    assert found.kept is not None
    assert found.kept.ghost == pytest.approx(0.5, abs=0.02)
    assert "exact motion" in found.flow_name
    clean = judged(film, film, film, exact=lambda index: motions[index - 1])
    assert clean.kept is not None
    assert clean.kept.ghost == 0
    flickering = judged(film, noisy(film), exact=lambda index: motions[index - 1])
    # Besides the film's own: the noise of a frame, and of the one before, of which moving by fractions leaves less.
    squares = flickering.scores[STYLIZED].e_stab ** 2 - flickering.scores[FILM].e_stab ** 2
    assert 0.05 < math.sqrt(squares) < 0.05 * math.sqrt(2)


def test_exact_motion_of_another_size_is_refused(pan: list[Tensor]) -> None:
    motion = ExactMotion(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool))
    with pytest.raises(UsageError, match="8x8, these are 192x128"):
        judged(pan, pan, exact=lambda index: motion)


def test_a_source_of_another_size_is_scaled(pan: list[Tensor]) -> None:
    small = [torch.nn.functional.avg_pool2d(one, 2) for one in pan]
    found = judged(pan, small)
    assert found.size == (96, 64)
    assert found.scores[STYLIZED].warping_error[1] < 2e-3


@pytest.mark.parametrize(("missing", "said"), [("film", "film ended"), ("painted", "painted ended")])
def test_films_of_other_lengths_are_refused(pan: list[Tensor], missing: str, said: str) -> None:
    films = {"film": pan[:5], "painted": pan[:5]}
    films[missing] = pan[:3]
    with pytest.raises(UsageError, match=rf"after 3 frames {said}"):
        judged(films["film"], films["painted"])


def test_a_reference_of_another_size_is_refused(pan: list[Tensor]) -> None:
    with pytest.raises(UsageError, match="frame 0 of per frame is 64x64"):
        judged(pan, pan, [one[..., :64, :64] for one in pan])


def test_nothing_and_next_to_nothing_are_refused(pan: list[Tensor]) -> None:
    with pytest.raises(UsageError, match="no frame"):
        evaluate([], [])
    with pytest.raises(UsageError, match="at least 32 pixels"):
        judged(pan, [one[..., :16, :16] for one in pan])
    with pytest.raises(UsageError, match="gaps must be at least 1"):
        EvaluateOptions(gaps=(0,))


@pytest.mark.parametrize("gaps", [(1,), (1, 4)])
def test_pictures_are_not_kept(pan: list[Tensor], gaps: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Tensor]] = []
    most = 0

    def watched(frame: Frame) -> Tensor:
        nonlocal most
        picture = to_float(frame)
        made.append(weakref.ref(picture))
        most = max(most, sum(one() is not None for one in made))
        return picture

    monkeypatch.setattr("videostyle.metrics.evaluation.to_float", watched)
    judged((pan * 3)[:30], (pan * 3)[:30], options=EvaluateOptions(gaps=gaps, worst=0))
    # Of two films, this frame and the one before; what is held for longer gaps is in half precision.
    assert len(made) == 60
    assert most <= 6


def test_the_worst_moments_are_kept_apart_with_pictures_of_them(pan: list[Tensor]) -> None:
    painted = list(pan)
    painted[3], painted[9] = painted[3] * 0.5, painted[9] * 0.7
    found = judged(pan, painted, options=EvaluateOptions(gaps=(1,), worst=2, apart=4))
    assert [one.index for one in found.worst] in ([2, 8], [3, 9], [2, 9], [3, 8])
    assert found.worst[0].error > found.worst[1].error > found.worst[1].film_error
    for picture in found.worst[0].pictures.values():
        assert picture.dtype == torch.uint8
        assert picture.shape == (3, moving.HEIGHT, moving.WIDTH)


def test_the_heat_map_is_dark_where_nothing_differs_and_grey_where_nothing_is_known() -> None:
    one, other = torch.zeros(1, 3, 8, 9), torch.zeros(1, 3, 8, 9)
    other[..., 3:6] = 0.3
    valid = torch.ones(1, 1, 8, 9)
    valid[..., 6:] = 0
    heat = heat_map(one, other, valid)
    assert heat[..., :3].max() < 0.1
    assert heat[..., 3:6].mean() > 0.7
    assert heat[..., 6:].unique().tolist() == pytest.approx([128 / 255])


def test_json_is_plain_and_has_null_for_what_is_not_known(full: Evaluation) -> None:
    told = json.loads(json.dumps(full.to_json(), allow_nan=False))
    assert told["frames"] == 18
    assert told["pairs"] == {"1": 16, "10": 3}
    assert told["scores"]["painted"]["e_stab"] is None
    assert told["kept"]["style_distance"] > 0
    assert told["scores"]["painted"]["content_distance"] > 0
    assert len(told["moments"]) == 18


class Page(HTMLParser):
    """Notes tags left open and everything that would be fetched."""

    VOID = ("meta", "img", "link", "line", "path", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_fetches_nothing(full: Evaluation) -> None:
    probes = probe(lambda given: given, *moving.pan(2, (9, 9), size=(48, 64)), still_frames=4)
    page = Page()
    page.feed(write_html(full, "<film> & painting", probes))
    assert page.open == []
    assert "script" not in page.seen
    # Two gaps, detail and stillness; a pan has nothing that stands still.
    assert page.seen.count("svg") == 4
    assert page.fetched
    assert all(one.startswith("data:image/jpeg;base64,") for one in page.fetched)
    assert "<film> & painting" in page.text
    for line in findings(full, probes):
        assert line in page.text
    assert "nan" not in page.text


def test_the_page_of_a_film_with_an_odd_name_is_printable(full: Evaluation) -> None:
    written = write_html(full, "a\n\x1b[2J\x9b\u202e\udcffz")
    assert "<title>a \ufffd[2J\ufffd\ufffd\ufffdz</title>" in written
    assert sanitize(written) == written


def test_a_page_of_one_frame_can_be_written(pan: list[Tensor]) -> None:
    alone = judged(pan[:1], pan[:1])
    page = Page()
    page.feed(write_html(alone, "one"))
    assert page.open == []
    assert "no pair of frames could be compared" in page.text


def test_exact_motion_is_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a folder with exact flow"):
        ExactFlowFolder(tmp_path)
    np.savez(tmp_path / "0001.npz", backward=np.ones((4, 6, 2), np.float32), hidden=np.eye(4, 6, dtype=bool))
    np.savez(tmp_path / "0002.npz", backward=np.ones((4, 6), np.float32), hidden=np.eye(4, 6, dtype=bool))
    (tmp_path / "0003.npz").write_bytes(b"no archive")
    folder = ExactFlowFolder(tmp_path)
    motion = folder(1)
    assert motion is not None
    assert (motion.vectors.shape, int(motion.hidden.sum())) == ((1, 2, 4, 6), 4)
    assert folder(0) is None
    with pytest.raises(SourceError, match="backward must be"):
        folder(2)
    with pytest.raises(SourceError, match="cannot be read"):
        folder(3)


@pytest.fixture
def films(tmp_path: Path, pan: list[Tensor]) -> dict[str, Path]:
    """A source, its painting, and one that is a frame short, as folders of pictures."""
    made = {}
    for name, pictures in {"film": pan[:6], "painted": noisy(pan[:6]), "short": pan[:5]}.items():
        made[name] = tmp_path / name
        made[name].mkdir()
        for number, picture in enumerate(pictures):
            write_picture(made[name] / f"{number:03d}.png", picture[0])
    return made


def test_the_command_prints_writes_and_compares(
    films: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, told = tmp_path / "report.html", tmp_path / "report.json"
    argv = ["evaluate", str(films["film"]), str(films["painted"]), "--reference", str(films["painted"])]
    assert main([*argv, "--html", str(page), "--json", str(told), "--gap", "1", "--gap", "3", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(told.read_text())["pairs"] == {"1": 5, "3": 3}
    assert "painted" in page.read_text()
    assert main([*argv, "--perceptual-every", "0"]) == 0
    printed = capsys.readouterr().out
    assert "warping error" in printed
    assert "Motion found by DIS" in printed


def test_json_can_stand_in_place_of_the_table(
    films: dict[str, Path], toy_gallery: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(films["film"]), str(films["painted"]), "--frames", "3", "--perceptual-every", "0"]
    assert main([*argv, "--style", "dots", "--still-frames", "4", "--engine", "torch", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 3
    assert len(told["probes"]["drift"]["curve"]) == 4


def test_a_part_that_was_painted_is_found_in_the_source(
    films: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part"
    part.mkdir()
    for number in (2, 3, 4):
        (part / f"{number:03d}.png").write_bytes((films["film"] / f"{number:03d}.png").read_bytes())
    argv = ["evaluate", str(films["film"]), str(part), "--start", "1/12", "--end", "5/24", "--perceptual-every", "0"]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 3
    assert told["scores"]["painted"]["warping_error"] == told["scores"]["film"]["warping_error"]


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AlexNet that was never trained: it tells pictures apart all the same."""
    file = tmp_path_factory.mktemp("alexnet") / "alexnet.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(alexnet(weights=None).state_dict(), file)
    return file


def test_lpips_is_that_of_its_authors_on_all_that_is_valid(pan: list[Tensor], alexnet_file: Path) -> None:
    lpips = pytest.importorskip("lpips")
    picture, other = pan[0], noisy(pan[:1], 0.2)[0]
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False, spatial=True)
    state = torch.load(alexnet_file)
    for key, value in theirs.net.state_dict().items():
        value.copy_(state["features." + key.partition(".")[2]])
    whole, left = torch.ones_like(picture[:, :1]), torch.zeros_like(picture[:, :1])
    left[..., : left.shape[3] // 2] = 1
    ours = Lpips(alexnet_file)
    with torch.no_grad():
        expected = theirs(picture, other, normalize=True).mean().item()
    assert ours(picture, other, whole) == pytest.approx(expected, rel=1e-4)
    assert ours(picture, picture, whole) == 0
    # What is not valid is not seen, and what is nowhere valid cannot be judged.
    torn = torch.where(left > 0, picture, other)
    assert ours(picture, torn, left) == 0
    assert math.isnan(ours(picture, other, 0 * whole))


def test_warped_lpips_tells_flicker_and_not_motion(
    films: dict[str, Path], alexnet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lpips")
    argv = ["evaluate", str(films["film"]), str(films["painted"]), "--lpips-weights", str(alexnet_file), "--json"]
    assert main([*argv, "--perceptual-every", "2", "-q"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert 0 < 2 * scores["film"]["warped_lpips"] < scores["painted"]["warped_lpips"]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--lpips-weights", "/nowhere.pt"], 1, "no weights of alexnet at /nowhere.pt"),
        (["--lpips"], 1, "alexnet needs weights: give a state dict with --lpips-weights"),
        (["--html", "/nowhere/report.html"], 1, "there is no folder"),
        (["--json", "/nowhere/report.json"], 1, "there is no folder"),
        (["--frames", "0"], 2, "--frames must be at least 1"),
        (["--gap", "0"], 2, "gaps must be at least 1"),
        (["--flow", "raft", "--flow-weights", "/nowhere.pt"], 1, "no weights of raft_small at /nowhere.pt"),
        (["--exact-flow", "/nowhere"], 1, "not a folder with exact flow"),
        (["--exact-flow", str(FIXTURE.parent), "--start", "1"], 2, "leave out --start"),
        (["--start", "3", "--end", "2"], 2, "end must be after start"),
        (["--style", "nobody"], 2, "no style named 'nobody'"),
    ],
)
def test_mistakes_are_one_line(
    films: dict[str, Path],
    more: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--lpips" in "".join(more):
        pytest.importorskip("lpips")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    argv = ["evaluate", str(films["film"]), str(films["painted"]), "--perceptual-every", "0", "-q"]
    assert main([*argv, *more]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_film_too_short_is_one_line(films: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(films["film"]), str(films["short"]), "--perceptual-every", "0", "-q"]) == 2
    assert "after 5 frames painted ended and film went on" in capsys.readouterr().err


def test_a_value_that_stands_alone_is_drawn() -> None:
    drawn = chart("one", [0.0, 1.0, 2.0], {"film": [math.nan, 1.0, math.nan]})
    assert re.search(r'd="M[0-9.]+ [0-9.]+h0"', drawn)
