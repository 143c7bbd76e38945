"""Fetches commands, starts their units one after the other, counts their cycles."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import commands, latency
from gradgate.arch.commands import WORD, Error, Opcode
from gradgate.hw.command import PAYLOAD, UnitSignature

#: Name of the unit of every opcode that has one.
UNITS = {op: op.name.lower() for op in Opcode if op != Opcode.END}
INDEX_BITS = 16


class ControlSignature(wiring.Signature):
    """What the host port and the sequencer share (seen from the sequencer).

    go : In, one cycle, ignored while ``busy``; starts at program word start_at : In, valid in the cycle of ``go``; a start at 0
        sets ``index`` to 0. A ``start_at`` behind the program memory is an error like a missing ``END``.
    stop_at : In(16), index of the command behind which to stop; looked at in the command's last cycle
    busy : Out, from the cycle after ``go`` to the last cycle of the last command
    ended : Out, an ``END`` was executed; error : Out, why the program stopped; both valid when not busy, cleared by ``go``
    index : Out(16), pc : Out, the command under way, or the next one; with an error the command at fault
    p_addr : Out, p_data : In, program memory, ``latency.RAM`` cycles from address to data
    c_en, c_addr, c_data : Out, counter memory: cycles of a command, written in the cycle after its last
    """

    def __init__(self, config):
        pc = range(config.program_words + 1)
        super().__init__({
            "go": In(1), "start_at": In(pc), "stop_at": In(INDEX_BITS),
            "busy": Out(1), "ended": Out(1), "error": Out(Error), "index": Out(INDEX_BITS), "pc": Out(pc),
            "p_addr": Out(range(config.program_words)), "p_data": In(WORD),
            "c_en": Out(1), "c_addr": Out(range(config.counters)), "c_data": Out(WORD),
        })


class Sequencer(wiring.Component):
    """Executes a program: fetches a command, starts its unit, waits for its ``done``, goes on.

    A header must be exactly the opcode and length of a known command (``Error.ILLEGAL``), and a command must lie in the program
    memory whole (``Error.NO_END``): then the sequencer stops before the command does anything, ``index`` and ``pc`` on it. It stops
    behind ``END``, and behind the command whose index is ``stop_at``; ``index`` and ``pc`` are then on the next command, also
    behind ``END``, which counts as a command.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    control : ControlSignature
    units : one UnitSignature for each opcode but ``END``, named like the opcode in lower case, seen from the sequencer; all
        share the payload, only the unit of the opcode sees ``start`` and is listened to

    Latency: a command of L words takes ``L + 3`` cycles (L, ``latency.RAM`` and 1) from its first fetch up to the cycle before
    ``start``; ``END`` takes 6 cycles. The first fetch follows ``go``, or the last cycle of the command before, so that the counters
    of a program add up to the cycles it is busy. The counter of a command has the cycles from its first fetch to its ``done``, both
    included; commands with an index of ``config.counters`` or more are not recorded.
    Throughput: one command at a time; no fetch ahead. Resources: one register of the longest command's bits; no DSP, no block RAM.

        pc -> p_addr .. p_data -> header -> hit (opcode, one-hot) -> start
                              \\-> payload words, by beat -> units

    Source: own.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "control": Out(ControlSignature(config)),
            "units": Out(wiring.Signature({name: In(UnitSignature()) for name in UNITS.values()}))})

    def elaborate(self, platform):
        m = Module()
        c, program_words = self.control, self.config.program_words
        units = {op: getattr(self.units, name) for op, name in UNITS.items()}
        lengths = {op: commands.length(op) for op in Opcode}
        ready = latency.RAM + 1  # beat in which the header is in its register
        decided = ready + 1  # beat in which it is known to be legal or not

        # Fetch: an address each cycle, held at the end of the memory; ``beyond`` says that the word is not there.
        fetch, beyond = Signal.like(c.pc), Signal()
        beyond_data = beyond
        for stage in range(latency.RAM + 1):
            register = Signal(name=f"beyond{stage}")
            m.d.sync += register.eq(beyond_data)
            beyond_data = register
        m.d.comb += [c.p_addr.eq(fetch), beyond.eq(fetch >= program_words)]
        with m.If(~beyond):
            m.d.sync += fetch.eq(fetch + 1)

        # Words of the command: in beat ``ready`` + i payload word i is on ``p_data``, and it is in its register one later.
        beat = Signal(range(max(lengths.values()) + decided))
        header, header_beyond, hit = Signal(WORD), Signal(), {op: Signal(name=f"hit_{op.name}") for op in Opcode}
        payload = Signal(PAYLOAD)
        with m.If(beat == latency.RAM):
            m.d.sync += header.eq(c.p_data)
        with m.If(beat == ready):
            m.d.sync += header_beyond.eq(beyond_data)
            m.d.sync += [hit[op].eq(header == (op | size << 8)) for op, size in lengths.items()]
        for index in range(PAYLOAD // WORD):
            with m.If(beat == ready + index):
                m.d.sync += payload.word_select(index, WORD).eq(c.p_data)
        complete = Cat(hit[op] & (beat == ready + lengths[op] - 1) for op in units).any()

        next_pc, elapsed = Signal.like(c.pc), Signal(WORD)
        finished = Signal()
        size = Signal(range(max(lengths.values()) + 1))
        m.d.comb += [size.eq(Cat(size for size in ())), finished.eq(hit[Opcode.END])]
        return m
