"""A whole system behind its serial line: the driver, training, and everything that can go wrong on a wire."""

import gc
import os
import random
import select
import time
import tty

import numpy as np
import pytest
from click.testing import CliRunner
from support.frames import frame
from support.rig import TINY

from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Command, Opcode
from gradgate.arch.config import Config
from gradgate.arch.memorymap import ID_VALUE, Region, address
from gradgate.cli.main import main
from gradgate.host.driver import DeviceError, Driver
from gradgate.host.link import DeviceTimeout
from gradgate.host.serial import SerialLink
from gradgate.hw.bus.system import System
from gradgate.sim.board import SimulatedBoard

STAGING = address(Region.STAGING, 0)
END, = Command(Opcode.END, {}).encode()


@pytest.fixture(scope="module")
def board():
    """One board for all: every test finds the state another left."""
    with SimulatedBoard(TINY) as simulated:
        yield simulated


@pytest.fixture
def link(board):
    with SerialLink(board.port) as opened:
        yield opened


@pytest.fixture
def raw(board):
    """The port without protocol: ``raw(bytes)`` sends, ``raw.take(s)`` returns what comes within ``s`` seconds."""
    line = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)

    class Raw:
        def __call__(self, data):
            while data:
                data = data[os.write(line, data):]

        def take(self, seconds):
            data, end = b"", time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                if select.select([line], [], [], left)[0]:
                    data += os.read(line, 4096)
            return data

    yield Raw()
    os.close(line)


def assert_works(link, seed=0):
    """The link, the core's memories, and the driver work."""
    driver = Driver(link, TINY)
    assert driver.identify() == ID_VALUE
    words = np.random.default_rng(seed).integers(-2**15, 2**15, 300)
    driver.write_staging(0, words)
    assert (driver.read_staging(0, 300) == words).all()


def test_driver(link):
    """All memories in random order, in frames of all lengths; a program; registers."""
    rng = np.random.default_rng(1)
    driver = Driver(link, TINY)
    for n in (1, 2, 254, 255, 256, 600):
        words = rng.integers(-2**15, 2**15, n)
        driver.write_staging(3, words)
        assert (driver.read_staging(3, n) == words).all()
    weights, rows = rng.integers(-2**23, 2**23, (9, 4)), rng.integers(-2**15, 2**15, (7, 4))
    driver.write_weights(100, weights)
    driver.write_rows(1, 50, rows)
    assert (driver.read_weights(100, 9) == weights).all() and (driver.read_rows(1, 50, 7) == rows).all()
    driver.load_program([END])
    for _ in range(3):
        assert driver.run(1000) > 0
        assert driver.status().ended and not driver.status().refused
    assert link.read(STAGING, 0).shape == (0,)
    link.write(STAGING, [-1, 2**32 + 5])
    assert link.read(STAGING, 2).tolist() == [0xFFFFFFFF, 5]


def test_other_core(link):
    """A board with another core is noticed at once."""
    with pytest.raises(DeviceError, match="another core than that of configuration small: its fingerprint reads 0x"):
        Driver(link, Config.load("small")).identify()


@pytest.mark.parametrize("seed", [1, 2])
def test_noise(board, raw, seed):
    """Random bytes, pulses and a line held low: after a silence the link works, and no word outside those addressed changed."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(3):
        with SerialLink(board.port) as link:
            link.write(STAGING, range(100))
            assert link.read(STAGING, 100).tolist() == list(range(100))
        # no byte below 5: none begins a frame, so nothing may change
        raw(bytes(rng.randrange(5, 256) for _ in range(rng.randrange(200))))
        board.settle()
        for _ in range(20):
            board.hold(0, 1)  # shorter than half a bit
            board.hold(1, rng.randrange(1, 20))
        board.hold(0, 1000)
        board.hold(1, 5)
        board.settle()
        with SerialLink(board.port) as link:
            assert link.read(STAGING, 100).tolist() == list(range(100))
            assert_works(link, seed)


def test_truncated_frames(board, raw):
    """A host that stops anywhere within a write or a read request: what came whole is written, the rest is untouched."""
    with SerialLink(board.port) as link:
        for cut in (1, 2, 3, 5, 6, 7, 9, 10, 13, 14, 17):
            link.write(STAGING, [1, 2, 3, 4])
            assert link.read(STAGING, 4).tolist() == [1, 2, 3, 4]
            raw(frame(1, STAGING, [11, 12, 13])[:cut])
            board.settle()
            whole = max(0, cut - 6) // 4
            assert link.read(STAGING, 4).tolist() == [11, 12, 13][:whole] + [1, 2, 3, 4][whole:], cut
        for cut in range(1, 6):
            raw(frame(2, STAGING, length=3)[:cut])
            board.settle()
            assert link.read(STAGING, 1).tolist() == [11]
        raw(frame(2, STAGING, length=0) + frame(1, STAGING, length=0))
        board.settle()
        assert link.read(STAGING, 1).tolist() == [11]
        assert_works(link)


def test_host_that_does_not_read(board, raw):
    """Answers that nobody reads are lost, and nothing waits for them."""
    for _ in range(40):
        raw(frame(2, STAGING, length=255))  # 40 kB of answers; the terminal keeps 4
        time.sleep(0.01)
    board.settle()
    with SerialLink(board.port) as link:
        assert_works(link)


def test_lost_byte_is_noticed(board, link, raw):
    """A byte that is lost within a write leaves the next read without answer, which is said; then the link works again."""
    link.answer_s = 1.0
    link.write(STAGING, [7, 8, 9])
    assert link.read(STAGING, 3).tolist() == [7, 8, 9]
    broken = frame(1, STAGING, [1, 2, 3])
    raw(broken[:9] + broken[10:])  # and at once:
    with pytest.raises(DeviceTimeout, match="of 400 bytes of the answer at address 0x300000 came within 1 s of silence: "):
        link.read(STAGING, 100)
    assert_works(link)


def test_outside_addresses(board, raw):
    """Words beyond the bus read as 0 and do not reach the core; a board answers them all the same."""
    with SerialLink(board.port) as link:
        driver = Driver(link, TINY)
        driver.clear_counts()
        link.write(STAGING, [5])
        raw(frame(1, 0x01000000 | STAGING, [9]) + frame(1, 0xFFFFFFFF, [1, 1, 1]))
        raw(frame(2, 0xFFFFFFFF, length=3))
        board.settle()
        assert raw.take(0.1) == bytes(12)
        assert link.read(STAGING, 1)[0] == 5 and not driver.status().refused


def test_leds(board, link):
    """link is lit by a byte and goes out; alive changes twice in 100,000 cycles, a second; error is that of the core."""
    assert link.read(0, 1)[0] == ID_VALUE
    link_seen, end = {0}, time.monotonic() + 5
    while time.monotonic() < end and len(link_seen) < 2:
        link_seen.add(board.leds & 0b1000)
        link.read(0, 1)
    board.settle()
    assert len(link_seen) == 2 and not board.leds & 0b1011
    alive = []
    for _ in range(13):
        alive.append(board.leds >> 2 & 1)
        board.hold(1, 10_000)
    assert 2 <= sum(a != b for a, b in zip(alive, alive[1:])) <= 3
    driver = Driver(link, TINY)
    driver.load_program([0xFFFFFFFF, END])
    for at, lit in ((0, 0b10), (1, 0)):
        try:
            driver.run(1000, at=at)
        except DeviceError as error:
            assert lit and "ILLEGAL" in str(error)
        assert board.leds & 0b11 == lit


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("baud, message", [(100, "baud must be at least 200, so that a byte is shorter than a silence, not 100"),
                                           (3e6, "baud must be 0.953674 to 250000 with a clock of 1e"),
                                           (1.8e5, "baud 180000 cannot be had from a clock of 1e")])
def test_system_says_no(baud, message):
    with pytest.raises(ConfigError, match=message):
        System(TINY, 1e6, baud)
    gc.collect()  # here, where the warning is expected


def test_training(board):
    """The command: two steps on tiny through the port, bit and cycle exact, and some test images counted by the core."""
    result = CliRunner().invoke(main, ["board", "--port", board.port, "--config", "tiny", "--steps", "2", "--test-images", "8"])
    print(result.output)
    assert result.exit_code == 0, result.output
    assert "mismatched 0" in result.stdout and ", 0 commands differ" in result.stdout and "2 steps" in result.stdout


def test_difference_is_found(board, monkeypatch, tmp_path):
    """A wrong weight on the board is a difference: in the first step with all tensors, without any at the end."""
    network = tmp_path / "linear.toml"
    network.write_text('input = [8, 8, 1]\n[[layer]]\ntype = "conv"\nout = 2\nstride = 2\n[[layer]]\ntype = "dense"\nout = 10\n')
    arguments = ["board", "--port", board.port, "--config", "tiny", "--model", str(network), "--steps", "2", "--test-images", "4"]
    for check in "01":
        result = CliRunner().invoke(main, [*arguments, "--check", check])
        assert result.exit_code == 0 and f"first {check} step(s)" in result.stdout, result.output
    honest = Driver.write_weights

    def wrong(self, brick, values):
        values = values.copy()
        values[0, 0] ^= 1 << 8
        honest(self, brick, values)

    monkeypatch.setattr(Driver, "write_weights", wrong)
    for check, where in (("1", "step 0, command"), ("0", "step 2, command")):
        result = CliRunner().invoke(main, [*arguments, "--check", check])
        assert result.exit_code == 1 and f"FIRST DIFFERENCE   {where}" in result.stdout, result.output
