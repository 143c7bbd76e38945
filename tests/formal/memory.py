"""Block RAM: the proof of the real one, and the abstraction that takes its place in the proof of a lane."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from formal.proof import Proof
from gradgate.hw.parts import ram


class RamProof(Proof):
    """Any one word: a read gives what was written last. Reading has no effect, so it is enough to read that word always."""

    def __init__(self, config=None, module=ram):
        super().__init__(module.Ram(width=8, depth=32, parts=2))

    def properties(self, m):
        dut, word, known = self.unit, Signal(8), Signal(2)
        chosen = AnyConst(len(dut.r_addr))
        self.assume(dut.r_addr == chosen)
        with m.If(dut.w_addr == chosen):
            for part in range(2):
                with m.If(dut.w_en[part]):
                    m.d.sync += [known[part].eq(1), word[4 * part:4 * part + 4].eq(dut.w_data[4 * part:4 * part + 4])]
        word2, known2 = self.past(self.past(word)), self.past(self.past(known))
        for part in range(2):
            with m.If(known2[part]):
                self.check(dut.r_data[4 * part:4 * part + 4] == word2[4 * part:4 * part + 4])
        self.cover(known2.all() & (dut.r_data != 0))


class AnyRam(wiring.Component):
    """One word of a :class:`Ram`, whichever; its other words, and a word read in the cycle of its write, are anything."""

    def __init__(self, *, width, depth, parts=1):
        self.width, self.parts = width, parts
        bits = (depth - 1).bit_length()
        self.chosen, self.word = Signal(bits), Signal(width)
        super().__init__({
            "r_addr": In(bits), "r_data": Out(width),
            "w_addr": In(bits), "w_data": In(width), "w_en": In(parts),
        })

    def elaborate(self, platform):
        m = Module()
        part = self.width // self.parts
        m.d.comb += self.chosen.eq(AnyConst(len(self.chosen)))
        with m.If(self.w_addr == self.chosen):
            for i in range(self.parts):
                with m.If(self.w_en[i]):
                    m.d.sync += self.word[i * part:(i + 1) * part].eq(self.w_data[i * part:(i + 1) * part])
        known = (self.r_addr == self.chosen) & ~((self.w_addr == self.chosen) & self.w_en.any())
        latch = Signal(self.width)
        m.d.sync += [latch.eq(Mux(known, self.word, AnySeq(self.width))), self.r_data.eq(latch)]
        return m
