"""Fixtures of the service's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from served import Listening, Served
from studio_pages import PATIENCE, SIZES, Studio, painted

from videostyle import weights
from videostyle.nets.code_predictor import CodePredictor
from videostyle.service.plan import ServicePlan


@pytest.fixture
def serve(toy_gallery: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a service in this process, with these settings of its plan and its guard."""
    started: list[Served] = []

    def start(*, require_keys: bool = False, **settings: Any) -> Served:
        given: dict[str, Any] = {"data": tmp_path / "data", "workers": 0, "engine": "torch", **settings}
        started.append(Served(ServicePlan(**given), require_keys))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def listen(toy_gallery: Path, tmp_path: Path) -> Iterator[Callable[..., Listening]]:
    """Start a service that listens, with these settings of its plan."""
    started: list[Listening] = []

    def start(*, require_keys: bool = False, works: bool = True, **settings: Any) -> Listening:
        plan = ServicePlan(tmp_path / "data", workers=0, engine="torch", **settings)
        started.append(Listening(plan, require_keys=require_keys, works=works))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A service without keys and without worker processes."""
    return serve()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    return path


@pytest.fixture(scope="module")
def predicting_models(toy_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy styles, and an untrained predictor of codes."""
    folder = tmp_path_factory.mktemp("predicting") / "models"
    shutil.copytree(toy_models, folder)
    before = os.environ.get("VIDEOSTYLE_MODELS")
    os.environ["VIDEOSTYLE_MODELS"] = str(folder)
    try:
        network = weights.load_network("fast")
        torch.manual_seed(1)
        net = CodePredictor(network.net.code_size)
        weights.save_predictor(folder / "fast" / "predictor.safetensors", net, network, {"held_back": []}, {})
        weights.write_manifest(folder)
    finally:
        if before is None:
            del os.environ["VIDEOSTYLE_MODELS"]
        else:
            os.environ["VIDEOSTYLE_MODELS"] = before
    return folder


@pytest.fixture(scope="module")
def studio(predicting_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    running = Studio(predicting_models, tmp_path_factory.mktemp("studio"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def visit(browser: Any, studio: Studio) -> Iterator[Any]:
    """Open the studio; nothing that it asks for may be on another machine, and no script may fail."""
    contexts: list[Any] = []
    asked: list[str] = []
    failed: list[str] = []

    def begin(size: str = "desk", context: Any = None, **more: Any) -> Any:
        if context is None:
            width, height = SIZES[size]
            context = browser.new_context(
                viewport={"width": width, "height": height}, permissions=["camera"], accept_downloads=True, **more
            )
            context.set_default_timeout(PATIENCE)
            contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: failed.append(str(error)))
        tab.goto(studio.url)
        painted(tab)
        return tab

    yield begin
    for context in contexts:
        context.close()
    assert {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))} <= {"127.0.0.1"}
    assert not failed
