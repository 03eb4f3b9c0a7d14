"""The `Settings` screen as data: value, default, range, unit and meaning; read-only."""

from collections.abc import Mapping
from typing import Any

from services.kernel.settings.parameters import ALL_SPECS


def settings_view(effective: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every setting.

    Args:
        effective: Name to value as the services use it; secrets are masked already.

    Returns:
        ``trading`` (settings of the kernel, by risk layer) and ``system`` (all others).
    """
    specs = {spec.name: spec for spec in ALL_SPECS}
    trading = [
        {
            "name": name,
            "value": effective.get(name),
            "default": str(spec.default),
            "range": spec.allowed,
            "unit": getattr(spec, "unit", ""),
            "layer": getattr(spec, "layer", None),
            "meaning": spec.doc,
            "changed": name in effective and str(effective[name]) != str(spec.default),
        }
        for name, spec in specs.items()
    ]
    system = [
        {"name": name, "value": value}
        for name, value in sorted(effective.items())
        if name not in specs
    ]
    return {"trading": trading, "system": system}
