"""A lane of the array: the processing element."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.list_builder import entry_layout
from gradgate.hw.multiplier import Multiplier
from gradgate.hw.ram import Ram
from gradgate.hw.registers import Unreset, delays
from gradgate.hw.shapes import below
from gradgate.hw.targets import Targets, target_layout


class Lane(wiring.Component):
    """One PE: joins the lists of its row at any phase and makes one full turn for each of its targets.

    RED turn: ``sum += value * bank[bank_addr + k + t]``, the sum goes to the sums memory.
    OUT turn: ``bank[bank_addr + k + t] += value * target``. The bank holds accumulators (one a word) or weights (two a word,
    bit 0 of a weight's address chooses the half).

    ::

        s0 control   s1 entry, target   s2 address   s3..s5 bank read (RED)   s5..s8 multiply   s8 add   s9 write
                                                     s6..s8 bank read (OUT)

    Members
    -------
    start : In, one cycle; outer, fetch, accumulate, bank_addr : In, fields of RUN; running : In
    every : In, number of this lane's targets without ``fetch``
    pending, length, single, psum, void, target, bus : In, of the carousel (this lane's ``pending`` bits); ``length`` and ``single``
        already a cycle before ``pending``, ``void``, the list's targets and the fields two
    fin : Out(lists), this cycle is the last one spent on the list
    t_en, t_slot, t_entry, claim, claim_list : In, of the lane's targets
    fill_en : In(2), fill_addr, fill_data : In, write a weight to the lower, the upper half of a word, or clear it by writing zeros;
        not in a RUN of OUT turns, nor into a word that a RUN of RED turns reads
    acc_addr : In; acc : Out, accumulator, ``latency.RAM`` cycles later, while not running
    sum_addr : In; sum : Out, sums memory, ``latency.RAM`` cycles later, while not running

    Cycles for a list: max(1, targets * length), and ``BUBBLE`` = 3 more after OUT turns, before the next list's first entry,
    because an accumulator read 1 to 3 cycles behind its own update would be stale.
    Latency: ``DRAIN`` = 10 cycles from the last control cycle until the result can be read.
    Throughput: one multiplication a cycle. Resources: 1 DSP, 2 block RAMs (bank, sums).
    Source: sparse accelerators with independent lanes; ADA-GP and gradient output sparsity (arXiv 2109.07710) for OUT and mask.
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
        acc_bits, act_bits = formats.acc_bits, formats.act_bits
        half_bits = max(act_bits, (acc_bits + 1) // 2)
        m.submodules.targets = targets = Targets(config)
        m.submodules.bank = bank = Ram(width=2 * half_bits, depth=config.bank_words, parts=2)
        m.submodules.sums = sums = Ram(width=acc_bits, depth=config.psum_words)
        m.submodules.multiplier = multiplier = Multiplier(act_bits)

        def delay(value, cycles, name, kind=Unreset):
            return delays(m, value, cycles, kind, f"{name}_")[-1]

        def only(condition, value, name):
            register = Unreset(len(value), name=name)
            with m.If(condition):
                m.d.sync += register.eq(value)
            with m.Else():
                m.d.sync += register.eq(0)
            return register

        # s0: control. What the next cycle does is decided in this one: of the list that the lane is at then, if that begins.
        at = Unreset(below(config.lists))
        left = Unreset(range(config.list_entries + 1))  # entries of the turn from this one on
        turns = Unreset(range(config.targets + 1))  # of the list from this one on
        index = Unreset(range(config.targets))
        first, last, final = Unreset(init=1), Unreset(), Unreset()  # of the turn's entries; the last turn
        nothing = Unreset()
        bubble = Unreset(self.BUBBLE)  # a bit for each cycle since the last OUT turn of a list
        waits = Unreset()  # there is one
        counts = [Unreset(len(self.every), name=f"count{s}") for s in range(config.lists)]  # of targets
        nothings, ones = Unreset(config.lists), Unreset(config.lists)
        for s, count in enumerate(counts):
            found = Mux(self.fetch, targets.count[s], self.every)
            m.d.sync += [count.eq(found), nothings[s].eq(self.void[s] | (found == 0)), ones[s].eq(found == 1)]
        here = self.pending.bit_select(at, 1) & ~waits
        issue = Signal()
        fin = Signal()
        m.d.comb += [
            issue.eq(here & ~nothing), fin.eq(here & (nothing | (last & final))),
            self.fin.eq(Cat(fin & (at == s) for s in range(config.lists))),
            targets.claim.eq(self.claim), targets.claim_list.eq(self.claim_list),
            targets.en.eq(self.t_en), targets.slot.eq(self.t_slot), targets.entry.eq(self.t_entry),
        ]
        behind = Signal.like(at)
        begins = Signal.like(at)
        m.d.comb += [behind.eq(Mux(at == config.lists - 1, 0, at + 1)), begins.eq(Mux(fin, behind, at))]
        m.d.sync += at.eq(begins)
        # within a list, every cycle has its entry
        m.d.sync += first.eq(~issue | last)
        with m.If(issue & ~last):
            m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
        with m.Else():
            m.d.sync += [left.eq(self.length[begins]), last.eq(self.single.bit_select(begins, 1))]
        with m.If(~issue | fin):
            m.d.sync += [turns.eq(Array(counts)[begins]), final.eq(ones.bit_select(begins, 1)), nothing.eq(nothings.bit_select(begins, 1)),
                         index.eq(0)]
        with m.Elif(last):
            m.d.sync += [turns.eq(turns - 1), final.eq(turns == 2), index.eq(index + 1)]
        later = Cat(fin & ~nothing & self.outer, bubble[:-1])[:self.BUBBLE]
        m.d.sync += [bubble.eq(later), waits.eq(later.any())]
        with m.If(self.start):
            m.d.sync += [at.eq(0), bubble.eq(0), waits.eq(0)]

        # s1: the list's entry and the target
        at1 = Unreset(at.shape())
        target1 = Unreset(range(config.lists + 1))
        index1 = Unreset(index.shape())
        psum1 = Unreset(range(config.psum_words))
        m.d.sync += [at1.eq(at), target1.eq(self.target[at]), index1.eq(index), psum1.eq(self.psum[at])]
        entry = self.bus[at1]
        m.d.comb += targets.r_index.eq(index1)
        # From here on, what is not of this kind of turn or slot becomes zero in a register, so that an OR joins the
        # sources that are left: a register's reset costs no LUT.
        # s2: addresses
        k2 = Unreset(range(config.bank_weights))
        value2 = Unreset(act_bits)
        psum2 = Unreset(psum1.shape())
        m.d.sync += [k2.eq(self.bank_addr + entry.k), value2.eq(entry.value), psum2.eq(psum1)]
        found = list(targets.r_entries)  # of each slot
        t2 = reduce(or_, (only(self.fetch & (target1 == slot), one.t, f"t2_{slot}") for slot, one in enumerate(found)),
                    only(~self.fetch, index1, "index2"))
        target2 = reduce(or_, (only(target1 == slot, one.value, f"target2_{slot}") for slot, one in enumerate(found)))
        # s3 on: what accompanies the operands down the pipeline
        address3 = Unreset(range(config.bank_weights))
        psum3 = Unreset(psum1.shape())
        m.d.sync += [address3.eq(k2 + t2), psum3.eq(psum2 + t2)]
        value5, half5 = delay(value2, 3, "value"), delay(address3[0], 2, "half")
        word_bits = len(bank.r_addr)
        psum5 = delay(psum3, 2, "psum")
        psum9 = delay(psum5, 4, "psum_late")
        valid8, first7, last8 = delay(issue, 8, "valid", Signal), delay(first, 7, "first"), delay(last, 8, "last")

        early3 = only(~self.outer, (k2 + t2)[1:len(address3)], "early")
        address6 = only(self.outer, delay(address3[:word_bits], 2, "address"), "address_2")
        address9 = delay(address6, 3, "address_late")
        target5 = delay(target2, 3, "target")
        sum8 = only(first7 & self.accumulate & ~self.outer, sums.r_data, "sum8")
        go_on8 = Unreset()
        m.d.sync += go_on8.eq(~first7)

        # s5..s8: multiply; s8: add; s9: write
        weight5 = Mux(half5, bank.r_data[half_bits:half_bits + act_bits], bank.r_data[:act_bits])
        total = Unreset(acc_bits)
        before = Signal(acc_bits)
        m.d.comb += [
            multiplier.a.eq(value5.as_signed()), multiplier.b.eq(Mux(self.outer, target5, weight5).as_signed()),
            before.eq(Mux(self.outer, bank.r_data[:acc_bits], sum8 | Mux(go_on8, total, 0))),
        ]
        product = Signal(signed(acc_bits))
        m.d.comb += product.eq(multiplier.o)
        with m.If(valid8):
            m.d.sync += total.eq(before + product)
        write9 = Signal()
        end9 = Signal()
        m.d.sync += [write9.eq(valid8 & self.outer), end9.eq(valid8 & last8 & ~self.outer)]

        m.d.comb += [
            bank.r_addr.eq(Mux(self.running, early3 | address6, self.acc_addr)),
            sums.r_addr.eq(Mux(self.running, psum5, self.sum_addr)),
            self.acc.eq(bank.r_data), self.sum.eq(sums.r_data),
            sums.w_addr.eq(psum9), sums.w_data.eq(total), sums.w_en.eq(end9),
        ]
        with m.If(write9):
            m.d.comb += [bank.w_addr.eq(address9), bank.w_data.eq(total), bank.w_en.eq(0b11)]
        with m.Else():
            m.d.comb += [bank.w_addr.eq(self.fill_addr), bank.w_en.eq(self.fill_en),
                         bank.w_data[:half_bits].eq(self.fill_data), bank.w_data[half_bits:].eq(self.fill_data)]
        return m


assert latency.RAM == 2 and latency.MULTIPLY == 3, "the stages s3 to s8 are laid out for these latencies"
