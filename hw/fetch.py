"""Reads the bricks that the window walk asks for."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.item import Kind, item_layout, tag_layout
from gradgate.hw.registers import Unreset, behind, delays
from gradgate.hw.shapes import ones


class Fetch(wiring.Component):
    """Turns tags with addresses into items with bricks; hides the latency of the row memory.

    Members
    -------
    i, i_addr : In, tags and their brick addresses
    o : Out, stream of items; a flag is set where the word counts: it is not zero, or its kind is dense, and it belongs to the
        tensor
    dense_list, dense_target : In, zeros count too
    list_words, target_words : In(5), words of a ``tail`` brick of a list, of targets, that belong to the tensor; from the cycle
        before it is read on
    r_addr : Out; r_data : In, row memory, ``READ`` = 3 cycles later

    Latency: ``LATENCY`` = 6 cycles from ``i`` to ``o`` when empty. Throughput: one item a cycle.
    Resources: a FIFO of 16 items in distributed memory, no DSP, no block RAM.
    """

    READ = latency.RAM + 1
    LATENCY = READ + 3
    DEPTH = 16

    def __init__(self, config):
        self.config = config
        brick = data.ArrayLayout(config.formats.act_bits, config.lanes)
        super().__init__({
            "i": In(stream.Signature(tag_layout(config))), "i_addr": In(range(config.act_bricks)),
            "o": Out(stream.Signature(item_layout(config))),
            "dense_list": In(1), "dense_target": In(1), "list_words": In(5), "target_words": In(5),
            "r_addr": Out(range(config.act_bricks)), "r_data": In(brick),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.lanes
        shape = item_layout(self.config)
        m.submodules.fifo = fifo = Memory(shape=shape.size, depth=self.DEPTH, init=[])
        write, read = fifo.write_port(), fifo.read_port(domain="comb")

        # No more items are let in than the FIFO can hold.
        held = Signal(range(self.DEPTH + 1))  # let in, not given away
        come, gone = (Signal(range(self.DEPTH), name=name) for name in ("come", "gone"))  # modulo the depth
        taken, given = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.comb += self.i.ready.eq(~held[-1])
        with m.If(taken & ~given):
            m.d.sync += held.eq(held + 1)
        with m.Elif(given & ~taken):
            m.d.sync += held.eq(held - 1)

        # The next item to give away leaves the FIFO for a register, where there is one; whether there are two is known then too.
        out = behind(m, self.o.payload, "out")
        out_valid = Signal()
        stored = Signal(range(self.DEPTH + 1))
        one = Signal()
        two = Signal()
        leaves = Signal()
        m.d.comb += [self.o.valid.eq(out_valid), leaves.eq(one & (self.o.ready | ~out_valid))]
        with m.If(self.o.ready | ~out_valid):
            m.d.sync += [out.eq(read.data), out_valid.eq(one)]
        with m.If(leaves):
            m.d.sync += gone.eq(gone + 1)

        m.d.comb += self.r_addr.eq(self.i_addr)
        valid, tag = delays(m, taken, self.READ, Signal, "valid")[-1], delays(m, self.i.payload, self.READ, name="tag")[-1]

        is_list = tag.kind == Kind.LIST
        dense = Mux(is_list, self.dense_list, self.dense_target)
        brick = Unreset(shape)
        item = Signal(shape)
        item_valid = Signal()
        beyond = []  # words of a tail brick that do not belong to the tensor; a table, no comparator
        for name, words in (("list", self.list_words), ("target", self.target_words)):
            beyond.append(Unreset(lanes, name=f"{name}_beyond"))
            m.d.sync += beyond[-1].eq(Cat(Const((1 << lane + 1) - 1, 1 << len(words)).bit_select(words, 1) for lane in range(lanes)))
        inside = Mux(tag.tail, ~Mux(is_list, *beyond), -1)
        nonzero = Cat(self.r_data[lane].any() for lane in range(lanes))
        m.d.sync += [item_valid.eq(valid), brick.tag.eq(tag), brick.words.eq(self.r_data),
                     brick.flags.eq((nonzero | dense.replicate(lanes)) & inside)]
        none, single = ones(brick.flags)
        m.d.comb += [
            item.eq(brick), item.some.eq(~none), item.single.eq(none | single),
            item.lowest.eq(Cat(brick.flags[lane] & ~brick.flags[:lane].any() for lane in range(lanes))),
        ]
        m.d.comb += [
            write.addr.eq(come), write.data.eq(item), write.en.eq(item_valid), read.addr.eq(gone),
        ]
        with m.If(item_valid):
            m.d.sync += come.eq(come + 1)
        m.d.sync += one.eq(item_valid | Mux(leaves, two, one))
        with m.If(item_valid & ~leaves):
            m.d.sync += [stored.eq(stored + 1), two.eq(one)]
        with m.Elif(leaves & ~item_valid):
            m.d.sync += [stored.eq(stored - 1), two.eq(two & (stored != 2))]
        return m
