"""Loading of working weights into the banks of all rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WEIGHT_LOOP, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.weights.weight_loop import WeightLoop
from gradgate.hw.weights.weight_memory import WeightMemory, read_request, working_brick


class Loader(wiring.Component):
    """Unit for LOAD: walks over the weight memory and broadcasts a brick of working weights a cycle.

    ::

        command -> | -> WeightLoop -> read ... WeightMemory ... working -> bank_data
                            '-> bank_addr, delayed -----------------> bank_addr, bank_en

    A bar is a register: the command is kept, for with ``ahead`` it is done, as far as the sequencer sees, before it is executed.

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

    busy : Out, from the cycle behind ``start`` up to the one of the last brick; stays up behind a fault
    failed : Out, a fault of a command with ``ahead``; only a reset ends it

    A fault: a brick's address outside the weight memory (with ``spread``, that of lane 0's word: lanes beyond the tensor read
    rubbish), a bank address outside the banks, a count of 0; a ``start`` while ``busy``.

    Latency: from ``start`` to ``done``, both included, ``bricks + LATENCY`` cycles with ``bricks = t_count *
    inner_count * outer_count`` and ``LATENCY`` = 11; with ``ahead`` 2. The last brick is on ``bank_data`` ``bricks + LATENCY`` cycles
    from ``start``, both included.
    Throughput: one brick a cycle.
    Resources: no DSP, no block RAM; one ``WeightLoop``, a register for the command.
    """

    #: cycles of a command beyond one for each brick: that of ``start``, the register, and the pipeline of the weight memory
    LATENCY = 2 + WeightMemory.WORKING

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature()),
            "reading": Out(1), "read": Out(read_request(config)), "working": In(working_brick(config)),
            "busy": Out(1), "failed": Out(1),
            "bank_en": Out(1), "bank_addr": Out(range(config.bank_weights)), "bank_data": Out(working_brick(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = WeightLoop(self.config, bank_words=self.config.bank_weights)
        command = Unreset(layout(Opcode.LOAD))
        start = Signal()
        again = Signal()
        last = delays(m, walk.valid & walk.last, WeightMemory.WORKING, Signal)[-1]
        m.d.sync += [start.eq(self.unit.start), again.eq(self.unit.start & self.busy)]
        with m.If(self.unit.start):
            m.d.sync += [command.eq(self.unit.payload), self.busy.eq(1)]
        with m.Elif(last & ~self.failed):
            m.d.sync += self.busy.eq(0)
        with m.If(walk.fault & command.ahead):
            m.d.sync += self.failed.eq(1)
        m.d.comb += [walk.loop[f.name].eq(command[f.name]) for f in WEIGHT_LOOP]
        m.d.comb += [
            walk.start.eq(start), walk.spread.eq(command.spread),
            self.reading.eq(walk.valid), self.unit.fault.eq((walk.fault & ~command.ahead) | again),
            self.read.addr.eq(walk.addr), self.read.rot.eq(walk.rot), self.read.first.eq(walk.rot),
            self.read.spread.eq(command.spread), self.read.out_bricks.eq(command.out_bricks),
            self.bank_en.eq(delays(m, walk.valid, WeightMemory.WORKING, Signal)[-1]),
            self.bank_addr.eq(delays(m, walk.bank_addr[:len(self.bank_addr)], WeightMemory.WORKING)[-1]),
            self.bank_data.eq(self.working),
            self.unit.done.eq(Mux(command.ahead, start, last)),
        ]
        return m
