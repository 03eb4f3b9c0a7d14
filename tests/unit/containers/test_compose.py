"""What docker-compose.yml promises about every container."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.events.topics import PAPER_RUNNER, SERVICES
from services.kernel.settings.parameters import ALIASES
from services.runtime.settings.http_ports import HTTP_PORTS
from services.runtime.settings.model import CONSOLE_SECRETS, MANDATORY, known_names, load
from services.runtime.settings.secrets import ACL_FILE, GENERATED

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
INFRASTRUCTURE = ("cdb_redis", "cdb_postgres", "cdb_prometheus", "cdb_grafana")

PORTS = {
    "cdb_redis": (6379, 6379),
    "cdb_postgres": (5432, 5432),
    "cdb_prometheus": (19090, 9090),
    "cdb_grafana": (3000, 3000),
    "cdb_ws": (8000, 8000),
    "cdb_core": (8001, 8001),
    "cdb_risk": (8002, 8002),
    "cdb_execution": (8003, 8003),
    "cdb_paper_runner": (8004, 8004),
    "cdb_sim": (9000, 9000),
}

every_container = pytest.mark.parametrize("name", CONTAINERS)
every_service = pytest.mark.parametrize("service", SERVICES)


def secrets_of(name: str) -> set[str]:
    return set(CONTAINERS[name].get("secrets", ()))


def test_the_project_has_its_name_and_exactly_ten_containers() -> None:
    assert COMPOSE["name"] == "claire_de_binare"
    started = {name for name in CONTAINERS if "profiles" not in CONTAINERS[name]}
    assert started == {*INFRASTRUCTURE, *SERVICES}
    assert len(started) == 10


def test_the_fake_exchange_starts_with_its_profile_only() -> None:
    assert CONTAINERS.keys() - {*INFRASTRUCTURE, *SERVICES} == {"cdb_sim"}
    assert CONTAINERS["cdb_sim"]["profiles"] == ["sim"]
    assert CONTAINERS["cdb_sim"]["image"] == CONTAINERS["cdb_ws"]["image"]
    assert "secrets" not in CONTAINERS["cdb_sim"]


@every_container
def test_a_container_is_hardened(name: str) -> None:
    container = CONTAINERS[name]

    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in container
    assert "privileged" not in container
    assert container["restart"] == "unless-stopped"
    assert any(mount.startswith("/tmp:") for mount in container["tmpfs"])  # noqa: S108
    assert container["networks"] == ["cdb_network"]


@every_container
def test_a_container_does_not_run_as_root(name: str) -> None:
    user, _, _group = CONTAINERS[name]["user"].partition(":")

    assert int(user) > 0


@every_container
def test_a_container_has_limits_and_its_log_rotates(name: str) -> None:
    container = CONTAINERS[name]

    assert re.fullmatch(r"\d+[mg]", container["mem_limit"])
    assert container["pids_limit"] > 0
    assert container["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= set(container["logging"]["options"])


@every_container
def test_a_container_has_a_health_check_that_needs_no_curl(name: str) -> None:
    check = CONTAINERS[name]["healthcheck"]

    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert "curl" not in " ".join(check["test"])
    assert "exit 0" not in " ".join(check["test"])
    assert {"interval", "timeout", "retries", "start_period", "start_interval"} <= set(check)


@every_container
def test_an_image_is_pinned_by_its_tag(name: str) -> None:
    _, _, tag = CONTAINERS[name]["image"].partition(":")

    assert re.search(r"\d", tag), CONTAINERS[name]["image"]
    assert "latest" not in tag


@every_container
def test_host_ports_bind_to_loopback_and_can_be_changed(name: str) -> None:
    if name not in PORTS:
        assert "ports" not in CONTAINERS[name]
        return
    host, inside = PORTS[name]
    (published,) = CONTAINERS[name]["ports"]

    assert re.fullmatch(
        rf"\$\{{CDB_BIND:-127\.0\.0\.1\}}:\$\{{[A-Z_]+PORT:-{host}\}}:{inside}", published
    )


@every_container
def test_what_a_container_mounts_from_the_host_is_read_only(name: str) -> None:
    for volume in CONTAINERS[name].get("volumes", ()):
        if volume.startswith((".", "/", "$")):
            assert volume.endswith(":ro"), volume
        assert "docker.sock" not in volume


def test_the_volumes_and_the_network_are_the_named_ones() -> None:
    volumes = {"redis_data", "postgres_data", "prom_data", "grafana_data"}
    volumes |= {"recordings", "ws_cache"}
    assert set(COMPOSE["volumes"]) == volumes
    assert COMPOSE["networks"] == {"cdb_network": {"driver": "bridge"}}


@every_service
def test_the_six_services_share_one_image(service: str) -> None:
    container = CONTAINERS[service]

    assert container["image"] == CONTAINERS[SERVICES[0]]["image"]
    assert container["build"] == "."
    assert container["command"] == ["python", "-m", f"services.{service}"]
    assert container["environment"]["HTTP_PORT"] == str(HTTP_PORTS[service])


def test_no_trading_service_keeps_another_from_starting() -> None:
    for container in CONTAINERS.values():
        for needed, how in container.get("depends_on", {}).items():
            healthy = needed in ("cdb_redis", "cdb_postgres")
            assert how["condition"] == ("service_healthy" if healthy else "service_started")


def test_services_wait_for_what_they_need() -> None:
    needs = {name: set(CONTAINERS[name].get("depends_on", ())) for name in CONTAINERS}

    for service in ("cdb_ws", "cdb_core", "cdb_risk"):
        assert needs[service] == {"cdb_redis"}
    for service in ("cdb_execution", "cdb_db_writer"):
        assert needs[service] == {"cdb_redis", "cdb_postgres"}
    assert needs["cdb_paper_runner"] == {
        "cdb_redis", "cdb_postgres", "cdb_core", "cdb_risk", "cdb_execution"
    }  # fmt: skip
    assert needs["cdb_grafana"] == {"cdb_prometheus", "cdb_postgres"}


@every_service
def test_a_service_is_reported_every_setting_and_nothing_unknown(service: str) -> None:
    environment = set(CONTAINERS[service]["environment"])

    recorded = set(load(environ={}, env_file=None).run_settings())
    assert recorded | set(ALIASES) | {"TRADING_MODE", "LOG_LEVEL"} <= environment
    assert environment <= known_names()


def test_the_market_is_the_live_one_unless_reported_otherwise() -> None:
    assert CONTAINERS["cdb_ws"]["environment"]["CDB_SOURCE"] == "${CDB_SOURCE:-mexc}"


@every_service
def test_a_service_is_given_the_secrets_it_needs_and_no_other(service: str) -> None:
    needed = MANDATORY[service] + (CONSOLE_SECRETS if service == PAPER_RUNNER else ())
    assert secrets_of(service) == {name.lower() for name in needed}
    for name in needed:
        given = CONTAINERS[service]["environment"][f"{name}_FILE"]
        assert given == f"/run/secrets/{name.lower()}"


def test_only_the_database_and_the_writer_hold_the_owners_password() -> None:
    holders = {name for name in CONTAINERS if "postgres_password" in secrets_of(name)}

    assert holders == {"cdb_postgres", "cdb_db_writer"}


def test_every_secret_is_a_file_that_init_writes() -> None:
    files = {name.lower() for name in GENERATED} | {ACL_FILE}

    assert set(COMPOSE["secrets"]) == files
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"${{CDB_SECRETS_DIR:-./secrets}}/{name}"}


def test_no_password_is_written_into_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")

    for name in re.findall(r"^\s+(\w*PASSWORD\w*):", text, re.MULTILINE):
        assert name.endswith("_FILE"), name


def test_redis_keeps_what_it_acknowledged_and_evicts_nothing() -> None:
    command = " ".join(CONTAINERS["cdb_redis"]["command"])

    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--maxmemory ${" in command
    assert command.startswith(f"sh /redis-start.sh /run/secrets/{ACL_FILE} /library.lua ")
    assert "--busy-reply-threshold 1000" in command
    library = "./services/runtime/bus/redis/library.lua:/library.lua:ro"
    assert library in CONTAINERS["cdb_redis"]["volumes"]
    assert "requirepass" not in command


def test_postgres_keeps_what_it_acknowledged() -> None:
    command = CONTAINERS["cdb_postgres"]["command"]

    assert {"-cfsync=on", "-csynchronous_commit=on", "-cfull_page_writes=on"} <= set(command)


def test_grafana_calls_nobody() -> None:
    environment = CONTAINERS["cdb_grafana"]["environment"]

    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    assert environment["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"
    assert environment["GF_NEWS_NEWS_FEED_ENABLED"] == "false"


def test_prometheus_scrapes_every_service_on_its_port() -> None:
    config = yaml.safe_load((ROOT / "prometheus.yml").read_text("utf-8"))

    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    }
    for service in SERVICES:
        assert targets[service] == [f"{service}:{HTTP_PORTS[service]}"]


def test_the_console_has_the_orchestrators_port_and_reaches_every_service() -> None:
    environment = CONTAINERS[PAPER_RUNNER]["environment"]
    given = {"CONSOLE_SERVICES": environment["CONSOLE_SERVICES"]}
    addresses = dict(load(environ=given, env_file=None).console_services)

    assert environment["CONSOLE_PORT"] == "8004"
    for service in SERVICES:
        host = "127.0.0.1" if service == PAPER_RUNNER else service
        assert addresses[service] == f"http://{host}:{HTTP_PORTS[service]}"
