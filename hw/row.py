"""A row of the array: the images it owns, the lists it makes of them, and its lanes."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import integer
from gradgate.arch.commands import Opcode
from gradgate.hw.carousel import Carousel
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.copy import Copy
from gradgate.hw.fetch import Fetch
from gradgate.hw.lane import Lane
from gradgate.hw.list_builder import ListBuilder
from gradgate.hw.post import Post
from gradgate.hw.post_walk import beat_layout
from gradgate.hw.ram import Ram
from gradgate.hw.registers import Unreset, behind
from gradgate.hw.run_check import RunCheck
from gradgate.hw.shapes import rotated
from gradgate.hw.window import Window


class Row(wiring.Component):
    """One row: activation memory, argmax memory, window walk, list builder, carousel, ``lanes`` PEs, post-processor.

    Members
    -------
    start, running : In, the row begins with a RUN; RUN is active
    payload : In, fields of RUN or of POST, stable from the cycle before the command's ``start`` on; for a RUN, ``start`` of the row
        comes ``SETTLE`` cycles behind the command's
    k_most, k_most_tail : In, of :class:`RunCheck`; fault : Out, see :class:`Window` and :class:`ListBuilder`
    done : Out, all positions are finished (level; clear while starting)
    post_active, post_valid, post_double, post_beat : In, of the post-processing walk; overflow : Out, see :class:`Post`
    port_addr, port_en, port_data : In; port_read : Out, access of other units, ``latency.ROW`` cycles to ``port_read``
    choice_addr : In; choices : Out, argmax memory, likewise
    fill_en, fill_addr, fill_data : In, for all lanes; acc_addr : In; acc : Out, likewise; see :class:`Lane`

    All inputs but ``running`` and what is of :class:`RunCheck` take effect a cycle later.

    Latency: of its parts. Throughput: ``lanes`` multiplications a cycle.
    Resources: ``lanes`` DSPs; block RAM for activations, argmax, ``lists`` lists, ``2 * lanes`` banks and sums.
    """

    #: cycles from the ``start`` of a RUN to that of the row
    SETTLE = Window.SETTLE

    def __init__(self, config, number):
        self.config = config
        self.number = integer("row number", number, 0, config.rows - 1)
        formats, lanes = config.formats, config.lanes
        brick = data.ArrayLayout(formats.act_bits, lanes)
        super().__init__({
            "start": In(1), "running": In(1), "payload": In(PAYLOAD), "done": Out(1),
            "k_most": In(RunCheck.k_shape(config)), "k_most_tail": In(RunCheck.k_shape(config)), "fault": Out(1),
            "post_active": In(1), "post_valid": In(1), "post_double": In(1), "post_beat": In(beat_layout(config)),
            "overflow": Out(range(lanes + 1)),
            "port_addr": In(range(config.act_bricks)), "port_en": In(lanes), "port_data": In(brick), "port_read": Out(brick),
            "choice_addr": In(range(config.argmax_bricks)), "choices": Out(data.ArrayLayout(2, lanes)),
            "fill_en": In(2), "fill_addr": In(range(config.bank_words)), "fill_data": In(brick),
            "acc_addr": In(range(config.bank_words)), "acc": Out(data.ArrayLayout(formats.acc_bits, lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        config, formats, lanes = self.config, self.config.formats, self.config.lanes
        m.submodules.act = act = Ram(width=formats.act_bits * lanes, depth=config.act_bricks, parts=lanes)
        m.submodules.argmax = argmax = Ram(width=2 * lanes, depth=config.argmax_bricks)
        m.submodules.window = window = Window(config)
        m.submodules.fetch = fetch = Fetch(config)
        m.submodules.builder = builder = ListBuilder(config)
        m.submodules.carousel = carousel = Carousel(config)
        m.submodules.post = post = Post(config)

        # what all rows get comes from a register of each row's own; a reset leaves it alone, but lets nothing that enables pass
        names = ("start", "payload", "post_valid", "post_double", "post_beat", "fill_en", "fill_addr", "fill_data", "acc_addr")
        m.submodules.copy = copy = Copy(data.StructLayout({name: getattr(self, name).shape() for name in names}))
        m.d.comb += [copy.i[name].eq(getattr(self, name)) for name in names]
        with m.If(ResetSignal(allow_reset_less=True)):
            m.d.comb += [copy.i[name].eq(0) for name in ("start", "post_valid", "fill_en")]
        near = SimpleNamespace(**{name: copy.o[name] for name in names})
        f, p = layout(Opcode.RUN)(near.payload), layout(Opcode.POST)(near.payload)

        slots, list_words, target_words = (Unreset(shape, name=name) for name, shape in (
            ("slots", 12), ("list_words", 5), ("target_words", 5)))
        m.d.sync += [slots.eq(f.slots - (self.number >= f.last_rows)),
                     list_words.eq(Mux(f.swap, f.t_tail, f.l_tail)), target_words.eq(Mux(f.swap, f.l_tail, f.t_tail))]

        # RUN: window -> fetch -> builder -> carousel -> lanes
        wiring.connect(m, window.o, fetch.i)
        wiring.connect(m, fetch.o, builder.i)
        m.d.comb += [
            window.start.eq(near.start), window.payload.eq(near.payload), fetch.i_addr.eq(window.addr),
            window.k_most.eq(self.k_most), window.k_most_tail.eq(self.k_most_tail), self.fault.eq(window.fault | builder.fault),
            window.slots.eq(slots), fetch.dense_list.eq(~f.skip_list), fetch.dense_target.eq(~f.skip_target),
            fetch.list_words.eq(list_words), fetch.target_words.eq(target_words), fetch.r_data.eq(act.r_data),
            builder.start.eq(near.start), builder.payload.eq(near.payload), builder.free.eq(carousel.free),
            carousel.e_en.eq(builder.e_en), carousel.e_list.eq(builder.e_list), carousel.e_addr.eq(builder.e_addr),
            carousel.e_entry.eq(builder.e_entry), carousel.open.eq(builder.open), carousel.o_length.eq(builder.length),
            carousel.o_psum.eq(builder.psum), carousel.o_void.eq(builder.void),
            carousel.claim.eq(builder.claim), carousel.claim_list.eq(builder.slot), carousel.claim_target.eq(builder.target_slot),
        ]
        m.d.sync += self.done.eq(builder.ended & carousel.idle & ~near.start)

        # a swapped brick of targets is turned, so that equal channels of a window's pixels are not one lane's work
        item = builder.item
        t = Signal.like(item.tag.k)
        m.d.comb += t.eq(Mux(f.swap, item.tag.k, item.tag.t))
        turned = rotated([Cat(item.words[j], item.flags[j]) for j in range(lanes)], item.tag.turn, -1)
        bias = builder.claim & f.swap & f.bias  # one more target of the last lane

        # in registers: a list opens long after its targets are complete
        t_en = Signal(lanes)
        t_words = [Signal(formats.act_bits, name=f"t_word{j}") for j in range(lanes)]
        last_t, t_slot, claim, claim_list, biased = (
            Signal.like(one) for one in (t, builder.target_slot, builder.claim, builder.slot, bias))
        m.d.sync += [
            t_en.eq(Cat((builder.target & turned[j][formats.act_bits]) | (bias if j == lanes - 1 else 0) for j in range(lanes))),
            *(word.eq(turned[j][:formats.act_bits]) for j, word in enumerate(t_words)),
            last_t.eq(t), t_slot.eq(builder.target_slot), claim.eq(builder.claim), claim_list.eq(builder.slot), biased.eq(bias),
        ]
        acc = Signal(self.acc.shape())
        for name, value in (("acc", acc), ("port_read", act.r_data), ("choices", argmax.r_data)):
            m.d.sync += behind(m, getattr(self, name), f"out_{name}").eq(value)
        fewer = Signal.like(f.t_count)
        m.d.comb += fewer.eq(f.t_count - 1)
        for j in range(lanes):
            m.submodules[f"lane{j}"] = lane = Lane(config)
            m.submodules[f"fields{j}"] = fields = Copy(data.StructLayout({
                "running": 1, "outer": 1, "fetch": 1, "accumulate": 1, "bank_addr": range(config.bank_weights),
                "every": range(config.targets + 1)}))
            m.d.comb += [
                fields.i.running.eq(self.running), fields.i.every.eq(Mux(j < f.t_tail, f.t_count, fewer)),
                *(fields.i[name].eq(f[name]) for name in ("outer", "fetch", "accumulate", "bank_addr")),
                *(getattr(lane, name).eq(fields.o[name]) for name in ("running", "outer", "fetch", "accumulate", "bank_addr", "every")),
                lane.start.eq(near.start),
                lane.pending.eq(Cat(carousel.pending[s * lanes + j] for s in range(config.lists))),
                Cat(carousel.fin[s * lanes + j] for s in range(config.lists)).eq(lane.fin),
                lane.void.eq(carousel.void), lane.single.eq(carousel.single), lane.length.eq(carousel.length), lane.psum.eq(carousel.psum),
                lane.target.eq(carousel.target), lane.bus.eq(carousel.bus),
                lane.t_en.eq(t_en[j]), lane.t_slot.eq(t_slot),
                lane.t_entry.t.eq(last_t), lane.t_entry.value.eq(t_words[j]),
                lane.claim.eq(claim), lane.claim_list.eq(claim_list),
                lane.fill_en.eq(near.fill_en), lane.fill_addr.eq(near.fill_addr), lane.fill_data.eq(near.fill_data[j]),
                lane.acc_addr.eq(near.acc_addr), acc[j].eq(lane.acc),
                lane.sum_addr.eq(near.post_beat.src), post.sums[j].eq(lane.sum),
            ]

        with m.If(biased):
            m.d.comb += [lane.t_entry.t.eq(f.k_bias), lane.t_entry.value.eq(1 << formats.act_frac)]

        # POST
        owns = Unreset()
        m.d.sync += owns.eq(self.number < p.last_rows)
        m.d.comb += [
            *(getattr(post, name).eq(p[name]) for name in ("rows", "choose", "add", "relu", "mask", "pool", "mean", "shift", "tail")),
            post.owns.eq(owns), post.valid.eq(near.post_valid), post.double.eq(near.post_double), post.beat.eq(near.post_beat),
            post.row.eq(act.r_data), post.choices.eq(argmax.r_data), self.overflow.eq(post.overflow),
            argmax.w_addr.eq(post.c_addr), argmax.w_data.eq(post.c_data), argmax.w_en.eq(post.c_en),
        ]

        # the memories belong to one unit at a time; their inputs are registers
        r_addr, w_addr, choice_addr = (behind(m, to, name) for name, to in (
            ("r_addr", act.r_addr), ("w_addr", act.w_addr), ("choice_addr", argmax.r_addr)))
        w_data = behind(m, act.w_data, "w_data")
        w_en = Signal(lanes)
        m.d.comb += act.w_en.eq(w_en)
        m.d.sync += [
            r_addr.eq(Mux(self.running, fetch.r_addr, Mux(self.post_active, self.post_beat.row, self.port_addr))),
            choice_addr.eq(Mux(self.post_active, self.post_beat.aux, self.choice_addr)),
        ]
        with m.If(post.w_en):
            m.d.sync += [w_addr.eq(post.w_addr), w_data.eq(post.w_data), w_en.eq(~0)]
        with m.Else():
            m.d.sync += [w_addr.eq(self.port_addr), w_data.eq(self.port_data), w_en.eq(self.port_en)]
        return m
