"""Fetches a command from the program memory and says what it is."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import commands, latency
from gradgate.arch.commands import WAIT_BIT, WITH_UNIT, WORD, Error, Opcode, header
from gradgate.hw.parts.command import PAYLOAD
from gradgate.hw.parts.registers import Unreset, delays

#: Bit of each unit in ``waits``, and in all that has a bit a unit.
UNIT = {op: bit for bit, op in enumerate(WAIT_BIT)}
#: Words of each command.
LENGTHS = {op: commands.length(op) for op in Opcode}


class CommandFetch(wiring.Component):
    """Reads a command word by word, checks its header, and keeps it until it is dropped.

    A header must be exactly that of a command, whatever it waits for; ``END`` waits for all units (else
    ``Error.ILLEGAL``). The whole command must lie in the program memory (else ``Error.NO_END``).

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    begin : In(1), fetch the command at ``at``; comes with ``drop`` or while nothing is fetched or kept
    at : In(range(program_words + 1)), its first word; valid in the cycle of ``begin``
    drop : In(1), forget the command, or what there is of it
    p_addr : Out(range(program_words)), word of the program memory to read
    p_data : In(32), the word at the ``p_addr`` of ``latency.RAM`` cycles ago
    ready : Out(1), there is a legal command; up to and with the cycle of ``drop``
    refused : Out(Error), there is an illegal one, and why; NONE otherwise
    opcode : Out(8), which command it is, one-hot; valid from a cycle before ``ready`` on
    waits : Out(7), a bit for each unit of ``UNIT``; valid likewise
    payload : Out(PAYLOAD), its fields; valid likewise

    Latency: a command of L words is ``ready`` ``max(L + 5, 7)`` cycles after ``begin``: its first word is
    addressed in the next cycle, and takes ``latency.RAM`` cycles and registers of the word, of the header, of
    what it is, and of what to do. An illegal header is refused 7 cycles after ``begin``.
    Throughput: one command at a time.
    Resources: a register of the longest command's bits; no DSP, no block RAM.

        at -> p_addr .. p_data -> word -> header -> opcode, waits -> ready, refused
                                     \\-> payload words, by beat

    Source: own.
    Example: docs/examples.md#sequencer
    """

    READY = latency.RAM + 2  #: beat in which the header is in its register
    DECIDED = READY + 1  #: beat in which it is known to be legal or not

    def __init__(self, config):
        self.config = config
        super().__init__({
            "begin": In(1),
            "at": In(range(config.program_words + 1)),
            "drop": In(1),
            "p_addr": Out(range(config.program_words)),
            "p_data": In(WORD),
            "ready": Out(1),
            "refused": Out(Error),
            "opcode": Out(len(Opcode)),
            "waits": Out(len(UNIT)),
            "payload": Out(PAYLOAD),
        })

    def elaborate(self, platform):
        m = Module()
        fetching = Signal()
        beat = Signal(range(max(LENGTHS.values()) + self.DECIDED))  # cycles since the first address
        word = Unreset(WORD)
        beyond_word = self._address(m, fetching)
        missing = Unreset()  # the header lies beyond the program memory
        self._decode(m, fetching, beat, word, beyond_word, missing)
        checked, complete = self._due(m, fetching, beat)

        m.d.sync += beat.eq(beat + 1)
        with m.If(checked & missing):
            m.d.sync += self.refused.eq(Error.NO_END)
        with m.Elif(checked & ~self.opcode.any()):
            m.d.sync += self.refused.eq(Error.ILLEGAL)
        with m.Elif(complete & beyond_word & ~self.opcode[Opcode.END]):
            m.d.sync += self.refused.eq(Error.NO_END)
        with m.Elif(complete):
            m.d.sync += self.ready.eq(1)
        with m.If(checked & (missing | ~self.opcode.any()) | complete):
            m.d.sync += fetching.eq(0)
        with m.If(self.drop):
            m.d.sync += [
                fetching.eq(0),
                self.ready.eq(0),
                self.refused.eq(Error.NONE),
            ]
        with m.If(self.begin):
            m.d.sync += fetching.eq(1)
            m.d.sync += beat.eq(0)
        return m

    def _address(self, m, fetching):
        """An address each cycle up to the end of the memory.

        Returns whether the word before the one in ``word`` is beyond the memory.
        """
        beyond = Signal()
        fetch = Signal.like(self.at, name="word_at")  # that is fetched
        m.d.comb += self.p_addr.eq(fetch)
        m.d.comb += beyond.eq(fetch >= self.config.program_words)
        with m.If(~fetching):
            m.d.sync += fetch.eq(self.at)
        with m.Elif(~beyond):
            m.d.sync += fetch.eq(fetch + 1)
        return delays(m, beyond, self.READY, Signal, "beyond")[-1]

    def _decode(self, m, fetching, beat, word, beyond_word, missing):
        """What the words are: beat ``READY`` + i has payload word i in ``word``."""
        found = Unreset(WORD)  # the header
        m.d.sync += word.eq(self.p_data)
        with m.If(fetching & (beat == self.READY - 1)):
            m.d.sync += found.eq(word)
        waits = found[min(WAIT_BIT.values()):][:len(UNIT)]
        others = Cat(found[:min(WAIT_BIT.values())], found[max(WAIT_BIT.values()) + 1:])
        with m.If(fetching & (beat == self.READY)):
            m.d.sync += missing.eq(beyond_word)
            m.d.sync += self.waits.eq(waits)
            for op in Opcode:
                legal = (others == header(op, ())) & (waits.all() if op not in WITH_UNIT else 1)
                m.d.sync += self.opcode[op].eq(legal)
        for index in range(PAYLOAD // WORD):
            with m.If(fetching & (beat == self.READY + index)):
                m.d.sync += self.payload.word_select(index, WORD).eq(word)

    def _due(self, m, fetching, beat):
        """Whether the header is known in this beat, and whether the whole command is there in it."""
        last_beat = {op: max(self.DECIDED, self.READY + length - 1) for op, length in LENGTHS.items()}
        due = {last: Signal(name=f"beat_{last}") for last in {self.DECIDED, *last_beat.values()}}
        m.d.sync += [reached.eq(fetching & (beat == last - 1)) for last, reached in due.items()]
        complete = Cat(self.opcode[op] & due[last_beat[op]] for op in Opcode).any()
        return fetching & due[self.DECIDED], fetching & complete
