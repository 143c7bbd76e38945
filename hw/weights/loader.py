"""Loading of working weights into the banks of all rows."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WEIGHT_LOOP, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import delays
from gradgate.hw.weights.weight_loop import WeightLoop
from gradgate.hw.weights.weight_memory import WeightMemory, read_request, working_brick


class Loader(wiring.Component):
    """Unit for LOAD: walks over the weight memory and broadcasts a brick of working weights a cycle.

    ::

        command -> WeightLoop -> read ... WeightMemory ... working -> bank_data
                         '-> bank_addr, delayed -----------------> bank_addr, bank_en

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``, ``bank_words``, ``formats``

    Members
    -------
    unit : ``UnitSignature``, payload of LOAD
    reading : Out, ``read`` is a request of this unit
    read : Out(read_request), to the weight memory
    working : In(brick), its answer ``WeightMemory.WORKING`` cycles later
    bank_en : Out, the two members below are to be written to the banks of all rows, lane order
    bank_addr, bank_data : Out(range(bank_weights)), Out(brick of signed act_bits). Straight from registers.

    A fault: a brick's address outside the weight memory (with ``spread``, that of lane 0's word: lanes beyond the tensor read
    rubbish), a bank address outside the banks, a count of 0.

    Latency: from ``start`` to ``done``, both included, ``bricks + LATENCY`` cycles with ``bricks = t_count *
    inner_count * outer_count`` and ``LATENCY`` = 10. In the cycle of ``done`` the last brick is on ``bank_data``.
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
            "reading": Out(1), "read": Out(read_request(config)), "working": In(working_brick(config)),
            "bank_en": Out(1), "bank_addr": Out(range(config.bank_weights)), "bank_data": Out(working_brick(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = WeightLoop(self.config, bank_words=self.config.bank_weights)
        fields = layout(Opcode.LOAD)(self.unit.payload)
        m.d.comb += [walk.loop[f.name].eq(fields[f.name]) for f in WEIGHT_LOOP]
        m.d.comb += [
            walk.start.eq(self.unit.start),
            walk.spread.eq(fields.spread),
            self.unit.fault.eq(walk.fault),
            self.reading.eq(walk.valid),
            self.read.addr.eq(walk.addr),
            self.read.rot.eq(walk.rot),
            self.read.first.eq(walk.rot),
            self.read.spread.eq(fields.spread),
            self.read.out_bricks.eq(fields.out_bricks),
            self.bank_en.eq(delays(m, walk.valid, WeightMemory.WORKING, Signal)[-1]),
            self.bank_addr.eq(delays(m, walk.bank_addr[:len(self.bank_addr)], WeightMemory.WORKING)[-1]),
            self.bank_data.eq(self.working),
            self.unit.done.eq(delays(m, walk.valid & walk.last, WeightMemory.WORKING, Signal)[-1]),
        ]
        return m
