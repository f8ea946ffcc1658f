"""The Cog predictor declares its inputs, and paints."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import media
import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "integrations" / "cog"


@pytest.fixture
def predictor(toy_gallery: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class that cog.yaml names, with the cog that is installed, or what predict.py uses of it."""
    if importlib.util.find_spec("cog") is None:
        cog = ModuleType("cog")
        cog.BasePredictor = object  # type: ignore[attr-defined]
        cog.Path = Path  # type: ignore[attr-defined]
        cog.Input = lambda description, default=inspect.Parameter.empty, **limits: default  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "cog", cog)
    named = re.search(r'^predict: "(\S+):(\w+)"$', (FOLDER / "cog.yaml").read_text(encoding="utf-8"), re.M)
    assert named is not None
    file, name = named.groups()
    spec = importlib.util.spec_from_file_location("predict", FOLDER / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


GIVEN = {"painting": None, "strength": 1.0, "stabilize": 1.0, "keep_colors": False, "size": "", "start": "", "end": ""}


def test_inputs_have_types_that_cog_reads(predictor: Any) -> None:
    hints = typing.get_type_hints(predictor.predict)
    assert {*hints} == {*GIVEN, "source", "style", "return"}
    kinds = {kind.__name__ for hint in hints.values() for kind in typing.get_args(hint) or (hint,)}
    assert kinds <= {"Path", "str", "float", "bool", "NoneType"}


@pytest.mark.parametrize(("name", "more"), [("a.mp4", {"end": "0.1"}), ("a.png", {}), ("a.avi", {})])
def test_it_paints(predictor: Any, tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    path = tmp_path / name
    if name.endswith(".png"):
        cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    else:
        media.film(path, 4, (64, 48))
    painted = predictor().predict(source=path, style="dots", **{**GIVEN, **more})
    assert painted.is_file()
    assert painted.suffix == {".avi": ".mp4"}.get(path.suffix, path.suffix)
