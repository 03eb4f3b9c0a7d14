"""The stacks that the end-to-end tests look at from outside; one at a time, each started once."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.stack import PROJECT, Stack, StackError, docker

SETTINGS = {
    "external": {
        "CDB_SOURCE": "external",
        "SYMBOL_WHITELIST": "BTC_USDT,ETH_USDT,SOL_USDT",
        "LOOKBACK_MINUTES": "5",
        "SNAPSHOT_INTERVAL_SEC": "2",
    },
    "synthetic": {"CDB_SOURCE": "synthetic", "CDB_SPEED": "60", "CDB_SEED": "7"},
    # As the README says it: the exchange's addresses point at the fake one.
    "sim": {
        "COMPOSE_PROFILES": "sim",
        "CDB_SOURCE": "mexc",
        "MEXC_WS_URL": "ws://cdb_sim:9000/edge",
        "MEXC_REST_URL": "http://cdb_sim:9000",
        # It trades with the defaults as well, but not every minute.
        "EXCHANGE_SIM_OPTIONS": "--speed 30 --rate 20",
        "LOOKBACK_MINUTES": "2",
        "SIGNAL_COOLDOWN_SEC": "5",
        "MAX_TRADES_PER_HOUR": "1000",
        "LOSS_COOLDOWN_SEC": "1800",
        "MAX_CONSECUTIVE_LOSSES": "3",
    },
}

_images: dict[str, dict[str, str]] = {}


class Site:
    """Where at most one stack runs."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._stack: Stack | None = None
        self._market = ""

    def with_market(self, market: str) -> Stack:
        """The stack on that market; another one is removed first."""
        if self._stack is None or self._market != market:
            self.clear()
            name = f"{PROJECT}{market}"
            self._market = market
            self._stack = Stack(name, self._folders.mktemp(name), SETTINGS[market])
            self._stack.remove()  # what a run that was cut off may have left
            try:
                self._stack.up()
            except StackError as error:
                self.clear()
                pytest.exit(f"the stack does not come up: {error}", returncode=1)
            _images.update(images_of(self._stack))
        return self._stack

    def clear(self) -> None:
        """Remove the stack, volumes included."""
        if self._stack is not None:
            self._stack.remove()
            self._stack = None


def images_of(stack: Stack) -> dict[str, dict[str, str]]:
    """The labels of every image of the stack, by its name."""
    names = sorted(set(stack.compose("config", "--images").split()))
    inspected = json.loads(docker("image", "inspect", *names))
    return {
        tag: image["Config"]["Labels"] or {}
        for image in inspected
        for tag in image["RepoTags"]
        if tag in names
    }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except StackError as error:
        pytest.exit(f"no Docker engine answers, start one first: {error}", returncode=1)
    site = Site(tmp_path_factory)
    yield site
    site.clear()


@pytest.fixture(scope="module")
def external(site: Site) -> Stack:
    """A stack whose market is what the tests publish."""
    return site.with_market("external")


@pytest.fixture(scope="module")
def synthetic(site: Site) -> Stack:
    """A stack on the generated market, a minute a second."""
    return site.with_market("synthetic")


@pytest.fixture(scope="module")
def sim(site: Site) -> Stack:
    """A stack whose exchange is the fake one."""
    return site.with_market("sim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First all that needs one stack, then all that needs the next."""
    stacks = ("external", "synthetic", "sim")
    items.sort(
        key=lambda item: [name in getattr(item, "fixturenames", ()) for name in stacks[::-1]]
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which images were the published ones and which only stand in for them."""
    if not _images:
        return
    terminalreporter.section("images of the stack")
    for name, labels in sorted(_images.items()):
        kind, source = labels.get("cdb.standin.kind"), labels.get("cdb.standin.source")
        stands_in = f"STAND-IN, {kind} ({source})" if kind else "the published image"
        ours = name.startswith("claire_de_binare/")
        terminalreporter.line(f"{name}: {'built here; its base: ' if ours else ''}{stands_in}")
