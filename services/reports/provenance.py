"""What a run was made of, and the command that makes it again."""

import shlex
from typing import Any

from services.kernel.settings.model import TradingSettings
from services.reports.run_facts import RunFacts


def changed_settings(facts: RunFacts) -> dict[str, str]:
    """The trading settings of a run that are not the defaults."""
    defaults = TradingSettings.parse({})[0].to_mapping()
    given = facts.started.settings
    return {n: given[n] for n in sorted(defaults) if n in given and given[n] != defaults[n]}


def command_of(facts: RunFacts) -> str:
    """The command that re-executes a run; a live market's record is verified instead."""
    settings = facts.started.settings
    if facts.started.source not in ("replay", "synthetic"):
        return f"claire verify --run {facts.run_id}"
    words = ["claire", "backtest"]
    names = [file.name for file in facts.data] or settings.get("CDB_DATA", "").split(",")
    for name in dict.fromkeys(name.split("/")[0] for name in names if name):
        words += ["--data", name]
    if settings.get("CDB_INSTRUMENTS"):
        words += ["--instruments", settings["CDB_INSTRUMENTS"]]
    if facts.started.source == "synthetic":
        words += ["--seed", str(facts.started.seed)]
        if settings.get("SYMBOL_WHITELIST"):
            words += ["--symbols", settings["SYMBOL_WHITELIST"]]
    if settings.get("CDB_DURATION"):
        words += ["--duration", f"{settings['CDB_DURATION']}s"]
    for name, value in changed_settings(facts).items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def provenance_of(facts: RunFacts) -> dict[str, Any]:
    """Data, settings, code and hashes of a run."""
    return {
        "run_id": facts.run_id,
        "engine": facts.engine,
        "source": facts.started.source,
        "seed": facts.started.seed,
        "code_version": facts.started.code_version,
        "data": [file._asdict() for file in facts.data],
        "changed_settings": changed_settings(facts),
        "settings": dict(sorted(facts.started.settings.items())),
        "decisions_hash": facts.decisions_hash,
        "chain_head": facts.chain_head,
        "command": command_of(facts),
        "ended": facts.ended,
    }
