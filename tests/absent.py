"""Skips tests that need what is not on this machine.

A module of its own: several folders of tests have a conftest, and Python knows one module of that name.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(kind: str, why: str) -> NoReturn:
    """Skip a test that needs what is not here, or fail it where $VIDEOSTYLE_REQUIRE, as in "clips,cuda", names it."""
    if kind in os.environ.get("VIDEOSTYLE_REQUIRE", "").split(","):
        pytest.fail(f"{why} ({kind} is required by VIDEOSTYLE_REQUIRE)")
    pytest.skip(why)
