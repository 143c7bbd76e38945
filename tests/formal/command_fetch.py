"""The fetch of a command: what is ready or refused, when, and that its words are those of the program memory."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Mux, Signal

from formal.proof import Proof, implies, small
from gradgate.arch import commands, latency
from gradgate.arch.commands import WAIT_BIT, WORD, Error, Opcode
from gradgate.hw.control import command_fetch

#: Cycles from ``begin`` until it is known whether there is a legal header.
DECIDED = latency.RAM + 5


class CommandFetchProof(Proof):
    """A command is ready or refused so many cycles after ``begin``, as its words say, and stays so until it is dropped.

    Any one word of the program memory stands for all: whichever address, it is the header of some commands and a payload word of
    others. Assumed of the surroundings: nothing begins while a command is being fetched, and the program does not change meanwhile.
    """

    def __init__(self, config=None, module=command_fetch):
        self.config = config or small()
        super().__init__(module.CommandFetch(self.config))

    def properties(self, m):
        self.program(m)
        self.command(m)
        self.promises(m)
        self.registers()
        self.covers()

    def program(self, m):
        """The memory, of which one word is known."""
        dut, words = self.unit, self.config.program_words
        self.chosen, self.word = AnyConst(range(words)), self.free("word", WORD)
        self.assume(self.chosen < words)
        self.kept = Signal()  # from the cycle behind ``begin`` to that of ``drop``
        before = self.past(self.word)
        self.assume(~(self.kept & self.past(self.kept)) | (self.word == before))
        self.address = [dut.p_addr]  # of this cycle, of the one before, ...
        for _ in range(latency.RAM):
            self.address.append(self.past(self.address[-1]))
        with m.If(self.kept & (self.address[-1] == self.chosen)):
            self.assume(dut.p_data == self.word)

    def command(self, m):
        """What is fetched, and how far it is."""
        dut, words = self.unit, self.config.program_words
        self.at = Signal.like(dut.at)
        self.age = Signal(8)  # cycles since ``begin``
        self.header = Signal(WORD)
        with m.If(self.age == latency.RAM + 1):
            m.d.sync += self.header.eq(dut.p_data)
        with m.If(self.kept & (self.age < 60)):
            m.d.sync += self.age.eq(self.age + 1)
        with m.If(dut.drop):
            m.d.sync += [self.kept.eq(0), self.age.eq(0)]
        with m.If(dut.begin):
            m.d.sync += [self.kept.eq(1), self.age.eq(1), self.at.eq(dut.at)]
        header = self.header
        self.legal = {op: (header[:8] == op) & (header[8:16] == commands.length(op)) & (header[23:] == 0) for op in Opcode}
        self.legal[Opcode.END] &= header[16:23].all()
        self.known = Cat(self.legal.values()).any()
        self.length = sum(Mux(self.legal[op], commands.length(op), 0) for op in Opcode)
        self.present = self.at < words
        self.fits = self.present & self.known & (self.at + self.length <= words)
        self.due = Signal(8)  # the age at which all is known
        m.d.comb += self.due.eq(Mux(self.present & self.known & (self.length > 2), self.length + latency.RAM + 3, DECIDED))
        self.fetching = self.kept & ((self.age < DECIDED) | (self.age < self.due))
        self.assume(implies(dut.begin, ~self.fetching & (dut.drop | ~self.kept)))

    def promises(self, m):
        dut, words = self.unit, self.config.program_words
        there = self.kept & ~self.fetching
        self.check(dut.ready == (there & self.fits))
        self.check(dut.refused == Mux(there & ~self.fits, Mux(self.present & ~self.known, Error.ILLEGAL, Error.NO_END), Error.NONE))
        before, fields = self.past(Cat(dut.opcode, dut.waits)), self.past(dut.payload)
        with m.If(dut.ready):
            self.check(dut.opcode == Cat(self.legal.values()))
            self.check(dut.waits == self.header[WAIT_BIT[Opcode.MOVE]:][:len(WAIT_BIT)])
            self.check(Cat(dut.opcode, dut.waits) == before)  # valid a cycle before
            for op in Opcode:
                size = WORD * (commands.length(op) - 1)
                self.check(implies(dut.opcode[op], dut.payload[:size] == fields[:size]))
            self.check(implies(self.at == self.chosen, self.header == self.word))
            for i in range(max(map(commands.length, Opcode)) - 1):
                ours = (i + 1 < self.length) & (self.at + 1 + i == self.chosen)
                self.check(implies(ours, dut.payload.word_select(i, WORD) == self.word))
        fetch = self.at + self.age - 1
        with m.If(self.kept & (self.age < DECIDED) & (fetch < words)):
            self.check(dut.p_addr == fetch)

    def registers(self):
        """What registers within have to do with the model."""
        inside, age, dut = self.inside, self.age, self.unit
        self.lemma(inside.fetching == self.fetching)
        self.lemma(self.kept == (age != 0))
        self.lemma(age <= 60)
        self.lemma(implies(self.fetching, inside.beat == (age - 1)[:len(inside.beat)]))
        within = self.at + age - 1 < self.config.program_words
        self.lemma(implies(self.fetching, inside.fetch == Mux(within, self.at + age - 1, Mux(
            self.present, self.config.program_words, self.at))))
        self.lemma(implies(self.fetching & (age > latency.RAM + 2), inside.found == self.header))
        decoded = self.kept & (age > latency.RAM + 3)
        for op in Opcode:
            self.lemma(implies(decoded, dut.opcode[op] == self.legal[op]))
        self.lemma(implies(decoded, dut.waits == self.header[WAIT_BIT[Opcode.MOVE]:][:len(WAIT_BIT)]))
        self.lemma(implies(decoded & self.fetching, inside.missing == ~self.present))
        seen = (age > latency.RAM + 1) & (self.at == self.chosen)
        self.lemma(implies(self.kept & seen, self.header == self.word))
        for i in range(max(map(commands.length, Opcode)) - 1):
            there = self.at + 1 + i == self.chosen
            read = self.kept & (age > latency.RAM + 3 + i) & (self.fetching | (i + 1 < self.length) & self.fits)
            self.lemma(implies(there & read, dut.payload.word_select(i, WORD) == self.word))
        self.lemma(implies(self.fetching & (age > latency.RAM + 1) & (self.at + age - latency.RAM - 2 == self.chosen),
                           inside.word == self.word))
        for i in range(1, latency.RAM + 1):
            self.lemma(implies(self.fetching & (age > i) & (self.at + age - 1 - i < self.config.program_words),
                               self.address[i] == self.at + age - 1 - i))

    def covers(self):
        dut = self.unit
        self.cover(dut.ready & dut.opcode[Opcode.END])
        self.cover(dut.ready & dut.opcode[Opcode.LOSS] & (self.chosen == self.at + 1) & (self.word != 0))
        for error in (Error.ILLEGAL, Error.NO_END):
            self.cover(dut.refused == error)
