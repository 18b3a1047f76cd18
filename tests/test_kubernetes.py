"""The Kubernetes manifests: built by kustomize, valid, locked down, and routing to the pod of a session."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from baking import PROJECT_TEMPLATE, Bake
from nameserver import NameServer, answering
from npm import MODULES, node_with
from production.observe import metrics
from production.process.configuration import CLOSING_TIME
from production.settings import Settings, load_settings
from proxies import expect_one_service, nginx
from rawclient import PATIENCE, PollingSession, http
from served import ServedProject, free_port
from waiting import eventually

MANIFESTS = "deploy/kubernetes"
SCALING = PROJECT_TEMPLATE / MANIFESTS / "base/scaling.yaml"
OVERLAYS = ("ingress", "gateway")
RELEASES = ("1.28", "1.36")
"""The oldest that numbers its pods by a label, and a new one."""

SPARE_SECONDS = 3

Document = dict[str, Any]

ANY_POD = "live-board-any.test.svc.cluster.local"


def pod_name(number: int) -> str:
    """Return the name by which the cluster knows a pod."""
    return f"live-board-{number}.live-board-pods.test.svc.cluster.local"


@pytest.fixture(scope="module")
def node(requires: Callable[[str], str]) -> str:
    """Node, with the packages that the tests of the manifests need."""
    return node_with("kustomize", requires)


@pytest.fixture(scope="module", params=OVERLAYS)
def documents(request: pytest.FixtureRequest, bake: Bake, node: str) -> list[Document]:
    """Everything that one overlay applies."""
    built = subprocess.run(
        [node, str(MODULES / "kustomize/run.js"), "build", f"overlays/{request.param}"],
        cwd=bake().path / MANIFESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return [document for document in yaml.safe_load_all(built.stdout) if document]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    found = [document for document in documents if document["kind"] in kinds]
    assert found
    return found


def pods(documents: list[Document]) -> list[Document]:
    """Return the pod specifications of all workloads."""
    workloads = of_kind(documents, "StatefulSet", "Deployment")
    return [workload["spec"]["template"]["spec"] for workload in workloads]


def settings_of(documents: list[Document]) -> dict[str, str]:
    """Return what the service is told in its environment, secrets aside."""
    (settings,) = (
        document["data"]
        for document in of_kind(documents, "ConfigMap")
        if "ASYNC_MODE" in document["data"]
    )
    return dict(settings)


@pytest.mark.parametrize("release", RELEASES)
def test_everything_has_the_published_schema(
    documents: list[Document], node: str, release: str
) -> None:
    for document in documents:
        if document["kind"] == "HTTPRoute":
            script = Path(__file__).parent / "js/gateway_route.mjs"
            subprocess.run([node, str(script)], input=json.dumps(document), text=True, check=True)
        else:
            kubernetes_validate.validate(document, release, strict=True)


def test_nothing_runs_as_root_or_may_become_it(documents: list[Document]) -> None:
    for pod in pods(documents):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_every_container_is_bounded_watched_and_pinned(documents: list[Document]) -> None:
    for pod in pods(documents):
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            assert "readinessProbe" in container
            _, _, tag = container["image"].rpartition(":")
            assert re.search(r"\d", tag), container["image"]


def test_what_selects_pods_finds_them(documents: list[Document]) -> None:
    labelled = [
        workload["spec"]["template"]["metadata"]["labels"]
        for workload in of_kind(documents, "StatefulSet", "Deployment")
    ]

    def finds(selector: dict[str, str]) -> bool:
        return any(selector.items() <= labels.items() for labels in labelled)

    for service in of_kind(documents, "Service"):
        assert finds(service["spec"]["selector"]), service["metadata"]["name"]
    for policy in of_kind(documents, "NetworkPolicy"):
        assert finds(policy["spec"]["podSelector"]["matchLabels"])
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert finds(budget["spec"]["selector"]["matchLabels"])


def test_the_service_accepts_its_settings(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_of(documents).items():
        monkeypatch.setenv(name, value)
    settings = load_settings(
        secret_key="a-secret-for-tests-0123456789-abcdef", redis_url="redis://valkey:6379/0"
    )
    assert settings.web_concurrency == 2
    (service,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "service")
    ports = {port["name"]: port["containerPort"] for port in service["containers"][0]["ports"]}
    assert settings.bind == f"0.0.0.0:{ports['http']}"


def test_a_pod_has_the_time_to_leave(documents: list[Document]) -> None:
    drain = float(settings_of(documents)["DRAIN_SECONDS"]) + CLOSING_TIME
    (service,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "service")
    (_, pause) = service["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert service["terminationGracePeriodSeconds"] >= float(pause) + drain + SPARE_SECONDS


def test_pods_are_scaled_by_a_metric_that_there_is(documents: list[Document]) -> None:
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in {one.name for one in metrics.REGISTRY.collect()}
    settings = settings_of(documents)
    most = int(settings["WEB_CONCURRENCY"]) * int(Settings.model_fields["max_sessions"].default)
    assert int(metric["pods"]["target"]["averageValue"]) < most
    assert f"Of the {most} that" in SCALING.read_text()


def test_probes_ask_what_the_service_answers(documents: list[Document]) -> None:
    (service,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "service")
    container = service["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


@pytest.fixture
def cluster(bake: Bake, tmp_path: Path, message_queue: str) -> Iterator[tuple[str, NameServer]]:
    """Two pods on two addresses, and the router before them; new sessions go to the second."""
    port, entry = free_port(), free_port()
    addresses = {ANY_POD: "127.0.0.3", pod_name(0): "127.0.0.2", pod_name(1): "127.0.0.3"}
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(answering(addresses))
        for number in (0, 1):
            served = ServedProject(
                bake(),
                tmp_path / f"pod-{number}.log",
                {
                    "HOST_ID": f"pod-{number}",
                    "REDIS_URL": message_queue,
                    "SERVICE_NAME": "cluster",
                    "TRUSTED_PROXIES": "2",
                },
                host=f"127.0.0.{number + 2}",
                port=port,
            )
            stack.callback(served.stop)
            served.wait_until_ready()
        site = (
            bake()
            .text(f"{MANIFESTS}/base/router.conf.template")
            .replace("${NAMESPACE}", "test")
            .replace("${NGINX_LOCAL_RESOLVERS}", f"127.0.0.1:{names.server_address[1]}")
            .replace("listen 8080;", f"listen 127.0.0.1:{entry};")
            .replace("$session_host:5000", f"$session_host:{port}")
        )
        yield stack.enter_context(nginx(tmp_path, site, entry)), names


def test_the_router_finds_the_pod_of_a_session(cluster: tuple[str, NameServer]) -> None:
    url, names = cluster
    on_the_second = PollingSession(url)
    # From now on every request that belongs to no session goes to the first pod.
    names.addresses[ANY_POD] = "127.0.0.2"

    def opened_on_the_first() -> PollingSession | None:
        session = PollingSession(url)
        return session if session.sid.startswith("pod-0.") else None

    on_the_first = eventually(opened_on_the_first, PATIENCE, "the router looks the name up again")
    assert on_the_first is not None
    assert on_the_second.sid.startswith("pod-1.")
    expect_one_service(url, on_the_first, on_the_second)
    for claimed in (
        "pod-1",
        "pod-99999.0.1.x",
        "evil.example.org",
        "pod-0.0.1.AAAAAAAAAAAAAAAAAAAA",
    ):
        answer = http("GET", f"{url}/socket.io/?EIO=4&transport=polling&sid={claimed}")
        assert answer.status == 400
