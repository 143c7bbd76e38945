"""The one door for all that is written: files appear whole or not at all, and what is no regular file is never replaced.

A symbolic link is followed: the file that it leads to is replaced, and the link stays. Pipes and character devices are written
through; so is an open file of this process, as ``/dev/stdout`` names it. Directories, block devices and sockets are refused, and so is
a file that is read-only, even for root, whom the system would let replace it. All errors are :class:`ConfigError`.
"""

import errno
import fcntl
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

from gradgate.arch.checks import ConfigError

LINKS = 40  #: symbolic links on the way to a file, at most, as in the kernel
REFUSED = {stat.S_IFDIR: "a directory", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}
WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY


@contextmanager
def writing(path):
    """An error of the system in here becomes one that says that ``path`` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        where = "" if error.filename in (None, str(path), os.path.realpath(path)) else f"{error.filename}: "
        raise ConfigError(f"cannot write {path}: {where}{error.strerror or error}") from None


def require_directory(directory: Path) -> None:
    """Raise :class:`ConfigError` unless files can be made in ``directory``, which need not be there. Tries it, and leaves nothing."""
    with writing(directory):
        _try_making(Path(os.path.realpath(directory)))


def require_writable(path: Path) -> None:
    """Raise :class:`ConfigError` unless the file ``path``, which need not be there, can be written. Tries it, and changes nothing."""
    with writing(path):
        target, status = follow(path)
        number = _descriptor(target)
        if number is not None:
            if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise ConfigError(f"cannot write {path}: it is open for reading only")
        elif status is None:
            _try_making(target.parent)
        elif stat.S_ISFIFO(status.st_mode):  # to open it would give its reader an end of file
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            os.close(os.open(target, WRITE | os.O_NONBLOCK))
            if stat.S_ISREG(status.st_mode):
                _try_making(target.parent)
                if _is_sticky(target, status):
                    raise ConfigError(f"cannot write {path}: only its owner may replace it in {target.parent}")


def write_files(directory: Path, files: dict) -> list:
    """Write ``{name: text or bytes}`` to ``directory``, which is made when it is not there; returns the paths.

    All of them are written under other names first, beside what they replace: after an error none of them has changed.
    """
    paths = [Path(directory) / name for name in files]
    parts, through = [], []
    try:
        for path, content in zip(paths, files.values()):
            content = content.encode() if isinstance(content, str) else content
            with writing(path):
                target, status = follow(path)
                if is_regular(target, status):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    part = _part(target.parent)
                    parts.append((path, part, target))
                    _write_part(part, content, status)
                else:
                    through.append((path, target, content))
        for path, target, content in through:
            with writing(path), os.fdopen(_open(target), "wb") as file:
                file.write(content)
        for path, part, target in parts:
            with writing(path):
                _replace(part, target)
    finally:
        for _, part, _ in parts:
            with suppress(OSError):
                part.unlink()
    return paths


def open_output(path: Path) -> int:
    """A descriptor of the file ``path``, emptied or made, for what must be written bit by bit and stays as far as it came."""
    with writing(path):
        target, status = follow(path)
        if not is_regular(target, status):
            return _open(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        return os.open(target, WRITE | os.O_CREAT | os.O_TRUNC, 0o666)


def follow(path: Path) -> tuple:
    """The file that ``path`` leads to, and its status, None when it is not there. Refuses what must not be written."""
    target = Path(path)
    for _ in range(LINKS):
        target = Path(os.path.realpath(target.parent)) / target.name
        if _descriptor(target) is not None or not target.is_symlink():
            break
        target = target.parent / os.readlink(target)
    try:
        status = os.stat(target)
    except (FileNotFoundError, NotADirectoryError):
        return target, None
    what = REFUSED.get(stat.S_IFMT(status.st_mode))
    if what is not None:
        raise ConfigError(f"cannot write {path}: it is {what}")
    if is_regular(target, status) and not status.st_mode & 0o222:
        raise ConfigError(f"cannot write {path}: it is read-only (mode {stat.S_IMODE(status.st_mode):04o})")
    return target, status


def is_regular(target: Path, status) -> bool:
    """Whether what :func:`follow` found is a file, or will be one, that can be replaced and read back."""
    return _descriptor(target) is None and (status is None or stat.S_ISREG(status.st_mode))


def _descriptor(target: Path) -> int | None:
    """The number of the open file of this process that ``target`` stands for, None for any other path."""
    return int(target.name) if str(target.parent) == f"/proc/{os.getpid()}/fd" and target.name.isdecimal() else None


def _open(target: Path) -> int:
    """A descriptor that writes through to a pipe, a device or an open file."""
    number = _descriptor(target)
    return os.dup(number) if number is not None else os.open(target, WRITE)


def _part(directory: Path) -> Path:
    """A name that no other process uses."""
    return directory / f".gradgate-{secrets.token_hex(8)}.part"


def _make(part: Path) -> int:
    """A descriptor of the new file ``part``. An error names its directory."""
    try:
        return os.open(part, WRITE | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        error.filename = str(part.parent)
        raise


def _write_part(part: Path, content: bytes, status) -> None:
    """Write a file that will replace one of ``status``: with its mode, and with its owner where the system allows that."""
    with os.fdopen(_make(part), "wb") as file:
        if status is not None:
            for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
                with suppress(OSError):
                    os.fchown(file.fileno(), owner, group)
            with suppress(OSError):
                os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode) & 0o777)
        file.write(content)


def _replace(part: Path, target: Path) -> None:
    """Give ``part`` the name of ``target``; where something is mounted on that, as containers do, only the content can be."""
    try:
        os.replace(part, target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(part, target)


def _try_making(directory: Path) -> None:
    """Make a file, and remove it, in ``directory`` or, where that is not there, where it would be made."""
    while True:
        try:
            os.stat(directory)
            break
        except (FileNotFoundError, NotADirectoryError):
            directory = directory.parent
    part = _part(directory)
    try:
        os.close(_make(part))
        part.unlink()
    finally:
        with suppress(OSError):
            part.unlink()


def _is_sticky(target: Path, status) -> bool:
    """Whether ``target`` is another user's in a directory in which, as in /tmp, everyone may replace only his own."""
    above = os.stat(target.parent)
    return bool(above.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, status.st_uid, above.st_uid)
