from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import torch
from command import failing
from PIL import Image

from videostyle import weights
from videostyle.batch.jobs import read_jobs
from videostyle.batch.journal import fingerprint
from videostyle.batch.tasks import WholeTask, carry_out
from videostyle.cli import _parser, batch, main
from videostyle.cli import learn as learn_command
from videostyle.cli.options import read_along, read_blend
from videostyle.errors import SourceError, TrainingError, UsageError, WeightsError
from videostyle.io.style_image import read_on_white
from videostyle.live.painter import LivePainter
from videostyle.live.plan import LivePlan
from videostyle.nets.code_predictor import BOTTLENECK, LAYERS, STATISTICS, CodePredictor
from videostyle.plan import RenderPlan
from videostyle.progress import ignore
from videostyle.style import Style
from videostyle.train import predictor as training
from videostyle.train.plan import LearnPlan, TrainingStyle
from videostyle.train.predictor import PredictorConfig, random_view, train_predictor
from videostyle.types import Frame
from videostyle.weights import prediction
from videostyle.weights.manifest import cache_folder
from videostyle.weights.prediction import MOST_KEPT


@pytest.fixture(autouse=True)
def predictor(toy_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy models with an untrained predictor, an empty cache, and a quick loss network."""
    folder = tmp_path / "models"
    shutil.copytree(toy_models, folder)
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(folder))
    monkeypatch.setenv("VIDEOSTYLE_STYLES", str(tmp_path / "own styles"))
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "cache"))
    network = weights.load_network("fast")
    torch.manual_seed(1)
    net = CodePredictor(network.net.code_size)
    torch.nn.init.normal_(net.narrow.weight, std=0.05)
    gallery = {name: torch.randn(BOTTLENECK).tanh() for name in ("dots", "lines", "waves")}
    weights.save_predictor(folder / "fast" / "predictor.safetensors", net, network, {}, gallery)
    weights.write_manifest(folder)
    return folder


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (70, 90)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def code_of(*names: Path | str) -> torch.Tensor:
    return weights.load_style(Style(tuple((str(name), 1.0) for name in names)))[1]


def test_a_picture_is_a_style(tmp_path: Path) -> None:
    one, other = picture(tmp_path / "one.png"), picture(tmp_path / "other.png", 1)
    assert code_of(one).shape == code_of("dots").shape
    assert code_of(one)[0, -1] == 1
    assert not torch.allclose(code_of(one), code_of(other))
    # The file's bytes are what counts, not its name.
    assert torch.equal(code_of(one), code_of(shutil.copy(one, tmp_path / "copy.png")))
    assert torch.allclose(code_of(one, "dots"), (code_of(one) + code_of("dots")) / 2, atol=1e-6)


def test_a_picture_in_every_place_of_a_style(tmp_path: Path) -> None:
    one, film = picture(tmp_path / "one.png"), media.film(tmp_path / "film.mp4", 6)
    mask = picture(tmp_path / "mask.png", 2, (48, 64))
    report = tmp_path / "report.json"
    plain = ["stylize", str(film), "--engine", "torch", "-q", "--flow", "none", "--overwrite", "--report", str(report)]
    for words in (
        [f"{one}:2", "--style", "dots"],
        [f"{one}@0", "--style", "dots@0:01"],
        ["dots", "--region", f"{one}={mask}"],
    ):
        assert main([*plain, "-o", str(tmp_path / "painted.mp4"), "--style", *words]) == 0
        assert json.loads(report.read_text())["predicted"] == [str(one)]
    assert main([*plain, "-o", str(tmp_path / "painted.mp4"), "--style", "dots"]) == 0
    assert json.loads(report.read_text())["predicted"] == []


def test_a_code_is_predicted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = picture(tmp_path / "one.png")
    code = code_of(one)
    (kept,) = cache_folder("codes").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "load_predictor", None)  # would raise TypeError
        assert torch.equal(code_of(one), code)
    # A damaged code, or one of another network, is predicted again.
    kept.write_bytes(b"no style")
    assert torch.equal(code_of(one), code)
    weights.save_style(kept, code + 1, "fast", "0" * 64, {})
    assert torch.equal(code_of(one), code)


def test_the_cache_is_bounded_and_need_not_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder("codes")
    folder.mkdir(parents=True)
    for number in range(MOST_KEPT + 3):
        (folder / f"{number}.safetensors").touch()
    code = code_of(picture(tmp_path / "one.png"))
    assert len(list(folder.iterdir())) == MOST_KEPT
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "one.png"))  # no folder
    assert torch.equal(code_of(tmp_path / "one.png"), code)


@pytest.mark.parametrize("size", [(64, 64), (64, 3000), (1200, 900), (600, 12_000)])
def test_pictures_of_all_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8), size[::-1])
    assert cv2.imwrite(str(tmp_path / "one.jpg"), pixels)
    assert code_of(tmp_path / "one.jpg").isfinite().all()


def test_marks_have_the_scale_of_the_picture(tmp_path: Path) -> None:
    """What counts is how large marks are beside the picture, not in pixels: a scan of four times the resolution
    predicts the same, and a detail, in which they are larger, does not.
    """
    paint = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(160, 160, 3)), (0, 0), 2)
    paint = np.clip(128 + 50 * paint / paint.std(), 0, 255).astype(np.uint8)
    files = {"whole": paint, "scan": cv2.resize(paint, (640, 640), interpolation=cv2.INTER_CUBIC)}
    files["detail"] = cv2.resize(paint[:40, :40], (640, 640), interpolation=cv2.INTER_CUBIC)
    for name, pixels in files.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    network = weights.load_network("fast")
    whole, scan, detail = (weights.predict_code(tmp_path / f"{name}.png", network, 160) for name in files)
    assert (scan - whole).norm() < 0.2 * (detail - whole).norm()
    # The size at which a painting is learned is that at which its code is predicted.
    assert main(["learn", str(tmp_path / "scan.png"), "--minutes", "0", "--size", "160", "--name", "small"]) == 0
    assert torch.equal(code_of("small"), scan)


def test_a_large_picture_is_not_held_as_floats(tmp_path: Path) -> None:
    pixels = np.zeros((1500, 6000, 3), np.uint8)
    pixels[:, ::2] = 255
    cv2.imwrite(str(tmp_path / "one.png"), pixels)
    shrunk = read_on_white(tmp_path / "one.png", 2048)
    assert shrunk.shape == (1, 3, 512, 2048)
    assert abs(shrunk.mean() - 0.5) < 0.01
    assert read_on_white(tmp_path / "one.png").shape == (1, 3, 1500, 6000)
    cv2.imwrite(str(tmp_path / "strip.png"), pixels[:70])
    assert read_on_white(tmp_path / "strip.png", 2048).shape[2] == 64


def test_a_picture_that_lies_on_its_side_is_set_upright(tmp_path: Path) -> None:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, ::6] = 255
    upright = Image.fromarray(pixels)
    upright.save(tmp_path / "upright.png")
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying.save(tmp_path / "tagged.png", exif=exif)
    upright, lying, tagged = (code_of(tmp_path / f"{name}.png") for name in ("upright", "lying", "tagged"))
    assert torch.allclose(tagged, upright, atol=1e-5)
    assert not torch.allclose(lying, upright, atol=1e-3)


def test_a_cmyk_picture_has_its_colors(tmp_path: Path) -> None:
    pixels = np.full((70, 80, 3), (200, 60, 30), np.uint8)
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    found = read_on_white(tmp_path / "cmyk.jpg").mean((0, 2, 3)) * 255
    assert (found - torch.tensor([200, 60, 30])).abs().max() < 6
    assert code_of(tmp_path / "cmyk.jpg").isfinite().all()


@pytest.mark.parametrize("kind", ["photograph", "drawing on white", "logo", "texture"])
def test_what_is_no_painting_is_a_style_all_the_same(tmp_path: Path, kind: str) -> None:
    film, path = media.film(tmp_path / "film.mp4", 2), tmp_path / "one.png"
    pixels = np.full((90, 120, 3), 255, np.uint8)
    if kind == "photograph":
        pixels = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8), (0, 0), 3)
    elif kind == "texture":
        pixels[::4] = (40, 90, 160)
    else:
        cv2.circle(pixels, (60, 45), 30, (0, 0, 0), 1 if kind == "drawing on white" else -1)
    if kind == "logo":
        pixels = np.dstack([pixels, 255 - pixels[..., 0]])  # black on nothing
    cv2.imwrite(str(path), pixels)
    words = ["--style", str(path), "--engine", "torch", "-q", "--flow", "none"]
    assert main(["stylize", str(film), "-o", str(tmp_path / "o.mp4"), *words]) == 0
    assert len(media.decode(tmp_path / "o.mp4")) == 2


def test_an_at_sign_in_a_name_is_no_time(tmp_path: Path) -> None:
    name = str(picture(tmp_path / "one@2x.png"))
    assert read_along("--style", [name], read_blend) == ((name, 1.0),)
    assert read_along("--style", [f"{name}:2", "dots"], read_blend) == ((name, 2.0), ("dots", 1.0))
    timeline = read_along("--style", [f"{name}@0:05"], read_blend)
    assert [(key.value, key.start) for key in timeline.keys] == [(((name, 1.0),), 5)]


def test_strength_and_shares_lie_between_codes(tmp_path: Path) -> None:
    one, other = picture(tmp_path / "one.png"), picture(tmp_path / "other.png", 1)
    style = Style({str(one): 3, str(other): 1, "dots": 4}, strength=0.25)
    network, codes = weights.load_style(style)[0], weights.load_codes(style)[1]
    full = (3 * code_of(one) + code_of(other) + 4 * code_of("dots")) / 8
    assert torch.allclose(codes.at(Fraction(0)), torch.lerp(network.identity, full, 0.25), atol=1e-5)


def test_live_has_a_picture_on_its_keys(tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png")
    painter = LivePainter(LivePlan(styles=("dots", str(one)), engine="torch", adapt=False), (64, 48))
    assert painter.controls.now.styles[:2] == ("dots", str(one))
    frames = [
        Frame(torch.randint(0, 255, (3, 48, 64), dtype=torch.uint8), n, Fraction(1, 10), index=n) for n in range(2)
    ]
    painter.controls.press("2")
    painted = [live.stylized.pixels for live in painter.painted(frames)]
    assert len(painted) == 2
    assert not torch.equal(painted[-1], frames[-1].pixels)


def test_the_pages_take_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from videostyle.web.controls import checked_look
    from videostyle.web.preview import PreviewCache

    one, film = str(picture(tmp_path / "one.png")), str(media.film(tmp_path / "film.mp4", 4))
    base = RenderPlan(film, "", style=Style(one), engine="torch")
    plan = checked_look(base, [one, "dots", 0.25, 0.5, False, 1.0, "fast", 1.0, "the film's own"])
    assert plan.style.blend == ((one, 0.75), ("dots", 0.25))
    (tmp_path / "media").mkdir()
    assert len(PreviewCache(tmp_path / "media").versions(replace(plan, source=film), ignore)) == 3
    with pytest.raises(UsageError, match="no style named"):
        checked_look(RenderPlan(film, ""), [one, "none", 0, 1, False, 1.0, "fast", 1.0, "the film's own"])


def test_a_batch_takes_pictures(tmp_path: Path) -> None:
    one, film = picture(tmp_path / "list" / "one.png"), str(media.film(tmp_path / "film.mp4", 2))
    words = [film, "--style", str(one), "--style", "dots", "-o", str(tmp_path / "o"), "--engine", "torch"]
    plans = batch._plan(_parser().parse_args(["batch", *words])).films
    assert [Path(plan.output).name for plan in plans] == ["film-one.mp4", "film-dots.mp4"]
    task = WholeTask(replace(plans[0], output=str(tmp_path / "o.mp4")), str(tmp_path / "written"))
    result = carry_out(task, lambda count: None)
    assert "error" not in result
    # In a job list, pictures are where the list is.
    jobs = tmp_path / "list" / "jobs.toml"
    table = 'region = [{ style = "one.png", mask = "m.png" }]'
    jobs.write_text(f'[[jobs]]\nsource = "{film}"\nstyles = ["one.png", {{ "one.png" = 2, dots = 1 }}]\n{table}')
    first, second = read_jobs(jobs, [], tmp_path, RenderPlan("", ""))
    assert first.style.blends.keys[0].value == ((str(one), 1.0),)
    assert second.style.blends.keys[0].value == ((str(one), 2.0), ("dots", 1.0))
    assert first.style.regions[0].blend == ((str(one), 1.0),)


@pytest.mark.parametrize("kind", ["grey", "16 bits", "alpha", "one colour", "animation", "gif"])
def test_pictures_of_all_kinds(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "one.png"
    pixels = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
    if kind == "grey":
        cv2.imwrite(str(path), pixels[..., 0])
    elif kind == "16 bits":
        cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    elif kind == "alpha":
        cv2.imwrite(str(path), np.dstack([pixels, pixels[..., :1]]))
    elif kind == "one colour":
        cv2.imwrite(str(path), np.full((70, 80, 3), 90, np.uint8))
    else:
        path = tmp_path / ("one.webp" if kind == "animation" else "one.gif")
        first, second = (Image.fromarray(pixels if number == 0 else 255 - pixels) for number in range(2))
        first.save(path, save_all=True, append_images=[second], duration=100, lossless=True)
    assert code_of(path).isfinite().all()


def test_what_is_no_painting_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = str(media.film(tmp_path / "film.mp4", 2))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    small = picture(tmp_path / "small.png", size=(40, 40))
    for path, why in (
        (tmp_path / "gone.png", "no such file"),
        (broken, "is not a picture that can be read"),
        (small, "40x40 pixels show no brush strokes"),
    ):
        status, text = failing(capsys, "stylize", film, "-o", str(tmp_path / "o.mp4"), "--style", str(path), "-q")
        assert status in (1, 2)
        assert why in text
        assert not (tmp_path / "o.mp4").exists()
    with pytest.raises((SourceError, UsageError)):
        code_of(small)


def test_a_network_without_a_predictor_says_how_to_learn(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, film = picture(tmp_path / "a painting.png"), media.film(tmp_path / "film.mp4", 2)
    status, text = failing(capsys, "stylize", str(film), "-o", str(tmp_path / "o.mp4"), "--style", str(one), "-q")
    assert status == 2
    assert f"learn it: videostyle learn '{one}' --network fast" in text


def test_a_predictor_of_another_network_is_refused(predictor: Path, tmp_path: Path) -> None:
    network = weights.load_network("fast")
    file = predictor / "fast" / "predictor.safetensors"
    other = CodePredictor(network.net.code_size + 2)
    weights.save_predictor(file, other, network, {}, {})
    weights.write_manifest(predictor)
    with pytest.raises(WeightsError, match="its tensors do not fit the network fast"):
        code_of(picture(tmp_path / "one.png"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError):
        code_of(picture(tmp_path / "two.png", 2))


def test_a_job_begins_anew_where_its_picture_has_changed(tmp_path: Path, predictor: Path) -> None:
    one, film = picture(tmp_path / "one.png"), media.film(tmp_path / "film.mp4", 2)
    plan = RenderPlan(str(film), str(tmp_path / "o.mp4"), style=Style(str(one)))
    before = fingerprint(plan)
    assert fingerprint(plan) == before
    picture(one, 7, (71, 90))
    assert fingerprint(plan) != before


def test_the_gallery_is_listed_by_likeness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = picture(tmp_path / "one.png")
    assert main(["styles", "--like", str(one)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert sorted(name for name, _ in lines) == ["dots", "lines", "waves"]
    assert [distance for _, distance in lines] == sorted(distance for _, distance in lines)
    assert main(["styles", "--like", str(one), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [name for name, _ in lines]


def test_no_minutes_write_the_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paintings = [picture(tmp_path / f"{name}.png", seed) for seed, name in enumerate(("red", "blue"))]
    assert main(["learn", *map(str, paintings), "--minutes", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for painting in paintings:
        assert torch.equal(code_of(painting.stem), code_of(painting))
    assert weights.read_style(tmp_path / "own styles" / "red.safetensors")[1]["predicted"] is True
    # Nothing is overwritten, and one name is no name for two.
    assert failing(capsys, "learn", str(paintings[0]), "--minutes", "0")[0] == 2
    assert failing(capsys, "learn", *map(str, paintings), "--minutes", "0", "--name", "one")[0] == 2
    with pytest.raises(UsageError, match="a code is predicted"):
        LearnPlan(TrainingStyle("red", paintings[0]), tmp_path / "o.safetensors", minutes=0, whole=True)


def test_learning_takes_a_minute_where_it_begins_from_a_prediction(tmp_path: Path, predictor: Path) -> None:
    painting = str(picture(tmp_path / "a.png", 1, (64, 64)))

    def minutes(*words: str) -> float:
        return learn_command._minutes(_parser().parse_args(["learn", painting, *words]))

    assert (minutes(), minutes("--whole"), minutes("--minutes", "3")) == (1, 10, 3)
    (predictor / "fast" / "predictor.safetensors").unlink()
    weights.write_manifest(predictor)
    assert minutes() == 10


def test_statistics_of_the_predictor_are_those_of_the_picture() -> None:
    net = CodePredictor(9)
    features = {
        layer: torch.rand(1, channels, 6, 5) for layer, channels in zip(LAYERS, (64, 128, 256, 512, 512), strict=True)
    }
    found = net.statistics(features)
    assert found.shape == (1, STATISTICS)
    assert torch.allclose(found[0, :64], features["relu1_1"].mean((2, 3))[0], atol=1e-5)
    # Means, deviations and projections do not depend on where a thing is.
    moved = {layer: one.flip(3).roll(1, 2) for layer, one in features.items()}
    assert torch.allclose(net.statistics(moved), found, atol=1e-4)


def test_training_goes_on_where_it_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    paintings = tuple(picture(tmp_path / "paintings" / f"{seed}.png", seed, (64, 80)) for seed in range(2))
    for seed in range(2):
        picture(tmp_path / "photographs" / f"{seed}.png", 9 + seed, (80, 80))

    def trained(folder: str, steps: int) -> CodePredictor:
        config = PredictorConfig(
            tmp_path / "photographs",
            paintings,
            tmp_path / folder,
            textures=paintings[:1],
            views=1,
            steps=steps,
            batch=2,
            crop=64,
            save_every=1,
        )
        return train_predictor(config)

    whole = trained("whole", 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_state", stop_after(training.save_state, saves=2))  # the views, and step 1
        with pytest.raises(KeyboardInterrupt):
            trained("parts", 3)
    assert "step 3/3" in caplog.text
    caplog.clear()
    parts = trained("parts", 3)
    assert "continuing from step 1" in caplog.text
    assert "view" not in caplog.text
    assert all(torch.equal(one, whole.state_dict()[name]) for name, one in parts.state_dict().items())
    begun = CodePredictor(whole.code.shape[1] + 1)
    assert not torch.equal(whole.wide.bias, begun.wide.bias)


def test_training_begins_with_the_gallery_s_codes_and_keeps_them(toy_gallery: Path, tmp_path: Path) -> None:
    names = ("dots", "lines", "waves")
    paintings = [picture(tmp_path / "gallery" / f"{name}.png", seed, (64, 80)) for seed, name in enumerate(names)]
    picture(tmp_path / "photographs" / "one.png", 9, (80, 80))
    config = PredictorConfig(
        tmp_path / "photographs", tuple(paintings), tmp_path / "run", views=0, steps=2, batch=1, crop=64
    )
    codes = torch.cat([weights.read_style(toy_gallery / "fast" / f"{name}.safetensors")[0] for name in names])

    @torch.no_grad()
    def errors(net: CodePredictor) -> torch.Tensor:
        predictor = weights.Predictor(net, {})
        found = torch.cat([net(weights.picture_statistics(predictor, read_on_white(path))) for path in paintings])
        return ((found - codes)[:, :-1] / net.scale).square().mean().sqrt()

    free = errors(train_predictor(config))
    held = errors(train_predictor(replace(config, folder=tmp_path / "held", gallery=tmp_path / "gallery")))
    assert held < 0.2 < 0.6 < free
    (tmp_path / "gallery" / "waves.png").unlink()
    with pytest.raises(TrainingError, match="has no picture of the style waves"):
        train_predictor(replace(config, paintings=tuple(paintings[:2]), gallery=tmp_path / "gallery"))


def test_training_begins_with_the_bottleneck_of_another_network(toy_gallery: Path, tmp_path: Path) -> None:
    network = weights.load_network("fast")
    size = network.net.code_size
    torch.manual_seed(3)
    same, other = CodePredictor(size), CodePredictor(size + 8)
    for net, name in ((same, "same"), (other, "other")):
        net.average.fill_(0.5)
        weights.save_predictor(tmp_path / f"{name}.safetensors", net, network, {"held_back": []}, {})
    for given, name in ((same, "same"), (other, "other")):
        begun = CodePredictor(size)
        training._load_layers(begun, tmp_path / f"{name}.safetensors")
        assert torch.allclose(begun.narrow.weight, given.narrow.weight, atol=1e-3)
        assert torch.equal(begun.average, torch.zeros_like(begun.average)), "the statistics are the new training's own"
        wide = given.wide.weight if given is same else torch.zeros_like(begun.wide.weight)
        assert torch.allclose(begun.wide.weight, wide, atol=1e-3)


def stop_after(save: Callable[..., None], saves: int) -> Callable[..., None]:
    done: list[Path] = []

    def saved(path: Path, state: object) -> None:
        save(path, state)
        done.append(path)
        if len(done) == saves:
            raise KeyboardInterrupt

    return saved


def test_views_are_pictures(tmp_path: Path) -> None:
    whole = torch.rand(1, 3, 120, 200)
    views = [random_view(whole, random.Random(seed)) for seed in range(12)]
    assert all(view.min() >= 0 and view.max() <= 1 for view in views)
    assert len({tuple(view.shape) for view in views}) > 6
    grey = torch.full((1, 3, 90, 90), 0.5)
    assert all(view.std() < 1e-6 for view in (random_view(grey, random.Random(seed)) for seed in range(6)))
