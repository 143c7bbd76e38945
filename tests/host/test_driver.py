"""The driver of programs that use a core, on the simulated stand-in of a core."""

import numpy as np
import pytest
from support.standin import WIDE_ROWS, command

from gradgate.arch.commands import Command, Opcode
from gradgate.host.driver import DeviceError, Driver
from gradgate.host.link import DeviceTimeout

END, = Command(Opcode.END, {}).encode()


def test_weights_and_staging(driver, config):
    rng = np.random.default_rng(9)
    half = 1 << config.formats.master_bits - 1
    weights = rng.integers(-half, half, (5, config.lanes))
    weights[0, :2] = -half, half - 1
    driver.write_weights(3, weights)
    assert np.array_equal(driver.read_weights(3, 5), weights)
    half = 1 << config.formats.act_bits - 1
    driver.write_staging(7, [-half, -1, 0, half - 1])
    assert driver.read_staging(7, 4).tolist() == [-half, -1, 0, half - 1]
    assert driver.identify() == 0x67726164


def test_argmax(driver, sim, config):
    choices = np.random.default_rng(10).integers(0, 4, (3, config.lanes))
    sim.memory("argmax").reshape(-1, 16, config.lanes)[1, 2:5] = choices
    assert np.array_equal(driver.read_argmax(1, 2, 3), choices)


def test_program(driver, sim):
    driver.load_program([command(5), command(30), command(7), END])
    cycles = driver.run(1000)
    assert cycles == 5 + 30 + 7 + 4 * 3
    status = driver.status()
    assert status.ended and not status.busy and status.index == 3 and status.pc == 3 and status.cycles == cycles
    assert driver.times(2, first=1).tolist() == [[5 + 2 * 3, 5 + 30 + 2 * 3], [5 + 30 + 3 * 3, 5 + 30 + 7 + 3 * 3]]
    assert driver.correct() == 0x1234 and driver.overflow() == 5
    driver.clear_counts()
    assert driver.run(1000, stop=1) == 5 + 30 + 2 * 3
    assert not driver.status().ended and driver.status().index == 2
    assert driver.run(1000, at=None) == 5 + 30 + 7 + 4 * 3
    assert driver.status().index == 3
    assert sim.run(10) == 0


def test_error_names_code_and_command(driver, sim):
    driver.load_program([command(5), command(6, error=1), END])
    with pytest.raises(DeviceError, match=r"error 1 \(ILLEGAL\) at command 1 \(program word 1\)") as caught:
        driver.run(1000)
    assert (caught.value.code, caught.value.index, caught.value.pc) == (1, 1, 1)
    assert sim.error
    driver.load_program([command(5), END])
    driver.run(1000)
    assert not sim.error
    driver.load_program([command(2, error=99)])
    with pytest.raises(DeviceError, match=r"error 99 \(unknown\) at command 0"):
        driver.run(1000)


def test_timeout(driver, sim):
    driver.load_program([command(5), command(60000), END])
    with pytest.raises(DeviceTimeout, match=r"still busy after 100 cycles, at command 1 \(program word 1\)"):
        driver.run(100)
    assert sim.busy and driver.status().busy
    for call in (driver.start, lambda: driver.read_rows(0, 0, 1), lambda: driver.write_staging(0, [1])):
        with pytest.raises(DeviceError, match="^the core is busy: .* cannot be (started|read|written)$"):
            call()
    assert driver.wait(60000) == 60005 + 9


@pytest.mark.parametrize("call,message", [
    (lambda d: d.load_program(range(65)), "PROGRAM has words"),
    (lambda d: d.load_program([1 << 32]), "values must be 0 to 4294967295, not 4294967296"),
    (lambda d: d.write_staging(0, [1 << 15]), "values must be -32768 to 32767, not 32768"),
    (lambda d: d.write_staging(0, [0.5]), "integers"),
    (lambda d: d.read_staging(0, 65), "STAGING has words 0 to 63"),
    (lambda d: d.write_weights(0, [[1, 2, 3]]), r"shape \(bricks, 8\)"),
    (lambda d: d.write_weights(15, np.zeros((2, 8), int)), "WEIGHTS has words"),
    (lambda d: d.read_rows(2, 0, 1), "row must be 0 to 1"),
    (lambda d: d.read_rows(1, 30, 3), "bricks must be within 0 to 31, not 30 to 32"),
    (lambda d: d.read_argmax(0, 16, 1), "bricks must be within 0 to 15"),
    (lambda d: d.start(at=64), "at must be"),
    (lambda d: d.start(stop=1 << 16), "stop must be"),
    (lambda d: d.set_watchdog(0), "cycles must be 1 to 4294967295, not 0"),
    (lambda d: d.set_watchdog(1 << 32), "cycles must be"),
])
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(Driver(None, WIDE_ROWS))  # nothing is sent


def test_no_core(sim, config):
    class Elsewhere:
        def read(self, address, n):
            return sim.read(address + 1, n)
    with pytest.raises(DeviceError, match="reads 0x00000000, not 0x67726164"):
        Driver(Elsewhere(), config).identify()


def test_other_core(sim, config):
    """A core of another configuration is noticed, one of another name is not another."""
    assert Driver(sim, config.replace(name="renamed")).identify()
    for changed in (dict(lists=config.lists + 1), dict(momentum=True)):
        with pytest.raises(DeviceError, match=f"another core than that of configuration {config.name}: its fingerprint reads 0x"):
            Driver(sim, config.replace(**changed)).identify()
