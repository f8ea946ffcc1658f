"""Exported files paint what the product paints, in plain ONNX Runtime and OpenVINO."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from absent import missing

from videostyle.cli import main
from videostyle.errors import MissingDependencyError, SinkError, UnknownNameError, UsageError
from videostyle.export import export_style
from videostyle.noise import noise_field
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.types import Moment
from videostyle.weights import gallery, load_style, read_style

ort = pytest.importorskip("onnxruntime")

SIZES = [(33, 47), (64, 96), (5, 3)]


def session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def picture(height: int, width: int) -> torch.Tensor:
    torch.manual_seed(1)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7), (height, width), mode="bicubic").clamp(0, 1)
    return (coarse + 0.05 * torch.randn(1, 3, height, width)).clamp(0, 1)


def metadata(path: Path) -> dict[str, str]:
    return session(path).get_modelmeta().custom_metadata_map


def code_of(path: Path, style: str) -> np.ndarray:
    found = metadata(path)
    codes = np.frombuffer(base64.b64decode(found["codes"]), "<f4").reshape(-1, int(found["code_size"]))
    return codes[[json.loads(found["styles"]).index(style)]]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_paints_as_the_product_any_style_at_any_strength(
    size: tuple[int, int], toy_gallery: Path, tmp_path: Path
) -> None:
    path = tmp_path / "dots.onnx"
    export_style("dots", path)
    content = picture(*size)
    for style, strength in (("dots", 1.0), ("waves", 1.0), ("lines", 0.4), ("lines", 0.0)):
        given = {"content": content.numpy(), "strength": np.array([[strength]], np.float32)}
        if style != "dots":
            given["code"] = code_of(path, style)
        expected = load_stylizer(Style(style, strength=strength), "torch", "cpu")(content)
        assert abs(session(path).run(None, given)[0] - expected.numpy()).mean() < 1e-3


def test_a_batch_is_painted_in_one_style_or_in_several(toy_gallery: Path, tmp_path: Path) -> None:
    path = tmp_path / "dots.onnx"
    export_style("dots", path)
    contents = torch.cat([picture(24, 32), picture(24, 32).flip(3)])
    run = session(path).run
    (one,) = run(None, {"content": contents.numpy()})
    codes = np.concatenate([code_of(path, "dots"), code_of(path, "lines")])
    (several,) = run(None, {"content": contents.numpy(), "code": codes})
    assert np.allclose(one[:1], several[:1], atol=1e-5)
    assert abs(one[1] - several[1]).mean() > 0.01
    assert np.allclose(run(None, {"content": contents[1:].numpy(), "code": codes[1:]})[0], several[1:], atol=1e-5)


def test_black_stays_black_and_dusk_is_dimmed_as_in_the_product(toy_gallery: Path, tmp_path: Path) -> None:
    path = tmp_path / "dots.onnx"
    export_style("dots", path)
    run, stylizer = session(path).run, load_stylizer(Style("dots"), "torch", "cpu")
    black = torch.rand(1, 3, 64, 96) * 0.02
    assert np.array_equal(run(None, {"content": black.numpy()})[0], black.numpy())
    for light in (0.1, 0.2, 0.3):
        for size in ((64, 96), (50, 75)):
            dusk = picture(*size) * light
            assert abs(run(None, {"content": dusk.numpy()})[0] - stylizer(dusk).numpy()).mean() < 5e-3


def test_a_recurrent_network_reads_what_was_painted_before(tmp_path: Path) -> None:
    """The shipped `fast`, at three sizes, beside the product with the same noise."""
    path = tmp_path / "wave.onnx"
    export_style("great-wave", path)
    network, code = load_style(Style("great-wave"))
    stylizer = load_stylizer(Style("great-wave"), "torch", "cpu")
    run = session(path).run
    for height, width in ((90, 160), (64, 64), (121, 75)):
        content = picture(height, width)
        noise = torch.from_numpy(noise_field(height, width, np.random.default_rng(0))).permute(2, 0, 1)[None]
        given = {"content": content.numpy(), "noise": noise.numpy()}
        painted = run(None, given)[0]
        assert abs(painted - stylizer(content, Moment(0, True, noise=noise)).numpy()).mean() < 1e-3
        assert abs(run(None, {"content": content.numpy()})[0] - stylizer(content).numpy()).mean() < 1e-3
    prior, mask = torch.rand(2, 1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    content, noise = picture(64, 64), torch.randn(1, 4, 64, 64)
    given = {"content": content, "prior": prior[0], "mask": mask, "noise": noise}
    expected = network.net(content, code, None, torch.cat([prior[0], mask, noise], 1))
    found = run(None, {name: value.numpy() for name, value in given.items()})[0]
    assert abs(found - expected.numpy(force=True)).mean() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("entry", gallery(), ids=lambda entry: f"{entry.network}-{entry.name}")
def test_every_shipped_style_is_painted_as_the_product_paints_it(entry: Any, tmp_path: Path) -> None:
    path = tmp_path / "style.onnx"
    export_style(entry.name, path, network=entry.network)
    for size in ((360, 640), (97, 131), (480, 480)):
        content = picture(*size)
        expected = load_stylizer(Style(entry.name, network=entry.network), "torch", "cpu")(content)
        assert abs(session(path).run(None, {"content": content.numpy()})[0] - expected.numpy()).mean() < 1e-3


def test_the_file_says_what_it_is(toy_gallery: Path, tmp_path: Path) -> None:
    path = tmp_path / "blend.onnx"
    report = export_style({"dots": 2, "lines": 1}, path)
    found = metadata(path)
    assert found["name"] == report.styles[0] == "dots:2+lines"
    assert json.loads(found["styles"]) == ["dots:2+lines", "dots", "lines", "waves"]
    codes = {entry.name: read_style(entry.file)[0].numpy() for entry in gallery()}
    assert np.allclose(code_of(path, "dots:2+lines"), (2 * codes["dots"] + codes["lines"]) / 3)
    assert np.array_equal(code_of(path, "waves"), codes["waves"])
    network, _ = load_style(Style("dots"))
    assert found["network_sha256"] == network.sha256
    assert not np.frombuffer(base64.b64decode(found["identity"]), "<f4").any()
    assert json.loads(found["card"])["styles"]["dots"]["painter"] == "Nobody"
    assert found["license"] == "not stated"


def test_the_shipped_files_state_their_licence(tmp_path: Path) -> None:
    export_style("udnie", tmp_path / "udnie.onnx", network="fine")
    found = metadata(tmp_path / "udnie.onnx")
    assert found["license"] == "CC0-1.0"
    assert "recipe" in json.loads(found["card"])["network"]
    assert len(json.loads(found["styles"])) == 16


def test_without_defaults_every_input_has_to_be_given(toy_gallery: Path, tmp_path: Path) -> None:
    path = tmp_path / "dots.onnx"
    export_style("dots", path, defaults=False)
    assert [each.name for each in session(path).get_inputs()] == ["content", "code", "strength"]
    given = {"content": picture(24, 32).numpy(), "code": code_of(path, "dots"), "strength": np.ones((1, 1), np.float32)}
    expected = load_stylizer(Style("dots"), "torch", "cpu")(picture(24, 32))
    assert abs(session(path).run(None, given)[0] - expected.numpy()).mean() < 1e-3


@pytest.mark.parametrize("style", ["dots", "great-wave"])
def test_openvino_paints_its_own_format(style: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    import openvino as ov

    if style == "dots":
        request.getfixturevalue("toy_gallery")
    path = tmp_path / "style.xml"
    export_style(style, path)
    model = ov.Core().read_model(path)
    assert model.get_rt_info(["videostyle", "name"]).astype(str) == style
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    network, code = load_style(Style(style))
    for size in SIZES[:2]:
        content = picture(*size)
        given = {"content": content, "code": code, "strength": torch.ones(1, 1)}
        if network.net.architecture.recurrent:
            given |= {
                "prior": torch.zeros(1, 3, 1, 1),
                "mask": torch.zeros(1, 1, 1, 1),
                "noise": torch.zeros(1, 4, 1, 1),
            }
        found = compiled({name: value.numpy() for name, value in given.items()})[0]
        assert abs(found - load_stylizer(Style(style), "torch", "cpu")(content).numpy()).mean() < 1e-3


def web_example() -> str:
    """The example of the guide for the browser, as a module."""
    page = (Path(__file__).parents[1] / "docs/guide/export.md").read_text(encoding="utf-8")
    return page.partition("```js\n")[2].partition("```")[0]


def web_runtime() -> Path:
    """The folder of node_modules, which VIDEOSTYLE_ORT_WEB names, with onnxruntime-web."""
    modules = Path(os.environ.get("VIDEOSTYLE_ORT_WEB", ""))
    if not (modules / "onnxruntime-web").is_dir():
        missing("onnxruntime-web", "no onnxruntime-web")
    return modules


def painted_elsewhere(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the great wave and its inputs to a folder; returns the content and what the product makes of it."""
    export_style("great-wave", folder / "wave.onnx", defaults=False)
    content = picture(48, 64)
    (folder / "in.bin").write_bytes(content.contiguous().numpy().tobytes())
    (folder / "code.bin").write_bytes(code_of(folder / "wave.onnx", "great-wave").tobytes())
    return content, load_stylizer(Style("great-wave", strength=0.7), "torch", "cpu")(content)


def test_the_browser_example_paints_the_same_under_node(tmp_path: Path) -> None:
    modules = web_runtime()
    if shutil.which("node") is None:
        missing("onnxruntime-web", "no Node")
    (tmp_path / "node_modules").symlink_to(modules)
    script = (
        web_example()
        + """
import fs from "fs";
ort.env.wasm.numThreads = 1;
const read = (name) => new Float32Array(fs.readFileSync(name).buffer.slice(0));
const session = await ort.InferenceSession.create(fs.readFileSync("wave.onnx"));
fs.writeFileSync("out.bin", Buffer.from((await paint(session, read("in.bin"), 64, 48, read("code.bin"), 0.7)).buffer));
"""
    )
    (tmp_path / "run.mjs").write_text(script)
    content, expected = painted_elsewhere(tmp_path)
    subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True, timeout=300)
    found = np.frombuffer((tmp_path / "out.bin").read_bytes(), "<f4").reshape(content.shape)
    assert abs(found - expected.numpy()).mean() < 1e-3


@pytest.mark.slow
def test_the_browser_example_paints_the_same_in_chromium(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    modules = web_runtime()
    if chromium is None:
        missing("chromium", "no Chromium")
    (tmp_path / "ort").symlink_to(modules / "onnxruntime-web" / "dist")
    (tmp_path / "example.mjs").write_text(web_example())
    page = """<!doctype html><meta charset="utf-8"><script type="importmap">
{"imports": {"onnxruntime-web": "./ort/ort.wasm.min.mjs"}}</script>
<script type="module">
import * as ort from "onnxruntime-web";
import { paint } from "./example.mjs";
ort.env.wasm.numThreads = 1;
const read = async (name) => new Float32Array(await (await fetch(name)).arrayBuffer());
const session = await ort.InferenceSession.create("wave.onnx", { executionProviders: ["wasm"] });
window.found = Array.from(await paint(session, await read("in.bin"), 64, 48, await read("code.bin"), 0.7));
</script>"""
    (tmp_path / "index.html").write_text(page)
    content, expected = painted_elsewhere(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_api.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            tab.wait_for_function("window.found !== undefined", timeout=120_000)
            found = np.array(tab.evaluate("window.found"), np.float32).reshape(content.shape)
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert abs(found - expected.numpy()).mean() < 1e-3


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a line for each request."""

    extensions_map: ClassVar[dict[str, str]] = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_the_command_prints_the_file_and_overwrites_none(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dots.onnx"
    assert main(["export", "dots", "lines:2", "-o", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(path)
    assert "ONNX" in printed.err
    assert main(["export", "dots", "-o", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    before = path.read_bytes()
    assert main(["export", "dots", "-o", str(path), "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert path.read_bytes() != before


def test_what_cannot_be_exported_is_one_line(
    toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"use \.onnx \(ONNX\) or \.xml \(OpenVINO IR\)"):
        export_style("dots", tmp_path / "dots.pt")
    with pytest.raises(UnknownNameError, match="did you mean dots"):
        export_style("dot", tmp_path / "dots.onnx")
    with pytest.raises(SinkError, match="there is no folder"):
        export_style("dots", tmp_path / "none" / "dots.onnx")
    (tmp_path / "dots.bin").write_bytes(b"kept")
    with pytest.raises(UsageError, match=r"dots\.bin: exists already"):
        export_style("dots", tmp_path / "dots.xml")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "videostyle.nets.onnx_graph", raising=False)
    monkeypatch.delattr("videostyle.nets.onnx_graph", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install onnx onnxruntime"):
        export_style("dots", tmp_path / "dots.onnx")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["dots.bin"]
