"""What takes the place of parts of the sequencer in its proof."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring

from gradgate.arch.commands import Error, Opcode
from gradgate.hw.control.command_fetch import UNIT, CommandFetch

BITS = 8  #: of a word in the proof


class AnyFetch(CommandFetch):
    """What :class:`CommandFetch` promises, and nothing more: some time after ``begin`` any command, or a refusal.

    Of its fields only the first bits are any, the others are zero: a solver has less to do, and all go the same way.
    """

    def elaborate(self, platform):
        m = Module()
        fetching = Signal()
        settled = Signal()  # the command is known
        number, waits, payload = Signal(3), Signal(len(UNIT)), Signal(BITS)
        command = [number.eq(AnySeq(3)), waits.eq(AnySeq(len(UNIT))), payload.eq(AnySeq(BITS))]
        with m.If(fetching & settled):
            m.d.sync += [fetching.eq(0), self.ready.eq(1)]
        with m.Elif(fetching & AnySeq(1)):
            m.d.sync += [fetching.eq(0), self.refused.eq(Mux(AnySeq(1), Error.ILLEGAL, Error.NO_END))]
        with m.Elif(fetching & AnySeq(1)):
            m.d.sync += [settled.eq(1), *command]
        with m.If(self.drop):
            m.d.sync += [fetching.eq(0), settled.eq(0), self.ready.eq(0), self.refused.eq(Error.NONE)]
        with m.If(self.begin):
            m.d.sync += [fetching.eq(1), settled.eq(AnySeq(1)), *command]
        m.d.comb += [
            self.p_addr.eq(AnySeq(len(self.p_addr))),
            self.opcode.eq(Mux(settled, 1 << number, AnySeq(len(Opcode)))),
            self.waits.eq(Mux(settled, waits | (number == Opcode.END).replicate(len(UNIT)), AnySeq(len(UNIT)))),
            self.payload.eq(Mux(settled, payload, AnySeq(BITS))),
        ]
        return m


class Words(wiring.Component):
    """A distributed memory whose words are signals."""

    def __init__(self, *, shape, depth, init):
        self.words = [Signal(shape, name=f"word{i}") for i in range(depth)]
        self.write, self.read = (wiring.Signature({}).create() for _ in range(2))
        self.write.addr, self.read.addr = Signal(range(depth)), Signal(range(depth))
        self.write.en, self.write.data, self.read.data = Signal(), Signal(shape), Signal(shape)
        super().__init__({})

    def write_port(self):
        return self.write

    def read_port(self, *, domain):
        return self.read

    def elaborate(self, platform):
        m = Module()
        words = Array(self.words)
        m.d.comb += self.read.data.eq(words[self.read.addr])
        with m.If(self.write.en):
            m.d.sync += words[self.write.addr].eq(self.write.data)
        return m
