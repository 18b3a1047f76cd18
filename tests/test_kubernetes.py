"""The Kubernetes manifests: built by kustomize, valid, locked down, and routing to the pod of a session.

The router's nginx is run with what its container would give it, and a name server of the test knows
what the cluster's would.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import queues
from baking import PROJECT_TEMPLATE, Bake
from nameserver import NameServer, answering
from npm import MODULES, node_with, run
from ports import free_port
from production.observe import metrics
from production.process.configuration import CLOSING_TIME
from production.settings import Settings, load_settings
from proxies import HANDSHAKE, expect_one_service, whole_nginx
from rawclient import PollingSession, http
from served import ServedProject
from waiting import eventually

MANIFESTS = "deploy/kubernetes"
SCALING = PROJECT_TEMPLATE / MANIFESTS / "base/scaling.yaml"
ROUTER = f"{MANIFESTS}/base/router.conf.template"
OVERLAYS = ("gateway", "ingress")
RELEASES = ("1.28", "1.36")
"""The oldest that numbers its pods by a label, and a new one."""

SPARE_SECONDS = 3

MOVING_TIME = 120
"""Seconds that a queue may take to another node: its volume has to follow it."""

BYTES_OF_A_SESSION = 30_000
"""What nginx needs for one, as compose.yaml has it."""

PASSING_ON = ("proxy_", "client_max", "resolver_", "error_page", "if (", "set ")
"""How what a configuration says of passing requests on begins."""

PASSWORD = "a-password-for-tests"

NAMESPACE = "test"
ROOM = 3
"""How many sessions a pod of the tests takes."""

Document = dict[str, Any]

ADDRESSES = ("127.0.0.2", "127.0.0.3")
"""Of two pods."""

ANY_POD = f"live-board-any.{NAMESPACE}.svc.cluster.local"


def pod_name(number: int) -> str:
    """Return the name by which the cluster knows a pod."""
    return f"live-board-{number}.live-board-pods.{NAMESPACE}.svc.cluster.local"


@pytest.fixture(scope="module")
def node(requires: Callable[[str], str]) -> str:
    """Node, with the packages that the tests of the manifests need."""
    return node_with("kustomize", requires)


@pytest.fixture(scope="module")
def applied(bake: Bake, node: str) -> dict[str, list[Document]]:
    """Everything that each overlay applies."""
    overlays = bake().path / MANIFESTS / "overlays"
    return {overlay: built(node, overlays / overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="module", params=OVERLAYS)
def documents(request: pytest.FixtureRequest, applied: dict[str, list[Document]]) -> list[Document]:
    """Everything that one overlay applies."""
    return applied[request.param]


def built(node: str, overlay: Path) -> list[Document]:
    """Return what an overlay applies."""
    outcome = subprocess.run(
        [node, str(MODULES / "kustomize/run.js"), "build", "."],
        cwd=overlay,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return [document for document in yaml.safe_load_all(outcome.stdout) if document]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    found = [document for document in documents if document["kind"] in kinds]
    assert found
    return found


def pods(documents: list[Document]) -> list[Document]:
    """Return the pod specifications of all workloads."""
    workloads = of_kind(documents, "StatefulSet", "Deployment")
    return [workload["spec"]["template"]["spec"] for workload in workloads]


def container_of(documents: list[Document], name: str) -> Document:
    """Return the container of a name."""
    (found,) = (
        found for pod in pods(documents) for found in pod["containers"] if found["name"] == name
    )
    return dict(found)


def environment(documents: list[Document], name: str) -> dict[str, str]:
    """Return what a container is told in its environment; secrets and what is of the pod aside."""
    maps = {
        document["metadata"]["name"]: document["data"]
        for document in of_kind(documents, "ConfigMap")
    }
    found: dict[str, str] = {}
    container = container_of(documents, name)
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    for variable in container["env"]:
        key = variable.get("valueFrom", {}).get("configMapKeyRef")
        if key:
            found[variable["name"]] = maps[key["name"]][key["key"]]
        elif "value" in variable:
            found[variable["name"]] = variable["value"]
    return found


def settings_of(documents: list[Document], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of a pod."""
    for name, value in environment(documents, "service").items():
        monkeypatch.setenv(name, value.replace("$(POD_INDEX)", "0"))
    return load_settings(
        secret_key="a-secret-for-tests-0123456789-abcdef", redis_url="redis://valkey:6379/0"
    )


def size(quantity: str) -> int:
    """Return the bytes of ``640Mi``."""
    return int(quantity.removesuffix("Mi")) * 2**20


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
            # Throttled, it would be late for all its sessions.
            assert {"memory"} == set(container["resources"]["limits"])
            assert {"readinessProbe", "livenessProbe"} <= set(container)
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
    settings = settings_of(documents, monkeypatch)
    assert (settings.web_concurrency, settings.host_id) == (2, "pod-0")
    ports = container_of(documents, "service")["ports"]
    assert [port["containerPort"] for port in ports] == [5000, 9464]
    assert (settings.bind, settings.metrics_bind) == ("0.0.0.0:5000", "0.0.0.0:9464")


def test_a_queue_that_is_moved_takes_no_pod_away(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_of(documents, monkeypatch).queue_grace > MOVING_TIME


def test_a_pod_has_the_time_to_leave(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = settings_of(documents, monkeypatch).drain_seconds + CLOSING_TIME
    (service,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "service")
    (_, pause) = service["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert service["terminationGracePeriodSeconds"] >= float(pause) + drain + SPARE_SECONDS


def test_how_many_there_are_is_left_to_what_scales_them(documents: list[Document]) -> None:
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    for workload in of_kind(documents, "StatefulSet", "Deployment"):
        scaled = (target["kind"], target["name"]) == (
            workload["kind"],
            workload["metadata"]["name"],
        )
        assert ("replicas" in workload["spec"]) is not scaled


def test_pods_are_scaled_by_a_metric_that_there_is(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in {one.name for one in metrics.REGISTRY.collect()}
    settings = settings_of(documents, monkeypatch)
    most = settings.web_concurrency * settings.max_sessions
    assert int(metric["pods"]["target"]["averageValue"]) < most
    assert f"Of the {most} that" in SCALING.read_text()


def test_one_router_less_still_holds_the_sessions_of_all_pods(
    bake: Bake, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    (router,) = of_kind(documents, "Deployment")
    settings = settings_of(documents, monkeypatch)
    most = scaler["spec"]["maxReplicas"] * settings.web_concurrency * settings.max_sessions

    configuration = bake().text(ROUTER)

    def figure(directive: str) -> int:
        return int(re.findall(rf"^ *{directive} (\d+);", configuration, re.M)[0])

    # One on each side.
    room = figure("worker_processes") * figure("worker_connections") // 2
    assert figure("worker_rlimit_nofile") > figure("worker_connections")
    assert (router["spec"]["replicas"] - 1) * room >= most
    limits = container_of(documents, "nginx")["resources"]["limits"]
    assert size(limits["memory"]) > room * BYTES_OF_A_SESSION
    text = bake().text(f"{MANIFESTS}/README.md")
    assert f"Ten pods have {most} sessions at most; a router has room for {room}" in text


def test_the_autoscalers_metric_is_a_pods_sessions_on_all_workers_and_transports(
    bake: Bake, node: str, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    manifests = tmp_path / "kubernetes"
    shutil.copytree(bake().path / MANIFESTS, manifests)
    overlay = manifests / "overlays/gateway"
    file = overlay / "kustomization.yaml"
    file.write_text(file.read_text().replace("# components:", "components:"))
    documents = built(node, overlay)
    (monitor,) = of_kind(documents, "PodMonitor")
    (service,) = (
        workload["spec"]["template"]
        for workload in of_kind(documents, "StatefulSet")
        if workload["spec"]["template"]["spec"]["containers"][0]["name"] == "service"
    )
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    assert selected <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = container_of(documents, "service")["ports"]
    assert endpoint["port"] in {port["name"] for port in ports}

    adapter = yaml.safe_load((manifests / "components/prometheus/adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert rule["seriesQuery"].startswith(f"{name}{{")
    query = rule["metricsQuery"]
    # What the adapter fills in when it is asked for the pods of a namespace.
    for placeholder, text in {
        "<<.Series>>": name,
        "<<.LabelMatchers>>": 'namespace="test",pod=~"live-board-0|live-board-1"',
        "<<.GroupBy>>": "pod",
    }.items():
        query = query.replace(placeholder, text)
    series = [
        {
            "series": f'{name}{{namespace="test", pod="live-board-{pod}", '
            f'worker="{worker}", transport="{transport}"}}',
            "values": str(10**pod),
        }
        for pod in (0, 1)
        for worker in (0, 1)
        for transport in ("polling", "websocket")
    ]
    expected = [{"labels": f'{{pod="live-board-{pod}"}}', "value": 4 * 10**pod} for pod in (0, 1)]
    asked = {"expr": query, "eval_time": "0m", "exp_samples": expected}
    path = tmp_path / "adapter_test.yml"
    path.write_text(json.dumps({"tests": [{"input_series": series, "promql_expr_test": [asked]}]}))
    run(requires("promtool"), "test", "rules", str(path))


def test_probes_ask_what_the_service_answers(documents: list[Document]) -> None:
    (service,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "service")
    container = service["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_new_sessions_find_only_pods_that_are_ready_and_old_ones_theirs_as_long_as_it_lives(
    documents: list[Document],
) -> None:
    found = {one["metadata"]["name"]: one["spec"] for one in of_kind(documents, "Service")}
    for name, whatever_it_says in (("live-board-any", False), ("live-board-pods", True)):
        # Without an address of its own, it is known by those of the pods.
        assert found[name]["clusterIP"] == "None"
        assert found[name].get("publishNotReadyAddresses", False) is whatever_it_says
    (service,) = (
        workload["spec"]
        for workload in of_kind(documents, "StatefulSet")
        if workload["metadata"]["name"] == "live-board"
    )
    assert service["serviceName"] == "live-board-pods"


def test_all_that_is_in_front_is_as_patient_as_the_service_believes(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = f"{settings_of(documents, monkeypatch).proxy_read_timeout:g}"
    assert environment(documents, "nginx")["PROXY_READ_TIMEOUT"] == patience
    for ingress in (document for document in documents if document["kind"] == "Ingress"):
        annotations = ingress["metadata"]["annotations"]
        for way in ("read", "send"):
            assert annotations[f"nginx.org/proxy-{way}-timeout"] == f"{patience}s"
            assert annotations[f"nginx.ingress.kubernetes.io/proxy-{way}-timeout"] == patience


def test_the_router_tries_another_pod_as_nginx_does_under_compose(bake: Bake) -> None:
    def lines(path: str) -> list[str]:
        """Return what a template says of new sessions and of passing on, names and comments aside."""
        text = bake().text(path).replace("live-board-any.${NAMESPACE}.svc.${CLUSTER_DOMAIN}", "app")
        said = [line.partition("#")[0].strip() for line in text.splitlines()]
        (upstream,) = re.findall(r"^upstream new_sessions {$.*?^}$", "\n".join(said), re.M | re.S)
        return [upstream, *(line for line in said if line.startswith(PASSING_ON))]

    assert lines(ROUTER) == lines("deploy/docker/nginx.conf.template")


def test_the_queue_is_full_before_it_is_killed(
    applied: dict[str, list[Document]], tmp_path: Path
) -> None:
    found = container_of(applied["gateway"], "valkey")
    arguments = [argument.replace("$(VALKEY_PASSWORD)", PASSWORD) for argument in found["args"]]
    server = queues.Valkey(tmp_path, *arguments, password=PASSWORD)
    try:
        server.start()
        with server.client as client:
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            most = int(client.config_get("maxmemory")["maxmemory"])
        assert 0 < most <= 0.75 * size(found["resources"]["limits"]["memory"])
    finally:
        server.stop()


@pytest.fixture
def services(bake: Bake, tmp_path: Path, message_queue: str) -> Iterator[list[ServedProject]]:
    """Two pods on two addresses, which are full soon."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        served = [
            ServedProject(
                bake(),
                tmp_path / f"pod-{number}.log",
                {
                    "HOST_ID": f"pod-{number}",
                    "MAX_SESSIONS": str(ROOM),
                    "REDIS_URL": message_queue,
                    "SERVICE_NAME": "cluster",
                    "TRUSTED_PROXIES": "2",
                },
                host=address,
                port=port,
            )
            for number, address in enumerate(ADDRESSES)
        ]
        for one in served:
            stack.callback(one.stop)
        for one in served:
            one.wait_until_ready()
        yield served


def filled_in(template: str, given: dict[str, str]) -> str:
    """Fill in variables as the image of nginx does: those that its filter names."""
    for name in filter(re.compile(given["NGINX_ENVSUBST_FILTER"]).match, given):
        template = template.replace(f"${{{name}}}", given[name])
    return template


@pytest.fixture
def cluster(
    bake: Bake,
    applied: dict[str, list[Document]],
    tmp_path: Path,
    services: list[ServedProject],
) -> Iterator[tuple[str, NameServer]]:
    """The two pods and the router before them; new sessions go to the second, which alone is ready."""
    entry = free_port()
    given = environment(applied["gateway"], "nginx") | {"NAMESPACE": NAMESPACE}
    addresses = {pod_name(number): address for number, address in enumerate(ADDRESSES)}
    with answering({ANY_POD: ADDRESSES[1], **addresses}) as names:
        given["NGINX_LOCAL_RESOLVERS"] = f"127.0.0.1:{names.server_address[1]}"
        configuration = (
            filled_in(bake().text(ROUTER), given)
            .replace("listen 8080;", f"listen 127.0.0.1:{entry};")
            .replace(":5000", f":{services[0].port}")
            .replace("/tmp/", f"{tmp_path}/")
        )
        assert "${" not in configuration
        with whole_nginx(tmp_path, configuration, entry) as url:
            # Until it has looked the name up, it has nobody to ask.
            eventually(lambda: http("GET", f"{url}/health/ready").status == 200)
            yield url, names


def wait_for_the_first(url: str) -> None:
    """Wait until the first pod is asked as well, or alone, for what belongs to no session."""

    def is_asked() -> bool:
        return str(http("GET", f"{url}/health").json()["process"]).startswith("pod-0.")

    eventually(is_asked, "the router looks the name up again")


def test_the_router_finds_the_pod_of_a_session(
    cluster: tuple[str, NameServer], tmp_path: Path
) -> None:
    url, names = cluster
    on_the_second = PollingSession(url)
    # Now the first alone is ready.
    names.addresses[ANY_POD] = ADDRESSES[0]
    wait_for_the_first(url)
    on_the_first = PollingSession(url)
    assert on_the_first.sid.startswith("pod-0.")
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
    assert http("GET", f"{url}/router/alive").status == 204
    # Whoever reads it could poll in another's name.
    assert on_the_first.sid not in (tmp_path / "nginx.log").read_text()


def test_a_new_session_is_for_the_next_pod_if_one_is_full(
    cluster: tuple[str, NameServer], services: list[ServedProject]
) -> None:
    url, names = cluster
    names.addresses[ANY_POD] = " ".join(ADDRESSES)
    wait_for_the_first(url)
    there, *_ = [PollingSession(services[0].url) for _ in range(ROOM)]
    for _ in range(ROOM):
        assert PollingSession(url).sid.startswith("pod-1.")
    nowhere = http("GET", f"{url}{HANDSHAKE}")
    assert (nowhere.status, nowhere.headers["retry-after"]) == (503, "1")
    there.url = url
    there.connect_namespace()
