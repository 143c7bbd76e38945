"""The lists of a row, and their endless broadcast."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.array.list_builder import entry_layout
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.parts.shapes import below


class Carousel(wiring.Component):
    """Keeps S lists and broadcasts the open ones cyclically, an entry a cycle, until all lanes are done.

    A lane that sees its bit of ``pending`` set may begin a turn in any cycle: in the following cycle ``bus``
    carries some entry, and in ``length`` consecutive cycles every entry once.

    Members
    -------
    e_en : In(1), of the list builder: write an entry
    e_list : In(range(lists)), its list; valid with ``e_en`` and ``open``
    e_addr : In(range(list_entries)), its place in the list; valid with ``e_en``
    e_entry : In(entry), the entry; valid with ``e_en``
    open : In(1), of the list builder, one cycle: list ``e_list`` is complete
    o_length : In(range(list_entries + 1)), its entries; valid with ``open``
    o_psum : In(range(psum_words)), address of its first sum; valid with ``open``
    o_void : In(1), no lane has anything to do with it; valid with ``open``
    claim : In(1), of the list builder, one cycle: it begins to fill a list
    claim_list : In(range(lists)), the list; valid with ``claim``
    claim_target : In(range(lists + 1)), slot of the list's targets; valid with ``claim``
    fin : In(lists * lanes), one cycle: lane j is done with list s (bit s * lanes + j)
    free : Out(lists), the list may be filled from the next cycle on
    pending : Out(lists * lanes), lane j still has to visit list s (bit s * lanes + j)
    length : Out(lists x range(list_entries + 1)), entries of each list; stable while it is pending
    single : Out(lists), its length is 1; stable while it is pending
    psum : Out(lists x range(psum_words)), address of the first sum of each list; stable while it is pending
    void : Out(lists), no lane has anything to do with it; stable while it is pending
    target : Out(lists x range(lists + 1)), slot of the targets of each list; stable while it is pending
    bus : Out(lists x entry), one entry of each list
    idle : Out(1), no list is being filled or visited

    Latency: ``OPEN`` = 4 cycles from the cycle in which the builder decides on the last entry to ``pending``;
    ``FREE`` = 2 cycles from the last lane's ``fin`` to ``free``. Throughput: one entry of each list a cycle.
    Resources: one block RAM a list, no DSP.
    """

    OPEN = 4
    FREE = 2

    def __init__(self, config):
        self.config = config
        s, lanes = config.lists, config.lanes
        length, psum = range(config.list_entries + 1), range(config.psum_words)
        super().__init__({
            "e_en": In(1), "e_list": In(below(s)), "e_addr": In(range(config.list_entries)),
            "e_entry": In(entry_layout(config)),
            "open": In(1), "o_length": In(length), "o_psum": In(psum), "o_void": In(1),
            "claim": In(1), "claim_list": In(below(s)), "claim_target": In(range(s + 1)),
            "fin": In(s * lanes), "free": Out(s), "pending": Out(s * lanes), "idle": Out(1),
            "length": Out(data.ArrayLayout(length, s)), "target": Out(data.ArrayLayout(range(s + 1), s)),
            "psum": Out(data.ArrayLayout(psum, s)), "void": Out(s), "single": Out(s),
            "bus": Out(data.ArrayLayout(entry_layout(config), s)),
        })

    def elaborate(self, platform):
        m = Module()
        claimed = Signal(self.config.lists)
        m.d.comb += self.idle.eq(~claimed.any())
        m.d.sync += claimed.eq(~self.free)
        for s in range(self.config.lists):
            self._list(m, s, claimed[s])
        return m

    def _list(self, m, s, claimed):
        """The memory and the state of list ``s``."""
        config, lanes = self.config, self.config.lanes
        ram = Ram(width=entry_layout(config).size, depth=config.list_entries)
        m.submodules[f"list{s}"] = ram
        opened = self.open & (self.e_list == s)
        running = Signal(name=f"running{s}")  # the list is on the bus
        visited = Signal(name=f"visited{s}")  # lanes have been told of it
        arm = Signal(2, name=f"arm{s}")  # waits until the first entry is on the bus
        pointer = Unreset(range(config.list_entries), name=f"pointer{s}")  # the entry that is read
        bus = behind(m, self.bus[s], f"bus{s}")
        length = behind(m, self.length[s], f"length{s}")
        single = behind(m, self.single[s], f"single{s}")
        psum = behind(m, self.psum[s], f"psum{s}")
        target = behind(m, self.target[s], f"target{s}")
        void = behind(m, self.void[s], f"void{s}")
        pending = self.pending[s * lanes:(s + 1) * lanes]
        m.d.comb += [
            ram.w_addr.eq(self.e_addr),
            ram.w_data.eq(self.e_entry),
            ram.w_en.eq(self.e_en & (self.e_list == s)),
            ram.r_addr.eq(pointer),
        ]
        m.d.sync += bus.eq(ram.r_data)
        m.d.sync += arm.eq(Cat(opened, arm[0]))
        m.d.sync += pending.eq(pending & ~self.fin[s * lanes:(s + 1) * lanes])

        # While the list does not run, nobody looks at its pointer.
        before_last = Unreset(length.shape(), name=f"before_last{s}")  # length - 1
        after = Unreset(length.shape(), name=f"after{s}", init=1)  # pointer + 1
        last = Unreset(name=f"last{s}")  # after == length
        m.d.sync += last.eq(Mux(last, single, after == before_last))
        with m.If(opened):
            m.d.sync += [
                length.eq(self.o_length),
                single.eq(self.o_length == 1),
                psum.eq(self.o_psum),
                void.eq(self.o_void),
                running.eq(1),
                before_last.eq(self.o_length - 1),
                last.eq(self.o_length == 1),
            ]
        with m.If(opened | last):
            m.d.sync += pointer.eq(0)
            m.d.sync += after.eq(1)
        with m.Elif(running):
            m.d.sync += pointer.eq(after)
            m.d.sync += after.eq(after + 1)

        # From the claim to the last lane's ``fin``.
        with m.If(arm[1]):
            m.d.sync += pending.eq(~0)
            m.d.sync += visited.eq(1)
        with m.If(self.claim & (self.claim_list == s)):
            m.d.comb += self.free[s].eq(0)
            m.d.sync += target.eq(self.claim_target)
        with m.Elif(visited & ~pending.any()):
            m.d.comb += self.free[s].eq(1)
            m.d.sync += visited.eq(0)
            m.d.sync += running.eq(0)
        with m.Else():
            m.d.comb += self.free[s].eq(~claimed)


assert latency.RAM == 2, "OPEN counts on the list memory's latency"
