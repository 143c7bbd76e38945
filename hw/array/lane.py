"""A lane of the array: the processing element."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.array.list_builder import entry_layout
from gradgate.hw.array.targets import Targets, target_layout
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.shapes import below


class Lane(wiring.Component):
    """One PE: joins the lists of its row at any phase and makes one full turn for each of its targets.

    RED turn: ``sum += value * bank[bank_addr + k + t]``, the sum goes to the sums memory.
    OUT turn: ``bank[bank_addr + k + t] += value * target``. The bank holds accumulators (one a word) or
    weights (two a word, bit 0 of a weight's address chooses the half).

    ::

        s0 control   s1 entry, target   s2 address   s3..s5 bank read (RED)   s5..s8 multiply   s8 add
                                                     s6..s8 bank read (OUT)                     s9 write

    Members
    -------
    start : In(1), one cycle: a RUN begins
    running : In(1), a RUN is active; the lane's memories are its own
    outer, fetch, accumulate : In(1), fields of RUN, stable from two cycles before the first ``pending`` on
    bank_addr : In(range(bank_weights)), field of RUN, bank word of k = 0; stable likewise
    every : In(range(targets + 1)), this lane's targets at each position without ``fetch``; stable likewise
    pending : In(lists), of the carousel: this lane still has to visit the list
    length : In(lists x range(list_entries + 1)), entries of each list; valid from a cycle before ``pending``
    single : In(lists), the list's length is 1; valid likewise
    void : In(lists), no lane has anything to do with the list; valid from two cycles before ``pending``
    psum : In(lists x range(psum_words)), address of each list's first sum; valid with ``pending``
    target : In(lists x range(lists + 1)), slot of each list's targets; valid with ``pending``
    bus : In(lists x entry), one entry of each list, another one every cycle
    fin : Out(lists), this cycle is the last one spent on the list
    t_en : In(1), append ``t_entry`` to this lane's targets of slot ``t_slot``, see :class:`Targets`
    t_slot : In(range(lists + 1)), slot of the appended target; valid with ``t_en``
    t_entry : In(target), the appended target; valid with ``t_en``
    claim : In(1), one cycle: the targets of a position are complete; two cycles before ``pending`` or earlier
    claim_list : In(range(lists)), the list that they belong to; valid with ``claim``
    fill_en : In(2), write a weight to the lower, to the upper half of a word, or clear the word by writing
        zeros to both; not in a RUN of OUT turns, nor into a word that a RUN of RED turns reads
    fill_addr : In(range(bank_words)), the word; valid with ``fill_en``
    fill_data : In(act_bits), the weight; valid with ``fill_en``
    acc_addr : In(range(bank_words)), word of the bank; valid while not running
    acc : Out(acc_bits), its accumulator, ``latency.RAM`` cycles later
    sum_addr : In(range(psum_words)), word of the sums memory; valid while not running
    sum : Out(acc_bits), its sum, ``latency.RAM`` cycles later

    Cycles for a list: max(1, targets * length), and ``BUBBLE`` = 3 more after OUT turns, before the next
    list's first entry, because an accumulator read 1 to 3 cycles after its own update began would be stale.
    Latency: ``DRAIN`` = 10 cycles from the last control cycle until the result can be read.
    Throughput: one multiplication a cycle. Resources: 1 DSP, 2 block RAMs (bank, sums).
    Source: sparse accelerators with independent lanes; ADA-GP and gradient output sparsity (arXiv
    2109.07710) for OUT and mask.
    """

    BUBBLE = 3
    DRAIN = 10

    def __init__(self, config):
        self.config = config
        s, formats = config.lists, config.formats
        acc = formats.acc_bits
        super().__init__({
            "start": In(1), "running": In(1), "outer": In(1), "fetch": In(1), "accumulate": In(1),
            "bank_addr": In(range(config.bank_weights)), "every": In(range(config.targets + 1)),
            "pending": In(s), "void": In(s), "single": In(s),
            "length": In(data.ArrayLayout(range(config.list_entries + 1), s)),
            "psum": In(data.ArrayLayout(range(config.psum_words), s)),
            "target": In(data.ArrayLayout(range(s + 1), s)),
            "bus": In(data.ArrayLayout(entry_layout(config), s)), "fin": Out(s),
            "t_en": In(1), "t_slot": In(range(s + 1)), "t_entry": In(target_layout(config)),
            "claim": In(1), "claim_list": In(below(s)),
            "fill_en": In(2), "fill_addr": In(range(config.bank_words)), "fill_data": In(formats.act_bits),
            "acc_addr": In(range(config.bank_words)), "acc": Out(acc),
            "sum_addr": In(range(config.psum_words)), "sum": Out(acc),
        })

    def elaborate(self, platform):
        m = Module()
        config, formats = self.config, self.config.formats
        half_bits = max(formats.act_bits, (formats.acc_bits + 1) // 2)
        m.submodules.targets = targets = Targets(config)
        m.submodules.bank = bank = Ram(width=2 * half_bits, depth=config.bank_words, parts=2)
        m.submodules.sums = sums = Ram(width=formats.acc_bits, depth=config.psum_words)
        m.submodules.multiplier = multiplier = Multiplier(formats.act_bits)

        # s0
        at = Unreset(below(config.lists))  # the list that the lane is at
        index = Unreset(range(config.targets))  # the target that this turn is for
        issue = Signal()  # an entry of the list enters the pipeline
        first = Unreset(init=1)  # of the turn's entries
        last = Unreset()
        self._control(m, targets, at, index, issue, first, last)

        # s1, s2
        k2, value2, psum2, t2, target2 = self._operands(m, targets, at, index)

        # s3 on: what accompanies the operands down the pipeline
        address3 = Unreset(range(config.bank_weights))
        psum3 = Unreset(psum2.shape())
        m.d.sync += address3.eq(k2 + t2)
        m.d.sync += psum3.eq(psum2 + t2)
        value5 = _delay(m, value2, 3, "value")
        half5 = _delay(m, address3[0], 2, "half")
        psum5 = _delay(m, psum3, 2, "psum")
        psum9 = _delay(m, psum5, 4, "psum_late")
        valid8 = _delay(m, issue, 8, "valid", Signal)
        first7 = _delay(m, first, 7, "first")
        last8 = _delay(m, last, 8, "last")
        early3 = _only(m, ~self.outer, (k2 + t2)[1:len(address3)], "early")
        address5 = _delay(m, address3[:len(bank.r_addr)], 2, "address")
        address6 = _only(m, self.outer, address5, "address_2")
        address9 = _delay(m, address6, 3, "address_late")
        target5 = _delay(m, target2, 3, "target")

        # s5..s8: multiply; s8: add; s9: write
        lower, upper = bank.r_data[:formats.act_bits], bank.r_data[half_bits:half_bits + formats.act_bits]
        weight5 = Mux(half5, upper, lower)
        total = Unreset(formats.acc_bits)
        self._multiply_add(m, bank, sums, multiplier, value5, weight5, target5, first7, valid8, total)
        write9 = Signal()  # the total goes to the bank, of an OUT turn
        end9 = Signal()  # the total goes to the sums memory, of a RED turn
        m.d.sync += write9.eq(valid8 & self.outer)
        m.d.sync += end9.eq(valid8 & last8 & ~self.outer)
        m.d.comb += [
            bank.r_addr.eq(Mux(self.running, early3 | address6, self.acc_addr)),
            sums.r_addr.eq(Mux(self.running, psum5, self.sum_addr)),
            self.acc.eq(bank.r_data),
            self.sum.eq(sums.r_data),
            sums.w_addr.eq(psum9),
            sums.w_data.eq(total),
            sums.w_en.eq(end9),
        ]
        with m.If(write9):
            m.d.comb += [
                bank.w_addr.eq(address9),
                bank.w_data.eq(total),
                bank.w_en.eq(0b11),
            ]
        with m.Else():
            m.d.comb += [
                bank.w_addr.eq(self.fill_addr),
                bank.w_en.eq(self.fill_en),
                bank.w_data[:half_bits].eq(self.fill_data),
                bank.w_data[half_bits:].eq(self.fill_data),
            ]
        return m

    def _control(self, m, targets, at, index, issue, first, last):
        """s0: what the next cycle does, with the list that the lane is at then, is decided in this one."""
        config = self.config
        left = Unreset(range(config.list_entries + 1))  # entries of the turn from this one on
        turns = Unreset(range(config.targets + 1))  # turns of the list from this one on
        final = Unreset()  # this is the last turn of the list
        nothing = Unreset()  # the lane has nothing to do with the list
        bubble = Unreset(self.BUBBLE)  # a bit for each cycle since the last OUT turn of a list
        in_bubble = Unreset()  # the lane is in a bubble
        counts, nothings, ones = self._counts(m, targets)
        here = self.pending.bit_select(at, 1) & ~in_bubble
        fin = Signal()  # this cycle is the last one spent on the list
        m.d.comb += [
            issue.eq(here & ~nothing),
            fin.eq(here & (nothing | (last & final))),
            self.fin.eq(Cat(fin & (at == s) for s in range(config.lists))),
            targets.claim.eq(self.claim),
            targets.claim_list.eq(self.claim_list),
            targets.en.eq(self.t_en),
            targets.slot.eq(self.t_slot),
            targets.entry.eq(self.t_entry),
        ]
        following = Signal.like(at)  # the list after this one
        begins = Signal.like(at)  # the list that the lane is at in the next cycle
        m.d.comb += following.eq(Mux(at == config.lists - 1, 0, at + 1))
        m.d.comb += begins.eq(Mux(fin, following, at))
        m.d.sync += at.eq(begins)
        # Within a list, every cycle has its entry.
        m.d.sync += first.eq(~issue | last)
        with m.If(issue & ~last):
            m.d.sync += left.eq(left - 1)
            m.d.sync += last.eq(left == 2)
        with m.Else():
            m.d.sync += left.eq(self.length[begins])
            m.d.sync += last.eq(self.single.bit_select(begins, 1))
        with m.If(~issue | fin):
            m.d.sync += [
                turns.eq(Array(counts)[begins]),
                final.eq(ones.bit_select(begins, 1)),
                nothing.eq(nothings.bit_select(begins, 1)),
                index.eq(0),
            ]
        with m.Elif(last):
            m.d.sync += [
                turns.eq(turns - 1),
                final.eq(turns == 2),
                index.eq(index + 1),
            ]
        later = Cat(fin & ~nothing & self.outer, bubble[:-1])[:self.BUBBLE]
        m.d.sync += bubble.eq(later)
        m.d.sync += in_bubble.eq(later.any())
        with m.If(self.start):
            m.d.sync += [
                at.eq(0),
                bubble.eq(0),
                in_bubble.eq(0),
            ]

    def _counts(self, m, targets):
        """The number of this lane's targets of each list; lists with nothing to do; lists with one target."""
        counts = [Unreset(len(self.every), name=f"count{s}") for s in range(self.config.lists)]
        nothings = Unreset(self.config.lists)
        ones = Unreset(self.config.lists)
        for s, count in enumerate(counts):
            found = Mux(self.fetch, targets.count[s], self.every)
            m.d.sync += [
                count.eq(found),
                nothings[s].eq(self.void[s] | (found == 0)),
                ones[s].eq(found == 1),
            ]
        return counts, nothings, ones

    def _operands(self, m, targets, at, index):
        """s1, s2: k and value of the entry, address of its sums; t and value of the target."""
        config = self.config
        at1 = Unreset(at.shape())
        target1 = Unreset(range(config.lists + 1))
        index1 = Unreset(index.shape())
        psum1 = Unreset(range(config.psum_words))
        m.d.sync += [
            at1.eq(at),
            target1.eq(self.target[at]),
            index1.eq(index),
            psum1.eq(self.psum[at]),
        ]
        entry = self.bus[at1]
        m.d.comb += targets.r_index.eq(index1)
        k2 = Unreset(range(config.bank_weights))
        value2 = Unreset(config.formats.act_bits)
        psum2 = Unreset(psum1.shape())
        m.d.sync += [
            k2.eq(self.bank_addr + entry.k),
            value2.eq(entry.value),
            psum2.eq(psum1),
        ]
        # A register for each slot, which is zero for another slot, so that an OR joins them.
        slots = list(enumerate(targets.r_entries))
        t2 = _only(m, ~self.fetch, index1, "index2")
        for slot, target in slots:
            t2 = t2 | _only(m, self.fetch & (target1 == slot), target.t, f"t2_{slot}")
        values = [_only(m, target1 == slot, target.value, f"target2_{slot}") for slot, target in slots]
        return k2, value2, psum2, t2, reduce(or_, values)

    def _multiply_add(self, m, bank, sums, multiplier, value5, weight5, target5, first7, valid8, total):
        """s5 to s8: ``total`` becomes accumulator (OUT) or sum of the turn so far (RED), plus the product."""
        acc_bits = self.config.formats.acc_bits
        sum8 = _only(m, first7 & self.accumulate & ~self.outer, sums.r_data, "sum8")
        go_on8 = Unreset()  # the turn goes on
        m.d.sync += go_on8.eq(~first7)
        before = Signal(acc_bits)
        m.d.comb += [
            multiplier.a.eq(value5.as_signed()),
            multiplier.b.eq(Mux(self.outer, target5, weight5).as_signed()),
            before.eq(Mux(self.outer, bank.r_data[:acc_bits], sum8 | Mux(go_on8, total, 0))),
        ]
        product = Signal(signed(acc_bits))
        m.d.comb += product.eq(multiplier.o)
        with m.If(valid8):
            m.d.sync += total.eq(before + product)


def _delay(m, value, cycles, name, kind=Unreset):
    """``value`` of ``cycles`` cycles ago."""
    return delays(m, value, cycles, kind, f"{name}_")[-1]


def _only(m, condition, value, name):
    """A register of ``value``, or zero where ``condition`` does not hold: its reset, which costs no LUT."""
    register = Unreset(len(value), name=name)
    with m.If(condition):
        m.d.sync += register.eq(value)
    with m.Else():
        m.d.sync += register.eq(0)
    return register


assert latency.RAM == 2 and latency.MULTIPLY == 3, "the stages s3 to s8 are laid out for these latencies"
