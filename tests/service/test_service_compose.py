"""The service's image and its compose file, as far as they can be checked without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from videostyle.cli import _parser
from videostyle.service.plan import ROLES

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def lines(name: str) -> list[str]:
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_image_differs_from_the_other_in_what_it_serves() -> None:
    own, other = lines("Dockerfile.serve"), lines("Dockerfile")
    assert [line for line in own if line not in other] == [
        "ARG EXTRAS=serve",
        'RUN pip install ".[$EXTRAS]"',
        "RUN mkdir /data && chown 1000 /data",
        "WORKDIR /data",
        'CMD ["serve", "--data", "/data", "--host", "0.0.0.0"]',
    ]
    assert "pip install '.[serve]'" in (ROOT / "docs/guide/serve.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_is_confined_and_its_command_is_one(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["image"] == "videostyle-serve"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "privileged" not in service
    assert {volume.partition(":")[0] for volume in service["volumes"]} == set(COMPOSE["volumes"])
    args = _parser().parse_args(service["command"])
    assert args.role in ROLES
    assert str(args.data) == "/data"


def test_the_workers_scale_and_the_api_alone_is_reachable() -> None:
    services = COMPOSE["services"]
    assert (ROOT / services["api"]["build"]["dockerfile"]).is_file()
    assert "ports" not in services["worker"]
    assert "container_name" not in services["worker"]
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])
