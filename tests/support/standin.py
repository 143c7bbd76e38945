"""A core with the real host port and memories, whose commands only take time: for tests of what talks to a core.

A program word is ``cycles << 16 | error << 8 | 1``, a command that takes ``cycles`` and ends with that error, or the
real ``END``. Region 14 is a memory of 36-bit words, two addresses a word; its low part is written first. All memories
but ``STARTS`` and ``ENDS`` can be written.
"""

from amaranth.back import verilog
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.config import Config
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import ADDRESS_BITS, ID_VALUE, REGION_SHIFT, STOP_NONE, Csr, Region, windows
from gradgate.hw.parts.ram import Ram
from gradgate.sim import toolchain

SUMS = 14  #: region of the memory of 36-bit words
BAD = 8  #: a write here fails an assertion
DEAD = 15  #: a region that never answers

#: rows of 128-bit words in one, of 36-bit words in the other
WIDE_ROWS = Config(name="wide", rows=2, lanes=8, act_bricks=32, weight_bricks=16, argmax_bricks=16, program_words=64,
                   counters=16, staging_words=64)
NARROW_ROWS = Config(name="narrow", rows=3, lanes=4, act_bricks=16, weight_bricks=32, argmax_bricks=16, counters=32,
                     program_words=32, staging_words=128, formats=Formats(
                         act_bits=9, act_frac=4, weight_frac=4, master_bits=17, master_frac=12, grad_frac=5))


def command(cycles, error=0):
    """A program word."""
    return cycles << 16 | error << 8 | 1


def host_bus():
    """The host port, seen from the core."""
    return wiring.Signature({
        "valid": In(1), "write": In(1), "addr": In(ADDRESS_BITS), "w_data": In(32), "ready": Out(1), "r_data": Out(32)})


def generate(config):
    """Verilog of a stand-in."""
    toolchain.use_yosys()
    return verilog.convert(StandIn(config), name="gradgate", emit_src=False, strip_internal_attrs=True)


class StandIn(wiring.Component):
    """See above. Latency of the host port: a write 1 cycle, a read 3 cycles."""

    def __init__(self, config):
        self.config = config
        super().__init__({"bus": Out(host_bus()), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bus, config, formats = self.bus, self.config, self.config.formats
        region, offset = bus.addr[REGION_SHIFT:], bus.addr[:REGION_SHIFT]
        wait = Signal(2)
        write = Signal()
        m.d.comb += write.eq(bus.valid & bus.write)
        with m.If(bus.valid & (region != DEAD)):
            with m.If(bus.write | (wait == 2)):
                m.d.comb += bus.ready.eq(1)
                m.d.sync += wait.eq(0)
            with m.Else():
                m.d.sync += wait.eq(wait + 1)
        m.d.sync += Assert(~(write & (region == BAD)))

        def memory(name, width, depth, number, **kwargs):
            m.submodules[name] = ram = Ram(width=width, depth=depth, **kwargs)
            m.d.comb += [ram.r_addr.eq(offset), ram.w_addr.eq(offset), ram.w_data.eq(bus.w_data)]
            if number is not None:
                m.d.comb += ram.w_en.eq(write & (region == number))
                with m.If(region == number):
                    m.d.comb += bus.r_data.eq(ram.r_data)
            return ram

        program = memory("program", 32, config.program_words, Region.PROGRAM)
        starts = memory("starts", 32, config.counters, None)
        ends = memory("ends", 32, config.counters, None)
        memory("staging", formats.act_bits, config.staging_words, Region.STAGING)
        memory("weights", formats.master_bits, config.weight_bricks * config.lanes, Region.WEIGHTS)
        memory("argmax", 2, windows(config)[Region.ARGMAX].words, Region.ARGMAX)
        lane_bits = (config.lanes - 1).bit_length()
        brick_bits = (config.act_bricks - 1).bit_length()
        for r in range(config.rows):
            ram = memory(f"row{r}", formats.act_bits * config.lanes, config.act_bricks, None, parts=config.lanes)
            here = (region == Region.ROWS) & (offset[lane_bits + brick_bits:] == r)
            word = ram.r_data.word_select(offset[:lane_bits], formats.act_bits)
            m.d.comb += [
                ram.r_addr.eq(offset[lane_bits:]), ram.w_addr.eq(offset[lane_bits:]),
                ram.w_data.eq(bus.w_data[:formats.act_bits].replicate(config.lanes)),
                ram.w_en.eq(Mux(here & write, 1 << offset[:lane_bits], 0)),
            ]
            with m.If(here):
                m.d.comb += bus.r_data.eq(word)
        sums, low = memory("sums", 36, 16, None), Signal(32)
        m.d.comb += [sums.r_addr.eq(offset[1:]), sums.w_addr.eq(offset[1:])]
        with m.If(region == SUMS):
            m.d.comb += [bus.r_data.eq(Mux(offset[0], sums.r_data[32:], sums.r_data)),
                         sums.w_data.eq(low | bus.w_data << 32), sums.w_en.eq(write & offset[0])]
            with m.If(write):
                m.d.sync += low.eq(bus.w_data)
        for number, ram in ((Region.STARTS, starts), (Region.ENDS, ends)):
            with m.If(region == number):
                m.d.comb += bus.r_data.eq(ram.r_data)

        self.elaborate_sequencer(m, write & (region == Region.CSR), program, starts, ends)
        return m

    def elaborate_sequencer(self, m, write, program, starts, ends):
        """Control registers, and the units' time."""
        bus, start, stop, index = self.bus, Signal(16), Signal(16, init=STOP_NONE), Signal(16)
        cycles, left, ended, error = Signal(32), Signal(17), Signal(), Signal(8)
        values = {Csr.ID: ID_VALUE, Csr.STATUS: self.busy | ended << 1 | error << 8, Csr.START: start, Csr.STOP: stop,
                  Csr.INDEX: index, Csr.PC: start, Csr.CORRECT: 0x1234, Csr.OVERFLOW: 5, Csr.CYCLES: cycles,
                  Csr.FINGERPRINT: fingerprint(self.config)}
        with m.If(bus.addr[REGION_SHIFT:] == Region.CSR):
            with m.Switch(bus.addr):
                for csr, value in values.items():
                    with m.Case(int(csr)):
                        m.d.comb += bus.r_data.eq(value)
        with m.If(write & (bus.addr == Csr.START)):
            m.d.sync += start.eq(bus.w_data)
        with m.If(write & (bus.addr == Csr.STOP)):
            m.d.sync += stop.eq(bus.w_data)
        word = program.r_data
        m.d.comb += self.error.eq(error != 0)
        for ram in (starts, ends):
            m.d.comb += [ram.w_addr.eq(index), ram.w_data.eq(cycles + 1)]
        with m.If(self.busy):
            m.d.comb += program.r_addr.eq(start)
            m.d.sync += cycles.eq(cycles + 1)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(write & (bus.addr == Csr.CONTROL) & bus.w_data[0]):
                    m.d.sync += [self.busy.eq(1), ended.eq(0), error.eq(0)]
                    with m.If(start == 0):
                        m.d.sync += [index.eq(0), cycles.eq(0)]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += left.eq(word[16:])
                m.d.comb += starts.w_en.eq(1)
                m.next = "EXECUTE"
                with m.If(~word[0]):
                    m.d.sync += [self.busy.eq(0), ended.eq(1)]
                    m.next = "IDLE"
            with m.State("EXECUTE"):
                m.d.sync += left.eq(left - 1)
                with m.If((left <= 1) & (word[8:16] != 0)):
                    m.d.sync += [self.busy.eq(0), error.eq(word[8:16])]
                    m.next = "IDLE"
                with m.Elif(left <= 1):
                    m.d.comb += ends.w_en.eq(1)
                    m.d.sync += [start.eq(start + 1), index.eq(index + 1)]
                    m.next = "FETCH"
                    with m.If(index == stop):
                        m.d.sync += self.busy.eq(0)
                        m.next = "IDLE"
