"""Outputs: rights, errors at the end, and several writers of one file."""

import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.outputs import ROOT, refused, write

from gradgate.arch import files
from gradgate.arch.checks import ConfigError
from gradgate.arch.files import open_output, require_directory, require_writable, write_files

NOBODY = 65534


def as_nobody(function):
    """Run ``function`` in a process without root's rights; its errors come out on standard error."""
    child = os.fork()
    if not child:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            function()
            os._exit(0)
        except BaseException as error:  # the child must not go on as a second pytest
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def open_dir():
    """A directory that everyone may reach and write to; those of pytest are for its user alone."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        place = Path(above) / "open"
        place.mkdir()
        place.chmod(0o777)
        yield place


# Modes and rights

@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_mode_is_kept(mode, tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(mode)
    write(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_new_files_have_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.skipif(not ROOT, reason="gives a file to another user")
def test_owner_is_kept(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    os.chown(file, NOBODY, NOBODY)
    write(file)
    assert (file.read_text(), file.stat().st_uid, file.stat().st_gid) == ("new", NOBODY, NOBODY)


def test_read_only_file_is_refused(tmp_path):
    """For root, too: somebody has protected it."""
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o444)
    assert refused(file) == f"cannot write {file}: it is read-only (mode 0444)"
    with pytest.raises(ConfigError, match="it is read-only"):
        open_output(file)
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not ROOT, reason="drops root's rights")
def test_what_others_may_not_write(open_dir, capfd):
    """As another user: a directory, a file, and what belongs to somebody else in a directory like /tmp."""
    locked, sticky = open_dir / "locked", open_dir / "sticky"
    for place, mode in ((locked, 0o755), (sticky, 0o1777)):
        place.mkdir()
        (place / "file").write_text("old")
        (place / "file").chmod(0o666)
        place.chmod(mode)
    (open_dir / "own").write_text("old")
    messages = {}

    def all_of_them():
        for path in (locked / "new", locked / "deep" / "new", locked / "file", sticky / "file", open_dir / "own"):
            try:
                require_writable(path)
                messages[path] = "written"
            except ConfigError as error:
                messages[path] = str(error)
        require_writable(sticky / "new")
        write_files(sticky, {"new": "new"})
        for message in messages.values():
            print(message, file=sys.stderr, flush=True)

    assert as_nobody(all_of_them) == 0
    found = capfd.readouterr().err.splitlines()
    assert found == [f"cannot write {locked / 'new'}: {locked}: Permission denied",
                     f"cannot write {locked / 'deep' / 'new'}: {locked}: Permission denied",
                     f"cannot write {locked / 'file'}: {locked}: Permission denied",
                     f"cannot write {sticky / 'file'}: only its owner may replace it in {sticky}",
                     f"cannot write {open_dir / 'own'}: Permission denied"]
    assert sorted(p.name for p in sticky.iterdir()) == ["file", "new"] and [p.name for p in locked.iterdir()] == ["file"]


@pytest.mark.skipif(not ROOT, reason="mounts a file system")
def test_read_only_file_system(tmp_path):
    """Root has every permission, and cannot write all the same."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert refused(tmp_path / "file") == f"cannot write {tmp_path / 'file'}: {tmp_path}: Read-only file system"
        with pytest.raises(ConfigError, match="Read-only file system"):
            require_directory(tmp_path / "out")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.skipif(not ROOT, reason="makes a directory immutable")
def test_immutable_directory(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["chattr", "+i", place], capture_output=True).returncode:
        pytest.skip("this file system has no such attribute")
    try:
        message = refused(place / "file")
        assert message == f"cannot write {place / 'file'}: {place}: Operation not permitted"
    finally:
        subprocess.run(["chattr", "-i", place], check=True)


def test_path_through_a_file(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    path = file / "deep" / "new"
    with pytest.raises(ConfigError, match=f"^cannot write {path}: {file}: Not a directory$"):
        require_writable(path)
    with pytest.raises(ConfigError, match=f"^cannot write {path}: .*Not a directory$"):
        write_files(path.parent, {"new": "new"})
    assert refused(tmp_path / ("n" * 300)).endswith(": File name too long")
    assert file.read_text() == "old"


# Errors at the end

def limited(size, function):
    """``function()`` where no file may grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        return function()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_error_while_writing_names_the_file(tmp_path):
    """The system does not say which file a failed write was of."""
    for name in "ab":
        (tmp_path / name).write_text("old")
    with pytest.raises(ConfigError, match=f"^cannot write {tmp_path / 'b'}: File too large$"):
        limited(1000, lambda: write_files(tmp_path, {"a": "new", "b": "x" * 2000}))
    assert [(p.name, p.read_text()) for p in sorted(tmp_path.iterdir())] == [("a", "old"), ("b", "old")]


@pytest.mark.skipif(not ROOT, reason="mounts a file system")
def test_full_disk(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (tmp_path / "file").write_text("old")
        with pytest.raises(ConfigError, match=f"^cannot write {tmp_path / 'file'}: No space left on device$"):
            write(tmp_path / "file", "x" * 100_000)
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


def test_pipe_whose_reader_has_gone(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.close(reader)
    path = Path(f"/proc/self/fd/{writer}")
    with pytest.raises(ConfigError, match=f"^cannot write {path}: Broken pipe$"):
        write(path)
    os.close(writer)


# Several processes

def test_two_writers_of_one_output(tmp_path):
    """No error, and never a file that is empty or mixed: a part of one is not a part of the other."""
    turns = 400
    code = (f"import sys; from pathlib import Path; from gradgate.arch.files import write_files; text = sys.argv[1] * 20000\n"
            f"for _ in range({turns}): write_files(Path('.'), {{'file': text}})")
    writers = [subprocess.Popen([sys.executable, "-c", code, letter], cwd=tmp_path, stderr=subprocess.PIPE) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        try:
            seen.add((tmp_path / "file").read_bytes())
        except FileNotFoundError:
            assert not seen, "the file was there before"
    assert [writer.communicate()[1] for writer in writers] == [b"", b""] and all(writer.returncode == 0 for writer in writers)
    assert seen <= {b"a" * 20000, b"b" * 20000} and seen and [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not ROOT, reason="mounts a file")
def test_file_with_something_mounted_on_it(tmp_path):
    """As containers are given single files: it cannot be replaced, so it gets the new content."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.write_text("old and long")
    inside.touch()
    if subprocess.run(["mount", "--bind", outside, inside], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        write(inside)
        assert inside.read_text() == "new" and outside.read_text() == "new"
    finally:
        subprocess.run(["umount", inside], check=True)
    assert sorted(tmp_path.iterdir()) == [inside, outside]
