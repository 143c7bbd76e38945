"""The files of figures that commands write and read, and where."""

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import require_directory, require_writable, write_files

STANDARD_OUTPUT = "cannot write standard output"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)  #: errors of a write whose file the system does not name


def one_line(text: str) -> str:
    """``text`` with all escaped that would not stay in its line, or could not be shown."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def forget_output() -> None:
    """What standard output could not take is not tried again when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_text(table) -> str:
    """``table`` as the JSON that ``--json`` writes."""
    return json.dumps(table, indent=1) + "\n"


def write_json(path, table) -> None:
    """Write ``table`` to ``path``, if there is one, whole or not at all."""
    if path is not None:
        write_files(Path(path).parent, {Path(path).name: json_text(table)})


def read_json(path, *keys):
    """The table in file ``path``, None if ``path`` is. Raises :class:`ConfigError` if it is none that has ``keys``."""
    if path is None:
        return None
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    missing = [key for key in keys if not isinstance(found, dict) or key not in found]
    if missing:
        raise ConfigError(f"{path} has no {', '.join(missing)}: it must be written anew, by the command that writes such files now")
    return found


def require_outputs(directory, *paths, names=()) -> None:
    """Raise :class:`ConfigError` when results could not be written: better at once than after an hour. None: not asked for.

    ``names``: of files in ``directory``.
    """
    if directory is not None:
        require_directory(directory)
        paths += tuple(directory / name for name in names)
    for path in paths:
        if path is not None:
            require_writable(Path(path))


def require_sources(page: Path) -> None:
    """Raise :class:`ConfigError` unless this is the directory of the sources, which hold ``page``."""
    if not page.parent.is_dir():
        raise ConfigError(f"{page.parent} is not here: run this in the directory of the sources")
