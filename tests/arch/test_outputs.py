"""Outputs: what is replaced, what is written through, and what is refused."""

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.outputs import ROOT, refused, write

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import open_output, require_directory, require_writable, write_files

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
