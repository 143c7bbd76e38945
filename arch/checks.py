"""One way to check a parameter, so that every error names the value and what would be right."""


class ConfigError(ValueError):
    """A parameter, file or network that cannot be used; the message is one line meant for the user."""


def integer(name: str, value, low: int, high: int) -> int:
    """Return ``value`` when it is an int in ``low..high``; raise :class:`ConfigError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be {low} to {high}, not {value!r}")
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
