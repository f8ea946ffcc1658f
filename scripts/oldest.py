"""Print each dependency in pyproject.toml at its oldest supported release, as constraints for pip."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

_BOUNDED = re.compile(r"(?P<name>[\w-]+)(\[\w+\])?>=(?P<oldest>[\w.]+),<[\w.]+")


def oldest() -> dict[str, str]:
    """The oldest supported release of each dependency, extras included."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    found = (_BOUNDED.fullmatch(one) for one in wanted if not one.startswith(f"{project['name']}["))
    return {match["name"]: match["oldest"] for match in found if match is not None}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("\n".join(f"{name}=={version}" for name, version in oldest().items()))
