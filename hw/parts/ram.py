"""Block RAM with one read and one write port and a registered output."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.checks import integer
from gradgate.hw.parts import ecp5
from gradgate.hw.parts.registers import Unreset, behind


class Ram(wiring.Component):
    """Block RAM: one read port, one write port, registered output.

    It is the portable twin of a ``DP16KD`` with ``OUTREG``.

    Parameters
    ----------
    width : bits of a word, 1 to 4096
    depth : words, 2 to 65536
    parts : number of equal parts of a word with a write enable of their own (divides ``width``)

    Members
    -------
    r_addr : In(bits of an address), word to read
    r_data : Out(width), the word at the ``r_addr`` of two cycles ago
    w_addr : In(bits of an address), word to write; valid with ``w_en``
    w_data : In(width), what to write; valid with ``w_en``
    w_en : In(parts), one bit a part, part 0 lowest

    Latency: read ``latency.RAM`` = 2 cycles; a write can be read by an ``r_addr`` given in the next cycle.
    Reading an address in the cycle of its write gives the old word here and is undefined on some targets:
    users avoid it.
    Throughput: one read and one write a cycle. Resources: block RAM only (18 kbit each), no DSP.
    Example: docs/examples.md#ram
    """

    def __init__(self, *, width, depth, parts=1):
        self.width = integer("width", width, 1, 4096)
        self.depth = integer("depth", depth, 2, 65536)
        self.parts = integer("parts", parts, 1, width)
        if width % parts:
            raise ValueError(f"parts must divide width {width}, not {parts}")
        bits = (depth - 1).bit_length()
        super().__init__({
            "r_addr": In(bits),
            "r_data": Out(width),
            "w_addr": In(bits),
            "w_data": In(width),
            "w_en": In(parts),
        })

    def elaborate(self, platform):
        if ecp5.has(platform) and self.depth <= max(ecp5.WIDTHS):
            return ecp5.ram(self)
        m = Module()
        memory = Memory(shape=self.width, depth=self.depth, init=[], attrs={"no_rw_check": 1})
        m.submodules.mem = memory
        read = memory.read_port(domain="comb")
        write = memory.write_port(granularity=self.width // self.parts)
        m.d.comb += [
            read.addr.eq(self.r_addr),
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
        ]
        latch = Unreset(self.width)
        output = behind(m, self.r_data, "output")
        m.d.sync += latch.eq(read.data)
        m.d.sync += output.eq(latch)
        return m


assert latency.RAM == 2, "Ram has two registers"
