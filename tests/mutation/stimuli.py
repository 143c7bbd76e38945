"""The units under mutation: what their tests do to them, what counts of what they answer, and what is legal around them."""

from collections.abc import Callable
from dataclasses import dataclass

import test_lane
import test_lists
from amaranth.hdl import Const, Mux, Signal
from formal import lane, list_builder
from formal.proof import Proof, small

from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.hw.command import layout
from gradgate.hw.item import Kind
from mutation.record import Recorder


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit under mutation.

    record: runs its tests and returns the :class:`Recorder`
    proof: its surroundings, for the comparison of survivors; ``legal(proof, m)`` adds what the proof can do without
    counts: whether an output counts in a cycle, as a value of the design under ``proof``
    cycles: depth of the comparison; threshold: least share of mutants that must be killed
    """

    config: Config
    record: Callable[[Config], Recorder]
    proof: type[Proof]
    legal: Callable
    counts: Callable
    cycles: int
    threshold: float = 0.95


#: Outputs of the list builder that belong to an event, and the events; the others always count.
EVENTS = {"e_list": ("e_en", "open"), "e_addr": ("e_en",), "e_entry": ("e_en",), "length": ("open",), "psum": ("open",),
          "void": ("open",), "slot": ("claim",), "target_slot": ("claim", "target"), "item": ("target",)}


def builder_observed(values, watched):
    """Outputs that count in a cycle."""
    return (name for name in values if name not in EVENTS or any(values[event] for event in EVENTS[name]))


def builder_counts(proof, name):
    """The same as a value."""
    return sum(getattr(proof.unit, event) for event in EVENTS[name]) != 0 if name in EVENTS else Const(1)


def record_builder(config) -> Recorder:
    """The builder's tests."""
    recorder = Recorder(lambda top: top.builder, builder_observed)
    for seed in range(6):
        for stall in (0, 0.4):
            recorder.run(test_lists.test_random_lists, config, seed, stall)
        recorder.run(test_lists.test_cycle_model, config, seed)
    recorder.run(test_lists.test_every_kind_of_list, config)
    for bias in (0, 1):
        recorder.run(test_lists.test_full_list, config, bias)
    return recorder


def builder_legal(proof, m):
    """The carousel frees lists in their order; the window walk marks only heads and lists as last; tiles fit the lanes."""
    dut, lists = proof.unit, proof.config.lists
    tag, f = dut.i.payload.tag, layout(Opcode.RUN)(dut.payload)
    held = Signal(range(lists + 1))
    building = Signal()
    oldest = Signal(range(lists))
    release = proof.free("release", 1)
    proof.drive(dut.free, ~sum(Mux(held > i, 1 << proof.wrap(oldest + i, lists), 0) for i in range(lists)))
    proof.assume(~release | (held > building))
    m.d.sync += held.eq(held + dut.claim - release)
    with m.If(release):
        m.d.sync += oldest.eq(proof.wrap(oldest + 1, lists))
    with m.If(dut.claim):
        m.d.sync += building.eq(1)
    with m.Elif(dut.open):
        m.d.sync += building.eq(0)
    with m.If(dut.start):
        m.d.sync += oldest.eq(0)
        proof.assume(held == 0)
    proof.assume(~tag.last | (tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST))
    proof.assume((f.t_count >= 1) & (f.t_count <= proof.config.targets))


def lane_observed(values, watched):
    """Whether the lane is done with a list, and of its results what a test looks at."""
    return {"fin", *watched}


def lane_counts(proof, name):
    """The same as a value: results while no RUN is active, from addresses that were given then."""
    quiet = ~proof.unit.running
    return Const(1) if name == "fin" else quiet & proof.past(quiet) & proof.past(proof.past(quiet))


def record_lane(config) -> Recorder:
    """The lane's tests."""
    recorder = Recorder(lambda top: top, lane_observed)
    for seed in range(2):
        for stall in (0, 0.5):
            recorder.run(test_lane.test_turns, config, seed, stall)
            recorder.run(test_lane.test_accumulators_updated_again, config, seed, stall)
    recorder.run(test_lane.test_sums_wrap, config)
    recorder.run(test_lane.test_nothing_to_do, config)
    return recorder


def lane_legal(proof, m):
    """Loading and clearing are not done at once, nor while a RUN is active."""
    dut = proof.unit
    proof.assume(~(dut.w_en & dut.clear_en))
    proof.assume(~(dut.running & (dut.w_en | dut.clear_en)))


UNITS = {
    "list_builder": Unit(
        config=small(lanes=4, lists=3, targets=3, act_bricks=100, bank_words=32, psum_words=50), record=record_builder,
        proof=list_builder.ListBuilderProof, legal=builder_legal, counts=builder_counts, cycles=10),
    "lane": Unit(
        config=small(lists=3, targets=4, bank_words=32, psum_words=50), record=record_lane,
        proof=lane.Surroundings, legal=lane_legal, counts=lane_counts, cycles=14),
}
