"""What a lane has to do at each position."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.hw.registers import behind
from gradgate.hw.shapes import below


def target_layout(config) -> data.StructLayout:
    """A target: ``t``, bank word of its result for k = 0 (number of its brick in the tile), and its two's-complement ``value``."""
    return data.StructLayout({"t": range(max(config.targets, config.bank_words)), "value": config.formats.act_bits})


class Targets(wiring.Component):
    """The targets of one lane, for S + 1 positions: while S lists are visited, the next position's targets come in.

    Members
    -------
    en, slot, entry : In, append a target for the position in ``slot``
    claim, claim_list : In, one cycle: the position's targets, with one appended now, are complete and belong to this list; starts
        the next count
    count : Out, number of targets, one for each list
    r_index : In; r_entries : Out, the target that each slot has at this index, in the same cycle

    Latency: an appended target can be read in the next cycle. Resources: distributed memory, no DSP, no block RAM.
    """

    def __init__(self, config):
        self.config = config
        slots = range(config.lists + 1)
        super().__init__({
            "en": In(1), "slot": In(slots), "entry": In(target_layout(config)),
            "claim": In(1), "claim_list": In(below(config.lists)),
            "count": Out(data.ArrayLayout(range(config.targets + 1), config.lists)),
            "r_index": In(range(config.targets)),
            "r_entries": Out(data.ArrayLayout(target_layout(config), config.lists + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        depth = max(2, config.targets)
        count = Signal(range(config.targets + 1))
        size, slots = target_layout(config).size, config.lists + 1
        m.submodules.mem = memory = Memory(shape=size * slots, depth=depth, init=[])  # a word has a target of each slot
        read, write = memory.read_port(domain="comb"), memory.write_port(granularity=size)
        m.d.comb += [
            read.addr.eq(self.r_index), self.r_entries.eq(read.data),
            write.addr.eq(count), write.data.eq(self.entry.as_value().replicate(slots)),
            write.en.eq(Cat(self.en & (self.slot == slot) for slot in range(slots))),
        ]
        counts = behind(m, self.count, "counts")
        m.d.sync += count.eq(count + self.en)
        with m.If(self.claim):
            m.d.sync += [count.eq(0), counts[self.claim_list].eq(count + self.en)]
        return m
