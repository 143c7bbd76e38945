"""Reads the bricks that the window walk asks for."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.item import Kind, item_layout, tag_layout


class Fetch(wiring.Component):
    """Turns tags with addresses into items with bricks; hides the latency of the row memory.

    Members
    -------
    i, i_addr : In, tags and their brick addresses
    o : Out, stream of items; a flag is set where the word counts: it is not zero, or its kind is dense, and it belongs to the
        tensor
    dense_list, dense_target : In, zeros count too
    list_words, target_words : In(5), words of a ``tail`` brick of a list, of targets, that belong to the tensor
    r_addr : Out; r_data : In, row memory, ``latency.RAM`` cycles later

    Latency: ``LATENCY`` = 4 cycles from ``i`` to ``o`` when empty. Throughput: one item a cycle.
    Resources: a FIFO of 16 items in distributed memory, no DSP, no block RAM.
    """

    LATENCY = latency.RAM + 2
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
        m.submodules.fifo = fifo = SyncFIFO(width=shape.size, depth=self.DEPTH)

        # Items under way or waiting; the FIFO never overflows because no more are let in than it can hold.
        held = Signal(range(self.DEPTH + 1))
        taken, given = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.comb += self.i.ready.eq(held != self.DEPTH)
        m.d.sync += held.eq(held + taken - given)

        m.d.comb += self.r_addr.eq(self.i_addr)
        valid, tag = taken, self.i.payload
        for stage in range(latency.RAM):
            next_valid = Signal(name=f"valid{stage}")
            next_tag = Signal(tag_layout(self.config), name=f"tag{stage}")
            m.d.sync += [next_valid.eq(valid), next_tag.eq(tag)]
            valid, tag = next_valid, next_tag

        is_list = tag.kind == Kind.LIST
        dense = Mux(is_list, self.dense_list, self.dense_target)
        words = Mux(is_list, self.list_words, self.target_words)
        item = Signal(shape)
        item_valid = Signal()
        inside = Cat(~tag.tail | (lane < words) for lane in range(lanes))
        nonzero = Cat(self.r_data[lane].any() for lane in range(lanes))
        m.d.sync += [item_valid.eq(valid), item.tag.eq(tag), item.words.eq(self.r_data),
                     item.flags.eq((nonzero | dense.replicate(lanes)) & inside)]
        m.d.comb += [
            fifo.w_data.eq(item), fifo.w_en.eq(item_valid),
            self.o.payload.eq(fifo.r_data), self.o.valid.eq(fifo.r_rdy), fifo.r_en.eq(self.o.ready),
        ]
        return m
