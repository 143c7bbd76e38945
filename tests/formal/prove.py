"""All proofs, and the bugs that each of them must find; ``python -m formal.prove`` in ``tests`` runs them."""

import argparse
import linecache
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path

from formal.command_fetch import CommandFetchProof
from formal.lane import LaneControlProof
from formal.lane_data import LaneDataProof
from formal.list_builder import ListBuilderProof
from formal.memory import RamProof
from formal.multiplier import MultiplierProof
from formal.proof import Proof, Result, decide, small, variant
from formal.sequencer import SequencerProof
from formal.targets import TargetsProof
from gradgate.hw.array import lane, list_builder, targets
from gradgate.hw.control import command_fetch, sequencer
from gradgate.hw.parts import multiplier, ram

OUT = Path(__file__).resolve().parents[2] / "build/formal"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A proof by induction of ``depth`` cycles (basis: as many) for several configurations.

    ``reach``: cycles within which the covers are reached. ``bugs``: (old, new) changes of the unit's source that a search of
    ``reach`` cycles must find, by what the unit promises and without lemmas. ``deep``: changes that show only later; with
    them the induction must fail.
    """

    proof: type[Proof]
    unit: types.ModuleType
    depth: int
    reach: int
    configs: tuple = ({},)
    bugs: tuple = ()
    deep: tuple = ()

    def make(self, fields: dict | None = None, bug: tuple | None = None) -> Proof:
        """The proof for one of ``configs``, of the unit with or without a bug."""
        proof = self.proof(small(**self.configs[0] if fields is None else fields), variant(self.unit, bug))
        proof.lemmas = bug not in self.bugs
        return proof


JOBS = {
    "list_builder": Job(
        proof=ListBuilderProof, unit=list_builder, depth=2, reach=22,
        configs=({"lanes": 4, "lists": 2}, {"lanes": 2, "lists": 1, "targets": 1},
                 {"lanes": 8, "lists": 3, "targets": 5, "psum_words": 50, "bank_words": 32}),
        bugs=(("come.single | new.void", "1"),  # loses all words of a brick but one
              ("come.single | new.void", "come.single"),  # a position without targets takes too long
              ("(current.is_head & new.free)", "current.is_head"),  # does not wait for a free list
              ("self.i.ready.eq(done)", "self.i.ready.eq(1)"),  # loses what it is not done with
              ("pitch << bit for", "pitch << bit + 1 for"),  # wrong k
              ("Mux(current.is_head, 0, new.count)", "new.count"),  # the head after the entries of the list before
              ("with m.Elif(current.adds)", "with m.Elif(current.is_list)"),  # counts an empty brick
              ("quick.eq(none | one)", "quick.eq(none)"), ("come.some & ~new.void", "~new.void"),
              ("rest.eq(rest & ~first)", "rest.eq(rest)"),  # the lowest flag again
              ("new.count | new.empty", "new.count"),  # a list of no entries
              ("open_void.eq(new.void | (f.outer & still_empty))", "open_void.eq(new.void)"),
              ("complete.eq(current.ends & done)", "complete.eq(current.ends)"),
              ("beyond(psum_end, self.config.psum_words)", "(psum_end >= self.config.psum_words)"),
              ("complete & ~f.outer", "complete"),  # OUT has no sums
              ("psum_end = Signal(17)", "psum_end = Signal(16)")),  # sums far outside look as if they were inside
        deep=(("full = new.count == self.config.list_entries",  # a full list is no fault
               "full = new.count == self.config.list_entries - 1"),
              ("(current.adds & full)", "((current.adds | build.claim) & full)"),  # nor is a head after a full list
              ("(current.adds & full) | ", "")),  # a list without end
    ),
    "targets": Job(
        proof=TargetsProof, unit=targets, depth=2, reach=10,
        configs=({"lists": 2, "targets": 3}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 4}),
        bugs=(("count.eq(count + append.en)", "count.eq(count + 1)"),
              ("            m.d.sync += count.eq(0)\n", ""),
              ("append.en & (append.slot == slot)", "append.en"), ("read.addr.eq(self.r_index)", "read.addr.eq(0)"))),
    "ram": Job(proof=RamProof, unit=ram, depth=4, reach=6,
               bugs=(("latch.eq(read.data)", "latch.eq(read.data & ~1)"),
                     ("granularity=self.width // self.parts", "granularity=self.width"))),
    "multiplier": Job(proof=MultiplierProof, unit=multiplier, depth=4, reach=6,
                      bugs=(("        b = Unreset(signed(self.width))", "        b = Unreset(self.width)"),
                            ("product.eq(a * b)", "product.eq(early_a * early_b)"))),
    "lane control": Job(
        proof=LaneControlProof, unit=lane, depth=2, reach=12,
        configs=({"lists": 2}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 3}),
        bugs=(("left == 2", "left == 1"),  # one entry twice
              ("_entries(m, place, begins)", "_entries(m, place, at)"), ("_turns(m, place, begins, *", "_turns(m, place, at, *"),
              ("single.bit_select(begins, 1)", "single[0]"), ("ones.bit_select(begins, 1)", "ones[0]"),
              ("lists.length[begins]", "lists.length[0]"), ("Array(counts)[begins]", "counts[0]"),
              ("turns == 2", "turns == 1"),  # one turn too many
              ("fin.eq(here & (place.nothing |", "fin.eq(place.nothing | (here &"),  # done with a list that is not there
              ("bubble = Unreset(self.BUBBLE)", "bubble = Unreset(self.BUBBLE - 1)"),
              ("fin & ~place.nothing & self.run.outer", "fin & self.run.outer"),
              ("Mux(self.run.fetch, targets.count[s], self.run.every)", "Mux(self.run.fetch, targets.count[0], self.run.every)"),
              ("with m.If(~place.issue | place.fin):", "with m.If(~place.issue):"))),
    "lane data": Job(
        proof=LaneDataProof, unit=lane, depth=14, reach=31,
        configs=({"lists": 2}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 3, "psum_words": 50}),
        bugs=(("address9 = _delay(m, address6, 3", "address9 = _delay(m, address6, 2"),
              ("BUBBLE = 3", "BUBBLE = 2"),  # an update read before it is written
              ("DRAIN = 10", "DRAIN = 9"),  # a result read before it is written
              ("_delay(m, target2, 3", "_delay(m, target2, 2"),
              ("_delay(m, address3[0], 2", "_delay(m, address3[0], 1"),
              ("go_on8.eq(~pipe.first7", "go_on8.eq(pipe.first7"),
              ("Mux(run.outer, bank.r_data", "Mux(~run.outer, bank.r_data"),
              ("psum5 = _delay(m, psum3, 2", "psum5 = _delay(m, psum3, 1"),
              ("end9.eq(pipe.valid8 & pipe.last8 & ~run.outer)", "end9.eq(pipe.last8 & ~run.outer)"),
              ("gated(m, self.run.fetch & (target1 == slot)", "gated(m, target1 == slot"),
              ("gated(m, self.run.fetch & (target1 == slot)", "gated(m, self.run.fetch"),
              ("gated(m, ~self.run.fetch, index1", "gated(m, 1, index1"),
              ("target1.eq(self.lists.target[place.at])", "target1.eq(self.lists.target[0])"),
              ("psum3.eq(psum2 + t2)", "psum3.eq(psum2)"),
              ("product.eq(multiplier.o)", "product.eq(multiplier.o.as_unsigned())")),
        deep=(("first7 & run.accumulate & ~run.outer", "first7 & ~run.accumulate & ~run.outer"),
              ("first7 & run.accumulate & ~run.outer", "first7 & ~run.outer"))),
    "command fetch": Job(
        proof=CommandFetchProof, unit=command_fetch, depth=6, reach=20,
        configs=({"program_words": 16, "counters": 16}, {"program_words": 50, "counters": 20},
                 {"program_words": 4096, "counters": 1024}),
        bugs=(("others == header(op, ())", "others[:16] == header(op, ())"),  # bits that must be zero
              ("waits.all() if op not in WITH_UNIT else 1", "1"),  # an END that does not wait
              ("with m.If(checked & missing)", "with m.If(checked & beyond_word)"),  # END in the last word
              ("complete & beyond_word & ~self.opcode[Opcode.END]", "complete & beyond_word & self.opcode[Opcode.END]"),
              ("(beat == last - 1)", "(beat == last - 2)"),  # decides before the last word is there
              ("(beat == self.READY + index)", "(beat == self.READY + index + 1)"),
              ("fetching & (beat == self.READY + index)", "self.p_data[0]"),  # fields change while the command is kept
              ("self.waits.eq(waits)", "self.waits.eq(waits[1:])"),
              ("                self.ready.eq(0),\n", ""), ("                self.refused.eq(Error.NONE),\n", ""),
              ("fetching & due[self.DECIDED], fetching & complete", "due[self.DECIDED], complete"),  # ready after it was dropped
              ("with m.Elif(checked & ~self.opcode.any())", "with m.Elif(0)"),
              ("            m.d.sync += beat.eq(0)\n", ""))),
    "sequencer": Job(
        proof=SequencerProof, unit=sequencer, depth=2, reach=10,
        configs=({"program_words": 16, "counters": 16}, {"program_words": 50, "counters": 20},
                 {"program_words": 4096, "counters": 1024}),
        bugs=(("fetch.ready & ~(needs & units.busy).any() & ~trouble", "fetch.ready & ~trouble"),  # waits for nothing
              ("issue.eq(free & ~(meets & conflicts.using(units.busy, payloads)).any())", "issue.eq(free)"),  # two at a port
              ("needs.eq(fetch.waits | own)", "needs.eq(fetch.waits)"), ("needs.eq(fetch.waits | own)", "needs.eq(own)"),
              ("conflicts.meets(fetch.opcode, fetch.payload)", "conflicts.meets(fetch.opcode, fetch.payload & 0)"),  # no RUN writes banks
              ("conflicts.using(units.busy, payloads)", "conflicts.using(units.busy, {op: fetch.payload for op in UNIT})"),
              ("(units.busy & done)) & ~units.record", "(units.busy & done))"),  # recorded again and again
              ("units.record.eq(_lowest(ended))", "units.record.eq(ended)"),  # two at once
              ("(units.busy & ~units.record) | units.begun", "(units.busy & ~done) | units.begun"),  # idle before it is recorded
              ("copy.en.eq(~units.busy[bit] | units.record[bit])", "copy.en.eq(~units.busy[bit])"),  # fields come late
              ("copy.en.eq(~units.busy[bit] | units.record[bit])", "copy.en.eq(1)"),  # fields change
              ("unit.start.eq(units.begun[bit])", "unit.start.eq(units.begun[bit] | (fetch.ready & fetch.opcode[op]))"),
              ("quiet >= c.watchdog", "quiet > c.watchdog"), ("quiet >= c.watchdog", "quiet == c.watchdog"),
              ("happens.eq(issued | units.record.any())", "happens.eq(units.record.any())"), ("& ~happens & ~trouble", "& ~trouble"),
              ("write.data.eq(self.control.index)", "write.data.eq(self.control.index + 1)"),
              ("write.en.eq(issue)", "write.en.eq(fetch.ready)"),  # the index of the next command of a unit that is busy
              ("units.record.any() & ~trouble & (c.error", "units.record.any() & (c.error"),
              ("~trouble & (c.error == Error.NONE)", "~trouble"),  # the command at fault has an end
              ("last.eq(Mux(ends, c.index, recorded))", "last.eq(recorded)"),  # END has none
              ("with m.If(~units.busy.any())", "with m.If(1)"),  # stops before all have ended
              ("reason.eq(Error.CONFLICT)", "reason.eq(Error.NONE)"),
              ("Mux(units.some_fault, units.fault, units.busy)", "units.busy"),  # another's index
              ("self.abort.eq(trouble)", "self.abort.eq(units.some_fault)"),
              ("with m.If(c.start_at == 0)", "with m.If(c.start_at <= 1)"),
              ("                m.d.sync += c.index.eq(recorded)\n", ""),
              ("        with m.If(c.busy):\n            m.d.sync += c.now", "        if 1:\n            m.d.sync += c.now"),
              ("with m.Elif(stops)", "with m.Elif(0)")),
        deep=(("c.index < counters", "c.index <= counters"),)),
}


def place(name: str, what: str) -> Path:
    """Where a job is decided."""
    return OUT / name.replace(" ", "_") / what


def prove(name: str, number: int) -> Result:
    """Prove job ``name`` for its configuration ``number``: to be PASS."""
    job = JOBS[name]
    return decide(job.make(job.configs[number]), "prove", job.depth, place(name, f"prove{number}"))


def cover(name: str) -> Result:
    """Reach the covers of job ``name``: to be PASS."""
    return decide(JOBS[name].make(), "cover", JOBS[name].reach, place(name, "cover"))


def find(name: str, number: int) -> Result:
    """Search bug ``number`` of job ``name``, the deep ones behind the others: to be FAIL, or UNKNOWN for a deep one."""
    job = JOBS[name]
    bug = (job.bugs + job.deep)[number]
    mode, depth = ("bmc", job.reach) if bug in job.bugs else ("prove", job.depth)
    return decide(job.make(bug=bug), mode, depth, place(name, f"bug{number}"))


def found(name: str, number: int, result: Result) -> bool:
    """Whether the bug was found: something promised does not hold, or, of a deep one, does not follow."""
    places = (re.search(r"(\S+):(\d+)", line).groups() for line in result.failed)
    promised = any("check(" in linecache.getline(file, int(line)) for file, line in places)
    return promised and result.status == ("FAIL" if number < len(JOBS[name].bugs) else "UNKNOWN")


def main(arguments=None) -> int:
    """Run the proofs named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="formal.prove", description="Prove the units of the array's control.")
    parser.add_argument("names", nargs="*", metavar="PROOF", help=f"among: {', '.join(JOBS)}; default: all")
    parser.add_argument("--bugs", action="store_true", help="plant bugs instead: each must be found")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(JOBS)
    if unknown:
        parser.error(f"PROOF must be among {', '.join(JOBS)}, not {sorted(unknown)[0]!r}")
    bad = 0

    def report(name, what, result, good):
        nonlocal bad
        bad += not good
        print(f"{name:13} {result.status:7} {result.seconds:6.1f} s  {what}", *([] if good else result.failed), sep="\n      ",
              flush=True)

    for name in chosen.names or JOBS:
        job = JOBS[name]
        if chosen.bugs:
            for number, bug in enumerate(job.bugs + job.deep):
                result = find(name, number)
                report(name, " -> ".join(map(repr, bug)), result, found(name, number, result))
        else:
            for number, fields in enumerate(job.configs):
                result = prove(name, number)
                report(name, f"induction over {job.depth} cycles, {fields}", result, result.status == "PASS")
            result = cover(name)
            report(name, f"covers in {job.reach} cycles", result, result.status == "PASS")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
