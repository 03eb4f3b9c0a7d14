"""The operator's verbs: halt, reset, pause, resume."""

import json
import os
from uuid import uuid4

import click

from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.target import (
    Where,
    compose_answers,
    embedded_target,
    find_target,
    on_option,
)
from services.cli.terminal import say
from services.kernel.events import topics
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.session import EmbeddedSession, SessionError
from services.runtime.operator.channel import Answer, NoAnswerError, OperatorChannel
from services.runtime.operator.message import operator_message


@click.command(epilog='Example: claire halt --reason "exchange maintenance"')
@click.option("--reason", default="halted by the operator", show_default=True)
@on_option
@json_option
def halt(reason: str, where: Where | None, as_json: bool) -> None:
    """Stop all entries until `claire reset`; exits still work."""
    _command("halt", reason, None, where, as_json=as_json)


@click.command(epilog='Example: claire reset --reason "looked at the losses, data was wrong"')
@click.option("--reason", required=True, help="Why it is safe to go on; kept in the record.")
@on_option
@json_option
def reset(reason: str, where: Where | None, as_json: bool) -> None:
    """Release a halt; the equity peak and the day's start become present equity."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why it is safe to go on")
    _command("reset", reason, None, where, as_json=as_json)


@click.command(epilog="Example: claire pause --symbol BTC_USDT")
@click.option("--reason", default="paused by the operator", show_default=True)
@click.option("--symbol", help="Only this symbol, for instance BTC_USDT.")
@on_option
@json_option
def pause(reason: str, symbol: str | None, where: Where | None, as_json: bool) -> None:
    """No entries, for the account or one symbol, until `claire resume`."""
    _command("pause", reason, symbol, where, as_json=as_json)


@click.command(epilog="Example: claire resume --symbol BTC_USDT")
@click.option("--reason", default="resumed by the operator", show_default=True)
@click.option("--symbol", help="Only this symbol; also releases it from quarantine.")
@on_option
@json_option
def resume(reason: str, symbol: str | None, where: Where | None, as_json: bool) -> None:
    """End a pause."""
    _command("resume", reason, symbol, where, as_json=as_json)


def _command(
    command: str, reason: str, symbol: str | None, where: Where | None, *, as_json: bool
) -> None:
    symbol = symbol.upper() if symbol else None
    home = Home.from_environment(os.environ)
    try:
        if _sleeps(home, where):
            answer = _post_to_sleeping(home, command, reason, symbol)
            label = f"the stopped run in {home.folder}"
        else:
            target = find_target(where)
            label = target.label
            answer = _post(target.redis, command, reason, symbol)
    except (NoAnswerError, HomeError, SessionError) as error:
        raise Failure(str(error)) from None
    _show(answer, label, as_json=as_json)


def _post(bus: RedisAddress, command: str, reason: str, symbol: str | None) -> Answer:
    with OperatorChannel(bus) as channel:
        command_id = uuid4().hex
        return channel.post(operator_message(command, reason, symbol, command_id), command_id)


def _sleeps(home: Home, where: Where | None) -> bool:
    """Whether the command is meant for an embedded run that has stopped."""
    if where == "compose" or not home.has_data or embedded_target(home) is not None:
        return False
    return where == "embedded" or not compose_answers()


def _post_to_sleeping(home: Home, command: str, reason: str, symbol: str | None) -> Answer:
    """Wake a stopped run, just until risk has answered and the record has it."""
    with home.taken(), EmbeddedSession(home, {"CDB_SOURCE": "external"}) as session:
        session.start_servers()
        # All stages: in lock-step one's outputs wait for the others' turns.
        session.start_services((topics.DB_WRITER, *topics.STAGE_ORDER))
        for stage in topics.STAGE_ORDER:
            session.wait_working(stage)
        answer = _post(session.operator, command, reason, symbol)
        session.wait_recorded()
    return answer


def _show(answer: Answer, label: str, *, as_json: bool) -> None:
    if as_json:
        changes = [
            {
                "symbol": change.symbol,
                "previous": change.previous,
                "state": change.state,
                "reason": change.reason,
                "message": change.message,
                "values": {name: str(value) for name, value in change.values.items()},
            }
            for change in answer.changes
        ]
        body = {"command": answer.command, "seq": answer.seq, "changes": changes}
        say(json.dumps(body))
        return
    place = "" if answer.seq is None else f" as event {answer.seq}"
    say(f"{answer.command}: accepted by cdb_risk{place} of {label}")
    for change in answer.changes:
        values = ", ".join(f"{name} {value}" for name, value in change.values.items())
        whom = change.symbol or "account"
        line = f"  {whom}: {change.previous} -> {change.state} ({change.reason})"
        say(f"{line} {values}".rstrip())
    if not answer.changes:
        said = "; ".join(one.message for one in answer.states)
        say(f"  nothing changed: {said or 'the trading state was already so'}")
