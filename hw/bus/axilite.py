"""The host bus as an AXI4-Lite subordinate."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS
from gradgate.hw.core import Core
from gradgate.hw.parts.bus import BusSignature

BYTE_BITS = (WORD // 8 - 1).bit_length()  #: bits of an address that count the bytes of a word
AXI_ADDRESS_BITS = ADDRESS_BITS + BYTE_BITS
OKAY, SLVERR = 0, 2


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite with 32-bit data (seen from the manager); addresses count bytes.

    awaddr : Out(26), address of a write; valid with ``awvalid``
    awprot : Out(3), does not matter here
    awvalid : Out(1), there is an address of a write
    awready : In(1), it is taken
    wdata : Out(32), the word; valid with ``wvalid``
    wstrb : Out(4), bytes of it; valid with ``wvalid``
    wvalid : Out(1), there is a word to write
    wready : In(1), it is taken
    bresp : In(2), how a write ended; valid with ``bvalid``
    bvalid : In(1), a write ended
    bready : Out(1), the answer is taken
    araddr : Out(26), address of a read; valid with ``arvalid``
    arprot : Out(3), does not matter here
    arvalid : Out(1), there is an address of a read
    arready : In(1), it is taken
    rdata : In(32), the word read; valid with ``rvalid``
    rresp : In(2), how the read ended; valid with ``rvalid``
    rvalid : In(1), a read ended
    rready : Out(1), the answer is taken
    """

    def __init__(self):
        super().__init__({
            "awaddr": Out(AXI_ADDRESS_BITS),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(WORD),
            "wstrb": Out(WORD // 8),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(AXI_ADDRESS_BITS),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(WORD),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        })


class AxiLiteFace(wiring.Component):
    """Turns AXI4-Lite transactions into transfers on the host bus.

    Address and data of a write may come in any order. Answered with SLVERR, without a transfer: addresses
    that are no multiple of four, and writes whose ``wstrb`` is not 0xf. Where a read and a write wait, they
    take turns. Outputs follow from registers alone.

    Members
    -------
    axi : AxiLiteSignature (seen from here)
    bus : BusSignature (seen from its master)

    Latency: ``awvalid`` and ``wvalid`` to ``bvalid`` 2 cycles; ``arvalid`` to ``rvalid`` ``1 + r`` where the
    bus takes r, 2 for an error. Throughput: a write in 2 cycles; one read at a time, in ``1 + r``.
    Resources: about 130 registers, no DSP, no block RAM. Source: own, after Arm IHI 0022, part B.
    Example: docs/examples.md#axi4-lite
    """

    def __init__(self):
        super().__init__({"axi": In(AxiLiteSignature()), "bus": Out(BusSignature())})

    def elaborate(self, platform):
        m = Module()
        axi, bus = self.axi, self.bus

        # A register after each channel from the manager; ready while it is empty.
        aw_full = Signal()
        w_full = Signal()
        ar_full = Signal()
        aw_addr = Signal(AXI_ADDRESS_BITS)
        ar_addr = Signal(AXI_ADDRESS_BITS)
        w_data = Signal(WORD)
        w_strb = Signal(WORD // 8)
        write_done = Signal()
        read_done = Signal()
        for full, ready, valid, done, kept in (
                (aw_full, axi.awready, axi.awvalid, write_done, [(aw_addr, axi.awaddr)]),
                (w_full, axi.wready, axi.wvalid, write_done, [(w_data, axi.wdata), (w_strb, axi.wstrb)]),
                (ar_full, axi.arready, axi.arvalid, read_done, [(ar_addr, axi.araddr)])):
            m.d.comb += ready.eq(~full)
            with m.If(done):
                m.d.sync += full.eq(0)
            with m.Elif(valid & ready):
                m.d.sync += full.eq(1)
                m.d.sync += [register.eq(value) for register, value in kept]

        # Whose turn it is; what has begun goes on to its end.
        write_waits = aw_full & w_full & ~axi.bvalid
        read_waits = ar_full & ~axi.rvalid
        reading = Signal()
        writing = Signal()
        read_last = Signal()
        write_now = Signal()
        read_now = Signal()
        m.d.comb += [
            read_now.eq(reading | (read_waits & ~writing & ~(write_waits & read_last))),
            write_now.eq(write_waits & ~read_now),
        ]
        bad_write = aw_addr[:BYTE_BITS].any() | ~w_strb.all()
        bad_read = ar_addr[:BYTE_BITS].any()
        m.d.comb += [
            bus.valid.eq((write_now & ~bad_write) | (read_now & ~bad_read)),
            bus.write.eq(write_now),
            bus.w_data.eq(w_data),
            bus.addr.eq(aw_addr[BYTE_BITS:]),
            write_done.eq(write_now & (bad_write | bus.ready)),
            read_done.eq(read_now & (bad_read | bus.ready)),
        ]
        with m.If(read_now):
            m.d.comb += bus.addr.eq(ar_addr[BYTE_BITS:])
        m.d.sync += reading.eq(read_now & ~read_done)
        m.d.sync += writing.eq(write_now & ~write_done)
        with m.If(write_done | read_done):
            m.d.sync += read_last.eq(read_now)

        with m.If(axi.bvalid & axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(write_done):
            m.d.sync += axi.bvalid.eq(1)
            m.d.sync += axi.bresp.eq(OKAY)
            with m.If(bad_write):
                m.d.sync += axi.bresp.eq(SLVERR)
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        with m.If(read_done):
            m.d.sync += [
                axi.rvalid.eq(1),
                axi.rdata.eq(bus.r_data),
                axi.rresp.eq(OKAY),
            ]
            with m.If(bad_read):
                m.d.sync += axi.rdata.eq(Const(0, WORD))
                m.d.sync += axi.rresp.eq(SLVERR)
        return m


class AxiLiteCore(wiring.Component):
    """A core behind an AXI4-Lite subordinate, with the ports that Vivado and LiteX expect.

    Members
    -------
    s_axi_aclk : In(1), clock
    s_axi_aresetn : In(1), reset at 0, synchronous to it
    NAME : ``s_axi_awaddr`` .. ``s_axi_rready``, those of :class:`AxiLiteSignature` (seen from here)
    busy : Out(1), see :class:`~gradgate.hw.core.Core`
    error : Out(1), likewise

    Latency, throughput, resources: of :class:`AxiLiteFace` and of the core.
    """

    def __init__(self, config):
        self.config = config
        ports = {f"s_axi_{name}": member for name, member in AxiLiteSignature().flip().members.items()}
        super().__init__({
            "s_axi_aclk": In(1),
            "s_axi_aresetn": In(1),
            **ports,
            "busy": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(self.s_axi_aclk)
        m.d.comb += ResetSignal().eq(~self.s_axi_aresetn)
        m.submodules.face = face = AxiLiteFace()
        m.submodules.core = core = Core(self.config)
        wiring.connect(m, face.bus, core.bus)
        m.d.comb += self.busy.eq(core.busy)
        m.d.comb += self.error.eq(core.error)
        for name, member in AxiLiteSignature().members.items():
            outside, inside = getattr(self, f"s_axi_{name}"), getattr(face.axi, name)
            if member.flow == Out:
                m.d.comb += inside.eq(outside)
            else:
                m.d.comb += outside.eq(inside)
        return m
