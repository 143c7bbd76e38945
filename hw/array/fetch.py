"""Reads the bricks that the window walk asks for."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.array.item import Kind, item_layout, request_layout
from gradgate.hw.parts.memoryport import ReadPortSignature
from gradgate.hw.parts.registers import Unreset, behind, delays
from gradgate.hw.parts.shapes import ones


class Fetch(wiring.Component):
    """Turns requests into items with their bricks; hides the latency of the row memory.

    Members
    -------
    i : In, stream of requests
    o : Out, stream of items; a flag is set where the word counts: it is not zero, or its kind is dense, and
        it belongs to the tensor
    dense_list : In(1), zeros of lists count too
    dense_target : In(1), zeros of targets count too
    list_words : In(5), words of a ``tail`` brick of a list that belong to the tensor; valid from the cycle
        before it is read on
    target_words : In(5), the same for a brick of targets
    memory : Out(ReadPortSignature), a brick of the row memory, ``READ`` = 3 cycles later

    Latency: ``LATENCY`` = 6 cycles from ``i`` to ``o`` when empty. Throughput: one item a cycle.
    Resources: a FIFO of 16 items in distributed memory, no DSP, no block RAM.
    Example: docs/examples.md#fetch
    """

    READ = latency.RAM + 1
    LATENCY = READ + 3
    DEPTH = 16

    def __init__(self, config):
        self.config = config
        brick = data.ArrayLayout(config.formats.act_bits, config.lanes)
        super().__init__({
            "i": In(stream.Signature(request_layout(config))),
            "o": Out(stream.Signature(item_layout(config))),
            "dense_list": In(1),
            "dense_target": In(1),
            "list_words": In(5),
            "target_words": In(5),
            "memory": Out(ReadPortSignature(range(config.act_bricks), brick)),
        })

    def elaborate(self, platform):
        m = Module()
        shape = item_layout(self.config)
        m.submodules.fifo = fifo = Memory(shape=shape.size, depth=self.DEPTH, init=[])
        write = fifo.write_port()
        read = fifo.read_port(domain="comb")
        come = Signal(range(self.DEPTH))  # items that came, modulo the depth
        gone = Signal(range(self.DEPTH))  # items that left the FIFO, likewise
        one = Signal()  # the FIFO holds an item
        two = Signal()  # it holds another
        taken = self.i.valid & self.i.ready
        self._admit(m, taken)
        leaves = self._give(m, read, gone, one)

        m.d.comb += self.memory.addr.eq(self.i.payload.addr)
        valid = delays(m, taken, self.READ, Signal, "valid")[-1]
        tag = delays(m, self.i.payload.tag, self.READ, name="tag")[-1]
        item_valid, item = self._item(m, valid, tag)

        m.d.comb += [
            write.addr.eq(come),
            write.data.eq(item),
            write.en.eq(item_valid),
            read.addr.eq(gone),
        ]
        stored = Signal(range(self.DEPTH + 1))
        with m.If(item_valid):
            m.d.sync += come.eq(come + 1)
        m.d.sync += one.eq(item_valid | Mux(leaves, two, one))
        with m.If(item_valid & ~leaves):
            m.d.sync += stored.eq(stored + 1)
            m.d.sync += two.eq(one)
        with m.Elif(leaves & ~item_valid):
            m.d.sync += stored.eq(stored - 1)
            m.d.sync += two.eq(two & (stored != 2))
        return m

    def _admit(self, m, taken):
        """No more items are let in than the FIFO can hold."""
        held = Signal(range(self.DEPTH + 1))  # let in, not given away
        given = self.o.valid & self.o.ready
        m.d.comb += self.i.ready.eq(~held[-1])
        with m.If(taken & ~given):
            m.d.sync += held.eq(held + 1)
        with m.Elif(given & ~taken):
            m.d.sync += held.eq(held - 1)

    def _give(self, m, read, gone, one):
        """The next item to give away leaves the FIFO, if it holds one, for a register; whether it does."""
        out = behind(m, self.o.payload, "out")
        out_valid = Signal()
        leaves = Signal()
        m.d.comb += self.o.valid.eq(out_valid)
        m.d.comb += leaves.eq(one & (self.o.ready | ~out_valid))
        with m.If(self.o.ready | ~out_valid):
            m.d.sync += out.eq(read.data)
            m.d.sync += out_valid.eq(one)
        with m.If(leaves):
            m.d.sync += gone.eq(gone + 1)
        return leaves

    def _item(self, m, valid, tag):
        """The item of a tag that was read ``READ`` cycles ago, and whether there is one."""
        lanes = self.config.lanes
        is_list = tag.kind == Kind.LIST
        dense = Mux(is_list, self.dense_list, self.dense_target)
        # Words of a tail brick that do not belong to the tensor.
        list_beyond = Unreset(lanes)
        target_beyond = Unreset(lanes)
        m.d.sync += list_beyond.eq(_beyond(self.list_words, lanes))
        m.d.sync += target_beyond.eq(_beyond(self.target_words, lanes))
        inside = Mux(tag.tail, ~Mux(is_list, list_beyond, target_beyond), -1)
        nonzero = Cat(self.memory.data[lane].any() for lane in range(lanes))
        brick = Unreset(item_layout(self.config))
        item = Signal(item_layout(self.config))
        item_valid = Signal()
        m.d.sync += [
            item_valid.eq(valid),
            brick.tag.eq(tag),
            brick.words.eq(self.memory.data),
            brick.flags.eq((nonzero | dense.replicate(lanes)) & inside),
        ]
        none, single = ones(brick.flags)
        m.d.comb += [
            item.eq(brick),
            item.some.eq(~none),
            item.single.eq(none | single),
            item.lowest.eq(Cat(brick.flags[lane] & ~brick.flags[:lane].any() for lane in range(lanes))),
        ]
        return item_valid, item


def _beyond(words, lanes):
    """A bit for each lane that is not below ``words``: a table, no comparator."""
    return Cat(Const((1 << lane + 1) - 1, 1 << len(words)).bit_select(words, 1) for lane in range(lanes))
