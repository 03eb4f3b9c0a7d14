"""Write the documentation that the code itself is the source of.

Called without arguments it writes the files; with ``--check`` it changes nothing, names the stale
ones, and exits 1 if there are any.
"""

import argparse
import json
import sys
from pathlib import Path

from services.cdb_core import metrics as core
from services.cdb_db_writer import metrics as db_writer
from services.cdb_execution import metrics as execution
from services.cdb_paper_runner import metrics as paper_runner
from services.cdb_risk import metrics as risk
from services.cdb_ws import metrics as ws
from services.kernel.events import topics
from services.kernel.events.codec import json_schema
from services.kernel.reasons import Reason
from services.kernel.risk.state.transitions import ACCOUNT, SYMBOL, Table
from services.kernel.settings.parameters import ALIASES, ALL_SPECS, ChoiceSpec, SettingSpec
from services.runtime.service.declared_metric import DeclaredMetric

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMAND = "python backoffice/scripts/generate_docs.py"
METRICS: dict[str, tuple[DeclaredMetric, ...]] = {
    topics.WS: ws.METRICS,
    topics.CORE: core.METRICS,
    topics.RISK: risk.METRICS,
    topics.EXECUTION: execution.METRICS,
    topics.DB_WRITER: db_writer.METRICS,
    topics.PAPER_RUNNER: paper_runner.METRICS,
}
"""What each service declares."""


def event_schema() -> str:
    """JSON Schema of all events."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n"


def reasons() -> str:
    """Every reason for which an order or signal is refused or trading changes."""
    rows = [
        (f"`{r}`", r.info.source, r.info.unit, r.info.severity or "", r.info.meaning)
        for r in Reason
    ]
    return _page(
        "Reasons",
        "Why an order or a signal was refused, or why trading changed. The reason of a decision is "
        "the lowest layer\nthat failed; `claire why` counts decisions by these names. The unit is "
        "that of the figure compared with\nthe limit; the alert is the level at which it is told "
        "besides.",
        "services/kernel/reasons.py",
        _table(("reason", "comes from", "unit", "alert", "meaning"), rows),
    )


def trading_states() -> str:
    """Every way from one trading state to another."""
    return _page(
        "Trading states",
        "ACTIVE: everything is allowed. REDUCE_ONLY, PAUSED and HALTED: exits only, and open "
        "entries are cancelled; they differ in\nwho ends them. What still holds decides where a "
        "trigger leads: the strictest state wins. A way that is not in the table\ndoes not exist.",
        "services/kernel/risk/state/transitions.py",
        f"## Account\n\n{_ways(ACCOUNT)}\n## Symbol\n\n{_ways(SYMBOL)}",
    )


def settings() -> str:
    """Every setting that shapes a decision."""
    rows = [(f"`{s.name}`", str(s.default), s.allowed, s.unit, _layer(s), s.doc) for s in ALL_SPECS]
    table = _table(("variable", "default", "range", "unit", "layer", "meaning"), rows)
    aliases = "".join(
        f"\n`{alias}` is a deprecated name of `{name}`, which wins where both are given.\n"
        for alias, name in ALIASES.items()
    )
    return _page(
        "Trading settings",
        "A fraction of 0.10 is 10 %. A value out of its range logs a warning, raises an alert and "
        "falls back to the\ndefault, or to the nearest bound where the given value was stricter "
        "than the default. What is not a number\nstops the service.",
        "services/kernel/settings/parameters.py",
        table + aliases,
    )


def metrics() -> str:
    """Every metric of the six services."""
    services: dict[str, list[str]] = {}
    by_name: dict[str, DeclaredMetric] = {}
    for service, declared in METRICS.items():
        for metric in declared:
            first = by_name.setdefault(metric.name, metric)
            services.setdefault(first.name, []).append(f"`{service}`")
    rows = [
        (
            f"`{metric.name}`",
            metric.kind.value,
            metric.unit,
            metric.help,
            "; ".join(f"`{label}`: {values}" for label, values in metric.labels.items()),
            "all" if len(services[name]) == len(METRICS) else ", ".join(services[name]),
        )
        for name, metric in sorted(by_name.items())
    ]
    return _page(
        "Metrics",
        "What `/metrics` of each service shows to Prometheus. A name that ends in `_pct` is a "
        "decimal fraction (0.10 is 10 %).\nThe set of a label's values is always bounded. Beside "
        "these, each service has `process_*` (memory, processor time,\nopen files, start time) "
        "and `python_info` of the Prometheus client.",
        "services/cdb_*/metrics.py",
        _table(("metric", "kind", "unit", "meaning", "labels", "services"), rows),
    )


def documents() -> dict[Path, str]:
    """What every generated file has to contain."""
    return {
        DOCS / "EVENT_SCHEMA.json": event_schema(),
        DOCS / "METRICS.md": metrics(),
        DOCS / "REASONS.md": reasons(),
        DOCS / "SETTINGS.md": settings(),
        DOCS / "TRADING_STATES.md": trading_states(),
    }


def stale() -> list[Path]:
    """The files that are missing or do not contain what they have to."""
    return [
        path
        for path, text in documents().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or only look; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--check", action="store_true", help="change nothing, name what is stale")
    options = parser.parse_args(arguments)
    old = stale()
    for path in old:
        if options.check:
            sys.stderr.write(f"{path.name} is stale; run {COMMAND}\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(documents()[path], encoding="utf-8", newline="\n")
    return 1 if old and options.check else 0


def _layer(spec: SettingSpec | ChoiceSpec) -> str:
    return "" if spec.layer is None else str(spec.layer)


def _ways(table: Table) -> str:
    rows = [
        (state.value, trigger.value, " or ".join(sorted(targets)))
        for (state, trigger), targets in table.items()
    ]
    return _table(("state", "trigger", "leads to"), rows)


def _page(title: str, introduction: str, source: str, body: str) -> str:
    note = f"Generated from `{source}` by `{COMMAND}`; do not edit."
    return f"# {title}\n\n{introduction}\n\n{note}\n\n{body}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
