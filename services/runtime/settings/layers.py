"""Where a setting's text comes from: --set, environment, secret file or .env; and which won."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from services.kernel.settings.model import SettingError

FROM_SET = "--set"
FROM_ENVIRONMENT = "env"
FROM_ENV_FILE = ".env"
FROM_DEFAULT = "default"
FILE_SUFFIX = "_FILE"


@dataclass(frozen=True, slots=True)
class Layers:
    """The text that counts for each name, and where it came from. Empty text counts as not set.

    Attributes:
        values: Name to text; a secret given as ``NAME_FILE`` is here under ``NAME``.
        origins: Name to `FROM_SET`, `FROM_ENVIRONMENT` or `FROM_ENV_FILE`; for a secret read from
            a file ``file <path>``.
        in_files_and_overrides: Every name in the .env file or given with --set, known or not.
        in_environment: Every name in the process environment.
    """

    values: Mapping[str, str]
    origins: Mapping[str, str]
    in_files_and_overrides: frozenset[str] = frozenset()
    in_environment: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls,
        *,
        environ: Mapping[str, str],
        env_file: Path | None,
        overrides: Mapping[str, str],
        secrets: Iterable[str],
    ) -> "Layers":
        """Merge the layers; the first of overrides, environment and .env file wins.

        Args:
            environ: The process environment.
            env_file: A .env file; None or a missing file is an empty layer.
            overrides: What the command line gave with ``--set``.
            secrets: Names that may also be given as ``NAME_FILE``, the path of a file.

        Raises:
            SettingError: A secret file cannot be read, or a layer gives a secret in both forms.
        """
        from_file = _read_env_file(env_file)
        values: dict[str, str] = {}
        origins: dict[str, str] = {}
        secret_names = tuple(secrets)
        for layer, origin in (
            (from_file, FROM_ENV_FILE),
            (environ, FROM_ENVIRONMENT),
            (overrides, FROM_SET),
        ):
            for name, text in layer.items():
                if text.strip():
                    values[name] = text.strip()
                    origins[name] = origin
            for name in secret_names:
                path = layer.get(name + FILE_SUFFIX, "").strip()
                if not path:
                    continue
                if layer.get(name, "").strip():
                    raise SettingError(
                        f"{name} and {name}{FILE_SUFFIX} are both set in {origin}; remove one"
                    )
                values[name] = _read_secret(name, path)
                origins[name] = f"file {path}"
        named = frozenset(from_file) | frozenset(overrides)
        return cls(values, origins, named, frozenset(environ))


def _read_env_file(env_file: Path | None) -> dict[str, str]:
    if env_file is None or not env_file.is_file():
        return {}
    try:
        given = dotenv_values(env_file, encoding="utf-8-sig", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"{env_file} cannot be read ({error}); save it as UTF-8 and make it readable"
        ) from error
    return {name: value for name, value in given.items() if value is not None}


def _read_secret(name: str, path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingError(
            f"{name}{FILE_SUFFIX}={path} cannot be read ({reason}); point it to a readable file"
        ) from error
    if not secret:
        raise SettingError(f"{name}{FILE_SUFFIX}={path} is empty; put the secret into it")
    return secret
