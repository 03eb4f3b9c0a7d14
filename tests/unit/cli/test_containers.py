"""`claire up` and `down`: whose project it is, whose passwords, what is not healthy and why."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.main import claire
from services.cli.run import compose_project, containers
from services.runtime.database.address import DatabaseAwayError, DatabaseRefusedError
from services.runtime.settings.secrets import EXAMPLE

pytestmark = pytest.mark.unit

PROJECT = "claire_de_binare"
VOLUME = f"{PROJECT}_postgres_data"
DOCKER = """#!{python}
import json, sys
from pathlib import Path

here = Path(__file__).parent
answers = json.loads((here / "answers.json").read_text())
asked = sys.argv[1:]
with (here / "asked").open("a") as file:
    file.write(" ".join(asked) + "\\n")
for words, said in answers:
    if asked[: len(words)] == words:
        print(said)
        sys.exit(0)
print(f"unexpected: {{asked}}", file=sys.stderr)
sys.exit(1)
"""


class Engine:
    """A docker command that says what the test wants, and notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owners: list[str] = []
        self.volumes: list[str] = []
        self.containers: list[dict[str, Any]] = []
        docker = folder / "docker"
        docker.write_text(DOCKER.format(python=sys.executable), encoding="utf-8")
        docker.chmod(0o755)

    def write(self) -> None:
        config = {"name": PROJECT, "volumes": {"postgres_data": {"name": VOLUME}}}
        ids = "\n".join(str(n) for n, _ in enumerate(self.containers))
        answers = [
            (["compose", "config"], json.dumps(config)),
            (["ps", "--all", "--no-trunc"], "\n".join(self.owners)),
            (["ps", "--all", "--quiet"], ids),
            (["volume", "ls"], "\n".join(self.volumes)),
            (["inspect"], json.dumps(self.containers)),
            (["compose", "up"], ""),
            (["compose", "down"], ""),
        ]
        (self.folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text("utf-8").splitlines()

    def was_asked(self, words: str) -> bool:
        return any(line.startswith(words) for line in self.asked)


def container(service: str, status: str, reason: str = "") -> dict[str, Any]:
    output = json.dumps({"status": "unavailable", "reason": reason}) if reason else ""
    health = {"Status": status, "Log": [{"Output": output}]}
    labels = {"com.docker.compose.service": service}
    return {
        "Name": f"/{service}", "State": {"Running": True, "Health": health},
        "Config": {"Labels": labels},
    }  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    folder, checkout = tmp_path / "bin", tmp_path / "checkout"
    folder.mkdir()
    checkout.mkdir()
    (checkout / "docker-compose.yml").write_text("services: {}\n", encoding="ascii")
    (checkout / ".env.example").write_text(EXAMPLE.read_text("utf-8"), encoding="utf-8")
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("POSTGRES_HOST_PORT", "1")  # nobody listens there
    monkeypatch.setattr(compose_project, "STEADY_S", 1.5)
    for name in ("POSTGRES_PASSWORD", "CDB_ENV_FILE", "CDB_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Engine(folder)


@pytest.fixture
def call(engine: Engine) -> Callable[..., Result]:
    def run(*arguments: str, says: str = "") -> Result:
        engine.write()
        return CliRunner().invoke(claire, arguments, input=says)

    return run


def test_up_starts_what_is_nobody_s_or_this_checkout_s(
    engine: Engine, call: Callable[..., Result]
) -> None:
    engine.containers = [container("cdb_redis", "healthy")]
    first = call("up")
    engine.owners, engine.volumes = [str(Path.cwd())], [VOLUME]
    second = call("up", "--no-build")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "written with" in first.stdout
    assert engine.was_asked("compose up -d --build")
    assert engine.asked[-1].startswith("inspect")


@pytest.mark.parametrize("command", [("up",), ("down",), ("down", "--volumes", "--yes")])
def test_another_checkout_s_project_is_named_and_left_alone(
    engine: Engine, call: Callable[..., Result], command: tuple[str, ...]
) -> None:
    engine.owners = ["/home/me/first", "/home/me/first"]

    done = call(*command)

    assert done.exit_code == 1
    assert f"the compose project {PROJECT} belongs to /home/me/first" in done.stderr
    assert "COMPOSE_PROJECT_NAME" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not engine.was_asked("compose up")
    assert not engine.was_asked("compose down")
    assert not Path(".env").exists(), "no passwords are generated for what is another's"


def test_data_whose_passwords_are_elsewhere_gets_no_new_ones(
    engine: Engine, call: Callable[..., Result]
) -> None:
    engine.volumes = [f"x_{VOLUME}", VOLUME]

    done = call("up")

    assert done.exit_code == 1
    assert f"the volume {VOLUME} exists" in done.stderr
    assert "docker volume rm" in done.stderr
    assert not Path(".env").exists()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (DatabaseRefusedError('refuses: password authentication failed for user "x"'), 1),
        (DatabaseRefusedError("refuses: too many connections"), 0),
        (DatabaseAwayError("not reachable from here"), 0),
    ],
    ids=["another password", "another refusal", "away"],
)
def test_a_password_that_the_volume_does_not_have_is_named_with_the_remedy(
    engine: Engine,
    call: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception,
    code: int,
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise answer

    monkeypatch.setattr(containers, "connect_to_read", connect)

    done = call("up", "--no-wait")

    assert done.exit_code == code, done.stderr
    remedies = ("Bring back the .env and secrets/", "\\password", "claire down --volumes")
    if code:
        assert f"the database in the volume {VOLUME} refuses POSTGRES_PASSWORD" in done.stderr
        assert all(remedy in done.stderr for remedy in remedies)
    assert engine.was_asked("compose up")


def test_a_volume_of_a_longer_name_is_another(engine: Engine, call: Callable[..., Result]) -> None:
    engine.volumes = [f"x_{VOLUME}"]
    assert call("up", "--no-wait").exit_code == 0


def test_an_unreachable_venue_is_named_and_does_not_wait_for_ever(
    engine: Engine, call: Callable[..., Result]
) -> None:
    engine.containers = [
        container("cdb_redis", "healthy"),
        container("cdb_ws", "starting", "MEXC does not answer: no route (12.5 s)"),
    ]

    done = call("up")

    assert done.exit_code == 1
    assert "cdb_ws: MEXC does not answer: no route" in done.stderr.splitlines()[0]
    assert "1 are not healthy: cdb_ws: MEXC does not answer" in done.stderr
    assert "claire status" in done.stderr


def test_without_waiting_up_asks_for_nobody_s_health(
    engine: Engine, call: Callable[..., Result]
) -> None:
    engine.containers = [container("cdb_ws", "unhealthy", "no market")]
    done = call("up", "--no-wait")
    assert done.exit_code == 0
    assert not engine.was_asked("inspect")


def test_figures_in_a_reason_do_not_make_it_another_one() -> None:
    assert compose_project._words("no clock for 1.5 s (limit 30 s)") == compose_project._words(
        "no clock for 22.75 s (limit 30 s)"
    )


# -- down -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["n\n", "\n", ""])
def test_data_is_removed_only_after_a_yes(
    engine: Engine, call: Callable[..., Result], says: str
) -> None:
    done = call("down", "--volumes", says=says)

    assert done.exit_code == 1
    assert VOLUME in done.stderr, "what would be lost is named"
    assert not engine.was_asked("compose down")


@pytest.mark.parametrize(("flags", "says"), [(("--yes",), ""), ((), "y\n")])
def test_a_yes_removes_the_data(
    engine: Engine, call: Callable[..., Result], flags: tuple[str, ...], says: str
) -> None:
    assert call("down", "--volumes", *flags, says=says).exit_code == 0
    assert engine.asked[-1] == "compose down --volumes"


def test_stopping_keeps_the_data_and_does_not_ask(
    engine: Engine, call: Callable[..., Result]
) -> None:
    assert call("down").exit_code == 0
    assert engine.asked[-1] == "compose down"
