"""Imports go one way; the diagram in docs/architecture.md cannot rot."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "videostyle"

# A module imports from lower layers, or from its own folder.
LAYERS = [
    {
        "errors",
        "types",
        "plan",
        "progress",
        "stages",
        "settings",
        "style",
        "timeline",
        "plugins",
        "privacy",
        "processes",
        "threads",
        "interrupt",
        "files",
        "partial_files",
        "written_files",
        "text",
    },
    {"ops", "nets", "tensorfile", "arrays"},
    {"weights", "torchvision_weights", "engines", "io"},
    {"flow", "segmenters", "stylizers", "cuts", "confidence", "masks", "noise", "report"},
    {"stabilize", "people"},
    {"moments"},
    {"step"},
    {"pipeline"},
    {"painter"},
    {"batch", "export", "live", "metrics", "optimize", "train"},
    {"hosting"},
    {"web", "service"},
    {"studio"},
    {"cli"},
]
# Type-only imports between the values of the lowest layer.
WITHIN_LOWEST = LAYERS[0]


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def layer(name: str) -> int:
    return next(level for level, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("videostyle"):
            found += [node.module] if node.module != "videostyle" else [f"videostyle.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("videostyle")]
    return found


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or not path.stem.startswith("__")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = part(module)
        if other in ("", "__version__", own):
            continue
        if own in WITHIN_LOWEST and other in WITHIN_LOWEST:
            continue
        allowed = layer(other) < layer(own) or (layer(other) == layer(own) == 2)
        assert allowed, f"{path.relative_to(PACKAGE)} imports {module}"


def test_every_module_has_a_layer() -> None:
    names = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert names == set().union(*LAYERS)


def test_no_cache_is_without_a_bound() -> None:
    """What is remembered for films and visitors to come has a size; `functools.cache` has none."""
    unbounded = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                words = [ast.unparse(one) for one in node.decorator_list]
                kept = [word for word in words if "cache" in word and "cached_property" not in word]
                unbounded += [f"{path.name}: {node.name}" for word in kept if not re.search(r"maxsize=\d+\)$", word)]
    assert not unbounded


def test_the_document_tells_these_layers() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(LAYERS)))
    assert [set(re.findall(r"`(\w+)/?`", names)) for _, names in rows] == LAYERS


def test_no_file_is_longer_than_400_lines() -> None:
    long = [path.name for path in PACKAGE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert not long


def long_classes(source: str) -> list[str]:
    """Return the names of classes of more than 200 lines without a comment above that says why."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno >= 200:
            above = node.lineno - 2
            while above >= 0 and lines[above].startswith("#"):
                above -= 1
            if not "".join(lines[above + 1 : node.lineno]).startswith("# More than 200 lines: "):
                found.append(node.name)
    return found


def test_a_class_of_more_than_200_lines_has_a_reason() -> None:
    body = "\n".join(["class Long:", *["    x = 1"] * 200])
    assert long_classes(body) == ["Long"]
    assert long_classes(f"# More than 200 lines: one state,\n# in one place.\n{body}") == []
    assert {path.name: names for path in MODULES if (names := long_classes(path.read_text(encoding="utf-8")))} == {}
