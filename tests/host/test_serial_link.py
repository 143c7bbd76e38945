"""The host's end of a serial line, with a scripted other end: what it says, when it is silent, what it throws away."""

import os
import threading
import time
import tty

import pytest
from click.testing import CliRunner
from support.rig import TINY

from gradgate.arch.checks import ConfigError
from gradgate.cli.main import main
from gradgate.host.driver import DeviceError, Driver
from gradgate.host.link import DeviceTimeout
from gradgate.host.serial import SerialLink


class Silent:
    """A port at whose other end nobody answers, or somebody says something else."""

    def __init__(self, answer=b""):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port, self.answer, self.times = os.ttyname(self.slave), answer, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while os.read(self.master, 100):
                self.times.append(time.monotonic())
                os.write(self.master, self.answer)
        except OSError:
            pass

    def close(self):
        os.close(self.slave)


def test_nobody_answers():
    for answer, message in ((b"", "0 of 4 bytes of the answer at address 0x000000 came within 0.2 s of silence: is the board's design "
                                  "loaded, is this its port, and was it built for 1000000 baud?"),
                            (b"abc", "3 of 4 bytes .*: bytes were lost; try again, or a lower rate")):
        silent = Silent(answer)
        with SerialLink(silent.port, answer_s=0.2) as link:
            with pytest.raises(DeviceTimeout, match=message):
                link.read(0, 1)
        silent.close()
    silent = Silent(b"abcd")
    with SerialLink(silent.port) as link:
        with pytest.raises(DeviceError, match="no core answers: its identification reads 0x61626364, not 0x67726164"):
            Driver(link, TINY).identify()
    silent.close()


def test_bytes_that_nobody_asked_for():
    """What comes behind an answer is not part of the next one."""
    chatty = Silent(b"abcdxyz")
    with SerialLink(chatty.port) as link:
        for _ in range(3):
            assert link.read(0, 1)[0] == 0x61626364
    chatty.close()


def test_silence_behind_an_error():
    """Before the first frame, and behind one without answer, a board gets the time to give a frame up; behind others it does not."""
    silent = Silent()
    began = time.monotonic()
    with SerialLink(silent.port, answer_s=0.01) as link:
        for _ in range(3):
            with pytest.raises(DeviceTimeout):
                link.read(0, 1)
        assert all(b - a > 0.12 for a, b in zip([began, *silent.times], silent.times)) and len(silent.times) == 3
        silent.answer = b"abcd"
        link.answer_s = 5.0
        link.read(0, 1)
        began = time.monotonic()
        for _ in range(20):
            link.read(0, 1)
        assert time.monotonic() - began < 20 * 0.12
    silent.close()


def test_no_port(tmp_path):
    for port, message in ((str(tmp_path / "tty"), "cannot be opened at 1000000 baud: "), ("what://ever", "cannot be opened")):
        with pytest.raises(ConfigError, match=f"port {port} {message}"):
            SerialLink(port)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["board", "--port", str(tmp_path / "file"), "--config", "tiny"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "cannot be opened" in result.stderr, result.output


def test_busy_core_times_out():
    """A core that stays busy is an error after the time that the cycles take at 1 MHz, and a second."""
    busy = Silent(b"\0\0\0\1")
    with SerialLink(busy.port) as link:
        with pytest.raises(DeviceTimeout, match="still busy after 1 s"):
            link.run(1000)
    busy.close()
