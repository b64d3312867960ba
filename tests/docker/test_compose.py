"""The compose file and what it mounts fit together: names, ports, settings, secrets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests.engine.__main__ import parser
from router.settings import load
from router.settings.setting import variable_of
from router.settings.sources import names

FOLDER = Path(__file__).parents[2] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROUTERS = sorted(name for name in SERVICES if name.startswith("router-"))
WORKERS = {name for name in SERVICES if name.startswith("worker-")}
every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_services_are_hardened_and_come_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@every_service
def test_services_have_a_health_check(name: str) -> None:
    assert "healthcheck" in SERVICES[name] or name in ROUTERS, "routers have that of their image"


@every_service
def test_images_are_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "warmroute-demo" or re.search(r":v?\d+\.\d+\.\d+", image), image


@every_service
def test_ports_are_published_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


def test_no_secret_stands_in_the_files() -> None:
    """Keys come as files; what looks like one would be long and random."""
    for path in FOLDER.rglob("*"):
        if path.suffix in {".yaml", ".cfg", ".sh"} and "secrets" not in path.parts:
            assert not re.search(r"\b[0-9a-f]{32,}\b|(?i:password|secret|api_key): [\"']?\w{8,}", path.read_text()), (
                path
            )
    assert ".gitignore" and "/docker/secrets/" in (FOLDER.parent / ".gitignore").read_text()


def test_secrets_and_volumes_are_declared_and_made() -> None:
    script = (FOLDER / "secrets.sh").read_text()
    for service in SERVICES.values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists(), volume
    assert all(name in script for name in COMPOSE["secrets"])


@pytest.mark.parametrize("name", ROUTERS)
def test_routers_have_settings_that_exist(name: str, tmp_path: Path) -> None:
    environ = SERVICES[name]["environment"]
    assert set(environ) <= {variable_of(name) for name in names()}
    for secret in COMPOSE["secrets"]:
        (tmp_path / secret).write_text(f"{secret}-0123456789abcdef")
    settings = load({}, {key: value.replace("/run/secrets", str(tmp_path)) for key, value in environ.items()})
    assert {url.removeprefix("http://").partition(":")[0] for url in settings.workers} == WORKERS
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_delay_s + settings.drain_timeout_s


def test_workers_start_with_flags_that_exist() -> None:
    options = parser().parse_args(SERVICES["worker-1"]["command"])
    assert options.port == 8000


def test_the_balancer_and_prometheus_know_all_of_them() -> None:
    balancer = (FOLDER / "haproxy/haproxy.cfg").read_text()
    assert set(re.findall(r"^ +server (\S+) \1:8080$", balancer, re.MULTILINE)) == set(ROUTERS)
    assert "GET /ready" in balancer
    jobs = yaml.safe_load((FOLDER / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
    targets = {job["job_name"]: set(job["static_configs"][0]["targets"]) for job in jobs}
    assert targets == {"warmroute": {f"{r}:8080" for r in ROUTERS}, "workers": {f"{w}:8000" for w in WORKERS}}


def test_redis_refuses_rather_than_evicts() -> None:
    assert "--maxmemory-policy noeviction" in SERVICES["redis"]["command"]
    (limit,) = re.findall(r"--maxmemory (\d+)mb", SERVICES["redis"]["command"])
    routers = SERVICES["router-1"]["environment"]["WARMROUTE_REDIS_MAX_MEMORY_BYTES"]
    assert int(routers.removesuffix("MiB")) < int(limit)


def test_grafana_gets_the_dashboard_and_its_data_source() -> None:
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/warmroute.yaml").read_text())["providers"][0]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    scrape = yaml.safe_load((FOLDER / "prometheus/prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape
