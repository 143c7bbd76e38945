"""The host bus as a Wishbone slave."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS
from gradgate.hw.core import Core
from gradgate.hw.parts.bus import BusSignature

SELECTS = WORD // 8


class WishboneSignature(wiring.Signature):
    """Wishbone B4, classic cycles, 32-bit data, granularity 8 (seen from the master). Addresses count words.

    cyc : Out(1), a cycle is under way; what the master drives is kept until ``ack`` or ``err``
    stb : Out(1), with ``cyc``: there is a request
    we : Out(1), it is a write
    adr : Out(24), word address
    dat_w : Out(32), the word to write
    sel : Out(4), bytes of the word
    dat_r : In(32), the word read; valid with ``ack``
    ack : In(1), for one cycle: it is done
    err : In(1), for one cycle: it is refused
    """

    def __init__(self):
        super().__init__({
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "adr": Out(ADDRESS_BITS),
            "dat_w": Out(WORD),
            "sel": Out(SELECTS),
            "dat_r": In(WORD),
            "ack": In(1),
            "err": In(1),
        })


class WishboneFace(wiring.Component):
    """Turns Wishbone cycles into transfers on the host bus.

    Writes of less than a whole word end with ``err`` and write nothing; ``sel`` does not matter for reads. A
    master that takes its request back gets no answer, and its next request waits until the bus has answered
    the one before.

    Members
    -------
    wb : WishboneSignature (seen from here)
    bus : BusSignature (seen from its master)

    Latency: a write takes 3 cycles, a read ``2 + r`` where the bus takes r, an error 2; the request's and the
    answer's cycle included. Throughput: one request at a time, the next one in the cycle after the answer.
    Resources: 57 registers, no DSP, no block RAM.
    Source: own, after "Wishbone B4" (OpenCores, 2010), chapter 3.
    Example: docs/examples.md#wishbone
    """

    def __init__(self):
        super().__init__({"wb": In(WishboneSignature()), "bus": Out(BusSignature())})

    def elaborate(self, platform):
        m = Module()
        wb, bus = self.wb, self.bus
        wanted = Signal()  # the master still waits for the answer
        asks = wb.cyc & wb.stb
        m.d.sync += [
            wb.ack.eq(0),
            wb.err.eq(0),
        ]
        with m.If(bus.valid):
            m.d.sync += wanted.eq(wanted & asks)
            with m.If(bus.ready):
                m.d.sync += [
                    bus.valid.eq(0),
                    wb.ack.eq(wanted & asks),
                    wb.dat_r.eq(bus.r_data),
                ]
        with m.Elif(asks & ~wb.ack & ~wb.err):
            m.d.sync += [
                bus.write.eq(wb.we),
                bus.addr.eq(wb.adr),
                bus.w_data.eq(wb.dat_w),
                wanted.eq(1),
            ]
            with m.If(wb.we & ~wb.sel.all()):
                m.d.sync += wb.err.eq(1)
            with m.Else():
                m.d.sync += bus.valid.eq(1)
        return m


class WishboneCore(wiring.Component):
    """A core behind a Wishbone slave, with flat ports.

    Members
    -------
    NAME : ``wb_cyc`` .. ``wb_err``, those of :class:`WishboneSignature` (seen from here)
    busy : Out(1), see :class:`~gradgate.hw.core.Core`
    error : Out(1), likewise

    Ports: tools know the bus by these names; clock and reset are ``clk`` and ``rst``.

    Latency, throughput, resources: of :class:`WishboneFace` and of the core.
    """

    def __init__(self, config):
        self.config = config
        ports = {f"wb_{name}": member for name, member in WishboneSignature().flip().members.items()}
        super().__init__({**ports, "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.face = face = WishboneFace()
        m.submodules.core = core = Core(self.config)
        wiring.connect(m, face.bus, core.bus)
        m.d.comb += self.busy.eq(core.busy)
        m.d.comb += self.error.eq(core.error)
        for name, member in WishboneSignature().members.items():
            outside, inside = getattr(self, f"wb_{name}"), getattr(face.wb, name)
            if member.flow == Out:
                m.d.comb += inside.eq(outside)
            else:
                m.d.comb += outside.eq(inside)
        return m
