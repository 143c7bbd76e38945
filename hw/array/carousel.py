"""The lists of a row, and their endless broadcast."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.array.lists import BuildSignature, ListsSignature, VisitSignature, entry_layout
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind


class Carousel(wiring.Component):
    """Keeps S lists and broadcasts the open ones cyclically, an entry a cycle, until all lanes are done.

    A lane that sees its bit of ``pending`` set may begin a turn in any cycle: in the following cycle ``bus``
    carries some entry, and in ``length`` consecutive cycles every entry once.

    Members
    -------
    build : In(BuildSignature), of the list builder
    lists : Out(ListsSignature), to all lanes; stable while a list is pending
    visits : Out(VisitSignature) for each lane
    idle : Out(1), no list is being filled or visited

    Latency: ``OPEN`` = 4 cycles from the cycle in which the builder decides on the last entry to ``pending``;
    ``FREE`` = 2 cycles from the last lane's ``fin`` to ``free``. Throughput: one entry of each list a cycle.
    Resources: one block RAM a list, no DSP.
    Example: docs/examples.md#carousel
    """

    OPEN = 4
    FREE = 2

    def __init__(self, config):
        self.config = config
        super().__init__({
            "build": In(BuildSignature(config)),
            "lists": Out(ListsSignature(config)),
            "visits": Out(VisitSignature(config)).array(config.lanes),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.lanes
        claimed = Signal(config.lists)
        pending = Signal(config.lists * lanes)  # lane j still has to visit list s: bit s * lanes + j
        m.d.comb += self.idle.eq(~claimed.any())
        m.d.sync += claimed.eq(~self.build.free)
        for s in range(config.lists):
            self._list(m, s, claimed[s], pending[s * lanes:(s + 1) * lanes])
        for lane, visit in enumerate(self.visits):
            m.d.comb += visit.pending.eq(Cat(pending[s * lanes + lane] for s in range(config.lists)))
        return m

    def _list(self, m, s, claimed, pending):
        """The memory and the state of list ``s``."""
        config, build = self.config, self.build
        ram = Ram(width=entry_layout(config).size, depth=config.list_entries)
        m.submodules[f"list{s}"] = ram
        opened = build.open & (build.list == s)
        running = Signal(name=f"running{s}")  # the list is on the bus
        arm = Signal(2, name=f"arm{s}")  # waits until the first entry is on the bus
        pointer = Unreset(range(config.list_entries), name=f"pointer{s}")  # the entry that is read
        shown = SimpleNamespace(**{
            name: behind(m, getattr(self.lists, name)[s], f"{name}{s}")
            for name in ("bus", "length", "single", "psum", "target", "void")
        })
        m.d.comb += [
            ram.w_addr.eq(build.w_addr),
            ram.w_data.eq(build.w_entry),
            ram.w_en.eq(build.w_en & (build.list == s)),
            ram.r_addr.eq(pointer),
        ]
        m.d.sync += shown.bus.eq(ram.r_data)
        m.d.sync += arm.eq(Cat(opened, arm[0]))
        m.d.sync += pending.eq(pending & ~Cat(visit.fin[s] for visit in self.visits))
        self._walk(m, s, shown, opened, running, pointer)
        self._visits(m, s, shown, claimed, pending, running, arm)

    def _walk(self, m, s, shown, opened, running, pointer):
        """What is known of the list from its opening on; over its entries again and again while it runs."""
        build = self.build
        # While the list does not run, nobody looks at its pointer.
        before_last = Unreset(shown.length.shape(), name=f"before_last{s}")  # length - 1
        after = Unreset(shown.length.shape(), name=f"after{s}", init=1)  # pointer + 1
        last = Unreset(name=f"last{s}")  # after == length
        m.d.sync += last.eq(Mux(last, shown.single, after == before_last))
        with m.If(opened):
            m.d.sync += [
                shown.length.eq(build.length),
                shown.single.eq(build.length == 1),
                shown.psum.eq(build.psum),
                shown.void.eq(build.void),
                running.eq(1),
                before_last.eq(build.length - 1),
                last.eq(build.length == 1),
            ]
        with m.If(opened | last):
            m.d.sync += pointer.eq(0)
            m.d.sync += after.eq(1)
        with m.Elif(running):
            m.d.sync += pointer.eq(after)
            m.d.sync += after.eq(after + 1)

    def _visits(self, m, s, shown, claimed, pending, running, arm):
        """From the claim to the last lane's ``fin``."""
        build = self.build
        visited = Signal(name=f"visited{s}")  # lanes have been told of the list
        with m.If(arm[1]):
            m.d.sync += pending.eq(~0)
            m.d.sync += visited.eq(1)
        with m.If(build.claim & (build.slot == s)):
            m.d.comb += build.free[s].eq(0)
            m.d.sync += shown.target.eq(build.target_slot)
        with m.Elif(visited & ~pending.any()):
            m.d.comb += build.free[s].eq(1)
            m.d.sync += visited.eq(0)
            m.d.sync += running.eq(0)
        with m.Else():
            m.d.comb += build.free[s].eq(~claimed)


assert latency.RAM == 2, "OPEN counts on the list memory's latency"
