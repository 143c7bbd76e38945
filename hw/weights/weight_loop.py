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


class PlaceSignature(wiring.Signature):
    """Where a brick lies, and where in a walk it is (seen from the walk).

    addr : Out(16), brick of the weight memory, modulo 2**16
    rot : Out(rotation_bits), its rotation, modulo ``lanes``
    turn : Out(rotation_bits), by how many lanes it is turned in the banks, modulo ``lanes``
    bank_addr : Out(16), where it goes to or comes from in the banks, modulo 2**16
    last_t : Out(1), it ends an innermost loop
    last : Out(1), it ends the walk
    """

    def __init__(self, config):
        super().__init__({
            "addr": Out(16),
            "rot": Out(rotation_bits(config)),
            "turn": Out(rotation_bits(config)),
            "bank_addr": Out(16),
            "last_t": Out(1),
            "last": Out(1),
        })


class WeightLoop(wiring.Component):
    """Three nested loops over the bricks of a tile: t (innermost), inner, outer.

    For each loop the address is kept at which its current iteration began. When t advances, the address grows
    by ``t_step``. When t is through, ``inner_step`` is added to the address where the inner iteration began,
    and ``rot_inner`` to the rotation. When inner is through too, ``outer_step`` and ``rot_outer`` are added
    to the address and the rotation where the outer iteration began. With ``spread`` the inner loop counts
    outputs, ``lanes`` of which share a brick: ``inner_step`` is then added only after every ``lanes``-th
    inner iteration, counted anew in each outer iteration. The bank address starts at ``bank_addr`` and grows
    by one with every brick.

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``
    bank_words : words of the banks, counted as ``bank_addr`` counts them

    Members
    -------
    start : In(1), one cycle; not before the walk before has given its last brick
    loop : In(LOOP), the command's fields; stable from ``start`` to the last brick. A count of 0 acts as 1.
    spread : In(1), stable likewise
    turn_first : In(rotation_bits), ``turn`` of the first outer iteration; stable likewise
    turn_outer : In(rotation_bits), what ``turn`` grows by with each of them; stable likewise
    valid : Out(1), there is a brick
    place : PlaceSignature, where it is; valid with ``valid``
    fault : Out(1), in the cycle after a brick that lies outside the weight memory or the banks, or after a
        ``start`` with a count of 0

    Latency: first brick one cycle after ``start``.
    Throughput: one brick a cycle, no gaps: ``t_count * inner_count * outer_count`` cycles.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#weightloop
    """

    def __init__(self, config, *, bank_words):
        self.config = config
        self.bank_words = bank_words
        super().__init__({
            "start": In(1),
            "loop": In(LOOP),
            "spread": In(1),
            "turn_first": In(rotation_bits(config)),
            "turn_outer": In(rotation_bits(config)),
            "valid": Out(1),
            "place": Out(PlaceSignature(config)),
            "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        loop, place = self.loop, self.place
        # A counter holds the iterations after this one, less one: its sign says that this is the last.
        t_left = Unreset(signed(13))
        inner_left = Unreset(signed(13))
        outer_left = Unreset(signed(13))
        inner_addr = Unreset(16)
        outer_addr = Unreset(16)
        outer_rot = Unreset(rotation_bits(self.config))
        output = Unreset(rotation_bits(self.config))
        addr = behind(m, place.addr, "addr")
        rot = behind(m, place.rot, "rot")
        bank_addr = behind(m, place.bank_addr, "bank_addr")
        turn = behind(m, place.turn, "turn")
        inner_last, outer_last = inner_left[-1], outer_left[-1]
        m.d.comb += [
            place.last_t.eq(t_left[-1]),
            place.last.eq(place.last_t & inner_last & outer_last),
        ]

        nothing = Cat(loop[f"{name}_count"] == 0 for name in ("t", "inner", "outer")).any()
        lost = outside(place.addr, self.config.weight_bricks) | outside(place.bank_addr, self.bank_words)
        m.d.sync += self.fault.eq((self.start & nothing) | (self.valid & lost))

        next_inner = Signal(16)
        next_outer = Signal(16)
        next_rot = Signal(rotation_bits(self.config))
        m.d.comb += [
            next_inner.eq(inner_addr + Mux(~self.spread | output.all(), loop.inner_step, 0)),
            next_outer.eq(outer_addr + loop.outer_step),
            next_rot.eq(outer_rot + loop.rot_outer),
        ]

        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                addr.eq(loop.wm_addr),
                inner_addr.eq(loop.wm_addr),
                outer_addr.eq(loop.wm_addr),
                rot.eq(loop.rot),
                outer_rot.eq(loop.rot),
                bank_addr.eq(loop.bank_addr),
                turn.eq(self.turn_first),
                output.eq(0),
                t_left.eq(loop.t_count - 2),
                inner_left.eq(loop.inner_count - 2),
                outer_left.eq(loop.outer_count - 2),
            ]
        with m.Elif(self.valid):
            m.d.sync += [
                self.valid.eq(~place.last),
                bank_addr.eq(bank_addr + 1),
                addr.eq(addr + loop.t_step),
                t_left.eq(t_left - 1),
            ]
            with m.If(place.last_t):
                m.d.sync += [
                    t_left.eq(loop.t_count - 2),
                    inner_left.eq(inner_left - 1),
                    addr.eq(next_inner),
                    inner_addr.eq(next_inner),
                    rot.eq(rot + loop.rot_inner),
                    output.eq(output + 1),
                ]
            with m.If(place.last_t & inner_last):
                m.d.sync += [
                    inner_left.eq(loop.inner_count - 2),
                    outer_left.eq(outer_left - 1),
                    addr.eq(next_outer),
                    inner_addr.eq(next_outer),
                    outer_addr.eq(next_outer),
                    rot.eq(next_rot),
                    outer_rot.eq(next_rot),
                    turn.eq(turn + self.turn_outer),
                    output.eq(0),
                ]
        return m
