"""The package speaks the field's language: no headless docstrings, no private words."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "videostyle"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "guide").glob("*.md"))]

# A docstring that begins so has no subject, or hides the term behind a clause.
HEADLESS = {
    *("what", "where", "whose", "who", "whoever", "of", "that", "those", "whether", "when", "how", "as"),
    *("by", "among", "for", "to", "from", "with", "in", "nobody", "anything", "nothing", "everything"),
}

# Words that only their author understood, and the field's.
PRIVATE = {
    r"trust(ed|s)?": "confidence, consistent",
    r"believed": "consistent",
    r"stead(ied|ying)": "stabilized, stabilizer",
    r"forth": "forward pass",
    r"backbones?": "loss network",
    r"judge flow|judgeflow": "evaluation flow",
    r"desk|shelf|darkroom|palette": "lock, allowed files, cache, style mixer",
    r"remembering|forgetful": "running statistics",
    r"hopeless": "retryable",
    r"whoever|lest": "plain words",
}

# Names of other libraries, which are not ours to choose.
OTHERS = ("weights_backbone",)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of all docstrings of a module, those of attributes included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield statement.lineno, statement.value.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_is_headless(path: Path) -> None:
    found = [
        f"{path.name}:{line}: {text.strip().splitlines()[0]}"
        for line, text in docstrings(path)
        if text.strip() and re.split(r"[^a-z]", text.strip().lower())[0] in HEADLESS
    ]
    assert not found, "\n".join(found)


def private(text: str) -> list[str]:
    """Return the private words in a text, each with the field's."""
    # Old options are answered by name.
    words = re.sub(r"_", " ", re.sub(r"--[\w-]+", "", text.lower()))
    return [
        f"{found[0]!r}: say {better}"
        for word, better in PRIVATE.items()
        if (found := re.search(rf"\b(?:{word})\b", words))
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_code_has_no_private_words(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING) and token.string not in OTHERS:
            found += [f"{path.name}:{token.start[0]}: {line}" for line in private(token.string)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_pages_have_no_private_words(page: Path) -> None:
    found = [
        f"{page.name}:{number}: {line}"
        for number, text in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        for line in private(text)
    ]
    assert not found, "\n".join(found)
