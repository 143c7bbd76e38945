"""Update of the master weights from the weight gradients of all rows."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gradgate.arch import latency
from gradgate.arch.commands import WEIGHT_LOOP, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.memoryport import ReadPortSignature
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.shapes import rotated
from gradgate.hw.weights.step import step, tree
from gradgate.hw.weights.velocity_memory import VelocityMemory, velocity_request
from gradgate.hw.weights.weight_loop import WeightLoop
from gradgate.hw.weights.weight_memory import (
    WeightMemory,
    WeightReadSignature,
    WeightWriteSignature,
    address_bits,
    master_brick,
    saturate,
)


def acc_shape(config) -> data.ArrayLayout:
    """One accumulator of every lane of every row."""
    return data.ArrayLayout(data.ArrayLayout(unsigned(config.formats.acc_bits), config.lanes), config.rows)


class Updater(wiring.Component):
    """Unit for UPDATE: subtracts the rows' weight gradients, added and scaled, from master weights, in place.

    ::

        command -> WeightLoop -> accs -> tree | .. | + half | >> 16,8,4 | >> 2,1, clip | --.
                     '---------> read .. WeightMemory .......... master -- minus, saturate | -> write.data
                     '---------> addr, rot, en, delayed ---------> write, a cycle before its data

    A bar is a register. ``new = saturate(master - ((sum + 2**(shift-1)) >> shift))`` with ``sum`` modulo
    ``2**acc_bits``, signed. The step is clipped to ``master_bits + 1`` bits on the way, which changes no
    result: a larger one saturates any master weight.

    With ``spread`` bricks run along inputs, lane ``turn`` first.

    With ``config.momentum`` and a ``decay`` other than 0, a velocity is subtracted instead of the step. One
    more register lies between the step and the subtraction, whether a command uses it or not::

        velocities -- times 1 - 2**-decay --> | --.
                                    step --- plus, saturate --> | --> minus (as above)
                                                                '---> velocity_write

    ``new_velocity = saturate(velocity - away(velocity / 2**decay) + step)``, ``new = saturate(master -
    new_velocity)``, where *away* rounds away from zero: what is kept of a velocity is rounded towards zero
    and dies out.

    Parameters
    ----------
    config : ``lanes``, ``rows``, ``weight_bricks``, ``bank_words``, ``momentum``, ``formats``

    Members
    -------
    unit : UnitSignature, payload of UPDATE; no two bricks of a command may have the same weight address
    accs : ReadPortSignature, of the accumulator at a bank word in every lane of every row; its ``data`` are
        due exactly ``latency.ROW`` cycles after its ``addr``
    reading : Out(1), ``read`` has a request
    read : WeightReadSignature
    write : WeightWriteSignature; ``en`` is 0 unless a brick is due
    velocity_reading : Out(1), with momentum only: ``velocities`` has a request
    velocities : ReadPortSignature, with momentum only, of bricks, ``VelocityMemory.READ`` cycles later
    velocity_write : Out(velocity_request), with momentum only; ``en`` is 0 unless a brick is due
    overflow : Out(range(lanes + 1)), number of lanes written whose sum's two top bits differ; each brick
        counts in one cycle, before ``done``

    A fault: an address outside the weight memory or the banks, a count or a shift of 0.

    Latency: from ``start`` to ``done``, both included, ``bricks + Updater.latency(config)`` cycles: bricks +
    13 up to 2 rows, + 14 up to 4, + 15 up to 8, + 16 up to 16; with momentum one more from 2 rows up.
    In the cycle of ``done`` the last brick is in the banks.
    Throughput: one brick a cycle.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#updater
    """

    def __init__(self, config):
        self.config = config
        momentum = {
            "velocity_reading": Out(1),
            "velocities": Out(ReadPortSignature(address_bits(config), master_brick(config))),
            "velocity_write": Out(velocity_request(config)),
        }
        super().__init__({
            "unit": Out(UnitSignature()),
            "accs": Out(ReadPortSignature(range(config.bank_words), acc_shape(config))),
            "reading": Out(1),
            "read": Out(WeightReadSignature(config)),
            "write": Out(WeightWriteSignature(config)),
            "overflow": Out(range(config.lanes + 1)),
            **(momentum if config.momentum else {}),
        })

    @staticmethod
    def _gradient(config) -> int:
        """Cycles from ``accs.addr`` to the step: row, tree level by level, rounding, two for the shift."""
        return latency.ROW + (config.rows - 1).bit_length() + 3

    @classmethod
    def _change(cls, config) -> int:
        """Cycles from ``accs.addr`` to what is subtracted: with momentum one more, for the velocity."""
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
        config, formats, lanes = self.config, self.config.formats, self.config.lanes
        fields = layout(Opcode.UPDATE)(self.unit.payload)
        names = ("shift", "spread", "out_bricks", "diagonal")
        near = SimpleNamespace(**{name: Unreset(fields[name].shape(), name=name) for name in names})
        walk = self._walk(m, fields, near)
        stages = self._requests(m, walk, near)
        tail, half, beyond = self._derived(m, fields)
        align = self._align(config)

        def enable(cycle):
            """Lanes that count, ``cycle`` cycles after the walk."""
            own = Cat(~near.diagonal | (stages.rot[cycle] == j) for j in range(lanes))
            inside = Mux(stages.last_t[cycle], Cat(rotated(list(tail), stages.turn[cycle], -1)), ~0)
            return inside & own & stages.valid[cycle].replicate(lanes)

        rows = self.accs.data
        sums = [tree(m, [row[j] for row in rows], formats.acc_bits) for j in range(lanes)]
        self._count(m, sums, enable)

        plain = Signal()
        if config.momentum:
            m.d.sync += plain.eq(fields.decay == 0)
            begin = align - 2 - VelocityMemory.READ
            m.d.comb += [
                self.velocity_reading.eq(stages.valid[begin]),
                self.velocities.addr.eq(stages.addr[begin]),
                self.velocity_write.addr.eq(stages.addr[align]),
                self.velocity_write.en.eq(Mux(plain, 0, enable(align))),
            ]

        write = self.write.request
        for j, total in enumerate(sums):
            change = step(m, formats, total, half, beyond, near.shift, j)
            if config.momentum:
                change = self._velocity(m, change, fields.decay, plain, j)
            difference = Signal(signed(formats.master_bits + 2), name=f"difference{j}")
            new = Unreset(signed(formats.master_bits), name=f"new{j}")
            m.d.comb += difference.eq(self.read.master[j] - change)
            m.d.comb += write.data[j].eq(new)
            m.d.sync += new.eq(saturate(difference, formats.master_bits))
        m.d.comb += [
            write.addr.eq(stages.addr[align]),
            write.rot.eq(stages.rot[align]),
            write.spread.eq(near.spread),
            write.en.eq(enable(align)),
        ]
        return m

    def _walk(self, m, fields, near):
        """The walk over the bricks, and copies of fields near to where they are used."""
        m.submodules.walk = walk = WeightLoop(self.config, bank_words=self.config.bank_words)
        m.d.sync += [register.eq(fields[name]) for name, register in vars(near).items()]
        illegal = Signal()
        m.d.comb += [walk.loop[f.name].eq(fields[f.name]) for f in WEIGHT_LOOP]
        m.d.comb += [
            walk.start.eq(self.unit.start),
            walk.spread.eq(fields.spread),
            self.unit.fault.eq(walk.fault | illegal),
            walk.turn_first.eq(fields.turn),
            walk.turn_outer.eq(fields.turn_outer),
        ]
        m.d.sync += illegal.eq(self.unit.start & (fields.shift == 0))
        return walk

    def _requests(self, m, walk, near):
        """Asks for accumulators and master weights; returns what is known of a brick, by cycle.

        The shorter of the two pipelines, gradient and master weight, starts later.
        """
        align, place = self._align(self.config), walk.place
        stages = SimpleNamespace()
        stages.valid = delays(m, walk.valid, align, Signal)
        stages.last_t = delays(m, place.last_t, align)
        stages.addr = delays(m, place.addr[:address_bits(self.config)], align)
        stages.first = delays(m, place.rot, align)
        stages.turn = delays(m, place.turn, align)
        unturned = Signal.like(place.rot, name="unturned")
        m.d.comb += unturned.eq(place.rot - place.turn)
        stages.rot = delays(m, unturned, align)
        begin = align - WeightMemory.MASTER
        for request, cycle in ((self.read.request, begin), (self.write.ahead, align)):
            m.d.comb += [
                request.addr.eq(stages.addr[cycle]),
                request.rot.eq(stages.rot[cycle]),
                request.first.eq(stages.first[cycle]),
                request.spread.eq(near.spread),
                request.out_bricks.eq(near.out_bricks),
            ]
        acc_addr = place.bank_addr[:len(self.accs.addr)]
        m.d.comb += [
            self.reading.eq(stages.valid[begin]),
            self.accs.addr.eq(delays(m, acc_addr, align - self._change(self.config))[-1]),
            self.unit.done.eq(delays(m, walk.valid & place.last, align + WeightMemory.WRITE, Signal)[-1]),
        ]
        return stages

    def _derived(self, m, fields):
        """Registers of what follows from the command, stable long before the first sum.

        tail : lanes of a last brick
        half : what is added to round
        beyond : bits of a rounded sum, from that of a step's sign up, that a shift leaves out of a step
        """
        lanes, formats = self.config.lanes, self.config.formats
        bits = max(formats.acc_bits, 32) - formats.master_bits
        tail = Unreset(lanes)
        half = Unreset(31)
        beyond = Unreset(bits)
        m.d.sync += [
            beyond.eq(Cat(i >= fields.shift for i in range(bits))),
            tail.eq(Cat(j < fields.tail for j in range(lanes))),
            half.eq((1 << fields.shift)[1:]),
        ]
        return tail, half, beyond

    def _count(self, m, sums, enable):
        """Sums that may have wrapped."""
        lanes = self.config.lanes
        suspect = Signal(lanes)
        summed = self._align(self.config) - self._change(self.config) + self._gradient(self.config) - 3
        m.d.sync += [
            suspect.eq(Cat(s[-1] ^ s[-2] for s in sums) & enable(summed)),
            self.overflow.eq(sum(suspect[j] for j in range(lanes))),
        ]

    def _velocity(self, m, step, decay, plain, j):
        """The new velocity of lane j, a cycle later; the step itself with ``plain``.

        What a velocity v loses is ``(v >> decay) + 1``, but for ``v >> decay`` where v is negative or no bit
        drops out.
        """
        bits, old = self.config.formats.master_bits, self.velocities.data[j]
        dropped = Cat(i < decay for i in range(7))
        exact = Signal(name=f"exact{j}")
        kept = Unreset(signed(bits), name=f"kept{j}")
        change = Unreset(signed(bits + 1), name=f"change{j}")
        total = Signal(signed(bits + 2), name=f"total{j}")
        m.d.comb += [
            exact.eq(old[-1] | ~(old[:7] & dropped).any()),
            total.eq(kept + step),
        ]
        m.d.sync += [
            kept.eq(Mux(plain, 0, old + ~(old >> decay) + exact)),
            change.eq(Mux(plain, total[:bits + 1].as_signed(), saturate(total, bits))),
        ]
        m.d.comb += self.velocity_write.data[j].eq(change)
        return change
