"""The address walk that loading and updating weights share."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WEIGHT_LOOP
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.parts.shapes import outside
from gradgate.hw.weights.weight_memory import rotation_bits

#: The fields of a command that :class:`WeightLoop` needs.
LOOP = data.StructLayout({f.name: f.bits for f in WEIGHT_LOOP})


class WeightLoop(wiring.Component):
    """Three nested loops over the bricks of a tile: t (innermost), inner, outer.

    For each loop the address is kept at which its current iteration began. When t advances, the address grows by
    ``t_step``. When t is through, ``inner_step`` is added to the address where the inner iteration began, and
    ``rot_inner`` to the rotation. When inner is through too, ``outer_step`` and ``rot_outer`` are added to the address
    and the rotation where the outer iteration began. With ``spread`` the inner loop counts outputs, ``lanes`` of which
    share a brick: ``inner_step`` is then added only behind every ``lanes``-th inner iteration, counted anew in each
    outer iteration. The bank address starts at ``bank_addr`` and grows by one with every brick.

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``
    bank_words : words of the banks, counted as ``bank_addr`` counts them

    Members
    -------
    start : In, one cycle; not before the walk before has given its last brick
    loop : In(LOOP), the command's fields; stable from ``start`` to the last brick. A count of 0 acts as 1.
    spread, turn_first, turn_outer : In, stable likewise
    valid : Out, the members below describe a brick
    addr, rot : Out(16), Out(rotation_bits): where it lies in the weight memory
    turn : Out(rotation_bits), ``turn_first``, and ``turn_outer`` more in each outer iteration
    bank_addr : Out(16), where it goes to (or comes from) in the banks
    last_t : Out, it ends an innermost loop; last : Out, it ends the walk
    fault : Out, in the cycle behind a brick that lies outside the weight memory or the banks, or behind a ``start`` with a
        count of 0

    Addresses are modulo 2**16, rotations modulo ``lanes``.

    Latency: first brick one cycle after ``start``.
    Throughput: one brick a cycle, no gaps: ``t_count * inner_count * outer_count`` cycles.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#weightloop
    """

    def __init__(self, config, *, bank_words):
        self.config = config
        self.bank_words = bank_words
        super().__init__({
            "start": In(1), "loop": In(LOOP), "spread": In(1),
            "turn_first": In(rotation_bits(config)), "turn_outer": In(rotation_bits(config)), "turn": Out(rotation_bits(config)),
            "valid": Out(1), "addr": Out(16), "rot": Out(rotation_bits(config)), "bank_addr": Out(16),
            "last_t": Out(1), "last": Out(1), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        loop = self.loop
        # A counter holds the iterations to come behind this one, less one: its sign says that this is the last.
        t_left, inner_left, outer_left = (Unreset(signed(13), name=f"{name}_left") for name in ("t", "inner", "outer"))
        inner_addr = Unreset(16)
        outer_addr = Unreset(16)
        outer_rot = Unreset(len(self.rot))
        output = Unreset(len(self.rot))
        addr, rot, bank_addr, turn = (behind(m, getattr(self, name), name) for name in ("addr", "rot", "bank_addr", "turn"))
        inner_last, outer_last = inner_left[-1], outer_left[-1]
        m.d.comb += [
            self.last_t.eq(t_left[-1]),
            self.last.eq(self.last_t & inner_last & outer_last),
        ]

        nothing = Cat(loop[f"{name}_count"] == 0 for name in ("t", "inner", "outer")).any()
        lost = outside(self.addr, self.config.weight_bricks) | outside(self.bank_addr, self.bank_words)
        m.d.sync += self.fault.eq((self.start & nothing) | (self.valid & lost))

        next_inner = Signal(16)
        next_outer = Signal(16)
        next_rot = Signal.like(self.rot)
        m.d.comb += [
            next_inner.eq(inner_addr + Mux(~self.spread | output.all(), loop.inner_step, 0)),
            next_outer.eq(outer_addr + loop.outer_step),
            next_rot.eq(outer_rot + loop.rot_outer),
        ]

        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                addr.eq(loop.wm_addr), inner_addr.eq(loop.wm_addr), outer_addr.eq(loop.wm_addr),
                rot.eq(loop.rot), outer_rot.eq(loop.rot),
                bank_addr.eq(loop.bank_addr), turn.eq(self.turn_first),
                output.eq(0),
                t_left.eq(loop.t_count - 2), inner_left.eq(loop.inner_count - 2), outer_left.eq(loop.outer_count - 2),
            ]
        with m.Elif(self.valid):
            m.d.sync += [
                self.valid.eq(~self.last),
                bank_addr.eq(bank_addr + 1),
                addr.eq(addr + loop.t_step),
                t_left.eq(t_left - 1),
            ]
            with m.If(self.last_t):
                m.d.sync += [
                    t_left.eq(loop.t_count - 2), inner_left.eq(inner_left - 1),
                    addr.eq(next_inner), inner_addr.eq(next_inner),
                    rot.eq(rot + loop.rot_inner),
                    output.eq(output + 1),
                ]
            with m.If(self.last_t & inner_last):
                m.d.sync += [
                    inner_left.eq(loop.inner_count - 2), outer_left.eq(outer_left - 1),
                    addr.eq(next_outer), inner_addr.eq(next_outer), outer_addr.eq(next_outer),
                    rot.eq(next_rot), outer_rot.eq(next_rot), turn.eq(turn + self.turn_outer),
                    output.eq(0),
                ]
        return m
