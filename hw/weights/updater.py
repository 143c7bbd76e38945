"""Update of the master weights from the weight gradients of all rows."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import WEIGHT_LOOP, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.shapes import rotated
from gradgate.hw.weights.velocity_memory import VelocityMemory, velocity_request
from gradgate.hw.weights.weight_loop import WeightLoop
from gradgate.hw.weights.weight_memory import WeightMemory, address_bits, master_brick, read_request, saturate, write_request


def acc_shape(config) -> data.ArrayLayout:
    """One accumulator of every lane of every row."""
    return data.ArrayLayout(data.ArrayLayout(unsigned(config.formats.acc_bits), config.lanes), config.rows)


class Updater(wiring.Component):
    """Unit for UPDATE: adds the rows' weight gradients and subtracts them, scaled, from the master weights, in place.

    ::

        command -> WeightLoop -> acc_addr ... acc -> tree | .. | + half | >> 16,8,4 | >> 2,1, clip | --.
                     '---------> read ..... WeightMemory .......................... master -- minus, saturate | -> write.data
                     '---------> addr, rot, en, delayed -----------------------------------------> write, a cycle before its data

    A bar is a register. ``new = saturate(master - ((sum + 2**(shift-1)) >> shift))`` with ``sum`` modulo
    ``2**acc_bits``, signed. The step is clipped to ``master_bits + 1`` bits on the way, which changes no result: a
    larger one saturates any master weight.

    With ``spread`` bricks run along inputs, lane ``turn`` first.

    With ``config.momentum`` and a ``decay`` other than 0, a velocity is subtracted instead of the step. One more register
    lies between the step and the subtraction, whether a command uses it or not::

        addr ... VelocityMemory -> velocity -- times 1 - 2**-decay --> | --.
                                                             step --- plus, saturate --> | --> minus (as above)
                                                                                         '---> velocity_write

    ``new_velocity = saturate(velocity - away(velocity / 2**decay) + step)``, ``new = saturate(master - new_velocity)``,
    where *away* rounds away from zero: what is kept of a velocity is rounded towards zero and dies out.

    Parameters
    ----------
    config : ``lanes``, ``rows``, ``weight_bricks``, ``bank_words``, ``momentum``, ``formats``

    Members
    -------
    unit : ``UnitSignature``, payload of UPDATE; no two bricks of a command may have the same weight address
    acc_addr : Out(range(bank_words)), accumulator to read in every lane of every row
    acc : In(rows x lanes of unsigned acc_bits), what they hold; due exactly ``latency.ROW`` cycles after ``acc_addr``
    reading : Out, ``read`` is a request of this unit
    read : Out(read_request), to the weight memory
    master : In(brick), its answer ``WeightMemory.MASTER`` cycles later
    write, ahead : Out(write_request), Out(read_request), to the weight memory; ``en`` is 0 unless a brick is due, whose ``data``
        follow a cycle later
    velocity_reading, velocity_addr : Out, with momentum only: a request of this unit to the velocity memory
    velocity : In(brick), with momentum only: its answer ``VelocityMemory.READ`` cycles later
    velocity_write : Out(velocity_request), with momentum only; ``en`` is 0 unless a brick is due
    overflow : Out(range(lanes + 1)), number of lanes written whose sum's two top bits differ; each brick counts in one
        cycle, before ``done``

    A fault: an address outside the weight memory or the banks, a count or a shift of 0.

    Latency: from ``start`` to ``done``, both included, ``bricks + Updater.latency(config)`` cycles: bricks + 13 up to
    2 rows, + 14 up to 4, + 15 up to 8, + 16 up to 16; with momentum one more from 2 rows up.
    In the cycle of ``done`` the last brick is in the banks.
    Throughput: one brick a cycle.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#updater
    """

    def __init__(self, config):
        self.config = config
        momentum = {
            "velocity_reading": Out(1), "velocity_addr": Out(address_bits(config)), "velocity": In(master_brick(config)),
            "velocity_write": Out(velocity_request(config)),
        }
        super().__init__({
            "unit": Out(UnitSignature()),
            "acc_addr": Out(range(config.bank_words)), "acc": In(acc_shape(config)),
            "reading": Out(1), "read": Out(read_request(config)), "master": In(master_brick(config)),
            "write": Out(write_request(config)), "ahead": Out(read_request(config)),
            "overflow": Out(range(config.lanes + 1)),
            **(momentum if config.momentum else {}),
        })

    @staticmethod
    def _gradient(config) -> int:
        """Cycles from ``acc_addr`` to the step: row, tree level by level, rounding, two for the shift."""
        return latency.ROW + (config.rows - 1).bit_length() + 3

    @classmethod
    def _change(cls, config) -> int:
        """Cycles from ``acc_addr`` to what is subtracted: with momentum one more, for the velocity."""
        return cls._gradient(config) + (1 if config.momentum else 0)

    @classmethod
    def _align(cls, config) -> int:
        """Cycles from the walk to the subtraction, where the change and the master weight meet."""
        return max(WeightMemory.MASTER, cls._change(config))

    @classmethod
    def latency(cls, config) -> int:
        """Cycles of a command beyond one for each brick: start, up to the subtraction, the write."""
        return 1 + cls._align(config) + WeightMemory.WRITE

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.lanes
        m.submodules.walk = walk = WeightLoop(config, bank_words=config.bank_words)
        fields = layout(Opcode.UPDATE)(self.unit.payload)
        near = {name: Unreset(fields[name].shape(), name=name) for name in ("shift", "spread", "out_bricks", "diagonal")}
        m.d.sync += [register.eq(fields[name]) for name, register in near.items()]
        illegal = Signal()
        m.d.comb += [walk.loop[f.name].eq(fields[f.name]) for f in WEIGHT_LOOP]
        m.d.comb += [walk.start.eq(self.unit.start), walk.spread.eq(fields.spread), self.unit.fault.eq(walk.fault | illegal),
                     walk.turn_first.eq(fields.turn), walk.turn_outer.eq(fields.turn_outer)]
        m.d.sync += illegal.eq(self.unit.start & (fields.shift == 0))

        # The shorter of the two pipelines, gradient and master weight, starts later.
        align = self._align(config)
        valid, last_t = delays(m, walk.valid, align, Signal), delays(m, walk.last_t, align)
        addr = delays(m, walk.addr[:len(self.read.addr)], align)
        first, turn = delays(m, walk.rot, align), delays(m, walk.turn, align)
        unturned = Signal.like(walk.rot)
        m.d.comb += unturned.eq(walk.rot - walk.turn)
        rot = delays(m, unturned, align)
        begin = align - WeightMemory.MASTER
        for request, cycle in ((self.read, begin), (self.ahead, align)):
            m.d.comb += [request.addr.eq(addr[cycle]), request.rot.eq(rot[cycle]), request.first.eq(first[cycle]),
                         request.spread.eq(near["spread"]), request.out_bricks.eq(near["out_bricks"])]
        m.d.comb += [
            self.reading.eq(valid[begin]),
            self.acc_addr.eq(delays(m, walk.bank_addr[:len(self.acc_addr)], align - self._change(config))[-1]),
            self.unit.done.eq(delays(m, walk.valid & walk.last, align + WeightMemory.WRITE, Signal)[-1]),
        ]

        # Derived from the command, stable long before the first sum.
        tail = Unreset(lanes)
        half = Unreset(31)
        width, keep = max(config.formats.acc_bits, 32) + 1, config.formats.master_bits + 1
        beyond = Unreset(width - keep)  # bits of a rounded sum, from ``keep`` - 1 up, that a shift leaves out of a step
        m.d.sync += [beyond.eq(Cat(i >= fields.shift for i in range(width - keep)))]
        m.d.sync += [tail.eq(Cat(j < fields.tail for j in range(lanes))), half.eq((1 << fields.shift)[1:])]

        def enable(cycle):
            """Lanes that count, ``cycle`` cycles behind the walk."""
            own = Cat(~near["diagonal"] | (rot[cycle] == j) for j in range(lanes))
            inside = Mux(last_t[cycle], Cat(rotated(list(tail), turn[cycle], -1)), ~0)
            return inside & own & valid[cycle].replicate(lanes)

        sums = [self._tree(m, [self.acc[row][j] for row in range(config.rows)]) for j in range(lanes)]
        suspect = Signal(lanes)
        summed = align - self._change(config) + self._gradient(config) - 3
        m.d.sync += [
            suspect.eq(Cat(s[-1] ^ s[-2] for s in sums) & enable(summed)),
            self.overflow.eq(sum(suspect[j] for j in range(lanes))),
        ]

        plain = Signal()
        if config.momentum:
            m.d.sync += plain.eq(fields.decay == 0)
            begin = align - 2 - VelocityMemory.READ
            m.d.comb += [
                self.velocity_reading.eq(valid[begin]), self.velocity_addr.eq(addr[begin]),
                self.velocity_write.addr.eq(addr[align]), self.velocity_write.en.eq(Mux(plain, 0, enable(align))),
            ]

        for j, total in enumerate(sums):
            step = self._step(m, total, half, beyond, near["shift"], j)
            if config.momentum:
                step = self._velocity(m, step, fields.decay, plain, j)
            difference = Signal(signed(config.formats.master_bits + 2), name=f"difference{j}")
            new = Unreset(signed(config.formats.master_bits), name=f"new{j}")
            m.d.comb += [difference.eq(self.master[j] - step), self.write.data[j].eq(new)]
            m.d.sync += new.eq(saturate(difference, config.formats.master_bits))
        m.d.comb += [self.write.addr.eq(addr[align]), self.write.rot.eq(rot[align]), self.write.spread.eq(near["spread"]),
                     self.write.en.eq(enable(align))]
        return m

    def _tree(self, m, values):
        """The sum of ``values``, one register a level."""
        while len(values) > 1:
            level = []
            for pair in (values[i:i + 2] for i in range(0, len(values), 2)):
                node = Unreset(self.config.formats.acc_bits, name="node")
                m.d.sync += node.eq(sum(pair))
                level.append(node)
            values = level
        return values[0]

    def _step(self, m, total, half, beyond, shift, j):
        """``(total + half) >> shift`` clipped to ``master_bits + 1`` bits, three cycles later.

        Each multiplexer level keeps the bits that later levels can still shift into the result. Whether the rest
        matters is seen before: the bits from ``master_bits + shift`` up must all equal the sign.
        """
        width, keep = max(self.config.formats.acc_bits, 32) + 1, self.config.formats.master_bits + 1
        rounded = Unreset(signed(width), name=f"rounded{j}")
        m.d.sync += rounded.eq(total.as_signed() + half)

        wide = Unreset(signed(keep + 3), name=f"wide{j}")
        sign = Unreset(name=f"sign{j}")
        above = Signal(width - keep, name=f"above{j}")
        clip = Unreset(-(-len(above) // 5), name=f"clip{j}")
        value = rounded
        for bit in (4, 3, 2):
            value = Mux(shift[bit], value >> (1 << bit), value)
        m.d.comb += above.eq((rounded[keep - 1:width - 1] ^ rounded[-1].replicate(width - keep)) & beyond)
        m.d.sync += [wide.eq(value), sign.eq(rounded[-1]), clip.eq(Cat(above[low:low + 5].any() for low in range(0, len(above), 5)))]

        step = Unreset(signed(keep), name=f"step{j}")
        value = wide
        for bit in (1, 0):
            value = Mux(shift[bit], value >> (1 << bit), value)
        m.d.sync += step.eq(Mux(clip.any(), Cat((~sign).replicate(keep - 1), sign), value[:keep]))
        return step

    def _velocity(self, m, step, decay, plain, j):
        """The new velocity of lane j, a cycle later; the step itself with ``plain``.

        What a velocity v loses is ``(v >> decay) + 1``, but for ``v >> decay`` where v is negative or no bit drops out.
        """
        bits, old = self.config.formats.master_bits, self.velocity[j]
        dropped = Cat(i < decay for i in range(7))
        exact = Signal(name=f"exact{j}")
        kept = Unreset(signed(bits), name=f"kept{j}")
        change = Unreset(signed(bits + 1), name=f"change{j}")
        total = Signal(signed(bits + 2), name=f"total{j}")
        m.d.comb += [exact.eq(old[-1] | ~(old[:7] & dropped).any()), total.eq(kept + step)]
        m.d.sync += [
            kept.eq(Mux(plain, 0, old + ~(old >> decay) + exact)),
            change.eq(Mux(plain, total[:bits + 1].as_signed(), saturate(total, bits))),
        ]
        m.d.comb += self.velocity_write.data[j].eq(change)
        return change
