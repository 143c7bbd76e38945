"""A row of the array: the images it owns, the lists it makes of them, and its lanes."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import integer
from gradgate.arch.commands import Opcode
from gradgate.hw.array.carousel import Carousel
from gradgate.hw.array.fetch import Fetch
from gradgate.hw.array.lane import Lane, run_layout
from gradgate.hw.array.list_builder import ListBuilder
from gradgate.hw.array.post import Post
from gradgate.hw.array.post_walk import beat_layout
from gradgate.hw.array.run_check import RunCheck
from gradgate.hw.array.window import Window
from gradgate.hw.parts.command import PAYLOAD, layout
from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.parts.shapes import rotated


class Row(wiring.Component):
    """One row: its memories, window walk, list builder, carousel, ``lanes`` PEs, post-processor.

    Members
    -------
    start : In(1), one cycle: the row begins with a RUN, ``SETTLE`` cycles after the command's ``start``
    running : In(1), the RUN is active
    payload : In(PAYLOAD), fields of RUN or of POST, stable from the cycle before the command's ``start`` on
    k_most : In(signed), largest legal k of a full brick, of :class:`RunCheck`
    k_most_tail : In(signed), the same for a pixel's last brick
    done : Out(1), all positions are finished; a level, clear while starting
    fault : Out(1), see :class:`Window` and :class:`ListBuilder`
    post_active : In(1), the post-processing walk is under way
    post_valid : In(1), there is a beat of the walk, see :class:`PostWalk`
    post_double : In(1), a beat takes two cycles and reads the row memory in both; stable in a POST
    post_beat : In(beat), the beat; valid with ``post_valid``
    overflow : Out(range(lanes + 1)), see :class:`Post`
    port_addr : In(range(act_bricks)), brick of the activation memory; valid while no RUN or POST is active
    port_en : In(lanes), write these words of it
    port_data : In(brick), the words, lane 0 first; valid with ``port_en``
    port_read : Out(brick), the brick of ``port_addr``, ``latency.ROW`` cycles later
    choice_addr : In(range(argmax_bricks)), brick of the argmax memory; valid while no POST is active
    choices : Out(lanes x 2), the brick, ``latency.ROW`` cycles later
    fill_en : In(2), write a word of all lanes' banks, see :class:`Lane`
    fill_addr : In(range(bank_words)), the word; valid with ``fill_en``
    fill_data : In(brick), a weight for each lane; valid with ``fill_en``
    acc_addr : In(range(bank_words)), word of all lanes' banks; valid while no RUN is active
    acc : Out(lanes x acc_bits), an accumulator of each lane, ``latency.ROW`` cycles later

    All inputs but ``running`` and what is of :class:`RunCheck` take effect a cycle later.

    Latency: of its parts. Throughput: ``lanes`` multiplications a cycle.
    Resources: ``lanes`` DSPs; block RAM of two memories, ``lists`` lists, ``2 * lanes`` banks and sums.
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
            "k_most": In(RunCheck.k_shape(config)), "k_most_tail": In(RunCheck.k_shape(config)),
            "fault": Out(1), "overflow": Out(range(lanes + 1)),
            "post_active": In(1), "post_valid": In(1), "post_double": In(1),
            "post_beat": In(beat_layout(config)),
            "port_addr": In(range(config.act_bricks)), "port_en": In(lanes),
            "port_data": In(brick), "port_read": Out(brick),
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
        near = self._near(m)
        self._lists(m, near, act, window, fetch, builder, carousel)
        appended = self._targets(m, layout(Opcode.RUN)(near.payload), builder)

        acc = Signal(self.acc.shape())
        out_acc = behind(m, self.acc, "out_acc")
        m.d.sync += out_acc.eq(acc)
        out_port_read = behind(m, self.port_read, "out_port_read")
        m.d.sync += out_port_read.eq(act.r_data)
        out_choices = behind(m, self.choices, "out_choices")
        m.d.sync += out_choices.eq(argmax.r_data)
        self._lanes(m, near, carousel, appended, post, acc)
        self._post(m, near, act, argmax, post)
        self._memories(m, act, argmax, fetch, post)
        return m

    def _near(self, m):
        """Registers of the row's own for what all rows get, so that no wire crosses the die.

        A reset leaves them alone, but lets nothing that enables pass.
        """
        names = ("start", "payload", "post_valid", "post_double", "post_beat",
                 "fill_en", "fill_addr", "fill_data", "acc_addr")
        members = {name: getattr(self, name) for name in names}
        shape = data.StructLayout({name: member.shape() for name, member in members.items()})
        m.submodules.copy = copy = Copy(shape)
        m.d.comb += [copy.i[name].eq(member) for name, member in members.items()]
        with m.If(ResetSignal(allow_reset_less=True)):
            m.d.comb += [copy.i[name].eq(0) for name in ("start", "post_valid", "fill_en")]
        return SimpleNamespace(**{name: copy.o[name] for name in names})

    def _lists(self, m, near, act, window, fetch, builder, carousel):
        """RUN: window, fetch, builder, carousel, one after the other."""
        f = layout(Opcode.RUN)(near.payload)
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
            window.payload.eq(near.payload),
            fetch.i_addr.eq(window.addr),
            window.k_most.eq(self.k_most),
            window.k_most_tail.eq(self.k_most_tail),
            self.fault.eq(window.fault | builder.fault),
            window.slots.eq(slots),
            fetch.dense_list.eq(~f.skip_list),
            fetch.dense_target.eq(~f.skip_target),
            fetch.list_words.eq(list_words),
            fetch.target_words.eq(target_words),
            fetch.r_data.eq(act.r_data),
            builder.start.eq(near.start),
            builder.fields.eq(near.payload),
        ]
        wiring.connect(m, builder.build, carousel.build)
        m.d.sync += self.done.eq(builder.ended & carousel.idle & ~near.start)

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
        """The lanes, each with registers of its own for fields of RUN."""
        config, lanes = self.config, self.config.lanes
        f = layout(Opcode.RUN)(near.payload)
        fewer = Signal.like(f.t_count)
        m.d.comb += fewer.eq(f.t_count - 1)
        for j in range(lanes):
            m.submodules[f"lane{j}"] = lane = Lane(config)
            m.submodules[f"fields{j}"] = fields = Copy(run_layout(config))
            wiring.connect(m, carousel.lists, lane.lists)
            wiring.connect(m, carousel.visits[j], lane.visit)
            m.d.comb += [
                fields.i.running.eq(self.running),
                fields.i.every.eq(Mux(j < f.t_tail, f.t_count, fewer)),
                fields.i.outer.eq(f.outer),
                fields.i.fetch.eq(f.fetch),
                fields.i.accumulate.eq(f.accumulate),
                fields.i.bank_addr.eq(f.bank_addr),
                lane.run.eq(fields.o),
                lane.start.eq(near.start),
                lane.append.en.eq(appended.en[j]),
                lane.append.slot.eq(appended.slot),
                lane.append.entry.t.eq(appended.t),
                lane.append.entry.value.eq(appended.words[j]),
                lane.append.claim.eq(appended.claim),
                lane.append.claim_list.eq(appended.claim_list),
                lane.fill.en.eq(near.fill_en),
                lane.fill.addr.eq(near.fill_addr),
                lane.fill.data.eq(near.fill_data[j]),
                lane.accs.addr.eq(near.acc_addr),
                acc[j].eq(lane.accs.data),
                lane.sums.addr.eq(near.post_beat.src),
                post.sums[j].eq(lane.sums.data),
            ]
        with m.If(appended.biased):
            m.d.comb += lane.append.entry.t.eq(f.k_bias)
            m.d.comb += lane.append.entry.value.eq(1 << config.formats.act_frac)

    def _post(self, m, near, act, argmax, post):
        """POST: the post-processor and what it takes from this row and gives to it."""
        p = layout(Opcode.POST)(near.payload)
        owns = Unreset()  # the last slot holds an image of this row
        m.d.sync += owns.eq(self.number < p.last_rows)
        m.d.comb += [
            post.rows.eq(p.rows),
            post.choose.eq(p.choose),
            post.add.eq(p.add),
            post.relu.eq(p.relu),
            post.mask.eq(p.mask),
            post.pool.eq(p.pool),
            post.mean.eq(p.mean),
            post.shift.eq(p.shift),
            post.tail.eq(p.tail),
            post.owns.eq(owns),
            post.valid.eq(near.post_valid),
            post.double.eq(near.post_double),
            post.beat.eq(near.post_beat),
            post.row.eq(act.r_data),
            post.choices.eq(argmax.r_data),
            self.overflow.eq(post.overflow),
            argmax.w_addr.eq(post.c_addr),
            argmax.w_data.eq(post.c_data),
            argmax.w_en.eq(post.c_en),
        ]

    def _memories(self, m, act, argmax, fetch, post):
        """The memories belong to one unit at a time; their inputs are registers."""
        r_addr = behind(m, act.r_addr, "r_addr")
        w_addr = behind(m, act.w_addr, "w_addr")
        choice_addr = behind(m, argmax.r_addr, "choice_addr")
        w_data = behind(m, act.w_data, "w_data")
        w_en = Signal(self.config.lanes)
        m.d.comb += act.w_en.eq(w_en)
        other_addr = Mux(self.post_active, self.post_beat.row, self.port_addr)
        m.d.sync += r_addr.eq(Mux(self.running, fetch.r_addr, other_addr))
        m.d.sync += choice_addr.eq(Mux(self.post_active, self.post_beat.aux, self.choice_addr))
        with m.If(post.w_en):
            m.d.sync += [
                w_addr.eq(post.w_addr),
                w_data.eq(post.w_data),
                w_en.eq(~0),
            ]
        with m.Else():
            m.d.sync += [
                w_addr.eq(self.port_addr),
                w_data.eq(self.port_data),
                w_en.eq(self.port_en),
            ]
