"""What the installed packages weigh, one by one, and which of them the processor alone would do without.

    python benchmarks/install_size.py [--json FILE]

Reads the environment that it runs in and downloads nothing. A package weighs the files that it lists in its metadata.
Packages named nvidia-* and triton are what torch from PyPI brings on Linux for NVIDIA's GPUs; from PyTorch's index for
processors torch comes without them, and with smaller libraries of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
from collections.abc import Iterable
from datetime import date
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

FOR_GPUS = re.compile(r"nvidia-.*|triton|cuda-.*")


def megabytes(package: Distribution) -> float:
    """Megabytes of a package's files; a file that two packages list counts for both."""
    total = 0
    for file in package.files or ():
        path = Path(str(package.locate_file(file)))
        if path.is_file() and not path.is_symlink():
            total += path.stat().st_size
    return total / 1e6


def needed(names: Iterable[str]) -> set[str]:
    """Packages that these need, by their metadata, themselves included."""
    seen: set[tuple[str, str]] = set()
    waiting = [(normal(name), "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in lines:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                waiting += [(normal(one.name), wanted) for wanted in ("", *one.extras)]
    return {name for name, _ in seen}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project_names() -> list[str]:
    """Names of what `pip install .` asks for, extras left out."""
    import tomllib

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    return [Requirement(line).name for line in tomllib.loads(text)["project"]["dependencies"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=12, help="packages that are printed")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    wanted = needed(project_names())
    weights = {normal(one.name): megabytes(one) for one in distributions() if normal(one.name) in wanted}
    ordered = sorted(weights.items(), key=lambda pair: -pair[1])
    gpus = sum(weight for name, weight in ordered if FOR_GPUS.fullmatch(name))
    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "MB": round(sum(weights.values())),
        "MB for GPUs": round(gpus),
        "MB without them": round(sum(weights.values()) - gpus),
        "packages": {name: round(weight, 1) for name, weight in ordered},
    }
    for name, weight in ordered[: args.largest]:
        print(f"{weight:8.1f} MB  {name}")
    print(f"{found['MB']} MB in {len(weights)} packages, {found['MB for GPUs']} MB of them for GPUs")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
