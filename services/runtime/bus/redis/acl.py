"""Access rules of the bus: one user per service, each confined to its own corner.

Channel permissions do not tell SUBSCRIBE from PUBLISH. So a user's first rule lets it subscribe to
everything and publish nothing, and a selector (Redis 7) lets it publish on its own topics. The
server checks the rules on every call inside a function too, and services may call functions only:
code of their own could keep the server busy for ever.
"""

from collections.abc import Mapping
from hashlib import sha256

from services.kernel.events import topics
from services.runtime.bus.redis.names import PROGRESS_CHANNEL, SWITCH_KEY, TURN_CHANNEL

OPERATOR = "operator"
RECOVERY = "recovery"
CONSOLE = "cdb_console"
DEFAULT = "default"
USERS = (*topics.SERVICES, OPERATOR, RECOVERY, CONSOLE)

_CONNECT = "+ping +auth +hello +client|setname +client|id +client|getname +client|reply +info"
_LISTEN = "+subscribe +unsubscribe &*"
_READ = (
    "+get +mget +exists +hget +hmget +hgetall +xrange +xrevrange +xread +xlen +llen +lindex +lrange"
    " +xinfo|stream +fcall_ro"
)
_WRITE = "+fcall +hset +hincrby +hdel +xadd +xtrim"
_LOCKSTEP_CHANNELS = (PROGRESS_CHANNEL, TURN_CHANNEL)


def render(passwords: Mapping[str, str]) -> str:
    """The ACL file for a server, with hashed passwords.

    Args:
        passwords: Of every user in ``USERS``. The ``default`` user gets the operator's, so that
            ``redis-cli -a PASSWORD`` works.

    Raises:
        ValueError: A user has no password.
    """
    missing = [user for user in USERS if not passwords.get(user)]
    if missing:
        raise ValueError(f"no password for {', '.join(missing)}: run `claire init`")
    lines = [_line(DEFAULT, passwords[OPERATOR], _operator())]
    lines += [_line(name, passwords[name], _service(name)) for name in topics.SERVICES]
    lines.append(_line(OPERATOR, passwords[OPERATOR], _operator()))
    lines.append(_line(RECOVERY, passwords[RECOVERY], _recovery()))
    lines.append(_line(CONSOLE, passwords[CONSOLE], _console()))
    return "\n".join(lines) + "\n"


def while_loading(starter: str) -> str:
    """The ACL file to start a server with: nobody may do anything but its starter.

    Redis replays the transactions in its append-only file (every function that wrote is one) with
    the rights of ``default``, and drops what these do not allow (redis/redis#14541, in versions up
    to 8.4). So while the data is loaded ``default`` has all rights, and nobody can log in as it.
    Then the starter loads the library of functions, and last of all the whole file.

    Args:
        starter: The starter's line.
    """
    return f"user {DEFAULT} off resetpass ~* &* +@all\n{starter}\n"


def _line(user: str, password: str, rules: str) -> str:
    digest = sha256(password.encode()).hexdigest()
    return f"user {user} on #{digest} resetkeys resetchannels -@all {rules}"


def _service(name: str) -> str:
    own = " ".join(f"~cdb:{kind}:{name}" for kind in ("journal", "cursor", "snapshot", "dead"))
    channels = sorted(topics.PRODUCES[name])
    if name in topics.STAGE_ORDER or name == topics.WS:
        channels += _LOCKSTEP_CHANNELS
    keys = f"%R~cdb:* {own} ~cdb:counters"
    # Only the orchestrator starts runs, and with them switches lock-step on and off.
    switch = f" (+set ~{SWITCH_KEY})" if name == topics.PAPER_RUNNER else ""
    publish = f"(+publish {_channels(channels)})"
    return f"{_CONNECT} {_LISTEN} {_READ} {_WRITE} {keys} {publish}{switch}"


def _operator() -> str:
    # Only a person commands, here or in the console: no service publishes on that channel.
    publish = f"(+publish {_channels([*sorted(topics.TOPICS), topics.OPERATOR])})"
    return (
        f"{_CONNECT} {_LISTEN} +psubscribe +punsubscribe {_READ} +scan +type +ttl +strlen +hlen"
        f" +dbsize +command +pubsub +select +echo +time +memory|usage %R~* {publish}"
    )


def _console() -> str:
    publish = f"(+publish {_channels([topics.OPERATOR, topics.SIGNALS, topics.ALERTS])})"
    return f"{_CONNECT} {_LISTEN} {_READ} %R~cdb:* {publish}"


def _recovery() -> str:
    publish = f"(+publish {_channels([topics.CONTROL])})"
    kill = "+function|kill +script|kill"
    return (
        f"{_CONNECT} {_LISTEN} {_READ} {_WRITE} +del +set +scan +multi +exec {kill} ~cdb:*"
        f" {publish}"
    )


def _channels(names: list[str]) -> str:
    return " ".join(f"&{name}" for name in names)
