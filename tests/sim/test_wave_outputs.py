"""Wave files that cannot be written, and those that are no regular files."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from support import TESTS
from support.standin import NARROW_ROWS

from gradgate.arch.checks import ConfigError
from gradgate.arch.memorymap import Region, address
from gradgate.sim.simulator import Simulator

KINDS = ("vcd", "fst")


def record(texts, path, cycles=20_000):
    """Waves of so many cycles, in which much happens."""
    with Simulator(NARROW_ROWS, verilog=texts["narrow"], trace=path) as sim:
        for start in range(0, cycles, 64):
            sim.write(address(Region.STAGING, 0), [start ^ i for i in range(64)])


@pytest.fixture(scope="module")
def whole(texts, tmp_path_factory):
    """The same waves where there is room: ``{kind: bytes}``."""
    place = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        record(texts, place / f"w.{kind}")
    return {kind: (place / f"w.{kind}").read_bytes() for kind in KINDS}


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", KINDS)
def test_file_that_may_not_grow(kind, share, texts, whole, tmp_path):
    """Wherever the limit is, one line says which file it was, and what was written before is there."""
    path = tmp_path / f"w.{kind}"
    size, before = int(share * len(whole[kind])), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(ConfigError) as caught:
            record(texts, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == f"cannot write {path}: File too large"
    assert path.stat().st_size == size and (kind == "fst" or path.read_bytes() == whole[kind][:size])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("kind", KINDS)
def test_full_disk(kind, texts, whole, tmp_path):
    """A process of its own: nothing but an end of it shows that it does not hang."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert len(whole[kind]) > 16384
        code = (f"import sys; sys.path[:0] = {[str(TESTS), str(TESTS / 'sim')]}\n"
                "from support import standin; import test_wave_outputs as t\n"
                f"t.record({{'narrow': standin.generate(standin.NARROW_ROWS)}}, {str(tmp_path / 'w')!r} + '.{kind}')")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(f"ConfigError: cannot write {tmp_path / f'w.{kind}'}: No space left on device")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_an_earlier_error_is_said(texts, tmp_path):
    """Not the wave file's, which comes after it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(KeyError, match="first"), Simulator(NARROW_ROWS, verilog=texts["narrow"], trace=tmp_path / "w.fst"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
            raise KeyError("first")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_vcd_through_a_pipe(texts, whole, tmp_path):
    pipe = tmp_path / "w.vcd"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        got = []
        thread = threading.Thread(target=lambda: got.append(reader.stdout.read()))
        thread.start()
        record(texts, pipe)
        thread.join(30)
    assert got == [whole["vcd"]] and list(tmp_path.iterdir()) == [pipe] and not pipe.is_file()


def test_fst_needs_a_file(texts, tmp_path):
    """The writer goes back to the beginning of what it has written."""
    pipe, link = tmp_path / "w.fst", tmp_path / "link.fst"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(ConfigError, match=f"^cannot write {path}: waves in FST format need a regular file; those in VCD do not$"):
            record(texts, path)


@pytest.mark.parametrize("kind", KINDS)
def test_link_is_followed(kind, texts, whole, tmp_path):
    link = tmp_path / f"link.{kind}"
    link.symlink_to(f"deep/target.{kind}")
    record(texts, link)
    assert link.is_symlink() and (tmp_path / "deep" / f"target.{kind}").stat().st_size == len(whole[kind])


def test_control_c_while_nobody_reads(texts, tmp_path):
    """A pipe whose reader has stopped reading: the process waits, and ends at the first signal."""
    pipe = tmp_path / "w.vcd"
    os.mkfifo(pipe)
    code = (f"import sys; sys.path.insert(0, {str(TESTS)!r}); from support import standin; from gradgate.sim.simulator import Simulator\n"
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background has none\n"
            f"with Simulator(standin.NARROW_ROWS, verilog=standin.generate(standin.NARROW_ROWS), trace={str(pipe)!r}) as sim:\n"
            "    print('ready', flush=True)\n    while True: sim.step(1000)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        reader = os.open(pipe, os.O_RDONLY)
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(1)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=30)
            assert errors.splitlines()[-1] == "KeyboardInterrupt"
        finally:
            child.kill()
            os.close(reader)
