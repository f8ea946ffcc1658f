"""The examples for Kubernetes and the compose file are what their schemas want, and their commands are ours."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from videostyle.cli import _parser

yaml = pytest.importorskip("yaml")
validate = pytest.importorskip("kubernetes_validate")
FOLDER = Path(__file__).parents[2] / "integrations" / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
(JOB,) = (one for one in OBJECTS if one["kind"] == "RayJob")
(SET,) = (one for one in OBJECTS if one["kind"] == "StatefulSet")


def pods() -> list[dict[str, Any]]:
    """Every pod that the examples describe."""
    cluster = JOB["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [SET["spec"]["template"], *(group["template"] for group in groups)]


@pytest.mark.parametrize("described", [one for one in OBJECTS if one is not JOB], ids=lambda one: one["kind"])
def test_an_object_is_what_its_schema_wants(described: dict[str, Any]) -> None:
    validate.validate(described, validate.latest_version(), strict=True)


@pytest.mark.parametrize("template", pods(), ids=lambda one: one["spec"]["containers"][0]["name"])
def test_a_pod_is_what_its_schema_wants_and_confined(template: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", **template.get("metadata", {})}}
    validate.validate({**pod, "spec": template["spec"]}, validate.latest_version(), strict=True)
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in template["spec"]["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        mounted = {one["name"] for one in container["volumeMounts"]}
        claims = {one["metadata"]["name"] for one in SET["spec"]["volumeClaimTemplates"]}
        assert mounted <= {one["name"] for one in template["spec"]["volumes"]} | claims


def test_the_commands_are_ours() -> None:
    commands = [container["args"] for container in SET["spec"]["template"]["spec"]["containers"]]
    script = shlex.split(JOB["spec"]["entrypoint"])[2]
    commands.append(shlex.split(script.partition("exec videostyle ")[2]))
    for words in commands:
        args = _parser().parse_args(words)
        assert args.host in ("0.0.0.0", "127.0.0.1")
        assert args.role == "worker" or args.port == 8000
