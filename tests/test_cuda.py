"""A GPU computes what the processor does, within half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from media import film

from videostyle.engines import load_engine
from videostyle.io import open_source
from videostyle.io.memory import MemorySink
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.weights import gallery, load_style


@pytest.mark.parametrize("entry", gallery(), ids=lambda entry: f"{entry.network}-{entry.name}")
def test_the_network_agrees(entry, cuda: str) -> None:  # type: ignore[no-untyped-def]
    network, code = load_style(Style(entry.name, network=entry.network))
    content = torch.rand(1, 3, 64, 96)
    carried = [torch.rand(1, 8, 64, 96)] if network.net.architecture.recurrent else []
    expected = load_engine("torch", network, "cpu")(content, code, *carried)[0]
    found = load_engine("torch", network, cuda)(content.to(cuda), code.to(cuda), *carried)[0]
    assert found.device.type == cuda
    assert (found.cpu() - expected).abs().mean() < 0.008


def test_a_film_is_rendered(cuda: str, tmp_path: Path, toy_gallery: Path) -> None:
    path = str(film(tmp_path / "film.mp4", 6, (64, 48)))
    outputs = []
    for device in (cuda, "cpu"):
        plan = RenderPlan.of(path, "", style="dots", engine="torch", device=device)
        with open_source(path) as source:
            sink = MemorySink()
            report = render(plan, source=source, sink=sink)
        assert report.device.startswith(device)
        outputs.append(torch.stack([frame.pixels for frame in sink.frames]).float())
    assert (outputs[0] - outputs[1]).abs().mean() < 2
