"""One way to check a parameter, so that every error names the value and what would be right."""

import re
import tomllib
from pathlib import Path


class ConfigError(ValueError):
    """A parameter, file or network that cannot be used; the message is one line meant for the user."""


def integer(name: str, value, low: int, high: int) -> int:
    """Return ``value`` when it is an int in ``low..high``; raise :class:`ConfigError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be {low} to {high}, not {value!r}")
    return value


def parse_integer(text: str) -> int:
    """The integer that ``text`` writes in decimal; :class:`ValueError` for all else that ``int`` takes (``1_0``, other digits)."""
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise ValueError(f"not a decimal integer: {text!r}")
    return int(text)


def label(name: str, value) -> str:
    """Return ``value`` when it is a text that fits in a line of a report; raise :class:`ConfigError` otherwise."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {value!r}")
    if not value.isprintable() or not value:
        raise ConfigError(f"{name} must be one line of printable characters, not {value!r}")
    return value


def one_of(name: str, value, choices) -> object:
    """Return ``value`` when it is one of ``choices`` and of its type; raise :class:`ConfigError` otherwise."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ConfigError(f"{name} must be one of {', '.join(str(c) for c in choices)}, not {value!r}")
    return value


def only_keys(where: str, table: dict, known) -> None:
    """Raise :class:`ConfigError` when ``table`` is no table or has a key that is not in ``known``."""
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, not {table!r}")
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def read_toml(path: Path) -> dict:
    """The table in a TOML file, with or without the byte order mark that some editors write. Raises :class:`ConfigError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: values are nested too deeply") from None
