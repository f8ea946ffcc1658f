"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from served import Listening, Served

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
