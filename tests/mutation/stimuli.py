"""The units under mutation: what their tests do to them, what counts of what they answer, and what is legal around them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from unittest import mock

import test_lane
import test_lists
import test_sequencer
from amaranth.hdl import Const, Mux, Signal
from formal import lane, list_builder
from formal.proof import Proof, small
from support import sequencing

from gradgate.arch import commands, latency
from gradgate.arch.commands import WORD, Opcode
from gradgate.arch.config import Config
from gradgate.hw.array.item import Kind
from gradgate.hw.control.command_fetch import UNIT
from mutation import extra
from mutation.record import Recorder, ports


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit under mutation.

    record: runs its tests and returns the :class:`Recorder`
    proof: its surroundings, for the comparison of survivors; ``legal(proof, m)`` adds what the proof can do without. Without a proof
        survivors are not compared: that of the sequencer has an abstraction in the place of a part
    counts: (when, mask), the bits of an output that count, and in which cycles, as a value of the design under ``proof``
    before, cycles: of the comparison: cycles in which unit and mutant are the same (as many as the induction of the proof
        needs), cycles that are looked at
    known: mutants that survive though a legal input can tell them from the unit: part of a wire's name, and the reason
    """

    config: Config
    record: Callable[[Config], Recorder]
    proof: type[Proof] | None = None
    legal: Callable | None = None
    counts: Callable | None = None
    before: int = 0
    cycles: int = 0
    known: dict = field(default_factory=dict)


#: Outputs of the list builder that belong to an event, and the events; the others always count.
EVENTS = {
    "build__list": ("build__w_en", "build__open"),
    "build__w_addr": ("build__w_en",),
    "build__w_entry": ("build__w_en",),
    "build__length": ("build__open",),
    "build__psum": ("build__open",),
    "build__void": ("build__open",),
    "build__slot": ("build__claim",),
    "build__target_slot": ("build__claim", "target"),
    "item": ("target",),
}


def builder_observed(rows, seen):
    """Outputs that count in each cycle, up to a fault: then the unit is reset."""
    for values in rows:
        yield {name: -1 for name in values if name not in EVENTS or any(values[event] for event in EVENTS[name])}
        if values["fault"]:
            return


def builder_counts(proof, name):
    """The same as a value."""
    _, outputs = ports(proof.unit)
    return (sum(outputs[event] for event in EVENTS[name]) != 0 if name in EVENTS else Const(1)), -1


def record_builder(config) -> Recorder:
    """The builder's tests."""
    recorder = Recorder(lambda top: getattr(top, "builder", top), builder_observed)
    for seed in range(6):
        for stall in (0, 0.4):
            recorder.run(test_lists.test_random_lists, config, seed, stall)
        recorder.run(test_lists.test_cycle_model, config, seed)
    recorder.run(test_lists.test_every_kind_of_list, config)
    for bias in (0, 1):
        recorder.run(test_lists.test_full_list, config, bias)
        recorder.run(test_lists.test_list_too_long, config, bias)
    for seed in range(4):
        recorder.run(extra.single_flags, config, seed)
    for bit in range(16):
        recorder.run(extra.sums_outside, config, 1 << bit)
    for psum_addr in range(config.psum_words - 5, config.psum_words + 2):
        recorder.run(extra.sums_outside, config, psum_addr)
    return recorder


def builder_legal(proof, m):
    """The carousel frees lists in their order; the window walk marks only heads and lists as last; tiles fit the lanes."""
    dut, lists = proof.unit, proof.config.lists
    tag, f = dut.i.payload.tag, dut.fields
    held = Signal(range(lists + 1))
    building = Signal()
    oldest = Signal(range(lists))
    release = proof.free("release", 1)
    proof.drive(dut.build.free, ~sum(Mux(held > i, 1 << proof.wrap(oldest + i, lists), 0) for i in range(lists)))
    proof.assume(~release | (held > building))
    m.d.sync += held.eq(held + dut.build.claim - release)
    with m.If(release):
        m.d.sync += oldest.eq(proof.wrap(oldest + 1, lists))
    with m.If(dut.build.claim):
        m.d.sync += building.eq(1)
    with m.Elif(dut.build.open):
        m.d.sync += building.eq(0)
    with m.If(dut.start):
        m.d.sync += oldest.eq(0)
        proof.assume(held == 0)
    proof.assume(~proof.past(dut.fault))
    proof.assume(~tag.last | (tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST))
    proof.assume((f.t_count >= 1) & (f.t_count <= proof.config.targets))


def lane_observed(rows, seen):
    """Whether the lane is done with a list, and of its results what a test looks at."""
    return ({name: -1 for name in {"visit__fin", *names}} for names in seen)


def lane_counts(proof, name):
    """The same as a value: results while no RUN is active, from addresses that were given then."""
    quiet = ~proof.unit.run.running
    return (Const(1) if name == "visit__fin" else quiet & proof.past(quiet) & proof.past(proof.past(quiet))), -1


def record_lane(config) -> Recorder:
    """The lane's tests."""
    recorder = Recorder(lambda top: top, lane_observed)
    for seed in (0, 2):
        for stall in (0, 0.5):
            recorder.run(test_lane.test_turns, config, seed, stall)
            recorder.run(test_lane.test_accumulators_updated_again, config, seed, stall)
    recorder.run(test_lane.test_sums_wrap, config)
    recorder.run(test_lane.test_nothing_to_do, config)
    recorder.run(extra.cleared_one_by_one, config)
    return recorder


def lane_legal(proof, m):
    """Nothing is loaded or cleared while a RUN is active."""
    dut = proof.unit
    proof.assume(~(dut.run.running & dut.fill.en.any()))


#: Of a unit's payload, the bits that are its command's: the unit's bit in ``busy``, and a mask.
PAYLOADS = {f"units__{op.name.lower()}__payload": (op, bit, (1 << WORD * (commands.length(op) - 1)) - 1) for op, bit in UNIT.items()}


def sequencer_observed(rows, seen, words):
    """All but payloads of idle units, addresses that are not fetched, and numbers of commands that are not written.

    ``words``: size of the program memory.
    """
    age, header, before = 0, 0, {"control__busy": 0, "control__index": 0}
    for values, after in zip(rows, rows[1:]):
        issued = values["control__index"] != before["control__index"]
        if not values["control__busy"] or values["control__error"] or issued and values["control__index"] - 1 == values["control__stop_at"]:
            age = 0
        elif not before["control__busy"] or issued:
            age = 1
        elif age:
            age += 1
        header = values["control__p_data"] if age == latency.RAM + 1 else header
        opcode = header & 0xff
        last = latency.RAM + 1 if age <= latency.RAM + 1 else commands.length(Opcode(opcode)) if opcode in list(Opcode) else 0
        masks = dict.fromkeys(values, -1)
        if not 0 < age <= last or values["control__pc"] + age > words:
            del masks["control__p_addr"]
        for name in ("starts", "ends"):
            if not values[f"control__{name}_en"]:
                del masks[f"control__{name}_addr"]
        for port, (op, bit, mask) in PAYLOADS.items():
            counts = values["busy"] >> bit & 1 or after[f"units__{op.name.lower()}__start"]
            masks[port] = mask if counts else 0
        yield masks
        before = values


def record_sequencer(config) -> Recorder:
    """The sequencer's tests, all on a core of the same size."""
    recorder = Recorder(lambda top: top.submodules.dut, lambda rows, seen: sequencer_observed(rows, seen, config.program_words))

    class Bench(sequencing.Bench):
        def __init__(self, program_words=0, counters=0, seed=0):
            super().__init__(config.program_words, config.counters, seed)

    def run(test, *arguments):
        with mock.patch.object(test_sequencer, "Bench", Bench):
            recorder.run(test, *arguments, module=sequencing)

    for seed in range(4):
        run(test_sequencer.test_random_programs, seed)
        run(test_sequencer.test_random_faults, 10 + seed)
        run(test_sequencer.test_stop_and_resume, 20 + seed)
    for test in (test_sequencer.test_pairs, test_sequencer.test_ends_of_one_cycle, test_sequencer.test_faults_of_one_cycle,
                 test_sequencer.test_watchdog, test_sequencer.test_illegal_headers, test_sequencer.test_legal_headers,
                 test_sequencer.test_an_earlier_fault_comes_first, test_sequencer.test_start_at_zero_counts_anew):
        run(test)
    run(test_sequencer.test_missing_end, config.program_words)
    for seed in range(4):
        run(extra.anywhere, seed)
    run(extra.long_command, 12)
    return recorder


UNITS = {
    "list_builder": Unit(
        config=small(lanes=4, lists=3, targets=3, act_bricks=100, bank_words=32, psum_words=50), record=record_builder,
        proof=list_builder.ListBuilderProof, legal=builder_legal, counts=builder_counts, before=2, cycles=10),
    "lane": Unit(
        config=small(lists=3, targets=3, bank_words=32), record=record_lane,
        proof=lane.Surroundings, legal=lane_legal, counts=lane_counts, before=2, cycles=14),
    "sequencer": Unit(config=small(program_words=300, counters=16), record=record_sequencer),
}
