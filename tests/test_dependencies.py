"""What videostyle depends on: each within bounds that are tested, and nothing that wants a screen."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import media
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [
    Requirement(line)
    for line in (*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra))
    if not line.startswith(f"{PROJECT['name']}[")
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_each_dependency_is_bounded_on_both_sides_and_installed_within(wanted: Requirement) -> None:
    assert sorted(bound.operator for bound in wanted.specifier) == ["<", ">="]
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        pytest.skip("not installed here")
    assert installed in wanted.specifier


def test_the_tests_run_with_every_extra() -> None:
    (everything,) = [Requirement(line) for line in EXTRAS["dev"] if line.startswith(f"{PROJECT['name']}[")]
    assert everything.extras == set(EXTRAS) - {"dev"}


def test_every_package_that_is_imported_is_a_dependency() -> None:
    given = packages_distributions()
    declared = {wanted.name.lower() for wanted in WANTED}
    web = {"fastapi", "starlette", "uvicorn"}  # Gradio's own server
    for path in sorted((ROOT / "videostyle").rglob("*.py")):
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        names = {
            name.split(".")[0]
            for node in nodes
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        }
        for name in names - set(sys.stdlib_module_names) - {"videostyle"} - web:
            assert declared & {one.lower() for one in given.get(name, [])}, f"{path}: {name}"


def test_documented_installs_name_one_index_and_extras_that_there_are() -> None:
    """Each line that installs is one that pip or uv takes, and asks for extras of ours."""
    places = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("Dockerfile*"))]
    texts = [path.read_text(encoding="utf-8") for path in places]
    indexes = {url for text in texts for url in re.findall(r"https://download\.pytorch\.org[\w./-]*", text)}
    assert indexes == {"https://download.pytorch.org/whl/cpu"}
    commands = [line for text in texts for line in re.findall(r"(?:uv )?pip install [^`\n|#;&]+", text)]
    assert sum(line.startswith("uv ") for line in commands) >= 1
    for line in commands:
        options = set(re.findall(r" (--[\w-]+)", line))
        assert options <= ({"--torch-backend"} if line.startswith("uv ") else {"--extra-index-url"}), line
        for extras in re.findall(r"'?\.\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= set(EXTRAS), line
    assert {"--torch-backend cpu" in line for line in commands if line.startswith("uv ")} == {True}


def test_the_weights_of_an_installation_in_the_docs_were_measured() -> None:
    results = ROOT / "benchmarks" / "results"
    large, small = (json.loads((results / f"{name}.json").read_text()) for name in ("install_size", "install_size_cpu"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"# (?:on Linux|for the processor alone,) ([\d.]+) GB", readme) == [
        f"{one['MB'] / 1000:.1f}" for one in (large, small)
    ]
    assert small["MB for GPUs"] == 0


def test_the_oldest_releases_are_the_lower_bounds() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "oldest.py")], capture_output=True, text=True, check=True
    )
    printed = dict(line.split("==") for line in done.stdout.splitlines())
    assert printed == {
        wanted.name: bound.version for wanted in WANTED for bound in wanted.specifier if bound.operator == ">="
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process has loaded from /proc")
def test_painting_loads_nothing_that_a_server_without_a_screen_lacks(toy_gallery: Path, tmp_path: Path) -> None:
    source, painted = media.film(tmp_path / "in.mp4", 4, tone="aac"), tmp_path / "out.mp4"
    code = (
        "import sys, videostyle\n"
        "videostyle.stylize(sys.argv[1], sys.argv[2], style='dots')\n"
        "print(open('/proc/self/maps').read())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(painted)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(media.decode(painted)) == 4
    loaded = {Path(line.split()[-1]) for line in done.stdout.splitlines() if ".so" in line}
    assert any(library.name.startswith("cv2.") for library in loaded)
    ours = (sys.prefix, sys.base_prefix)  # wheels bring their own
    screens = ("libGL", "libEGL", "libX11", "libxcb", "libwayland", "libglib", "libgthread", "libQt", "libSDL")
    system = [library for library in loaded if not str(library).startswith(ours)]
    assert [library for library in system if library.name.startswith(screens)] == []
