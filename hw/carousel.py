"""The lists of a row, and their endless broadcast."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.list_builder import entry_layout
from gradgate.hw.ram import Ram
from gradgate.hw.registers import Unreset, behind
from gradgate.hw.shapes import below


class Carousel(wiring.Component):
    """Keeps S lists and broadcasts the open ones cyclically, one entry of each a cycle, until all lanes are done with them.

    A lane that sees its bit of ``pending`` set may begin a turn in any cycle: in the following cycle ``bus`` carries some
    entry, and in ``length`` consecutive cycles every entry once.

    Members
    -------
    e_en, e_list, e_addr, e_entry, open, o_length, o_psum, o_void : In, from the list builder
    claim, claim_list, claim_target : In, the builder begins to fill this list; where its targets are
    fin : In(lists * lanes), lane j is done with list s (bit s * lanes + j), one cycle
    free : Out(lists), the list may be filled from the next cycle on
    pending : Out(lists * lanes), lane j still has to visit list s
    length, psum, void, target : Out, one for each list, stable while it is pending; single : Out, length is 1
    bus : Out, one entry for each list
    idle : Out, no list is being filled or visited

    Latency: ``OPEN`` = 4 cycles from the cycle in which the builder decides on the last entry to ``pending``; ``FREE`` = 2
    cycles from the last lane's ``fin`` to ``free``. Throughput: one entry of each list a cycle.
    Resources: one block RAM a list, no DSP.
    """

    OPEN = 4
    FREE = 2

    def __init__(self, config):
        self.config = config
        s, lanes = config.lists, config.lanes
        length, psum = range(config.list_entries + 1), range(config.psum_words)
        super().__init__({
            "e_en": In(1), "e_list": In(below(s)), "e_addr": In(range(config.list_entries)), "e_entry": In(entry_layout(config)),
            "open": In(1), "o_length": In(length), "o_psum": In(psum), "o_void": In(1),
            "claim": In(1), "claim_list": In(below(s)), "claim_target": In(range(s + 1)), "fin": In(s * lanes),
            "free": Out(s), "pending": Out(s * lanes), "idle": Out(1),
            "length": Out(data.ArrayLayout(length, s)), "target": Out(data.ArrayLayout(range(s + 1), s)),
            "psum": Out(data.ArrayLayout(psum, s)), "void": Out(s), "single": Out(s),
            "bus": Out(data.ArrayLayout(entry_layout(config), s)),
        })

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.lanes
        claimed = Signal(config.lists)
        m.d.comb += self.idle.eq(~claimed.any())
        m.d.sync += claimed.eq(~self.free)
        for s in range(config.lists):
            ram = Ram(width=entry_layout(config).size, depth=config.list_entries)
            m.submodules[f"list{s}"] = ram
            opened = self.open & (self.e_list == s)
            running = Signal(name=f"running{s}")
            visited = Signal(name=f"visited{s}")
            arm = Signal(2, name=f"arm{s}")  # waits until the first entry is on the bus
            pointer = Unreset(range(config.list_entries), name=f"pointer{s}")
            bus, length, single, psum, target, void = (
                behind(m, getattr(self, name)[s], f"{name}{s}") for name in ("bus", "length", "single", "psum", "target", "void"))
            pending = self.pending[s * lanes:(s + 1) * lanes]
            m.d.comb += [
                ram.w_addr.eq(self.e_addr), ram.w_data.eq(self.e_entry), ram.w_en.eq(self.e_en & (self.e_list == s)),
                ram.r_addr.eq(pointer),
            ]
            m.d.sync += [bus.eq(ram.r_data), arm.eq(Cat(opened, arm[0]))]
            m.d.sync += pending.eq(pending & ~self.fin[s * lanes:(s + 1) * lanes])
            # while the list does not run, nobody looks at its pointer
            before_last = Unreset(length.shape(), name=f"before_last{s}")  # length - 1
            after = Unreset(length.shape(), name=f"after{s}", init=1)  # pointer + 1
            last = Unreset(name=f"last{s}")  # after == length
            m.d.sync += last.eq(Mux(last, single, after == before_last))
            with m.If(opened):
                m.d.sync += [length.eq(self.o_length), single.eq(self.o_length == 1), psum.eq(self.o_psum), void.eq(self.o_void),
                             running.eq(1), before_last.eq(self.o_length - 1), last.eq(self.o_length == 1)]
            with m.If(opened | last):
                m.d.sync += [pointer.eq(0), after.eq(1)]
            with m.Elif(running):
                m.d.sync += [pointer.eq(after), after.eq(after + 1)]
            with m.If(arm[1]):
                m.d.sync += [pending.eq(~0), visited.eq(1)]
            with m.If(self.claim & (self.claim_list == s)):
                m.d.comb += self.free[s].eq(0)
                m.d.sync += target.eq(self.claim_target)
            with m.Elif(visited & ~pending.any()):
                m.d.comb += self.free[s].eq(1)
                m.d.sync += [visited.eq(0), running.eq(0)]
            with m.Else():
                m.d.comb += self.free[s].eq(~claimed[s])
        return m


assert latency.RAM == 2, "OPEN counts on the list memory's latency"
