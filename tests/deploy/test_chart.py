"""The chart, rendered and linted by Helm, its objects held against the schemas of Kubernetes. There is no cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import yaml
from helm_python import Chart, lint
from helm_python.errors import HelmError

from reelmill import __version__
from reelmill.settings import Settings
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands
from tests.nats_server import BINARY

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "reelmill"
NEEDED: dict[str, Any] = {"media": {"claim": "media"}}
FULL: dict[str, Any] = NEEDED | {
    "settings": {"lease_seconds": 60, "retention": "7d"},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "keda": {"enabled": True},
    "master": {"allowedHosts": ["farm.example.org"], "nodeSelector": {"disk": "fast"}},
    "worker": {"networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}]}},
}
VERSIONS = ("1.27.0", "1.37.0")
"""The oldest that the chart takes, and the newest that is known here."""
Objects = dict[tuple[str, str], dict[str, Any]]


def render(values: dict[str, Any], name: str = "farm") -> Objects:
    """The objects by kind and name."""
    with Chart.load(CHART) as chart:
        texts = chart.render(values, name=name, namespace="video")
    objects = [one for file, text in texts.items() if file.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def _pod(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return objects[kind, name]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "values", [NEEDED, FULL, NEEDED | {"nats": {"enabled": False}}], ids=["least", "full", "no-nats"]
)
def test_helm_lints_without_a_complaint(values: dict[str, Any]) -> None:
    """Strictly: no warning and no error; an icon is a matter of taste."""
    report = lint(CHART, values, strict=True)
    assert [] == report["errors"]
    assert [] == [message for message in report["messages"] if message["severity"] > 1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [NEEDED, FULL], ids=["least", "full"])
def test_kubernetes_knows_every_field(values: dict[str, Any], version: str) -> None:
    """Strictly: unknown fields are errors. The schema of KEDA's object is not among those."""
    for (kind, _), one in render(values).items():
        if kind != "ScaledObject":
            kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    """The check itself can fail."""
    master = render(NEEDED)["Deployment", "farm-reelmill-master"]
    master["spec"]["template"]["spec"]["containers"][0]["envFrm"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(master, VERSIONS[-1], strict=True)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "claim"),
    (NEEDED | {"workers": {}}, "workers"),
    (NEEDED | {"master": {"replicas": 0}}, "replicas"),
    (NEEDED | {"settings": {"lease-seconds": 60}}, "lease-seconds"),
]


@pytest.mark.parametrize(("values", "named"), WRONG, ids=[named for _, named in WRONG])
def test_wrong_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    """Before anything is rendered."""
    with pytest.raises(HelmError, match=named):
        render(values)


def test_what_it_tells_reelmill_is_known() -> None:
    """Commands and settings; the versions are that of this reelmill."""
    objects = render(FULL)
    for part in ("master", "worker"):
        [container] = _pod(objects, "Deployment", f"farm-reelmill-{part}")["containers"]
        assert [part] == container["args"]
        names = {variable["name"].removeprefix("REELMILL_").lower() for variable in container["env"]}
        assert {"lease_seconds", "retention"} <= names <= set(Settings.__struct_fields__)
        assert f"reelmill:{__version__}" == container["image"]


def test_no_pod_may_more_than_it_needs() -> None:
    """Every container of every pod: nobody in particular, nothing to gain, nothing to write but its volumes."""
    objects = render(FULL)
    pods = [one["spec"]["template"]["spec"] for one in objects.values() if "template" in one.get("spec", {})]
    assert 3 == len(pods)
    for pod in pods:
        assert (False, True) == (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"])
        assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            closed = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert closed == container["securityContext"]


def test_workers_drain_and_see_no_secret_of_masters() -> None:
    """An hour to finish; only their own secret; only ways to NATS, masters and names."""
    objects = render(NEEDED)
    pod = _pod(objects, "Deployment", "farm-reelmill-worker")
    assert 3600 == pod["terminationGracePeriodSeconds"]
    assert "reelmill-master'" not in str(pod)
    assert [{"secretRef": {"name": "reelmill-worker"}}] == pod["containers"][0]["envFrom"]
    policy = objects["NetworkPolicy", "farm-reelmill-worker"]["spec"]
    assert ["Ingress", "Egress"] == policy["policyTypes"]
    assert [[53, 53], [8080], [4222]] == [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]


def test_selectors_find_their_pods_and_no_others() -> None:
    """Services, budgets and policies choose the pods of their part."""
    objects = render(FULL)
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (_, name), one in objects.items()
        if "template" in one.get("spec", {})
    }
    for (kind, name), one in objects.items():
        if kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = one["spec"]
            chosen = spec.get("podSelector") or spec["selector"]
            chosen = chosen.get("matchLabels", chosen)
            found = [owner for owner, own in labels.items() if chosen.items() <= own.items()]
            assert [name.removesuffix("-routes")] == found, (kind, name)


def test_keda_scales_the_workers_and_nobody_else_does() -> None:
    """It aims at the deployment, whose number of replicas is then not set by the chart."""
    objects = render(FULL)
    scaled = objects["ScaledObject", "farm-reelmill-worker"]["spec"]
    target = objects["Deployment", scaled["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
    assert 2 == render(NEEDED)["Deployment", "farm-reelmill-worker"]["spec"]["replicas"]
    metadata = scaled["triggers"][0]["metadata"]
    assert {"str"} == {type(value).__name__ for value in metadata.values()}  # KEDA takes nothing else
    assert (0, 20) == (scaled["minReplicaCount"], scaled["maxReplicaCount"])


def test_the_servers_get_a_configuration_that_nats_takes(commands: Commands) -> None:
    """The script of the init container, run as it stands but in other folders, writes it."""
    objects = render(NEEDED)
    name = "farm-reelmill-nats"
    pod = _pod(objects, "StatefulSet", name)
    [init] = pod["initContainers"]
    for folder in ("shape", "config"):
        (commands.folder / folder).mkdir()
    (commands.folder / "shape/cluster.conf").write_text(objects["ConfigMap", name]["data"]["cluster.conf"])
    script = re.sub(r"(?<=[ >])/(?=shape/|config/)", f"{commands.folder}/", init["args"][0])
    environment = commands.environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{commands.environment['PATH']}",
        "REELMILL_STORE": new_database(),
        "REELMILL_BUS": f"nats://master:secret@{name}:4222",
        "NATS_ROUTE_PASSWORD": "12e4",
        "HOSTNAME": f"{name}-0",
    }
    subprocess.run([*init["command"], script], env=environment, check=True, timeout=60)
    made = (commands.folder / "config/cluster.conf").read_text()
    assert 3 == made.count("nats://route:12e4@")
    assert f'server_name: "{name}-0"' in made
    assert BINARY is not None
    end = subprocess.run(
        [BINARY, "-t", "-c", commands.folder / "config/cluster.conf"], capture_output=True, text=True, check=False
    )
    assert 0 == end.returncode, end.stderr
    for index in range(3):
        assert f"@{name}-{index}.{objects['StatefulSet', name]['spec']['serviceName']}:6222" in made


def test_a_release_named_after_the_program_is_not_named_twice() -> None:
    """And the chart is of this version of it."""
    assert ("Service", "reelmill-master") in render(NEEDED, name="reelmill")
    with Chart.load(CHART) as chart:
        assert __version__ == chart.metadata["appVersion"]
