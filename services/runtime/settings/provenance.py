"""Which settings count and why: every value with its source, and warnings about the rest."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.kernel.settings.model import SettingProblem, TradingSettings
from services.kernel.settings.parameters import ALIASES, ALL_SPECS
from services.runtime.settings.layers import FROM_DEFAULT, Layers

COMPOSE_PATTERN = re.compile(
    r"(REDIS|POSTGRES|PROMETHEUS|GRAFANA|WS|CORE|RISK|EXECUTION|PAPER_RUNNER|SIM)_HOST_PORT"
    r"|CDB_(BIND|DATA_DIR|SECRETS_DIR|CONTAINER_PREFIX|REDIS_MAXMEMORY)"
    r"|CDB_(ENV_FILE|LOGGING_CONFIG|SERVICE|TEST_CONTAINERS)"
    r"|(GRAFANA|PROMETHEUS|COMPOSE|CLAIRE|EXCHANGE_SIM)_.+"
)
"""Names that containers, tests or the settings' own loading read; not settings of a service."""

OURS_PATTERN = re.compile(
    r"(CDB|REDIS|POSTGRES|MEXC|MAX|MIN|SIM|STOP|RISK|SIGNAL|CIRCUIT|DATA_STALE|TRADING)_.+"
)
"""What an unknown variable of the environment looks like when it was meant for us."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """One setting: its name, value (secrets hidden) and where the value came from."""

    name: str
    value: str
    source: str
    doc: str


def of_texts(
    shown: Mapping[str, str], docs: Mapping[str, str], layers: Layers
) -> tuple[Provenance, ...]:
    """Provenance of the model's settings, whose values are texts already."""
    return tuple(
        Provenance(name, value, layers.origins.get(name, FROM_DEFAULT), docs.get(name, ""))
        for name, value in shown.items()
    )


def of_trading(
    trading: TradingSettings, problems: Iterable[SettingProblem], layers: Layers
) -> tuple[Provenance, ...]:
    """Provenance of the trading settings; says where an alias or a fallback is behind a value."""
    out_of_range = {ALIASES.get(problem.name, problem.name): problem for problem in problems}
    aliases = {target: alias for alias, target in ALIASES.items() if alias in layers.values}
    entries = []
    for spec in ALL_SPECS:
        if spec.name in layers.values or spec.name not in aliases:
            source = layers.origins.get(spec.name, FROM_DEFAULT)
        else:
            source = f"{layers.origins[aliases[spec.name]]} ({aliases[spec.name]})"
        if spec.name in out_of_range:
            source = f"{source}: {out_of_range[spec.name].given} is out of range"
        value = str(getattr(trading, spec.field))
        entries.append(Provenance(spec.name, value, source, f"{spec.doc} [{spec.unit}]"))
    return tuple(entries)


def warnings(
    problems: Iterable[SettingProblem], layers: Layers, known: frozenset[str]
) -> tuple[str, ...]:
    """One line for each value out of range, deprecated name, and name that nothing reads.

    Args:
        problems: What `TradingSettings.parse` found.
        layers: The layers, with every name that they contain.
        known: Every name that the system reads, ``NAME_FILE`` forms included.
    """
    lines = [problem.message for problem in problems]
    for alias, target in ALIASES.items():
        if alias in layers.values:
            used = f"{target} wins" if target in layers.values else f"use {target}"
            lines.append(f"{alias} is deprecated; {used}")
    unread = {name for name in layers.in_environment if OURS_PATTERN.fullmatch(name)}
    unread |= layers.in_files_and_overrides
    for name in sorted(unread - known):
        if COMPOSE_PATTERN.fullmatch(name):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"; did you mean {close[0]}?" if close else ""
        lines.append(f"{name} is not a known setting and changes nothing{hint}")
    return tuple(lines)
