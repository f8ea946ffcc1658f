"""The images hold what a plain installation holds; no engine is needed to see that."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMAGES = ["Dockerfile", "Dockerfile.cuda"]


def instructions(name: str) -> list[tuple[str, str]]:
    """Each instruction with what it is given, its lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2]) for line in text.splitlines() if line.strip()]


def installs(text: str) -> list[str]:
    return re.findall(r"^\s*(pip install .+?)(?:\s+#.*)?$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_installs_as_the_readme_says(name: str) -> None:
    section = (ROOT / "README.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    commands = [given for what, given in instructions(name) if what == "RUN" and "pip install" in given]
    assert commands == installs(section)[:1] == ["pip install ."]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_not_run_as_root(name: str) -> None:
    found = instructions(name)
    (user,) = [given for what, given in found if what == "USER"]
    assert int(user) > 0
    assert any(f"useradd --create-home --uid {user} " in given for what, given in found if what == "RUN")
    assert ("ENTRYPOINT", '["videostyle"]') in found


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_gets_all_that_the_package_is_built_from(name: str) -> None:
    copied = {word for what, given in instructions(name) if what == "COPY" for word in given.split()[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    assert needed | {"pyproject.toml", *project["project"]["license-files"]} == copied
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied <= allowed
