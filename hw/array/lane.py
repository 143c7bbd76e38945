"""A lane of the array: the processing element."""

from functools import reduce
from operator import or_
from types import SimpleNamespace

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gradgate.arch import latency
from gradgate.hw.array.lists import ListsSignature, VisitSignature
from gradgate.hw.array.run import run_layout
from gradgate.hw.array.targets import AppendSignature, Targets
from gradgate.hw.parts.memoryport import ReadPortSignature, WritePortSignature
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, delays, gated
from gradgate.hw.parts.shapes import below


class _Place:
    """Where the lane is: at a list, a target, an entry. Registers, but for ``issue`` and ``fin``."""

    def __init__(self, config):
        self.at = Unreset(below(config.lists))  # the list
        self.nothing = Unreset()  # the lane has nothing to do with it
        self.index = Unreset(range(config.targets))  # the target that this turn is for
        self.final = Unreset()  # this is the list's last turn
        self.first = Unreset(init=1)  # this is the turn's first entry
        self.last = Unreset()  # this is its last entry
        self.issue = Signal()  # an entry of the list enters the pipeline
        self.fin = Signal()  # this cycle is the last one spent on the list


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
    run : In(run_layout); fields are stable from two cycles before the first ``pending`` on
    lists : In(ListsSignature), of the carousel
    visit : In(VisitSignature), of the carousel
    append : In(AppendSignature); the claim comes two cycles before ``pending`` or earlier
    fill : In(WritePortSignature), write a weight to the lower, to the upper half of a word of the bank, or
        clear the word by writing zeros to both; not in a RUN of OUT turns, nor into a word that a RUN of RED
        turns reads
    accs : In(ReadPortSignature), an accumulator of the bank, ``latency.RAM`` cycles later; while not running
    sums : In(ReadPortSignature), a word of the sums memory, ``latency.RAM`` cycles later; while not running

    Cycles for a list: max(1, targets * length), and ``BUBBLE`` = 3 more after OUT turns, before the next
    list's first entry, because an accumulator read 1 to 3 cycles after its own update began would be stale.
    Latency: ``DRAIN`` = 10 cycles from the last control cycle until the result can be read.
    Throughput: one multiplication a cycle. Resources: 1 DSP, 2 block RAMs (bank, sums).
    Source: sparse accelerators with independent lanes; ADA-GP and gradient output sparsity (arXiv
    2109.07710) for OUT and mask.
    Example: docs/examples.md#lane
    """

    BUBBLE = 3
    DRAIN = 10

    def __init__(self, config):
        self.config = config
        formats = config.formats
        bank_words = range(config.bank_words)
        super().__init__({
            "start": In(1),
            "run": In(run_layout(config)),
            "lists": In(ListsSignature(config)),
            "visit": In(VisitSignature(config)),
            "append": In(AppendSignature(config)),
            "fill": In(WritePortSignature(bank_words, formats.act_bits, parts=2)),
            "accs": In(ReadPortSignature(bank_words, formats.acc_bits)),
            "sums": In(ReadPortSignature(range(config.psum_words), formats.acc_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config, formats = self.config, self.config.formats
        m.submodules.targets = targets = Targets(config)
        m.submodules.bank = bank = Ram(width=2 * self._half_bits, depth=config.bank_words, parts=2)
        m.submodules.sums = sums = Ram(width=formats.acc_bits, depth=config.psum_words)
        m.submodules.multiplier = multiplier = Multiplier(formats.act_bits)

        # s0
        place = _Place(config)
        self._control(m, targets, place)
        wiring.connect(m, wiring.flipped(self.append), targets.append)

        # s1, s2
        operands = self._operands(m, targets, place)

        # s3 on
        total = Unreset(formats.acc_bits)
        pipe = self._pipeline(m, bank, place, *operands)
        self._multiply_add(m, bank, sums, multiplier, pipe, total)
        self._memories(m, bank, sums, pipe, total)
        return m

    @property
    def _half_bits(self):
        """Bits of half a word of the bank: for a weight, and for half an accumulator."""
        formats = self.config.formats
        return max(formats.act_bits, (formats.acc_bits + 1) // 2)

    def _control(self, m, targets, place):
        """s0: what the next cycle does, with the list that the lane is at then, is decided in this one."""
        at, fin, lists = place.at, place.fin, self.config.lists
        bubble = Unreset(self.BUBBLE)  # a bit for each cycle since the last OUT turn of a list
        in_bubble = Unreset()  # the lane is in a bubble
        work = self._work(m, targets)
        here = self.visit.pending.bit_select(at, 1) & ~in_bubble
        m.d.comb += [
            place.issue.eq(here & ~place.nothing),
            fin.eq(here & (place.nothing | (place.last & place.final))),
            self.visit.fin.eq(Cat(fin & (at == s) for s in range(lists))),
        ]
        following = Signal.like(at)  # the list after this one
        begins = Signal.like(at)  # the list that the lane is at in the next cycle
        m.d.comb += following.eq(Mux(at == lists - 1, 0, at + 1))
        m.d.comb += begins.eq(Mux(fin, following, at))
        m.d.sync += at.eq(begins)
        self._entries(m, place, begins)
        self._turns(m, place, begins, *work)
        later = Cat(fin & ~place.nothing & self.run.outer, bubble[:-1])[:self.BUBBLE]
        m.d.sync += bubble.eq(later)
        m.d.sync += in_bubble.eq(later.any())
        with m.If(self.start):
            m.d.sync += [
                at.eq(0),
                bubble.eq(0),
                in_bubble.eq(0),
            ]

    def _entries(self, m, place, begins):
        """The entries of a turn: within it, every cycle has one."""
        lists, issue, last = self.lists, place.issue, place.last
        left = Unreset(range(self.config.list_entries + 1))  # entries of the turn from this one on
        m.d.sync += place.first.eq(~issue | last)
        with m.If(issue & ~last):
            m.d.sync += left.eq(left - 1)
            m.d.sync += last.eq(left == 2)
        with m.Else():
            m.d.sync += left.eq(lists.length[begins])
            m.d.sync += last.eq(lists.single.bit_select(begins, 1))

    def _turns(self, m, place, begins, counts, nothings, ones):
        """The turns of a list, one for each target."""
        turns = Unreset(range(self.config.targets + 1))  # turns of the list from this one on
        with m.If(~place.issue | place.fin):
            m.d.sync += [
                turns.eq(Array(counts)[begins]),
                place.final.eq(ones.bit_select(begins, 1)),
                place.nothing.eq(nothings.bit_select(begins, 1)),
                place.index.eq(0),
            ]
        with m.Elif(place.last):
            m.d.sync += [
                turns.eq(turns - 1),
                place.final.eq(turns == 2),
                place.index.eq(place.index + 1),
            ]

    def _work(self, m, targets):
        """The number of this lane's targets of each list; lists with nothing to do; lists with one target."""
        counts = [Unreset(len(self.run.every), name=f"count{s}") for s in range(self.config.lists)]
        nothings = Unreset(self.config.lists)
        ones = Unreset(self.config.lists)
        for s, count in enumerate(counts):
            found = Mux(self.run.fetch, targets.count[s], self.run.every)
            m.d.sync += [
                count.eq(found),
                nothings[s].eq(self.lists.void[s] | (found == 0)),
                ones[s].eq(found == 1),
            ]
        return counts, nothings, ones

    def _operands(self, m, targets, place):
        """s1, s2: k and value of the entry, address of its sums; t and value of the target."""
        config = self.config
        at1 = Unreset(place.at.shape())
        target1 = Unreset(range(config.lists + 1))
        index1 = Unreset(place.index.shape())
        psum1 = Unreset(range(config.psum_words))
        m.d.sync += [
            at1.eq(place.at),
            target1.eq(self.lists.target[place.at]),
            index1.eq(place.index),
            psum1.eq(self.lists.psum[place.at]),
        ]
        entry = self.lists.bus[at1]
        m.d.comb += targets.r_index.eq(index1)
        k2 = Unreset(range(config.bank_weights))
        value2 = Unreset(config.formats.act_bits)
        psum2 = Unreset(psum1.shape())
        m.d.sync += [
            k2.eq(self.run.bank_addr + entry.k),
            value2.eq(entry.value),
            psum2.eq(psum1),
        ]
        # A register for each slot, which is zero for another slot, so that an OR joins them.
        slots = list(enumerate(targets.r_entries))
        t2 = gated(m, ~self.run.fetch, index1, "index2")
        for slot, target in slots:
            t2 = t2 | gated(m, self.run.fetch & (target1 == slot), target.t, f"t2_{slot}")
        values = [gated(m, target1 == slot, target.value, f"target2_{slot}") for slot, target in slots]
        return k2, value2, psum2, t2, reduce(or_, values)

    def _pipeline(self, m, bank, place, k2, value2, psum2, t2, target2):
        """s3 on: what accompanies the operands down the pipeline, by names that end with the stage."""
        outer = self.run.outer
        address3 = Unreset(range(self.config.bank_weights))
        psum3 = Unreset(psum2.shape())
        m.d.sync += address3.eq(k2 + t2)
        m.d.sync += psum3.eq(psum2 + t2)
        value5 = _delay(m, value2, 3, "value")
        half5 = _delay(m, address3[0], 2, "half")
        psum5 = _delay(m, psum3, 2, "psum")
        psum9 = _delay(m, psum5, 4, "psum_late")
        valid8 = _delay(m, place.issue, 8, "valid", Signal)
        first7 = _delay(m, place.first, 7, "first")
        last8 = _delay(m, place.last, 8, "last")
        early3 = gated(m, ~outer, (k2 + t2)[1:len(address3)], "early")
        address5 = _delay(m, address3[:len(bank.r_addr)], 2, "address")
        address6 = gated(m, outer, address5, "address_2")
        address9 = _delay(m, address6, 3, "address_late")
        target5 = _delay(m, target2, 3, "target")
        return SimpleNamespace(
            early3=early3, value5=value5, half5=half5, target5=target5, psum5=psum5, address6=address6,
            first7=first7, valid8=valid8, last8=last8, psum9=psum9, address9=address9)

    def _multiply_add(self, m, bank, sums, multiplier, pipe, total):
        """s5 to s8: ``total`` becomes accumulator (OUT) or sum of the turn so far (RED), plus the product."""
        formats, run, half_bits = self.config.formats, self.run, self._half_bits
        lower = bank.r_data[:formats.act_bits]
        upper = bank.r_data[half_bits:half_bits + formats.act_bits]
        weight5 = Mux(pipe.half5, upper, lower)
        sum8 = gated(m, pipe.first7 & run.accumulate & ~run.outer, sums.r_data, "sum8")
        go_on8 = Unreset()  # the turn goes on
        m.d.sync += go_on8.eq(~pipe.first7)
        before = Signal(formats.acc_bits)
        m.d.comb += [
            multiplier.a.eq(pipe.value5.as_signed()),
            multiplier.b.eq(Mux(run.outer, pipe.target5, weight5).as_signed()),
            before.eq(Mux(run.outer, bank.r_data[:formats.acc_bits], sum8 | Mux(go_on8, total, 0))),
        ]
        product = Signal(signed(formats.acc_bits))
        m.d.comb += product.eq(multiplier.o)
        with m.If(pipe.valid8):
            m.d.sync += total.eq(before + product)

    def _memories(self, m, bank, sums, pipe, total):
        """Bank and sums: what is read of them; s9, results that go to them; ``fill``, weights and zeros."""
        run, half_bits = self.run, self._half_bits
        write9 = Signal()  # the total goes to the bank, of an OUT turn
        end9 = Signal()  # the total goes to the sums memory, of a RED turn
        m.d.sync += write9.eq(pipe.valid8 & run.outer)
        m.d.sync += end9.eq(pipe.valid8 & pipe.last8 & ~run.outer)
        m.d.comb += [
            bank.r_addr.eq(Mux(run.running, pipe.early3 | pipe.address6, self.accs.addr)),
            sums.r_addr.eq(Mux(run.running, pipe.psum5, self.sums.addr)),
            self.accs.data.eq(bank.r_data),
            self.sums.data.eq(sums.r_data),
            sums.w_addr.eq(pipe.psum9),
            sums.w_data.eq(total),
            sums.w_en.eq(end9),
        ]
        with m.If(write9):
            m.d.comb += [
                bank.w_addr.eq(pipe.address9),
                bank.w_data.eq(total),
                bank.w_en.eq(0b11),
            ]
        with m.Else():
            m.d.comb += [
                bank.w_addr.eq(self.fill.addr),
                bank.w_en.eq(self.fill.en),
                bank.w_data[:half_bits].eq(self.fill.data),
                bank.w_data[half_bits:].eq(self.fill.data),
            ]


def _delay(m, value, cycles, name, kind=Unreset):
    """``value`` of ``cycles`` cycles ago."""
    return delays(m, value, cycles, kind, f"{name}_")[-1]


assert latency.RAM == 2 and latency.MULTIPLY == 3, "the stages s3 to s8 are laid out for these latencies"
