"""Health of every service, what trading is allowed, and how old positions' prices are: status."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from services.cli.look.container_health import container_health
from services.cli.target import Target, Where, find_target, on_option
from services.cli.terminal import say, wide_console
from services.explain.figures import age
from services.kernel.events import TradingState, topics
from services.runtime.service.http_query import get_json

SYMBOLS_SHOWN = 20
_WORDS = {True: ("ok", "green"), False: ("RED", "red"), None: ("unknown", "yellow")}

Services = Mapping[str, Mapping[str, Any]]


@click.command(epilog="Examples: claire status · claire status --on compose --json")
@on_option
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.pass_context
def status(ctx: click.Context, where: Where | None, as_json: bool) -> None:
    """Show every service's health, halts and pauses, and the open positions with price ages.

    Exit code 1 when a service is red.
    """
    target = find_target(where)
    found = {name: _look_at(url) for name, url in target.services.items()}
    found |= {name: _look_inside(target, name) for name in target.containers}
    healthy = all(entry["healthy"] is not False for entry in found.values())
    trading, positions = trading_of(found), positions_of(found)
    if as_json:
        body = {"system": target.label, "healthy": healthy, "trading": trading}
        say(json.dumps(body | {"positions": positions, "services": found}))
    else:
        _show(target, found)
        for line in (*trading_lines(trading), *position_lines(positions)):
            say(line)
    ctx.exit(0 if healthy else 1)


def _look_inside(target: Target, name: str) -> dict[str, Any]:
    """A service whose port is internal: what the console passes on, else Docker's health check."""
    if target.console is not None:
        entry = _look_at(f"{target.console}/services/{name}")
        if entry["status"] is not None or "service" in entry["health"]:
            return entry
    return container_health(target.containers[name])


def _look_at(url: str) -> dict[str, Any]:
    health = get_json(f"{url}/health")
    state = get_json(f"{url}/status") if health.status else health
    return {
        "url": url,
        "healthy": health.status == 200,
        "health": health.body,
        "status": state.body if state.status else None,
    }


def trading_of(found: Services) -> dict[str, Any] | None:
    """What risk allows, and why it allows no more; None where risk does not answer."""
    stage = _stage_of(found, topics.RISK)
    if not stage:
        return None
    names = ("halt_reason", "further_halts", "operator_paused", "restricted", "conditions")
    return {"state": stage.get("account")} | {name: stage.get(name) for name in names}


def positions_of(found: Services) -> list[dict[str, Any]] | None:
    """The open positions with the age of their prices; None where nobody answers."""
    stage = _stage_of(found, topics.PAPER_RUNNER)
    if not stage:
        return None
    clock = stage.get("clock_ms")
    return [
        {
            **position,
            "price_age_s": None
            if clock is None or position.get("priced_at") is None
            else max(0, clock - position["priced_at"]) / 1000,
        }
        for position in stage.get("positions") or ()
    ]


def trading_lines(trading: Mapping[str, Any] | None) -> Iterator[str]:
    """The trading state in words, each cause by itself."""
    if trading is None:
        yield "trading: unknown, cdb_risk does not answer"
        return
    state, restricted = trading["state"], trading["restricted"] or {}
    if trading["halt_reason"]:
        yield f'trading HALTED: {trading["halt_reason"]} (release: claire reset --reason "...")'
        for cause in trading["further_halts"] or ():
            yield f"  halted also by {cause}"
    else:
        yield f"trading {state}"
    if trading["operator_paused"]:
        yield "  paused by an operator (claire resume)"
    for condition in (trading["conditions"] or {}).values():
        yield f"  no entries: {condition}"
    shown = list(restricted.items())[:SYMBOLS_SHOWN]
    for symbol, entry in shown:
        yield f"  {symbol} {_state_name(entry['state'])}: {', '.join(entry['why'])}"
    if len(restricted) > len(shown):
        yield f"  and {len(restricted) - len(shown)} more symbols; --json lists all"


def position_lines(positions: list[dict[str, Any]] | None) -> Iterator[str]:
    """Each open position, and how old the price is that it is valued at."""
    for position in positions or ():
        quantity, seconds = position["quantity"], position["price_age_s"]
        side = "short" if str(quantity).startswith("-") else "long"
        old = "of unknown age" if seconds is None else f"{age(seconds)} old"
        yield (
            f"position {position['symbol']}: {side} {str(quantity).lstrip('-')}, price"
            f" {position['mark_price']} is {old}, unrealised {position['unrealised_profit']}"
        )


def _stage_of(found: Services, service: str) -> Mapping[str, Any]:
    state = found.get(service, {}).get("status") or {}
    stage = state.get("stage")
    return stage if isinstance(stage, dict) else {}


def _state_name(state: str) -> str:
    return "QUARANTINED" if state == TradingState.HALTED else state


def _show(target: Target, found: Services) -> None:
    table = Table(title=target.label, title_justify="left")
    for heading in ("service", "health", "why", "address"):
        table.add_column(heading)
    for name, entry in found.items():
        health = entry["health"]
        why = health.get("reason") or health.get("reasons") or ""
        why = "; ".join(map(str, why)) if isinstance(why, list) else str(why)
        table.add_row(name, Text(*_WORDS[entry["healthy"]]), why, entry["url"])
    wide_console().print(table)
