"""Keyframes: chosen where they are needed, painted once, carried to every frame."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.moving import pan, texture, to_tensor
from videostyle.cli import main
from videostyle.errors import SourceError
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.optimize import keyframe_selection, keyframes
from videostyle.optimize.keyframe_selection import choose_keys
from videostyle.optimize.motion import KeyframeTracker, at_size, coverage, view
from videostyle.optimize.plan import GatysOptions, KeyframePlan, StyleImage
from videostyle.partial_files import PartialFile
from videostyle.plan import RenderPlan
from videostyle.progress import Progress
from videostyle.types import Frame

SIZE = (128, 192)


def frames_of(pictures: list[Tensor]) -> list[Frame]:
    return [Frame(to_pixels(picture[0]), number, Fraction(1, 24), 1, number) for number, picture in enumerate(pictures)]


def numbers(pictures: list[Tensor], every: int | None = None) -> list[tuple[int, bool]]:
    keys = choose_keys(frames_of(pictures), Fraction(0), SIZE, every)
    return [(key.number, key.is_cut) for key in keys]


def test_a_still_film_needs_few_keyframes() -> None:
    still = pan(1, (0, 0))[0]
    assert numbers([still] * 30) == [(0, True), (29, False)]


def test_what_pans_out_of_sight_asks_for_another() -> None:
    found = numbers(pan(30, (6, 0)))
    gaps = [later - before for (before, _), (later, _) in pairwise(found)]
    # 192 pixels at 6 a frame: 40 % are new after 13 frames, a little earlier for what cannot be trusted at the rim.
    assert gaps
    assert all(keyframe_selection.SHORTEST <= gap <= 14 for gap in gaps)
    assert found[-1][0] == 29 or 29 - found[-1][0] < keyframe_selection.SHORTEST


def test_every_shot_begins_and_ends_with_one() -> None:
    shots = [*pan(15, (1, 0)), *pan(6, (1, 0), seed=1)]
    assert numbers(shots) == [(0, True), (14, False), (15, True)]


def test_or_every_so_many_frames() -> None:
    assert numbers([*pan(8, (1, 0)), *pan(8, (1, 0), seed=1)], every=5) == [
        (0, True),
        (5, False),
        (8, True),
        (13, False),
    ]


def test_no_motion_is_trusted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyframe_selection, "LONGEST", 15)
    still = pan(1, (0, 0))[0]
    assert [number for number, _ in numbers([still] * 40)] == [0, 15, 30]  # the end is near enough


@pytest.mark.parametrize("step", [(2.0, 0.0), (-1.5, 1.0), (0.0, -3.0)])
def test_motion_to_a_keyframe_adds_up_and_does_not_drift(step: tuple[float, float]) -> None:
    pictures = pan(16, step)
    tracker = KeyframeTracker(view(pictures[0]))
    flow = None
    for picture in pictures[1:]:
        flow = tracker(view(picture))
    assert flow is not None
    found = at_size(flow, SIZE)
    sure = found.confidence[0, 0] > 0.5
    error = found.vectors[0] - torch.tensor(step).view(2, 1, 1) * 15
    assert error.square().sum(0).sqrt()[sure].mean() < 0.5
    seen = (1 - 15 * abs(step[0]) / SIZE[1]) * (1 - 15 * abs(step[1]) / SIZE[0])
    assert 0.6 * seen < coverage(flow) <= seen + 0.05


def test_another_picture_is_not_reached() -> None:
    flow = KeyframeTracker(view(pan(1, (0, 0))[0]))(view(pan(1, (0, 0), seed=5)[0]))
    assert coverage(flow) < 0.05


@pytest.fixture
def film(tmp_path: Path, toy_gallery: Path) -> Path:
    """A folder of 20 pictures that pan by 3 pixels; lossless, so that what is carried can be compared."""
    folder = tmp_path / "film"
    folder.mkdir()
    for number, picture in enumerate(pan(20, (3, 0))):
        write(folder / f"{number:03d}.png", picture[0])
    return folder


def write(path: Path, picture: Tensor) -> None:
    pixels = to_pixels(picture).permute(1, 2, 0).contiguous().numpy()
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def read(path: Path) -> Tensor:
    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return to_float(torch.from_numpy(pixels).permute(2, 0, 1))


def negative(picture: Tensor) -> Tensor:
    """What a person might paint: no network of the gallery paints it by chance."""
    return 1 - picture[:, [1, 2, 0]]


def exported(film: Path, *options: str) -> Path:
    keys = film.parent / "keys"
    assert main(["keyframes", str(film), "--export", str(keys), "-q", *options]) == 0
    return keys


def by_hand(film: Path, *options: str) -> Path:
    """The film painted by keyframes that are its negative; the folder of its frames."""
    keys = exported(film, "--every", "8")
    for file in keys.glob("key-*.png"):
        write(file, negative(read(file))[0])
    out = film.parent / "out"
    out.mkdir(exist_ok=True)
    arguments = ["keyframes", str(film), "--keys", str(keys), "-o", str(out / "%03d.png"), "-q", "--stabilize", "0"]
    assert main([*arguments, *options]) == 0
    return out


def test_a_persons_keyframes_are_carried_through_the_shot(film: Path) -> None:
    out = by_hand(film, "--propagate", "warp")
    painted, pictures = sorted(out.glob("*.png")), sorted(film.glob("*.png"))
    assert len(painted) == len(pictures) == 20
    errors = [
        # What came into view after the last keyframe, at the right, is the network's.
        float((read(one) - negative(read(other)))[..., 8:-32].abs().mean())
        for one, other in zip(painted, pictures, strict=True)
    ]
    assert max(errors) < 0.04
    assert max(errors[0], errors[8], errors[16]) < 0.01


def test_keyframes_give_way_to_one_another_unseen(film: Path) -> None:
    """The second of three keyframes is painted lighter: the change is spread over the frames around it."""
    keys = exported(film, "--every", "8")
    for number, file in enumerate(sorted(keys.glob("key-*.png"))):
        write(file, 0.6 * negative(read(file))[0] + (0.2 if number == 1 else 0))
    out = film.parent / "out"
    out.mkdir()
    target = str(out / "%03d.png")
    arguments = ["keyframes", str(film), "--keys", str(keys), "-o", target, "-q", "--propagate", "warp"]
    assert main([*arguments, "--stabilize", "0"]) == 0
    light = [float(read(file)[..., 40:-40].mean()) for file in sorted(out.glob("*.png"))]
    steps = np.abs(np.diff(light))
    assert light[8] - light[0] > 0.15
    assert steps.max() < 0.05


def test_one_colour_changed_by_hand_stays_on_its_thing(tmp_path: Path, toy_gallery: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    world = texture(SIZE[0], SIZE[1], seed=3)
    for number in range(12):
        picture = to_tensor(world * 0.5 + 0.2)[0].clone()
        picture[:, 50:80, 40 + 4 * number : 70 + 4 * number] = torch.tensor((0.1, 0.2, 0.9)).view(3, 1, 1)
        write(folder / f"{number:03d}.png", picture)
    keys = exported(folder, "--every", "20")
    (key,) = keys.glob("key-*.png")
    picture = read(key)[0]
    blue = picture[2] > 0.8
    picture[:, blue] = torch.tensor((0.9, 0.8, 0.1)).view(3, 1)
    write(key, picture)
    (tmp_path / "out").mkdir()
    target = str(tmp_path / "out" / "%03d.png")
    assert main(["keyframes", str(folder), "--keys", str(keys), "-o", target, "-q", "--propagate", "warp"]) == 0
    last = read(tmp_path / "out" / "012.png")[0]
    inside = last[:, 58:72, 40 + 44 + 8 : 70 + 44 - 8].mean((1, 2))
    assert inside[0] > 0.7
    assert inside[2] < 0.3


@pytest.mark.slow
def test_the_network_learns_the_keyframes(film: Path) -> None:
    out = by_hand(film, "--propagate", "learned", "--tune-steps", "60", "--engine", "torch")
    plain = sorted(film.glob("*.png"))[12]
    wanted = negative(read(plain))
    learned = (read(out / "013.png") - wanted).abs().mean()
    assert learned < 0.6 * (read(plain) - wanted).abs().mean()


def test_a_missing_keyframe_is_named(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = exported(film, "--every", "8")
    (keys / "key-000008.png").unlink()
    assert main(["keyframes", str(film), "--keys", str(keys), "-o", str(film.parent / "out.mp4"), "-q"]) == 1
    told = capsys.readouterr().err
    assert "key-000008.png: is missing" in told
    assert not (film.parent / "out.mp4").exists()


def test_a_keyframe_of_another_size_is_named(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = exported(film, "--every", "8")
    write(keys / "key-000008.png", torch.zeros(3, 64, 96))
    assert main(["keyframes", str(film), "--keys", str(keys), "-o", str(film.parent / "out.mp4"), "-q"]) == 2
    assert "is 96x64, the film is painted at 192x128" in capsys.readouterr().err


def test_one_that_nobody_painted_is_warned_of(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = exported(film, "--every", "8")
    for name in ("key-000000.png", "key-000008.png"):
        write(keys / name, negative(read(keys / name))[0])
    target = str(film.parent / "out.mp4")
    assert main(["keyframes", str(film), "--keys", str(keys), "-o", target, "-q", "--propagate", "warp"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "unchanged since the export" in line]
    assert len(warned) == 1
    assert "key-000016.png" in warned[0]


def test_nothing_painted_is_overwritten_by_an_export(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = exported(film)
    assert main(["keyframes", str(film), "--export", str(keys), "-q"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_two_exports_never_fill_one_folder(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = film.parent / "keys"
    keys.mkdir()
    other = PartialFile(keys / "keys.json")
    other.claim()
    assert main(["keyframes", str(film), "--export", str(keys), "-q"]) == 1
    assert "another run is writing it" in capsys.readouterr().err
    assert not list(keys.glob("key-*"))
    other.discard()
    (keys / ".keys.json.partial").write_text("of a killed run")
    exported(film)
    assert not list(keys.glob(".*"))


LISTS = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "deep": "[" * 100_000,
    "no keys": '{"keys": []}',
    "null keys": '{"keys": null}',
    "a number": '{"keys": [{"number": "a", "time": 0, "is_cut": true, "file": "key-000000.png"}]}',
    "negative": '{"keys": [{"number": -1, "time": 0, "is_cut": true, "file": "key-000000.png"}]}',
    "not finite": '{"keys": [{"number": 0, "time": NaN, "is_cut": true, "file": "key-000000.png"}]}',
    "elsewhere": '{"keys": [{"number": 0, "time": 0, "is_cut": true, "file": "../film/000.png"}]}',
    "no text": '{"keys": [{"number": 0, "time": 0, "is_cut": true, "file": 5}]}',
}


@pytest.mark.parametrize("name", LISTS)
def test_a_damaged_list_of_keyframes_is_told_in_one_line(
    film: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    keys = film.parent / "keys"
    keys.mkdir()
    (keys / "keys.json").write_text(LISTS[name])
    output = film.parent / "out.mp4"
    assert main(["keyframes", str(film), "--keys", str(keys), "-o", str(output), "-q"]) == 1
    told = capsys.readouterr().err
    assert "keys.json: is damaged; export the keyframes again" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(50)])
def test_damaged_motion_of_keyframes_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key-000000.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"key-000000.npz: is damaged .*; remove"):
        keyframes._flows(tmp_path / "key-000000.png")


@pytest.fixture
def plan(film: Path) -> KeyframePlan:
    """Three steps on pictures of 96 by 64 pixels: enough to see what is done and what is not."""
    stripes = np.zeros((80, 80, 3), np.uint8)
    stripes[::8] = 255
    cv2.imwrite(str(film.parent / "stripes.png"), stripes)
    (film.parent / "out").mkdir()
    return KeyframePlan(
        RenderPlan(str(film), str(film.parent / "out.mp4"), size="96x64"),
        (StyleImage(film.parent / "stripes.png"),),
        GatysOptions(steps=3, half=False),
        every=8,
        tune_steps=2,
    )


def painted_keys(plan: KeyframePlan) -> dict[str, int]:
    folder = Path(plan.film.output).with_suffix(".keyframes") / "painted"
    return {file.name: file.stat().st_mtime_ns for file in sorted(folder.glob("key-*.png"))}


def test_an_interrupted_run_goes_on_where_it_was(plan: KeyframePlan) -> None:
    def stop(progress: Progress) -> None:
        if progress.note.startswith("3 of 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        keyframes.paint_keyframes(plan, stop)
    assert "goes on from there" in caught.value.__notes__[0]
    before = painted_keys(plan)
    assert list(before) == ["key-000000.png", "key-000008.png"]
    assert not Path(plan.film.output).exists()
    report = keyframes.paint_keyframes(plan)
    after = painted_keys(plan)
    assert len(after) == 3
    assert {name: after[name] for name in before} == before
    assert report.render.frames == 20
    assert report.keys == [0, pytest.approx(8 / 24, abs=1e-3), pytest.approx(16 / 24, abs=1e-3)]


@pytest.mark.slow
def test_another_setting_redoes_what_depends_on_it(plan: KeyframePlan) -> None:
    from dataclasses import replace

    keyframes.paint_keyframes(plan)
    first = painted_keys(plan)
    work = Path(plan.film.output).with_suffix(".keyframes")
    tuned = (work / "tuned" / "tuned.safetensors").stat().st_mtime_ns
    again = replace(plan, film=replace(plan.film, encode=replace(plan.film.encode, overwrite=True)))
    keyframes.paint_keyframes(replace(again, propagate="warp"))
    assert painted_keys(plan) == first
    keyframes.paint_keyframes(replace(again, tune_steps=3))
    assert painted_keys(plan) == first
    assert (work / "tuned" / "tuned.safetensors").stat().st_mtime_ns > tuned
    keyframes.paint_keyframes(replace(again, options=replace(plan.options, strength=0.5)))
    assert all(now > first[name] for name, now in painted_keys(plan).items())


def test_keyframes_agree_with_those_before_them(plan: KeyframePlan) -> None:
    keyframes.paint_keyframes(plan)
    folder = Path(plan.film.output).with_suffix(".keyframes") / "painted"
    first, second = (read(folder / f"key-{number:06d}.png") for number in (0, 8))
    # 8 frames of 1.5 pixels: what was at x is at x - 12.
    moved = (first[..., 12:] - second[..., :-12])[..., 8:-8, 8:-8].abs().mean()
    still = (first - second)[..., 8:-8, 8:-8].abs().mean()
    assert moved < 0.5 * still


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name a painting"),
        (["--style", "nowhere.png"], "nowhere.png: "),
        (["--style", "film/000.png", "--keys", "keys"], "not both"),
        (["--keys", "film"], "give the folder that --export wrote"),
        (["--style", "film/000.png", "--every", "0"], "--every must be"),
        (["--style", "film/000.png", "--tune-steps", "0"], "tune_steps"),
        (["--style", "film/000.png", "-o", "nowhere/out.mp4"], "there is no folder"),
    ],
)
def test_a_request_that_cannot_be_says_so_in_one_line(
    film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    monkeypatch.chdir(film.parent)
    assert main(["keyframes", "film", "-o", "out.mp4", "-q", *options]) != 0
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1
    assert not Path("out.mp4").exists()
    assert not Path("nowhere").exists()


def test_what_is_there_already_is_noticed_before_anything_is_painted(
    plan: KeyframePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(plan.film.output).write_text("somebody's film")
    with pytest.raises(Exception, match="exists"):
        keyframes.paint_keyframes(plan)
    assert not painted_keys(plan)


def test_the_list_of_keyframes_can_be_read(film: Path) -> None:
    keys = exported(film, "--every", "8")
    listed = json.loads((keys / "keys.json").read_text())
    assert listed["size"] == [192, 128]
    assert [one["number"] for one in listed["keys"]] == [0, 8, 16]
    assert cv2.imread(str(keys / "sheet.jpg")) is not None
    shutil.rmtree(keys)
