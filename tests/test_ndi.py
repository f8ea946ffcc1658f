"""NDI: another program finds the source on the network and receives the stylized frames."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import media
import numpy as np
import pytest
from command import failing

from videostyle.cli import main
from videostyle.io import open_source

RECEIVER = Path(__file__).with_name("ndi_receiver.py")


@pytest.mark.skipif(importlib.util.find_spec("cyndilib") is None, reason="no cyndilib")
def test_another_program_receives_the_painted_frames(toy_gallery: Path, tmp_path: Path) -> None:
    # Sources of this computer are asked for by address, where no mDNS runs.
    (tmp_path / "ndi-config.v1.json").write_text(json.dumps({"ndi": {"networks": {"ips": "127.0.0.1"}}}))
    settings = {**os.environ, "VIDEOSTYLE_MODELS": str(toy_gallery), "NDI_CONFIG_DIR": str(tmp_path)}
    film = media.write_film(tmp_path / "film.mkv", [media.natural((66, 50), "yuv420p", 3)] * 3, "yuv420p")
    name = f"painted {os.getpid()}"
    command = [sys.executable, "-m", "videostyle", "live", "--camera", str(film), "--loop", "--headless", "--ndi", name]
    sender = subprocess.Popen(
        [*command, "--style", "dots", "--engine", "torch", "-o", str(tmp_path / "kept.mkv")],
        stderr=subprocess.PIPE,
        text=True,
        env=settings,
    )
    try:
        received = subprocess.run(
            [sys.executable, str(RECEIVER), name, str(tmp_path / "received.npy")],
            capture_output=True,
            text=True,
            env=settings,
        )
    finally:
        sender.terminate()
        said = sender.communicate()[1]
    assert received.returncode == 0, (received.stderr, said)
    assert received.stdout.strip() == "24"
    assert f"({name})" in said
    pixels = np.load(tmp_path / "received.npy").astype(int)
    with open_source(str(tmp_path / "kept.mkv")) as kept:
        frame = next(kept.frames()).pixels.permute(1, 2, 0).numpy().astype(int)
    assert pixels.shape == frame.shape == (50, 66, 3)
    # Both are lossy, and have less colour than light.
    assert np.abs(pixels - frame).mean() < 6
    assert np.abs(pixels - frame[..., ::-1]).mean() > 8
    assert np.abs(pixels - frame[::-1]).mean() > 16


@pytest.mark.parametrize("name", ["a (b)", "x" * 101, "two\nlines"])
def test_a_name_that_ndi_does_not_take_is_refused(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    film = media.film(tmp_path / "film.mp4", 3)
    status, text = failing(capsys, "live", "--camera", str(film), "--style", "dots", "--headless", "-q", "--ndi", name)
    assert (status, len(text.splitlines())) == (2, 1)
    assert "an NDI source's name has up to 100 characters" in text


def test_the_missing_package_is_named(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyndilib", None)
    film = media.film(tmp_path / "film.mp4", 3)
    assert main(["live", "--camera", str(film), "--style", "dots", "--headless", "--ndi"]) == 1
    assert "pip install cyndilib" in capsys.readouterr().err
