"""The targets of a lane: read as written, counted for the list that claims them."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Mux, Signal

from formal.proof import Proof, small
from gradgate.hw.array import targets


class TargetsProof(Proof):
    """Any one target of any one slot is read as it was appended, and a claim gives the list its number of targets.

    Assumed: slots in turn, one position each, up to the claim, with which the last target may come; no more targets than a
    lane may have. Reading has no effect, so it is enough to read the chosen target always.
    """

    def __init__(self, config=None, module=targets):
        self.config = config or small(lists=2)
        super().__init__(module.Targets(self.config))

    def properties(self, m):
        config, dut, append = self.config, self.unit, self.unit.append
        slot, index = AnyConst(range(config.lists + 1)), AnyConst(range(config.targets))
        self.assume((slot <= config.lists) & (index < config.targets))
        self.assume(dut.r_index == index)
        current, count = Signal(range(config.lists + 1)), Signal(range(config.targets + 1))
        counts = Array(Signal(range(config.targets + 1), name=f"count{s}") for s in range(config.lists))
        self.drive(append.slot, current)
        self.assume(~(append.en & (count == config.targets)))
        self.assume(append.claim_list < config.lists)
        entry, known = Signal.like(append.entry.as_value()), Signal()
        m.d.sync += count.eq(Mux(append.claim, 0, count + append.en))
        with m.If(append.claim):
            m.d.sync += [current.eq(Mux(current == config.lists, 0, current + 1)), counts[append.claim_list].eq(count + append.en)]
        with m.If(append.en & (current == slot) & (count == index)):
            m.d.sync += [entry.eq(append.entry), known.eq(1)]
        with m.If(known):
            self.check(dut.r_entries[slot].as_value() == entry)
        for s in range(config.lists):
            self.check(dut.count[s] == counts[s])
        self.lemma((self.inside.count == count) & (count <= config.targets) & (current <= config.lists))

        self.cover(known & (counts[0] == config.targets) & (current == 0) & (dut.r_entries[slot].as_value() != 0))
