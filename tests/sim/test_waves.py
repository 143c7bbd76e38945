"""Wave files are read back by an independent reader and show what happened."""

import numpy as np
import pylibfst
import pytest
from pylibfst import ffi, lib
from support.rig import ODD, random_batch, train

from gradgate.arch.network import Network
from gradgate.host.driver import Driver
from gradgate.sim.compare import Bench
from gradgate.sim.simulator import Simulator

CONFIG = ODD[0]
NETWORK = Network.build("waves", (3, 3, 1), [{"type": "conv", "out": 2}, {"type": "relu"}, {"type": "dense", "out": 2}])


def read(path):
    """(names of all signals, changes of the sequencer's ``busy`` as (time, value)) of an FST file."""
    reader = lib.fstReaderOpen(str(path).encode())
    assert reader != ffi.NULL
    _, signals = pylibfst.get_scopes_signals2(reader)
    changes = []
    handle = signals.by_name["TOP.gradgate.sequencer.control__busy"].handle
    lib.fstReaderSetFacProcessMaskAll(reader)
    pylibfst.fstReaderIterBlocks(
        reader, lambda data, time, which, value: changes.append((time, int(ffi.string(value)))) if which == handle else None)
    lib.fstReaderClose(reader)
    return {name.split(" ")[0] for name in signals.by_name}, changes


@pytest.mark.parametrize("recorded", [(0,), (1,), (0, 1)], ids=str)
def test_fst_shows_the_recorded_steps(tmp_path, recorded):
    """Names are readable; ``busy`` rises once for every recorded step, and not outside."""
    path = tmp_path / "x.fst"
    rng = np.random.default_rng(0)
    batches = [random_batch(rng, NETWORK, 1) for _ in range(2)]
    rises = 0
    with Simulator(CONFIG, trace=path) as sim:
        bench = Bench(CONFIG, sim, Driver(sim, CONFIG))
        for number, batch in enumerate(batches):
            sim.record(number in recorded)
            assert train(bench, NETWORK, [batch]).exact
            rises += number in recorded  # the clock stands still where tensors are read; the program goes on
    names, changes = read(path)
    assert not [name for name in names if ".$" in name or "._" in name]
    assert {"TOP.gradgate.array.row0.lane1.at", "TOP.gradgate.sequencer.control__busy",
            "TOP.gradgate.array.row0.builder.build__slot"} <= names
    assert sum(value for _, value in changes) == rises > 0
