"""The manifests fit together and to the router: settings, ports, labels, time limits, rights."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from docker.grafana.rules import prometheus_rule
from router.settings import Settings, load
from tests.docker.test_alerts import RULES
from tests.docker.test_dockerfile import last

FOLDER = Path(__file__).parents[2] / "docker/kubernetes"
Manifest = dict[str, Any]


def manifests(*names: str) -> list[Manifest]:
    return [made for name in names for made in yaml.safe_load_all((FOLDER / name).read_text())]


SHARED = manifests("shared/access.yaml", "shared/redis.yaml")
ROUTERS = manifests("deployment.yaml", "service.yaml", "availability.yaml", "network.yaml")
SIDECAR = manifests("sidecar/vllm.yaml")
DEPLOYMENTS = [made for made in [*ROUTERS, *SIDECAR, *SHARED] if made["kind"] == "Deployment"]
CONTAINERS = [
    (deployment["spec"]["template"]["spec"], container)
    for deployment in DEPLOYMENTS
    for container in deployment["spec"]["template"]["spec"]["containers"]
]
ROUTER_CONTAINERS = [pair for pair in CONTAINERS if pair[1]["name"] == "router"]
every_router = pytest.mark.parametrize(("spec", "container"), ROUTER_CONTAINERS)


def one(made: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (m for m in made if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What router.toml sets, with secrets in place."""
    text = (FOLDER / "shared/router.toml").read_text().replace("/etc/warmroute/", f"{tmp_path}/")
    for name in ("secrets/api_key", "secrets/admin_api_key", "secrets/index_secret", "redis/password"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}-0123456789abcdef")
    (tmp_path / "router.toml").write_text(text)
    return load({"config": str(tmp_path / "router.toml")}, {})


def test_every_file_is_part_of_something() -> None:
    listed = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        for name in kustomization["resources"]:
            assert (path.parent / name).exists(), name
            listed.add((path.parent / name).resolve())
    files = {path for path in FOLDER.rglob("*.yaml") if path.name not in {"kustomization.yaml", "secrets.example.yaml"}}
    assert files == {path for path in listed if path.is_file()}


@every_router
def test_the_time_to_end_is_enough(spec: Manifest, container: Manifest, settings: Settings) -> None:
    assert settings.drain_delay_s >= 5  # until all kube-proxies know
    assert spec["terminationGracePeriodSeconds"] > settings.drain_delay_s + settings.drain_timeout_s


@every_router
def test_probes_and_ports_are_the_routers(spec: Manifest, container: Manifest, settings: Settings) -> None:
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"http": settings.port}
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    readiness = container.get("readinessProbe", {"httpGet": {"path": "/ready", "port": "http"}})
    assert readiness["httpGet"] == {"path": "/ready", "port": "http"}
    assert settings.host == "0.0.0.0"


@every_router
def test_secrets_and_settings_are_mounted_where_they_are_read(spec: Manifest, container: Manifest) -> None:
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in mounts.values()} <= volumes
    assert {"/etc/warmroute/router.toml", "/etc/warmroute/secrets", "/etc/warmroute/redis"} <= set(mounts)
    assert container["args"] == ["serve", "--config", "/etc/warmroute/router.toml"]
    assert "/var/cache/warmroute" in mounts  # the image's HF_HOME
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize(("spec", "container"), [pair for pair in CONTAINERS if pair[1]["name"] != "vllm"])
def test_containers_are_restricted(spec: Manifest, container: Manifest) -> None:
    """As the Pod Security Standard `restricted` asks; vLLM's own image runs as root."""
    security = {**spec["securityContext"], **container["securityContext"]}
    assert security["runAsNonRoot"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "memory" in container["resources"]["limits"]
    assert "cpu" not in container["resources"]["limits"]


@every_router
def test_the_user_is_the_images(spec: Manifest, container: Manifest) -> None:
    security = {**spec["securityContext"], **container["securityContext"]}
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == last("USER")


def test_rights_are_the_least() -> None:
    role = one(SHARED, "Role", "warmroute")
    assert role["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    ]
    assert one(SHARED, "RoleBinding", "warmroute")["roleRef"]["name"] == "warmroute"
    assert not [made for made in [*SHARED, *ROUTERS, *SIDECAR] if made["kind"].startswith("Cluster")]
    assert (
        one(SHARED, "Deployment", "warmroute-redis")["spec"]["template"]["spec"]["automountServiceAccountToken"]
        is False
    )


@pytest.mark.parametrize("made", [SHARED + ROUTERS, SHARED + SIDECAR], ids=["routers", "sidecar"])
def test_selectors_select(made: list[Manifest]) -> None:
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in made if d["kind"] == "Deployment"]
    wanted = [m["spec"]["selector"] for m in made if m["kind"] == "Service"]
    wanted += [m["spec"]["selector"]["matchLabels"] for m in made if m["kind"] in {"Deployment", "PodDisruptionBudget"}]
    wanted += [m["spec"]["podSelector"]["matchLabels"] for m in made if m["kind"] == "NetworkPolicy"]
    for selector in wanted:
        assert any(selector.items() <= label.items() for label in labels), selector


def test_redis_lets_every_router_in_and_refuses_rather_than_evicts(settings: Settings) -> None:
    (rule,) = one(SHARED, "NetworkPolicy", "warmroute-redis")["spec"]["ingress"]
    (peer,) = rule["from"]
    for deployment in (one(ROUTERS, "Deployment", "warmroute"), one(SIDECAR, "Deployment", "vllm")):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    args = one(SHARED, "Deployment", "warmroute-redis")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--maxmemory-policy") + 1] == "noeviction"
    assert settings.redis_max_memory_bytes < int(args[args.index("--maxmemory") + 1].removesuffix("mb")) << 20
    assert "warmroute-redis:6379" in settings.redis


def test_workers_are_a_service_that_the_router_may_call(settings: Settings) -> None:
    (named,) = settings.worker_services
    assert one(SIDECAR, "Service", named.name)["spec"]["ports"][0]["port"] == named.port_number
    assert settings.worker_allow


def test_the_autoscaler_and_the_disruption_budget_leave_one_router() -> None:
    scaler = one(ROUTERS, "HorizontalPodAutoscaler", "warmroute")["spec"]
    assert scaler["scaleTargetRef"]["name"] == "warmroute"
    assert scaler["minReplicas"] >= 2
    assert one(ROUTERS, "PodDisruptionBudget", "warmroute")["spec"]["maxUnavailable"] == 1
    assert "replicas" not in one(ROUTERS, "Deployment", "warmroute")["spec"]


def test_the_monitor_finds_the_service() -> None:
    (monitor,) = manifests("monitoring/service-monitor.yaml")
    service = one(ROUTERS, "Service", "warmroute")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"


def test_the_operators_rules_are_the_alerts() -> None:
    path = FOLDER / "monitoring/prometheus-rule.yaml"
    assert path.read_text() == prometheus_rule(), "run: make docs"
    made = yaml.safe_load(path.read_text())
    assert [rule for group in made["spec"]["groups"] for rule in group["rules"]] == RULES


def test_the_example_holds_no_secret() -> None:
    for secret in manifests("secrets.example.yaml"):
        assert set(secret["stringData"].values()) == {"REPLACE"}
