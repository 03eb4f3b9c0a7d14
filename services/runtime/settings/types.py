"""How a setting's text becomes a value: lists, paths, durations, ports."""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from services.runtime.intake.external_fields import InvalidMessageError, normal_symbol


def _split(value: Any) -> Any:
    return tuple(re.split(r"[,\s]+", value.strip())) if isinstance(value, str) else value


def _split_paths(value: Any) -> Any:
    """Paths joined by the platform's separator or by ``;``; or a JSON list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return tuple(json.loads(value))
    separator = ";" if ";" in value or os.pathsep == ";" else ":"
    return tuple(part for part in value.split(separator) if part)


def _symbols(value: Any) -> Any:
    """In their normal form: risk compares them with those of signals."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(map(normal_symbol, _split(value)))
    except InvalidMessageError as error:
        raise ValueError(str(error)) from None


def _seconds(value: Any) -> Any:
    """``90``, ``90s``, ``15m``, ``2h`` or ``1d`` in seconds."""
    match = re.fullmatch(r"(\d+)\s*([smhd]?)", value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _addresses(value: Any) -> Any:
    """``NAME=URL``, separated by commas."""
    if not isinstance(value, str):
        return value
    pairs = tuple(tuple(part.split("=", 1)) for part in _split(value) if part)
    if any(len(pair) != 2 or not pair[1].startswith("http://") for pair in pairs):
        raise ValueError("must be NAME=http://HOST:PORT, separated by commas")
    return pairs


def _numbers(value: Any) -> Any:
    return tuple(int(text) for text in _split(value)) if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Symbols = Annotated[tuple[str, ...], BeforeValidator(_symbols)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_split_paths)]
Seconds = Annotated[int, Field(gt=0), BeforeValidator(_seconds)]
Addresses = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_addresses)]
Times = Annotated[tuple[int, ...], BeforeValidator(_numbers)]
