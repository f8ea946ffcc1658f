"""Style and network files with something wrong in them: a clear line each, and the others go on."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import failing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media import film
from safetensors.torch import save
from torchvision.models import ResNet18_Weights

from videostyle import tensorfile, weights
from videostyle.batch.jobs import read_defaults
from videostyle.errors import SinkError, UsageError, VideostyleError, WeightsError
from videostyle.flow import load_flow
from videostyle.plan import FlowOptions
from videostyle.style import Style
from videostyle.torchvision_weights import load_weights
from videostyle.train.config import read_config
from videostyle.train.curve import draw_losses
from videostyle.train.journal import Journal
from videostyle.train.loop import _load
from videostyle.weights import load_loss_network

Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], Any]


def set_code(value: torch.Tensor) -> Change:
    return lambda card, tensors: tensors.update(code=value)


def spoil(value: float) -> Change:
    def change(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors["code"][0, 3] = value

    return change


def set_card(key: str, value: Any) -> Change:
    return lambda card, tensors: card.update({key: value})


def drop(key: str) -> Change:
    return lambda card, tensors: card.pop(key)


N = 89  # values of a code of the toy network
WRONG: dict[str, tuple[Change, str]] = {
    "nan": (spoil(float("nan")), "code holds values that are not finite"),
    "infinity": (spoil(float("-inf")), "not finite"),
    "large": (spoil(1e38), "beyond ±100"),
    "all nan": (set_code(torch.full((1, N), float("nan"))), "not finite"),
    "large double": (set_code(torch.full((1, N), 1e300, dtype=torch.float64)), "beyond ±100"),
    "int8": (set_code(torch.zeros(1, N, dtype=torch.int8)), "numbers of type I8"),
    "uint8": (set_code(torch.zeros(1, N, dtype=torch.uint8)), "numbers of type U8"),
    "bool": (set_code(torch.zeros(1, N, dtype=torch.bool)), "numbers of type BOOL"),
    "flat": (set_code(torch.zeros(N)), rf"one code of shape \[1, n\], this one code \[{N}\]"),
    "two rows": (set_code(torch.zeros(2, N)), r"one code of shape"),
    "empty": (set_code(torch.zeros(1, 0)), r"one code of shape"),
    "a scalar": (set_code(torch.tensor(1.0)), r"one code of shape"),
    "short": (set_code(torch.zeros(1, N - 1)), f"its code has {N - 1} values, fast takes {N}"),
    "long": (set_code(torch.zeros(1, N + 1)), f"its code has {N + 1} values, fast takes {N}"),
    "no code": (lambda card, tensors: tensors.clear(), "this one nothing"),
    "another name": (lambda card, tensors: tensors.update(codes=tensors.pop("code")), rf"this one codes \[1, {N}\]"),
    "one too many": (lambda card, tensors: tensors.update(more=torch.zeros(1)), r"one code of shape"),
    "no kind": (drop("kind"), "card is damaged"),
    "another kind": (set_card("kind", "sculpture"), "card is damaged"),
    "a list of kinds": (set_card("kind", ["style"]), "card is damaged"),
    "no network": (drop("network"), "network: Field required"),
    "no checksum": (drop("network_sha256"), "network_sha256: Field required"),
    "null checksum": (set_card("network_sha256", None), "network_sha256: Input should be a valid string"),
    "half a checksum": (set_card("network_sha256", "ab12"), "network_sha256: String should match"),
    "null title": (set_card("title", None), "title: Input should be a valid string"),
    "a list as a painter": (set_card("painter", ["Nobody"]), "painter: Input should be a valid string"),
    "a table as a network": (set_card("network", {"name": "fast"}), "network: Input should be a valid string"),
    "an endless title": (set_card("title", "a" * 5000), "title: String should have at most 1000 characters"),
}


@pytest.fixture
def home(toy_gallery: Path) -> Path:
    """The folder of the user's own styles."""
    folder = weights.styles_folder()
    folder.mkdir(parents=True)
    return folder


def style_file(path: Path, change: Change | None = None, **metadata: Any) -> Path:
    """A good style file, changed."""
    network = weights.load_network("fast")
    card = {"kind": "style", "name": "mine", "network": "fast", "network_sha256": network.sha256, "title": "Mine"}
    code = torch.linspace(-1, 1, network.net.code_size)[None].clone()
    tensors = {"code": code}
    assert code.shape[1] == N
    if change is not None:
        change(card, tensors)
    path.write_bytes(save(tensors, {tensorfile.KEY: json.dumps(card), **metadata}))
    return path


def with_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_style_is_refused_in_one_line(home: Path, tmp_path: Path, name: str) -> None:
    change, said = WRONG[name]
    path = style_file(tmp_path / "mine.safetensors", change)
    with pytest.raises(WeightsError, match=said) as caught:
        weights.load_style(Style(((str(path), 1),)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


HEADERS = {
    "a list": b"[1, 2, 3]",
    "null": b"null",
    "nested": b"[" * 100_000,
    "deep": b'{"a":' * 100_000,
    "no json": b"{oops",
    "not utf-8": b'{"\xff": 1}',
    "no metadata": b"{}",
    "null metadata": b'{"__metadata__": null}',
    "a list as metadata": b'{"__metadata__": [1]}',
    "a text as metadata": b'{"__metadata__": "videostyle"}',
    "a list as card": b'{"__metadata__": {"videostyle": "[]"}}',
    "null as card": b'{"__metadata__": {"videostyle": "null"}}',
    "number as card": b'{"__metadata__": {"videostyle": 7}}',
    "a nested card": b'{"__metadata__": {"videostyle": "' + b"[" * 100_000 + b'"}}',
    "a number of many digits": b'{"__metadata__": {"videostyle": "' + b"1" * 10_000 + b'"}}',
    "tensors beyond the end": b'{"code":{"dtype":"F32","shape":[1,73],"data_offsets":[0,292]}}',
    "an endless shape": b'{"code":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}',
    "a negative shape": b'{"code":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    "an unknown type": b'{"code":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_header_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = with_header(tmp_path / "mine.safetensors", HEADERS[name])
    with pytest.raises(WeightsError, match=r"mine\.safetensors: not a ") as caught:
        tensorfile.read(path)
    assert len(str(caught.value)) < 500


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(3 * 2**30)
    (tmp_path / "empty.safetensors").touch()
    for name, said in (
        ("pipe", "not a file"),
        ("folder", "not a file"),
        ("link", "cannot be read"),
        ("huge", "too large"),
        ("empty", "not a safetensors file"),
        ("a" * 300, "cannot be read"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(WeightsError, match=said):
            tensorfile.read(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(home: Path, tmp_path: Path, kind: torch.dtype) -> None:
    whole = weights.read_style(style_file(tmp_path / "whole.safetensors"))[0]
    code, _ = weights.read_style(style_file(tmp_path / "mine.safetensors", set_code(whole.to(kind))))
    assert code.dtype == torch.float32
    assert torch.equal(code, whole.to(kind).float())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_a_file_is_damaged_it_is_read_or_refused(home: Path, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "mine.safetensors"
    content = bytearray(style_file(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "drop", "fill"])):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[at + 1 :]
            case "drop":
                del content[at : at + data.draw(st.integers(1, 50))]
            case "fill":
                content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
        content = content or bytearray(1)
    path.write_bytes(content)
    try:
        code, _ = weights.read_style(path)
    except WeightsError:
        return
    assert code.dtype == torch.float32
    assert code.abs().max() <= tensorfile.LARGEST_CODE


def test_in_the_list_a_damaged_file_is_one_line_and_the_rest_goes_on(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style_file(home / "good.safetensors")
    for number, (change, _) in enumerate(WRONG.values()):
        style_file(home / f"wrong{number}.safetensors", change)
    for number, header in enumerate(HEADERS.values()):
        with_header(home / f"header{number}.safetensors", header)
    os.mkfifo(home / "pipe.safetensors")
    damaged: list[str] = []
    names = {entry.name for entry in weights.own_styles(damaged.append)}
    # The two of another length are as long as another network's might be.
    listed = {"good"} | {f"wrong{list(WRONG).index(name)}" for name in ("short", "long")}
    assert names == listed
    assert len(damaged) == len(WRONG) - 2 + len(HEADERS) + 1
    status, said = failing(capsys, "styles")
    assert status == 0
    assert said.splitlines() == [f"videostyle: {line}" for line in damaged]


def test_a_damaged_file_beside_them_stops_no_other_style(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style_file(home / "good.safetensors")
    style_file(home / "bad.safetensors", drop("network_sha256"))
    weights.load_style(Style((("good", 1), ("dots", 1))))
    source = film(tmp_path / "a.mp4", 2, (64, 48))
    argv = ("stylize", str(source), "-o", str(tmp_path / "b.mp4"), "--engine", "torch", "--quiet", "--style")
    status, said = failing(capsys, *argv, "bad")
    assert (status, said.count("\n")) == (1, 0)
    assert f"{home / 'bad.safetensors'}: not a videostyle file, or its card is damaged" in said
    assert not (tmp_path / "b.mp4").exists()
    assert failing(capsys, *argv, "dots")[0] == 0


@pytest.mark.parametrize("name", ["a" * 300, "a\nb", "a\0b", "\udcff", "\x1b[31mred"])
def test_a_name_that_is_none_is_refused(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no style named"):
        weights.load_style(Style(((name, 1),)))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load_style(Style(((f"{name}.safetensors", 1),)))


def network_file(path: Path, **changes: Any) -> tuple[Path, str]:
    """A small network, its architecture or tensors changed."""
    network = weights.load_network("fast")
    card = json.loads(json.dumps(network.card))
    card["architecture"].update(changes.pop("architecture", {}))
    tensors = {**network.net.state_dict(), "identity": network.identity.clone(), **changes}
    kept = {key: value.contiguous() for key, value in tensors.items() if value is not None}
    path.write_bytes(save(kept, {tensorfile.KEY: json.dumps(card)}))
    return path, tensorfile.read(path).sha256


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": {"widths": [8, 16]}}, "tensors do not fit its architecture"),
        ({"architecture": {"widths": [10**9, 10**9]}}, "not within 0 and 4096"),
        ({"architecture": {"blocks": -1}}, "not within 0 and 4096"),
        ({"architecture": {"widths": []}}, "cannot be built"),
        ({"architecture": {"unshuffle": 0}}, "cannot be built|do not fit"),
        ({"architecture": {"blocks": "many"}}, "its architecture's blocks: Input should be a valid integer"),
        ({"architecture": {"widths": None}}, "its architecture's widths: Input should be a valid tuple"),
        ({"architecture": {"wings": 2}}, r"made by a newer videostyle \(its architecture has wings\)"),
        ({"last.conv.bias": None}, "tensors do not fit its architecture"),
        ({"last.conv.bias": torch.zeros(4)}, "tensors do not fit its architecture"),
        ({"more": torch.zeros(4)}, "tensors do not fit its architecture"),
        ({"identity": None}, "no code of strength 0"),
        ({"identity": torch.zeros(1, 5)}, "no code of strength 0"),
    ],
)
def test_a_damaged_network_is_refused_in_one_line(
    toy_gallery: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path, digest = network_file(tmp_path / "network.safetensors", **changes)
    with pytest.raises(WeightsError, match=said) as caught:
        weights.read_network("fast", path, digest)
    assert "\n" not in str(caught.value)


def test_a_network_that_is_not_finite_is_refused(toy_gallery: Path, tmp_path: Path) -> None:
    path, digest = network_file(tmp_path / "network.safetensors")
    assert weights.read_network("fast", path, digest).net.code_size == N
    for value in (np.nan, np.inf, 1e30):
        with pytest.raises(WeightsError, match=r"last\.conv\.bias holds values that are not finite, or beyond ±10000"):
            network_file(path, **{"last.conv.bias": torch.tensor([0, value, 0], dtype=torch.float32)})


def listed_style(name: str) -> str:
    """A manifest with one style of that name."""
    fields = {"network": "fast", "title": "", "painter": "", "year": "", "file": "dots.safetensors", "sha256": "0"}
    return json.dumps({"networks": {}, "styles": [{"name": name, "size": 1, **fields}]})


MANIFESTS = {
    "a list": "[]",
    "null": "null",
    "empty": "{}",
    "nested": "[" * 100_000,
    "networks as a list": '{"networks": [], "styles": []}',
    "a network without a file": '{"networks": {"fast": {"sha256": "1"}}, "styles": []}',
    "styles as a table": '{"networks": {}, "styles": {}}',
    "a style that is null": '{"networks": {}, "styles": [null]}',
    "a style without a name": '{"networks": {}, "styles": [{"network": "fast"}]}',
    "loss networks as a list": '{"networks": {}, "loss_networks": [1], "styles": []}',
    "not utf-8": "\udcff",
    "a style with a path for a name": listed_style("../../dots"),
    "a hidden style": listed_style(".dots"),
    "a style with two lines for a name": listed_style("a\nb"),
}


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(os.fsencode(text))
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(tmp_path))
    for read in (weights.gallery, lambda: weights.load_loss_network("vgg19-small")):
        with pytest.raises(WeightsError, match=r"manifest\.json: damaged .*install videostyle again") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_what_a_newer_manifest_has_beside_is_left_alone(toy_models: Path, tmp_path: Path) -> None:
    told = json.loads((toy_models / "manifest.json").read_text())
    told["figures"] = [1]
    told["styles"][0]["colour"] = "blue"
    (tmp_path / "manifest.json").write_text(json.dumps(told))
    assert [entry.name for entry in weights.read_manifest(tmp_path)[1]] == ["dots", "lines", "waves"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), NotADirectoryError(20, "Not a directory")])
def test_a_folder_of_own_styles_that_cannot_be_read_is_named_and_stops_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """As of another user, in whose home folder a program runs."""

    def closed(path: object) -> list[str]:
        raise error

    monkeypatch.setattr("os.listdir", closed)
    assert failing(capsys, "styles") == (0, f"videostyle: {home}: cannot be read ({error.strerror})")


READERS: dict[str, Callable[[Path], object]] = {
    "training's settings": read_config,
    "list of jobs": read_defaults,
    "loss network": lambda path: load_loss_network("vgg19", path),
    "weights of RAFT": lambda path: load_flow(FlowOptions("raft", str(path)), "cpu"),
    "checkpoint": lambda path: _load(path, "cpu"),
}


@pytest.mark.parametrize("name", READERS)
def test_no_reader_waits_for_a_pipe(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(VideostyleError) as told:
        READERS[name](tmp_path / "pipe.toml")
    assert "pipe.toml" in str(told.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_of_other_makers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    net = torch.nn.Linear(2, 2)
    state = net.state_dict()
    state["weight"][0, 1] = value
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"weights.pt.*not finite"):
        load_weights(net, "net", ResNet18_Weights.IMAGENET1K_V1, path, False, "--weights")
    with pytest.raises(WeightsError, match=r"weights.pt: damaged.*not finite"):
        load_loss_network("vgg19", path)


def test_a_journal_with_lines_that_say_nothing_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        {"step": 1, "style": 2.0, "content": 1.0, "temporal": None},
        {"step": 2},
        {"step": 3, "style": "a", "content": [1], "temporal": {}},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_losses(tmp_path / "log.jsonl", tmp_path / "losses.png")
    assert (tmp_path / "losses.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["log.jsonl", "validation.jsonl"])
@pytest.mark.parametrize("kind", [os.mkdir, os.mkfifo])
def test_a_journal_that_is_no_file_is_told_in_a_line(tmp_path: Path, name: str, kind: Callable[[Path], None]) -> None:
    kind(tmp_path / name)
    with pytest.raises(SinkError, match=name):
        Journal(tmp_path, 0)
