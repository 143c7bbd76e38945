"""A row of the array: the images it owns, the lists it makes of them, and its lanes."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import integer
from gradgate.arch.commands import Opcode
from gradgate.hw.array.carousel import Carousel
from gradgate.hw.array.fetch import Fetch
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.list_builder import ListBuilder
from gradgate.hw.array.post import FLAGS, Post
from gradgate.hw.array.post_walk import WalkSignature
from gradgate.hw.array.run import RunSignature, run_layout
from gradgate.hw.array.window import Window
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.memoryport import ReadPortSignature, WritePortSignature
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.parts.rowport import BrickPortSignature
from gradgate.hw.parts.shapes import rotated
from gradgate.hw.parts.share import Share


class Row(wiring.Component):
    """One row: its memories, window walk, list builder, carousel, ``lanes`` PEs, post-processor.

    Members
    -------
    run : In(RunSignature)
    post_fields : In(layout of POST), stable from the cycle before the command's ``start`` on
    post_active : In(1), the post-processing walk is under way
    post : In(WalkSignature), of the walk, see :class:`PostWalk`
    overflow : Out(range(lanes + 1)), see :class:`Post`
    port : In(BrickPortSignature), the activation memory, read in ``latency.ROW`` cycles; while no RUN or POST
        is active
    choices : In(ReadPortSignature), a brick of the argmax memory, ``latency.ROW`` cycles later; while no POST
        is active
    fill : In(WritePortSignature), a word of all lanes' banks, with a weight for each lane, see :class:`Lane`
    accs : In(ReadPortSignature), an accumulator of each lane, ``latency.ROW`` cycles later; while no RUN is
        active

    All inputs but ``run.running`` and what is of :class:`RunCheck` take effect a cycle later.

    Latency: of its parts. Throughput: ``lanes`` multiplications a cycle.
    Resources: ``lanes`` DSPs; block RAM of two memories, ``lists`` lists, ``2 * lanes`` banks and sums.
    """

    #: cycles from the ``start`` of a RUN to that of the row
    SETTLE = Window.SETTLE

    def __init__(self, config, number):
        self.config = config
        self.number = integer("row number", number, 0, config.rows - 1)
        formats, lanes = config.formats, config.lanes
        words = range(config.bank_words)
        super().__init__({
            "run": In(RunSignature(config)),
            "post_fields": In(layout(Opcode.POST)),
            "post_active": In(1),
            "post": In(WalkSignature(config)),
            "overflow": Out(range(lanes + 1)),
            "port": In(BrickPortSignature(config)),
            "choices": In(ReadPortSignature(range(config.argmax_bricks), data.ArrayLayout(2, lanes))),
            "fill": In(WritePortSignature(words, data.ArrayLayout(formats.act_bits, lanes), parts=2)),
            "accs": In(ReadPortSignature(words, data.ArrayLayout(formats.acc_bits, lanes))),
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
        near = self._near(m)
        self._lists(m, near, act, window, fetch, builder, carousel)
        appended = self._targets(m, near.fields, builder)

        acc = Signal(self.accs.data.shape())
        m.d.sync += behind(m, self.accs.data, "out_acc").eq(acc)
        m.d.sync += behind(m, self.port.r_data, "out_port_read").eq(act.r_data)
        m.d.sync += behind(m, self.choices.data, "out_choices").eq(argmax.r_data)
        self._lanes(m, near, carousel, appended, post, acc)
        self._post(m, near, act, argmax, post)
        self._memories(m, act, argmax, fetch, post)
        return m

    def _near(self, m):
        """Registers of the row's own for what all rows get, so that no wire crosses the die.

        A reset leaves them alone, but lets nothing that enables pass.
        """
        far = {
            "start": self.run.start,
            "fields": self.run.fields,
            "post_fields": self.post_fields,
            "post_valid": self.post.valid,
            "post_double": self.post.double,
            "post_beat": self.post.beat,
            "fill_en": self.fill.en,
            "fill_addr": self.fill.addr,
            "fill_data": self.fill.data,
            "acc_addr": self.accs.addr,
        }
        shape = data.StructLayout({name: value.shape() for name, value in far.items()})
        m.submodules.copy = copy = Copy(shape)
        m.d.comb += [copy.i[name].eq(value) for name, value in far.items()]
        with m.If(ResetSignal(allow_reset_less=True)):
            m.d.comb += [copy.i[name].eq(0) for name in ("start", "post_valid", "fill_en")]
        return copy.o

    def _lists(self, m, near, act, window, fetch, builder, carousel):
        """RUN: window, fetch, builder, carousel, one after the other."""
        f = near.fields
        slots = Unreset(12)  # images of this row in the tile
        list_words = Unreset(5)  # words of a pixel's last brick: of the list ..
        target_words = Unreset(5)  # .. and of the targets; with swap, the other way round
        m.d.sync += [
            slots.eq(f.slots - (self.number >= f.last_rows)),
            list_words.eq(Mux(f.swap, f.t_tail, f.l_tail)),
            target_words.eq(Mux(f.swap, f.l_tail, f.t_tail)),
        ]
        wiring.connect(m, window.o, fetch.i)
        wiring.connect(m, fetch.o, builder.i)
        m.d.comb += [
            window.start.eq(near.start),
            window.fields.eq(near.fields),
            window.k_most.eq(self.run.k_most),
            window.k_most_tail.eq(self.run.k_most_tail),
            self.run.fault.eq(window.fault | builder.fault),
            window.slots.eq(slots),
            fetch.dense_list.eq(~f.skip_list),
            fetch.dense_target.eq(~f.skip_target),
            fetch.list_words.eq(list_words),
            fetch.target_words.eq(target_words),
            builder.start.eq(near.start),
            builder.fields.eq(near.fields),
        ]
        wiring.connect(m, builder.build, carousel.build)
        m.d.sync += self.run.done.eq(builder.ended & carousel.idle & ~near.start)

    def _targets(self, m, f, builder):
        """What is appended to the lanes' targets, in registers: a list opens long after they are complete.

        A swapped brick is turned, so that equal channels of a window's pixels are not one lane's work.
        """
        lanes, act_bits = self.config.lanes, self.config.formats.act_bits
        item = builder.item
        t = Signal.like(item.tag.k)
        m.d.comb += t.eq(Mux(f.swap, item.tag.k, item.tag.t))
        turned = rotated([Cat(item.words[j], item.flags[j]) for j in range(lanes)], item.tag.turn, -1)
        bias = builder.build.claim & f.swap & f.bias
        more = [0] * (lanes - 1) + [bias]  # it is one more target of the last lane
        enables = [(builder.target & word[act_bits]) | bit for word, bit in zip(turned, more)]
        t_en = Signal(lanes)
        t_words = [Signal(act_bits, name=f"t_word{j}") for j in range(lanes)]
        last_t = Signal.like(t)
        t_slot = Signal.like(builder.build.target_slot)
        claim = Signal.like(builder.build.claim)
        claim_list = Signal.like(builder.build.slot)
        biased = Signal()  # this is the bias
        m.d.sync += t_en.eq(Cat(enables))
        m.d.sync += [word.eq(turned[j][:act_bits]) for j, word in enumerate(t_words)]
        m.d.sync += [
            last_t.eq(t),
            t_slot.eq(builder.build.target_slot),
            claim.eq(builder.build.claim),
            claim_list.eq(builder.build.slot),
            biased.eq(bias),
        ]
        return SimpleNamespace(
            en=t_en, words=t_words, t=last_t, slot=t_slot, claim=claim, claim_list=claim_list, biased=biased)

    def _lanes(self, m, near, carousel, appended, post, acc):
        """The lanes, each with registers of its own for what it has to know of a RUN."""
        config, lanes = self.config, self.config.lanes
        f = near.fields
        fewer = Signal.like(f.t_count)
        m.d.comb += fewer.eq(f.t_count - 1)
        for j in range(lanes):
            m.submodules[f"lane{j}"] = lane = Lane(config)
            m.submodules[f"fields{j}"] = fields = Copy(run_layout(config))
            wiring.connect(m, carousel.lists, lane.lists)
            wiring.connect(m, carousel.visits[j], lane.visit)
            m.d.comb += [
                fields.i.running.eq(self.run.running),
                fields.i.every.eq(Mux(j < f.t_tail, f.t_count, fewer)),
                *(fields.i[name].eq(f[name]) for name in ("outer", "fetch", "accumulate", "bank_addr")),
                lane.run.eq(fields.o),
                lane.start.eq(near.start),
            ]
            self._append(m, f, lane.append, appended, j)
            m.d.comb += [
                lane.fill.en.eq(near.fill_en),
                lane.fill.addr.eq(near.fill_addr),
                lane.fill.data.eq(near.fill_data[j]),
                lane.accs.addr.eq(near.acc_addr),
                acc[j].eq(lane.accs.data),
                lane.sums.addr.eq(near.post_beat.src),
                post.sums[j].eq(lane.sums.data),
            ]

    def _append(self, m, f, append, appended, j):
        """A target to lane ``j``; the last lane gets the bias too."""
        m.d.comb += [
            append.en.eq(appended.en[j]),
            append.slot.eq(appended.slot),
            append.entry.t.eq(appended.t),
            append.entry.value.eq(appended.words[j]),
            append.claim.eq(appended.claim),
            append.claim_list.eq(appended.claim_list),
        ]
        if j == self.config.lanes - 1:
            with m.If(appended.biased):
                m.d.comb += append.entry.t.eq(f.k_bias)
                m.d.comb += append.entry.value.eq(1 << self.config.formats.act_frac)

    def _post(self, m, near, act, argmax, post):
        """POST: the post-processor and what it takes from this row and gives to it."""
        p = near.post_fields
        owns = Unreset()  # the last slot holds an image of this row
        m.d.sync += owns.eq(self.number < p.last_rows)
        m.d.comb += [
            post.flags.eq(Cat(p[name] for name in FLAGS)),
            post.owns.eq(owns),
            post.i.valid.eq(near.post_valid),
            post.i.double.eq(near.post_double),
            post.i.beat.eq(near.post_beat),
            post.row.eq(act.r_data),
            post.choices.eq(argmax.r_data),
            self.overflow.eq(post.overflow),
            argmax.w_addr.eq(post.w_choices.addr),
            argmax.w_data.eq(post.w_choices.data),
            argmax.w_en.eq(post.w_choices.en),
        ]

    def _memories(self, m, act, argmax, fetch, post):
        """The memories belong to one unit at a time; their inputs are registers."""
        brick, bricks = self.port.r_data.shape(), range(self.config.act_bricks)
        reading = ReadPortSignature(bricks, brick)
        writing = WritePortSignature(bricks, brick, parts=self.config.lanes)
        m.submodules.act_read = read = Share(reading, ("run", "post", "host"))
        m.submodules.act_write = write = Share(writing, ("post", "host"))
        m.submodules.choice_read = choice = Share(self.choices.signature.flip(), ("post", "host"))
        wiring.connect(m, read.run, fetch.memory)
        m.d.comb += [
            read.granted.run.eq(self.run.running),
            read.granted.post.eq(self.post_active),
            read.post.addr.eq(self.post.beat.row),
            read.host.addr.eq(self.port.addr),
            read.port.data.eq(act.r_data),
            # The words of POST come after its walk has ended, too, when nobody else writes.
            write.granted.post.eq(post.w_row.en),
            write.post.en.eq(~0),
            write.post.addr.eq(post.w_row.addr),
            write.post.data.eq(post.w_row.data),
            write.host.en.eq(self.port.en),
            write.host.addr.eq(self.port.addr),
            write.host.data.eq(self.port.w_data),
            choice.granted.post.eq(self.post_active),
            choice.post.addr.eq(self.post.beat.aux),
            choice.host.addr.eq(self.choices.addr),
            choice.port.data.eq(argmax.r_data),
        ]
        w_en = Signal(self.config.lanes)
        m.d.comb += act.w_en.eq(w_en)
        m.d.sync += w_en.eq(write.port.en)
        m.d.sync += behind(m, act.r_addr, "r_addr").eq(read.port.addr)
        m.d.sync += behind(m, act.w_addr, "w_addr").eq(write.port.addr)
        m.d.sync += behind(m, act.w_data, "w_data").eq(write.port.data)
        m.d.sync += behind(m, argmax.r_addr, "choice_addr").eq(choice.port.addr)
