"""Outputs: what is replaced, what is written through, what is refused, and what is left after an error."""

import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gradgate.arch import files
from gradgate.arch.checks import ConfigError
from gradgate.arch.files import open_output, require_directory, require_writable, write_files

NOBODY = 65534
ROOT = os.geteuid() == 0


def write(path, content="new"):
    """Check, then write, as commands do."""
    require_writable(path)
    return write_files(path.parent, {path.name: content})


def refused(path, content="new"):
    """The message, the same before and after the work."""
    with pytest.raises(ConfigError) as before:
        require_writable(path)
    with pytest.raises(ConfigError) as after:
        write_files(path.parent, {path.name: content})
    assert str(before.value) == str(after.value) and "\n" not in str(before.value)
    return str(before.value)


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
def open_dir(tmp_path):
    """A directory that everyone may reach and write to."""
    for above in [*tmp_path.parents, tmp_path]:
        if above.stat().st_uid == os.geteuid() and above != Path("/") and above.is_relative_to(tmp_path.parents[1]):
            above.chmod(0o755)
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    return place


# What is no regular file

def test_named_pipe_is_written_through(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    require_writable(pipe)  # does not wait for a reader
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write(pipe, "x" * 200_000)
    reader.join(10)
    assert got == [b"x" * 200_000] and stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(not ROOT, reason="makes devices")
def test_devices_are_written_through(tmp_path):
    """Not even root replaces them. They are devices of the test's own: those in /dev would be lost with a wrong program."""
    null, full, link = (tmp_path / name for name in ("null", "full", "link"))
    try:
        for device, minor in ((null, 3), (full, 7)):
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            os.close(os.open(device, os.O_WRONLY))
    except PermissionError:
        pytest.skip("devices are not allowed here")
    link.symlink_to(null)
    write(null)
    write(link)
    require_writable(full)
    with pytest.raises(ConfigError, match=f"^cannot write {full}: No space left on device$"):
        write_files(tmp_path, {"full": "new"})
    assert stat.S_ISCHR(null.lstat().st_mode) and stat.S_ISCHR(full.lstat().st_mode) and link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [full, link, null]


def test_socket_and_directory_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        assert refused(Path("socket")) == "cannot write socket: it is a socket"
    Path("dir").mkdir()
    assert refused(Path("dir")) == "cannot write dir: it is a directory"
    assert stat.S_ISSOCK(os.lstat("socket").st_mode) and not list(Path("dir").iterdir())


def test_block_device_is_refused(tmp_path, monkeypatch):
    honest = os.stat

    def fake(path, **given):
        found = honest(path, **given)
        return os.stat_result((stat.S_IFBLK | 0o660, *found[1:])) if str(path).endswith("disk") else found

    (tmp_path / "disk").write_text("all that there is")
    monkeypatch.setattr(os, "stat", fake)
    assert refused(tmp_path / "disk") == f"cannot write {tmp_path / 'disk'}: it is a block device"
    assert (tmp_path / "disk").read_text() == "all that there is"


@pytest.mark.parametrize("name", ["/proc/self/fd/1", "link"])
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output(name, kind, tmp_path):
    """What the shell has opened goes on in order, and stays the file that the shell knows. The link is what /dev/stdout is."""
    (tmp_path / "link").symlink_to("/proc/self/fd/1")
    code = (f"import os; from pathlib import Path; from gradgate.arch.files import *; os.write(1, b'before '); p = Path({name!r});"
            "require_writable(p); write_files(p.parent, {p.name: 'text'}); os.write(1, b' after')")
    out = tmp_path / "out"
    with open(out, "wb") as file:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE,
                              stdout=file if kind == "file" else subprocess.PIPE)
    assert done.stderr == b"" and (done.stdout if kind == "pipe" else out.read_bytes()) == b"before text after"
    assert (tmp_path / "link").is_symlink()


def test_open_for_reading_only(tmp_path):
    (tmp_path / "in").write_text("text")
    with open(tmp_path / "in", "rb") as file:
        path = Path(f"/proc/self/fd/{file.fileno()}")
        with pytest.raises(ConfigError, match=f"^cannot write {path}: it is open for reading only$"):
            require_writable(path)
    with pytest.raises(ConfigError, match="^cannot write /proc/self/fd/987: .*Bad file descriptor$"):
        require_writable(Path("/proc/self/fd/987"))


# Links

def test_links_are_followed(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link, second = tmp_path / "deep" / "target", tmp_path / "link", tmp_path / "second"
    target.write_text("old")
    target.chmod(0o640)
    inode = target.stat().st_ino
    link.symlink_to("deep/target")
    second.symlink_to(link)
    assert write(second) == [second]
    assert link.is_symlink() and second.is_symlink() and target.read_text() == "new"
    assert target.stat().st_ino != inode and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list((tmp_path / "deep").iterdir()) == [target] and len(list(tmp_path.iterdir())) == 3


def test_dangling_link_makes_its_target(tmp_path):
    link, directory = tmp_path / "link", tmp_path / "directory"
    link.symlink_to("deep/er/target")
    directory.symlink_to("results")
    write(link)
    assert link.is_symlink() and (tmp_path / "deep" / "er" / "target").read_text() == "new"
    require_directory(directory)
    assert not (tmp_path / "results").exists()
    write_files(directory, {"a": "new"})
    assert directory.is_symlink() and (tmp_path / "results" / "a").read_text() == "new"


def test_link_loop(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    assert "Too many levels of symbolic links" in refused(one)
    assert "Too many levels of symbolic links" in refused(one / "deep" / "file")
    with pytest.raises(ConfigError, match=f"^cannot write {one}: Too many levels of symbolic links$"):
        require_directory(one)
    assert sorted(tmp_path.iterdir()) == [one, two]


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


# What grows while it is made

def test_open_output(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("deep/made")
    for name, text in (("file", ""), ("link", "")):
        descriptor = open_output(tmp_path / name)
        assert (tmp_path / name).read_text() == text
        os.write(descriptor, b"new")
        os.close(descriptor)
        assert (tmp_path / name).read_text() == "new"
    assert (tmp_path / "link").is_symlink()
