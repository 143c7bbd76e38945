"""Fixtures of the tests that run on the stand-in of a core; settings of all."""

import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: there are as many workers as cores

import pytest  # noqa: E402
from support import standin
from support.standin import NARROW_ROWS, WIDE_ROWS

from gradgate.host.driver import Driver
from gradgate.sim.simulator import Simulator

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a job in the background, whose processes would never see Control-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

CONFIGS = {config.name: config for config in (WIDE_ROWS, NARROW_ROWS)}


@pytest.fixture(scope="session")
def texts():
    """Verilog of the stand-in for each configuration."""
    return {name: standin.generate(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def sim(config, texts):
    with Simulator(config, verilog=texts[config.name]) as simulator:
        yield simulator


@pytest.fixture
def driver(sim, config):
    return Driver(sim, config)
