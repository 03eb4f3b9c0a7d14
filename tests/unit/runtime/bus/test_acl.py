"""The access rules, as text; what they do on a server is an integration test."""

import pytest

from services.kernel.events import topics
from services.runtime.bus.redis import acl

pytestmark = pytest.mark.unit
PASSWORDS = {user: f"password of {user}" for user in acl.USERS}


def lines() -> dict[str, str]:
    return {line.split()[1]: line for line in acl.render(PASSWORDS).splitlines()}


def test_every_user_has_one_line_and_no_password_is_readable() -> None:
    assert set(lines()) == {*acl.USERS, "default"}
    assert "password of" not in acl.render(PASSWORDS)


@pytest.mark.parametrize("service", topics.SERVICES)
def test_a_service_publishes_its_own_topics_only(service: str) -> None:
    selector = lines()[service].split("(+publish ")[1].split(")")[0]
    published = {channel.removeprefix("&") for channel in selector.split()}
    assert published & set(topics.TOPICS) == topics.PRODUCES[service]


def test_the_console_publishes_commands_signals_and_alerts_and_writes_nothing() -> None:
    line = lines()[acl.CONSOLE]
    selector = line.split("(+publish ")[1].split(")")[0]
    words = line.replace("(", " ").split()
    assert set(selector.split()) == {"&operator", "&signals", "&alerts"}
    assert "%R~cdb:*" in words
    assert not {"+fcall", "+xadd", "+hset", "+set"} & set(words)


def test_only_the_operator_and_the_console_publish_commands() -> None:
    """S8: any service's password could release a halt."""
    may = {user for user, line in lines().items() if f"&{topics.OPERATOR}" in line.split()}
    may |= {user for user, line in lines().items() if f"&{topics.OPERATOR})" in line}
    assert may == {"operator", "default", acl.CONSOLE}
    for user in (*topics.SERVICES, "recovery"):
        root = lines()[user].split("(")[0]
        assert "+publish" not in root, f"{user} may publish on every channel"


def test_a_missing_password_is_named() -> None:
    with pytest.raises(ValueError, match="no password for cdb_core, recovery"):
        acl.render({**PASSWORDS, "cdb_core": "", "recovery": ""})


def test_while_data_is_loaded_nobody_is_let_in_but_the_starter() -> None:
    starter = "user starter on nopass +ping"
    assert acl.while_loading(starter).splitlines() == [
        "user default off resetpass ~* &* +@all",
        starter,
    ]


@pytest.mark.parametrize("user", [*acl.USERS, "default"])
def test_nobody_runs_code_of_their_own(user: str) -> None:
    words = set(lines()[user].split())
    assert not {word for word in words if word.startswith(("+eval", "+script|load", "+function|l"))}
    assert not {"+script", "+function", "+@scripting", "+@all"} & words
    assert "+fcall_ro" in words
    assert ("+fcall" in words) is (user not in {"operator", "default", acl.CONSOLE})


def test_only_recovery_ends_what_does_not_end() -> None:
    assert [user for user, line in lines().items() if "+function|kill" in line] == ["recovery"]
