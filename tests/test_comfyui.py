"""The node pack for ComfyUI keeps to ComfyUI's documented interface, and paints."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import videostyle

PACK = Path(__file__).parent.parent / "integrations" / "comfyui"
KINDS = {"IMAGE", "MASK", "FLOAT", "INT", "BOOLEAN", "STRING"}


@pytest.fixture
def pack(toy_gallery: Path) -> Iterator[ModuleType]:
    """The pack, imported as ComfyUI imports a folder of custom_nodes: by its path, under a name with dots replaced."""
    name = str(PACK).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[loaded]


@pytest.fixture
def node(pack: ModuleType) -> Any:
    return pack.NODE_CLASS_MAPPINGS["VideostylePaint"]()


def frames(count: int, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    return torch.rand(count, *size, 3, generator=torch.Generator().manual_seed(0))


def test_every_network_of_the_gallery_is_offered(node: Any) -> None:
    assert set(node.INPUT_TYPES()["optional"]["network"][0]) == {entry.network for entry in videostyle.gallery()}


def test_every_node_keeps_to_the_interface(pack: ModuleType) -> None:
    assert pack.NODE_DISPLAY_NAME_MAPPINGS.keys() == pack.NODE_CLASS_MAPPINGS.keys()
    for kind in pack.NODE_CLASS_MAPPINGS.values():
        inputs = kind.INPUT_TYPES()
        assert inputs.keys() <= {"required", "optional", "hidden"}
        named = {**inputs["required"], **inputs["optional"]}
        for declared in named.values():
            what, more = declared[0], declared[1] if len(declared) > 1 else {}
            assert what in KINDS if isinstance(what, str) else all(isinstance(choice, str) for choice in what)
            if what in ("FLOAT", "INT"):
                assert more["min"] <= more["default"] <= more["max"]
        assert isinstance(kind.CATEGORY, str)
        assert all(output in KINDS for output in kind.RETURN_TYPES)
        parameters = inspect.signature(getattr(kind, kind.FUNCTION)).parameters
        assert [name for name in parameters if name != "self"] == list(named)
        for name, parameter in parameters.items():
            assert name == "self" or (name in inputs["optional"]) == (parameter.default is not inspect.Parameter.empty)


def test_the_styles_are_the_gallerys(node: Any) -> None:
    inputs = node.INPUT_TYPES()
    assert inputs["required"]["style"][0] == ["dots", "lines", "waves"]
    assert inputs["optional"]["second_style"][0][0] == "none"


def test_a_batch_is_painted_as_the_api_paints_it(node: Any) -> None:
    given = frames(5)
    (painted,) = node.paint(given, "dots", 0.8, 1.0)
    assert painted.shape == given.shape
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    expected = list(videostyle.Painter("dots", strength=0.8).video(given.permute(0, 3, 1, 2), fps=24))
    assert torch.equal(painted.permute(0, 3, 1, 2), torch.stack(expected))


def test_single_pictures_and_a_blend(node: Any) -> None:
    given = frames(2)
    (blended,) = node.paint(given, "dots", 1.0, 0.0, second_style="waves", blend=0.25)
    expected = videostyle.Painter({"dots": 0.75, "waves": 0.25})(given.permute(0, 3, 1, 2))
    assert torch.allclose(blended.permute(0, 3, 1, 2), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(48, 64), (1, 48, 64), (3, 24, 32)])
def test_black_of_the_mask_is_left_as_it_is(node: Any, shape: tuple[int, ...]) -> None:
    given = frames(3)
    mask = torch.zeros(shape)
    mask[..., : shape[-1] // 2] = 1
    (painted,) = node.paint(given, "dots", 1.0, 0.0, mask=mask)
    (whole,) = node.paint(given, "dots", 1.0, 0.0)
    assert torch.equal(painted[:, :, 34:], given[:, :, 34:])
    assert torch.equal(painted[:, :, :30], whole[:, :, :30])


def test_memory_does_not_grow_with_the_batch(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, read = [], 0
    video = videostyle.Painter.video

    def watched(self: videostyle.Painter, given: Iterable[Any], fps: float) -> Iterator[Any]:
        def counted() -> Iterator[Any]:
            nonlocal read
            for frame in given:
                read += 1
                yield frame

        for done, frame in enumerate(video(self, counted(), fps), 1):
            ahead.append(read - done)
            yield frame

    monkeypatch.setattr(videostyle.Painter, "video", watched)
    node.paint(frames(90, (24, 32)), "dots", 1.0, 1.0)
    assert len(ahead) == 90
    assert max(ahead) < 60


def test_a_cancelled_run_ends(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class CancelledError(Exception):
        pass

    def cancel() -> None:
        raise CancelledError

    comfy, management, utils = ModuleType("comfy"), ModuleType("comfy.model_management"), ModuleType("comfy.utils")
    management.throw_exception_if_processing_interrupted = cancel  # type: ignore[attr-defined]
    utils.ProgressBar = lambda total: None  # type: ignore[attr-defined]
    for module in (comfy, management, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(CancelledError):
        node.paint(frames(3), "dots", 1.0, 0.0)


def test_the_pack_is_described() -> None:
    project = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["comfy"]["DisplayName"] == "videostyle"
    assert project["project"]["dependencies"] == (PACK / "requirements.txt").read_text(encoding="utf-8").split()
    named = {name for cell in re.findall(r"^\| (`.+?) \|", (PACK / "README.md").read_text(), re.M)
             for name in re.findall(r"`(\w+)`", cell)}  # fmt: skip
    spec = importlib.util.spec_from_file_location("pack_nodes", PACK / "nodes.py")
    assert spec is not None
    assert spec.loader is not None
    nodes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nodes)
    inputs = nodes.VideostylePaint.INPUT_TYPES()
    assert named == {*inputs["required"], *inputs["optional"]}
