"""The access of a host that is under way: where it goes, and whether it can be done."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Mux, Signal

from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS, CSR_DOC, REGION_SHIFT, Csr, Region, windows

#: Regions that answer only while no program runs.
DATA_REGIONS = (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.ARGMAX, Region.VELOCITY)
#: What each memory is for, as in ``CSR_DOC``.
ACCESS = {Region.PROGRAM: "w", Region.STARTS: "r", Region.ENDS: "r", Region.ARGMAX: "r"}


class HostAccess:
    """The access under way, as statements in a :class:`~gradgate.hw.control.hostport.HostPort`.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    reading : Signal(1), a read is to be answered; no request is taken
    answer : Signal(1), it is answered in this cycle, with ``bus.r_data``; to be driven
    asked : Signal(1), a request was taken a cycle ago
    ask_write : Signal(1), it is a write; kept until the next request, like the next two
    ask_addr : Signal(24), its address
    ask_data : Signal(32), its word
    act : Signal(1), the members below are new: two cycles after the request
    write : Signal(1), it is a write; kept until the next request, like all others
    offset : Signal(20), word of the region
    word : Signal(32), the word to write
    hit : ``{Region: Signal(1)}``, what is asked can be done there; at most one is set
    written : ``{Region: Signal(1)}``, .. and is a write
    writes_to : ``{Csr: Signal(1)}``, .. of this register
    idle_only : Signal(1), .. but not while the core is busy
    """

    def __init__(self, config):
        self.config = config
        self.reading = Signal()
        self.answer = Signal()
        self.asked = Signal()
        self.ask_write = Signal()
        self.ask_addr = Signal(ADDRESS_BITS)
        self.ask_data = Signal(WORD)
        self.act = Signal()
        self.write = Signal()
        self.offset = Signal(REGION_SHIFT)
        self.word = Signal(WORD)
        regions = [Region.CSR, *(region for region, window in windows(config).items() if window.words)]
        registers = [csr for csr, (access, _) in CSR_DOC.items() if "w" in access]
        self.hit = {region: Signal(name=f"hit_{region.name}") for region in regions}
        self.written = {region: Signal(name=f"written_{region.name}") for region in regions}
        self.writes_to = {csr: Signal(name=f"writes_to_{csr.name}") for csr in registers}
        self.idle_only = Signal()

    def elaborate(self, m, bus):
        """Add the statements; ``bus`` is a BusSignature (seen from here), whose ``r_data`` is left alone."""
        self._request(m, bus)
        self._decode(m)

    def _request(self, m, bus):
        """A request, in registers."""
        m.d.comb += bus.ready.eq(Mux(self.reading, self.answer, bus.write))
        accept = bus.valid & ~self.reading
        m.d.sync += self.asked.eq(accept)
        with m.If(accept):
            m.d.sync += [
                self.reading.eq(~bus.write),
                self.ask_write.eq(bus.write),
                self.ask_addr.eq(bus.addr),
                self.ask_data.eq(bus.w_data),
            ]
        with m.If(self.answer):
            m.d.sync += self.reading.eq(0)

    def _decode(self, m):
        """Which memory or register it is for, and whether that has the word."""
        write, address = self.ask_write, self.ask_addr
        has = {region: self._has(region, write, address) for region in self.hit}
        has_csr = {csr: has[Region.CSR] & write & (address[:REGION_SHIFT] == csr) for csr in self.writes_to}
        has_data = Cat(has[region] for region in DATA_REGIONS if region in has).any()
        m.d.sync += self.act.eq(self.asked)
        with m.If(self.asked):
            m.d.sync += [
                self.write.eq(write),
                self.offset.eq(address),
                self.word.eq(self.ask_data),
            ]
            m.d.sync += [self.hit[region].eq(found) for region, found in has.items()]
            m.d.sync += [self.written[region].eq(found & write) for region, found in has.items()]
            m.d.sync += [self.writes_to[csr].eq(found) for csr, found in has_csr.items()]
            m.d.sync += self.idle_only.eq(has_data | has_csr[Csr.START])

    def _has(self, region, write, address):
        """Whether ``region`` is addressed, has the word, and lets it be read or written as asked."""
        config, offset = self.config, address[:REGION_SHIFT]
        here = address[REGION_SHIFT:] == region
        if region == Region.CSR:
            return here & reduce(or_, (
                (offset == csr) & Mux(write, "w" in access, "r" in access)
                for csr, (access, _) in CSR_DOC.items()))
        inside = offset < windows(config)[region].words
        bricks = {Region.ROWS: config.act_bricks, Region.ARGMAX: config.argmax_bricks}.get(region)
        if bricks is not None:
            inside &= place(config, bricks, offset)[1] < bricks
        return here & inside & {"r": ~write, "w": write}.get(ACCESS.get(region), 1)


def place(config, bricks, offset):
    """``(row, brick, lane)`` of the word at ``offset`` of row memories of ``bricks`` bricks."""
    lane_bits = (config.lanes - 1).bit_length()
    brick_bits = (bricks - 1).bit_length()
    return offset[lane_bits + brick_bits:], offset[lane_bits:lane_bits + brick_bits], offset[:lane_bits]
