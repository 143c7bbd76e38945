"""What a lane has to do at each position."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.registers import behind
from gradgate.hw.parts.shapes import below


def target_layout(config) -> data.StructLayout:
    """A target.

    t : bank word of its result for k = 0, that is the number of its brick in the tile
    value : the two's-complement value, a word
    """
    words = max(config.targets, config.bank_words)
    return data.StructLayout({"t": range(words), "value": config.formats.act_bits})


class AppendSignature(wiring.Signature):
    """How a lane gets its targets, position by position (seen from who finds them).

    en : Out(1), append a target
    slot : Out(range(lists + 1)), slot of its position; valid with ``en``
    entry : Out(target), the target; valid with ``en``
    claim : Out(1), one cycle: a position's targets, with one appended now, are complete; counts begin anew
    claim_list : Out(range(lists)), the list that they belong to; valid with ``claim``
    """

    def __init__(self, config):
        super().__init__({
            "en": Out(1),
            "slot": Out(range(config.lists + 1)),
            "entry": Out(target_layout(config)),
            "claim": Out(1),
            "claim_list": Out(below(config.lists)),
        })


class Targets(wiring.Component):
    """The targets of one lane, for S + 1 positions: while S lists are visited, the next position's come in.

    Members
    -------
    append : In(AppendSignature)
    count : Out(lists x range(targets + 1)), number of targets of each list
    r_index : In(range(targets)), number of a target
    r_entries : Out(lists + 1 targets), the target that each slot has at this number, in the same cycle

    Latency: an appended target can be read in the next cycle.
    Resources: distributed memory, no DSP, no block RAM.
    Example: docs/examples.md#targets
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "append": In(AppendSignature(config)),
            "count": Out(data.ArrayLayout(range(config.targets + 1), config.lists)),
            "r_index": In(range(config.targets)),
            "r_entries": Out(data.ArrayLayout(target_layout(config), config.lists + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        append = self.append
        size, slots = target_layout(self.config).size, self.config.lists + 1
        count = Signal(range(self.config.targets + 1))  # targets of the position so far
        # A word has a target of each slot.
        m.submodules.mem = memory = Memory(shape=size * slots, depth=max(2, self.config.targets), init=[])
        read = memory.read_port(domain="comb")
        write = memory.write_port(granularity=size)
        m.d.comb += [
            read.addr.eq(self.r_index),
            self.r_entries.eq(read.data),
            write.addr.eq(count),
            write.data.eq(append.entry.as_value().replicate(slots)),
            write.en.eq(Cat(append.en & (append.slot == slot) for slot in range(slots))),
        ]
        counts = behind(m, self.count, "counts")
        m.d.sync += count.eq(count + append.en)
        with m.If(append.claim):
            m.d.sync += count.eq(0)
            m.d.sync += counts[append.claim_list].eq(count + append.en)
        return m
