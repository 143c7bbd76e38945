"""Files that appear whole or not at all."""

import os
from pathlib import Path

from gradgate.arch.checks import ConfigError


def require_writable(directory: Path) -> None:
    """Raise :class:`ConfigError` unless files can be made in ``directory``, which need not be there yet. Makes nothing."""
    there = directory.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"cannot write to {directory}: {there} is not a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write to {directory}: no permission to write to {there}")


def write_files(directory: Path, files: dict) -> list:
    """Write ``{name: text or bytes}`` to ``directory``, which is made when it is not there; returns the paths.

    All of them are written under other names first: after an error none of them has changed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = [directory / f".{name}.part" for name in files]
    try:
        for part, content in zip(parts, files.values()):
            part.write_bytes(content.encode() if isinstance(content, str) else content)
        for part, name in zip(parts, files):
            part.replace(directory / name)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return [directory / name for name in files]
