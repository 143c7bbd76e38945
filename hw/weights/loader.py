"""Loading of working weights into the banks of all rows."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from gradgate.arch.commands import WEIGHT_LOOP, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.memoryport import WritePortSignature
from gradgate.hw.parts.registers import delays
from gradgate.hw.weights.weight_loop import WeightLoop
from gradgate.hw.weights.weight_memory import WeightMemory, WeightReadSignature, working_brick


class Loader(wiring.Component):
    """Unit for LOAD: walks over the weight memory and broadcasts a brick of working weights a cycle.

    ::

        command -> WeightLoop -> read ... WeightMemory ... working -> banks.data
                         '-> bank_addr, delayed -----------------> banks.addr, banks.en

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``, ``bank_words``, ``formats``

    Members
    -------
    unit : UnitSignature, payload of LOAD
    reading : Out(1), ``read`` has a request
    read : WeightReadSignature, of working weights
    banks : WritePortSignature, of a brick to a bank weight of all rows, in lane order; from registers

    A fault: a brick's address outside the weight memory (with ``spread``, that of lane 0's word: lanes beyond
    the tensor read rubbish), a bank address outside the banks, a count of 0.

    Latency: from ``start`` to ``done``, both included, ``bricks + LATENCY`` cycles with ``bricks = t_count *
    inner_count * outer_count`` and ``LATENCY`` = 10. In the cycle of ``done`` the last brick is on ``banks``.
    Throughput: one brick a cycle.
    Resources: no DSP, no block RAM; one ``WeightLoop``.
    Example: docs/examples.md#loader
    """

    #: cycles of a command beyond one for each brick: that of ``start``, and the pipeline of the weight memory
    LATENCY = 1 + WeightMemory.WORKING

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature()),
            "reading": Out(1),
            "read": Out(WeightReadSignature(config)),
            "banks": Out(WritePortSignature(range(config.bank_weights), working_brick(config))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = WeightLoop(self.config, bank_words=self.config.bank_weights)
        place, request, banks = walk.place, self.read.request, self.banks
        fields = layout(Opcode.LOAD)(self.unit.payload)
        m.d.comb += [walk.loop[f.name].eq(fields[f.name]) for f in WEIGHT_LOOP]
        m.d.comb += [
            walk.start.eq(self.unit.start),
            walk.spread.eq(fields.spread),
            self.unit.fault.eq(walk.fault),
            self.reading.eq(walk.valid),
            request.addr.eq(place.addr),
            request.rot.eq(place.rot),
            request.first.eq(place.rot),
            request.spread.eq(fields.spread),
            request.out_bricks.eq(fields.out_bricks),
            banks.en.eq(delays(m, walk.valid, WeightMemory.WORKING, Signal)[-1]),
            banks.addr.eq(delays(m, place.bank_addr[:len(banks.addr)], WeightMemory.WORKING)[-1]),
            banks.data.eq(self.read.working),
            self.unit.done.eq(delays(m, walk.valid & place.last, WeightMemory.WORKING, Signal)[-1]),
        ]
        return m
