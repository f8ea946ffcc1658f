"""Engine `onnx`: its graph is the network's, its sessions are bounded, and each device has its provider."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from absent import missing

from videostyle import engines
from videostyle.engines import choose_device, choose_engine, devices_of, load_engine, openvino, tensor_device
from videostyle.errors import MissingDependencyError, UsageError
from videostyle.flow import choose_flow
from videostyle.nets.running_norm import FrameNorm
from videostyle.nets.style_network import Architecture, StyleNetwork
from videostyle.plan import FlowOptions, RenderPlan
from videostyle.settings import settings_of
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.weights import Network

onnx_graph = pytest.importorskip("videostyle.nets.onnx_graph")
onnx = pytest.importorskip("videostyle.engines.onnx")


def network(**changes: Any) -> Network:
    """A small untrained network with random weights everywhere."""
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"unshuffle": 2, "widths": (8, 12), "blocks": 1, "kernel": 3, "head": 4, "recurrent": True}
    net = StyleNetwork(Architecture(**(sizes | changes))).requires_grad_(False).eval()
    for parameter in net.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    return Network("toy", net, torch.zeros(1, net.code_size), repr(sorted(changes.items())))


def inputs(made: Network, shape: tuple[int, int, int], running: bool = False) -> list[torch.Tensor]:
    count, height, width = shape
    given = [torch.rand(count, 3, height, width), torch.randn(count, made.net.code_size)]
    if running:
        given += [torch.rand(count, made.net.code_size - 1) + 0.5, torch.rand(count, 1)]
    if made.net.architecture.recurrent:
        given.append(torch.rand(count, 8, height, width))
    return given


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"recurrent": False},
        {"unshuffle": 1, "head": 8},
        {"widths": (8, 8, 12), "blocks": 2},
        {"blur": True},
        {"kernel": 5},
    ],
    ids=str,
)
def test_the_graph_is_the_network_for_every_architecture(changes: dict[str, Any], running: bool) -> None:
    made = network(**changes)
    run, reference = (load_engine(engine, made, "cpu", running) for engine in ("onnx", "torch"))
    for shape in ((1, 24, 40), (2, 16, 16)):
        given = inputs(made, shape, running)
        for found, expected in zip(run(*given), reference(*given), strict=True):
            assert torch.allclose(found, expected, atol=2e-3)


def test_only_style_networks_are_written_as_graphs() -> None:
    with pytest.raises(TypeError, match="not Conv2d"):
        onnx_graph.to_onnx(torch.nn.Conv2d(3, 3, 1), [])


def test_one_session_paints_every_size_on_a_cpu_for_several_threads() -> None:
    made = network()
    run = load_engine("onnx", made, "cpu")
    given = [inputs(made, (1, 16 + 8 * (number % 3), 24)) for number in range(6)]
    expected = [run(*each)[0] for each in given]
    with ThreadPoolExecutor(3) as threads:
        for found, wanted in zip(threads.map(lambda each: run(*each)[0], given), expected, strict=True):
            assert torch.equal(found, wanted)
    assert len(run._sessions) == 1


def test_where_a_size_needs_a_session_of_its_own_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "_FIXED_SIZE", ("cpu",))
    monkeypatch.setattr(onnx, "CACHE_SIZE", 2)
    made = network()
    run = onnx.build(FrameNorm(made.net.folded()), inputs(made, (1, 16, 16)), "cpu")
    for side in (16, 24, 16, 32):
        given = inputs(made, (1, side, 16))
        assert torch.allclose(run(*given)[0], made.net(given[0], given[1], None, given[2]), atol=1e-3)
    assert [dict(key)["H"] for key in run._sessions] == [16, 32]
    shapes = [session.get_inputs()[0].shape for session in run._sessions.values()]
    assert shapes == [[1, 3, 16, 16], [1, 3, 32, 16]]


def test_a_large_picture_leaves_no_memory_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "LARGE", 100)
    made = network()
    given = inputs(made, (1, 32, 32))
    expected = made.net(given[0], given[1], None, given[2])
    assert torch.allclose(load_engine("onnx", made, "cpu")(*given)[0], expected, atol=1e-3)


# Devices


def test_every_device_is_named_in_the_help_and_has_an_engine() -> None:
    help_text = settings_of(RenderPlan)["device"].help
    for kind in engines.devices():
        assert kind in help_text
    assert engines.devices() == ["cpu", "cuda", "coreml", "dml", "gpu", "mps", "npu", "tensorrt"]
    assert set(onnx.PROVIDERS) == set(devices_of("onnx"))


@pytest.mark.parametrize("device", ["coreml", "dml", "gpu", "npu", "tensorrt", "mps", "cuda"])
def test_a_device_that_is_not_here_is_one_line(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(onnx.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(openvino, "core", lambda: Core(["CPU"]))
    with pytest.raises((UsageError, MissingDependencyError)) as raised:
        choose_device(device)
    assert "\n" not in str(raised.value)
    assert "cpu" in str(raised.value).lower()


def test_devices_with_numbers_and_engines_that_do_not_run_there() -> None:
    with pytest.raises(UsageError, match="there is no device 'cpu:1'; choose from: auto, cpu, cuda, "):
        choose_device("cpu:1")
    with pytest.raises(UsageError, match="runs on cpu and cuda and mps, not on dml; engines for it: onnx"):
        choose_device("dml", "torch")


def test_providers_and_their_options_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path))
    cpu = ("CPUExecutionProvider", {})
    assert onnx.providers("cpu") == [cpu]
    assert onnx.providers("cuda:1") == [("CUDAExecutionProvider", {"device_id": "1"}), cpu]
    assert onnx.providers("dml") == [("DmlExecutionProvider", {"device_id": "0"}), cpu]
    assert onnx.providers("coreml")[0][1]["ModelFormat"] == "MLProgram"
    assert onnx.providers("gpu:1")[0] == (
        "OpenVINOExecutionProvider",
        {"device_type": "GPU.1", "cache_dir": str(tmp_path / "openvino")},
    )
    tensorrt, cuda, last = onnx.providers("tensorrt:1")
    assert tensorrt[0] == "TensorrtExecutionProvider"
    assert tensorrt[1]["trt_engine_cache_path"] == str(tmp_path / "tensorrt")
    assert (tmp_path / "tensorrt").is_dir()
    assert (cuda, last) == (("CUDAExecutionProvider", {"device_id": "1"}), cpu)


def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime falls back to the CPU with a warning where CUDA's libraries are missing."""
    monkeypatch.setattr(onnx.ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    session = onnx.ort.InferenceSession
    monkeypatch.setattr(
        onnx.ort, "InferenceSession", lambda model, options, providers: session(model, options, providers[1:])
    )
    assert choose_engine("auto", choose_device("cuda")) == "onnx"
    made = network()
    with pytest.raises(UsageError, match="CUDAExecutionProvider cannot be started here"):
        load_engine("onnx", made, "cuda")(*inputs(made, (1, 16, 16)))


def test_frames_stay_on_the_cpu_for_engines_that_copy_them_themselves() -> None:
    assert tensor_device("onnx", "cuda") == tensor_device("openvino", "gpu") == "cpu"
    assert tensor_device("torch", "cuda:1") == "cuda:1"
    assert choose_flow(FlowOptions(), tensor_device("onnx", "dml")) == "dis"


class Core:
    """OpenVINO's runtime with other devices, all of which are the CPU."""

    def __init__(self, devices: list[str]) -> None:
        self.available_devices = devices
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def compile_model(self, model: Any, device: str, properties: dict[str, Any]) -> Any:
        self.asked.append((device, properties))
        return openvino.ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def test_openvino_compiles_for_gpu_and_npu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path))
    core = Core(["CPU", "GPU.0", "GPU.1", "NPU"])
    monkeypatch.setattr(openvino, "core", lambda: core)
    assert choose_engine("auto", choose_device("gpu:1")) == "openvino"
    with pytest.raises(UsageError, match=r"OpenVINO finds no GPU\.2 here \(only CPU, GPU, GPU\.1, NPU\)"):
        choose_device("gpu:2", "openvino")
    made = network()
    for device in ("gpu", "gpu:1", "npu"):
        given = inputs(made, (1, 16, 16))
        found = load_engine("openvino", made, device)(*given)[0]
        assert torch.allclose(found, made.net(given[0], given[1], None, given[2]), atol=1e-3)
    assert [device for device, _ in core.asked] == ["GPU", "GPU.1", "NPU"]
    wanted = {"INFERENCE_PRECISION_HINT": "f16", "CACHE_DIR": str(tmp_path / "openvino")}
    assert all(properties == wanted for _, properties in core.asked)


@pytest.mark.parametrize("device", [kind for kind in engines.devices() if kind != "cpu"])
@pytest.mark.parametrize("engine", ["onnx", "openvino", "torch"])
def test_a_device_paints_what_the_cpu_paints(engine: str, device: str, toy_gallery: Path) -> None:
    if device not in devices_of(engine):
        pytest.skip("not for this engine")
    try:
        choose_device(device, engine)
    except (UsageError, MissingDependencyError) as error:
        missing(device, str(error))
    content = torch.rand(1, 3, 48, 64)
    there = tensor_device(engine, device)
    painted = load_stylizer(Style((("dots", 1),)), engine, device)(content.to(there)).cpu()
    assert (painted - load_stylizer(Style((("dots", 1),)), "torch", "cpu")(content)).abs().mean() < 0.006
