"""All proofs, and the bugs that each of them must find; ``python -m formal.prove`` in ``tests`` runs them."""

import argparse
import sys
import types
from dataclasses import dataclass
from pathlib import Path

from formal.lane import LaneControlProof
from formal.lane_data import LaneDataProof
from formal.list_builder import ListBuilderProof
from formal.memory import RamProof
from formal.proof import Proof, decide, small, variant
from formal.sequencer import SequencerProof
from formal.targets import TargetsProof
from gradgate.hw import lane, list_builder, ram, sequencer, targets

OUT = Path(__file__).resolve().parents[2] / "build/formal"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A proof by induction of ``depth`` cycles (basis: as many) for several configurations.

    ``reach``: cycles within which the covers are reached. ``bugs``: (old, new) changes of the unit's source that a search of
    ``reach`` cycles must find, by what the unit promises and without lemmas.
    """

    proof: type[Proof]
    unit: types.ModuleType
    depth: int
    reach: int
    configs: tuple = ({},)
    bugs: tuple = ()

    def make(self, fields: dict | None = None, bug: tuple | None = None) -> Proof:
        """The proof for one of ``configs``, of the unit with or without a bug."""
        proof = self.proof(small(**self.configs[0] if fields is None else fields), variant(self.unit, bug))
        proof.lemmas = bug is None
        return proof


JOBS = {
    "list_builder": Job(
        proof=ListBuilderProof, unit=list_builder, depth=2, reach=22,
        configs=({"lanes": 4, "lists": 2}, {"lanes": 2, "lists": 1, "targets": 1},
                 {"lanes": 8, "lists": 3, "targets": 5, "psum_words": 50, "bank_words": 32}),
        bugs=(("done.eq(void | single)", "done.eq(void | lowest.any())"),  # loses all words of a brick but one
              ("done.eq(void | single)", "done.eq(single)"),  # a position without targets takes too long
              ("done.eq(self.free.bit_select(self.slot, 1))", "done.eq(1)"),  # does not wait for a free list
              ("self.i.ready.eq(done | ~valid)", "self.i.ready.eq(1)"),  # loses what it is not done with
              ("offset.eq(lane_k[lane])", "offset.eq(lane_k[lane ^ 1])"),  # wrong k
              ("Mux(is_head, 0, count)", "count"),  # the head behind the entries of the list before
              ("grown.eq(count + append)", "grown.eq(count + 1)"),  # counts an empty brick
              ("Mux(grown == 0, 1, grown)", "grown"),  # a list of no entries
              ("self.void.eq(void | (f.outer & (grown == 0)))", "self.void.eq(void)"),
              ("complete = valid & done & item.tag.last", "complete = valid & item.tag.last"),
              ("(count == config.list_entries)", "(count == config.list_entries - 1)"),  # a full list is no fault
              ("(append & ~is_head & (count", "(append & (count"),  # nor is a head behind a full list
              ("psum_end > config.psum_words", "psum_end >= config.psum_words"),
              ("complete & ~f.outer & (psum_end", "complete & (psum_end"),  # OUT has no sums
              ("psum_end = Signal(17)", "psum_end = Signal(16)")),  # sums far outside look as if they were inside
    ),
    "targets": Job(
        proof=TargetsProof, unit=targets, depth=2, reach=10,
        configs=({"lists": 2, "targets": 3}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 4}),
        bugs=(("count.eq(count + self.en)", "count.eq(count + 1)"),
              ("[count.eq(0), self.count", "[self.count"),
              ("self.slot * pitch + count", "self.slot + count"))),
    "ram": Job(proof=RamProof, unit=ram, depth=4, reach=6,
               bugs=(("array.eq(read.data)", "array.eq(read.data & ~1)"),
                     ("granularity=self.width // self.parts", "granularity=self.width"))),
    "lane control": Job(
        proof=LaneControlProof, unit=lane, depth=2, reach=12,
        configs=({"lists": 2}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 3}),
        bugs=(("last.eq(n == self.length[at] - 1)", "last.eq(n == self.length[at])"),  # one entry twice
              ("(index == count - 1)", "(index == count)"),  # one turn too many
              ("fin.eq(here & (nothing |", "fin.eq(nothing | (here &"),  # done with a list that is not there
              ("self.outer & ~nothing, self.BUBBLE", "self.outer & ~nothing, self.BUBBLE - 1"),
              ("self.outer & ~nothing, self.BUBBLE", "self.outer, self.BUBBLE"),
              ("Mux(self.fetch, targets.count[at], self.every)", "Mux(self.fetch, targets.count[0], self.every)"),
              ("[index.eq(0), at.eq(", "[at.eq("))),
    "lane data": Job(
        proof=LaneDataProof, unit=lane, depth=14, reach=27,
        configs=({"lists": 2}, {"lists": 1, "targets": 1}, {"lists": 3, "targets": 3, "psum_words": 50}),
        bugs=(("BUBBLE = 3", "BUBBLE = 2"),  # an update read before it is written
              ("DRAIN = 10", "DRAIN = 9"),  # a result read before it is written
              ("address9 = delay(address6, 3", "address9 = delay(address6, 2"),
              ("target5 = delay(value2, 3, \"value\"), delay(target2, 3,", "target5 = delay(value2, 3, \"value\"), delay(target2, 2,"),
              ("half5 = delay(address3[-1], 2", "half5 = delay(address3[-1], 1"),
              ("Mux(~first8, total, ", "Mux(first8, total, "),
              ("Mux(self.accumulate, sums.r_data, 0)", "0"),
              ("end9.eq(valid8 & last8 & ~self.outer)", "end9.eq(last8 & ~self.outer)"),
              ("Mux(self.fetch, targets.r_entry.t, index1)", "index1"),
              ("target1.eq(self.target[at])", "target1.eq(self.target[0])"),
              ("psum3.eq(psum2 + t2)", "psum3.eq(psum2)"))),
    "sequencer": Job(
        proof=SequencerProof, unit=sequencer, depth=6, reach=30,
        configs=({"program_words": 16, "counters": 16}, {"program_words": 50, "counters": 20},
                 {"program_words": 4096, "counters": 1024}),
        bugs=(("Cat(hit[op] & unit.done for", "Cat(unit.done for"),  # listens to other units
              ("Cat(hit[op] & unit.fault for", "Cat(unit.fault for"),
              ("            m.d.sync += unit.start.eq(0)\n", ""),  # starts for ever
              ("unit.start.eq(hit[op])", "unit.start.eq(hit[op] | hit[Opcode.END])"),
              ("header == (op | length << 8)", "header[:16] == (op | length << 8)"),
              ("checked & missing", "checked & missing & beyond_word"),  # a header behind the memory
              ("(complete & ~hit[Opcode.END] & beyond_word)", "(complete & hit[Opcode.END] & beyond_word)"),
              ("ready + lengths[op] - 1)", "ready + lengths[op] - 2)"),  # starts before the last word is there
              ("with m.If(beat == ready + index)", "with m.If(beat == ready + index + 1)"),
              ("with m.If(beat == ready + index)", "with m.If(self.control.p_data[0])"),  # payload changes while the unit runs
              ("fetch.eq(next_pc), elapsed.eq(1)", "fetch.eq(next_pc), elapsed.eq(0)"),
              ("c.c_en.eq(c.index < ", "c.c_en.eq(c.index <= "),
              ("elapsed.eq(elapsed + 1), c.c_en.eq(0),", "elapsed.eq(elapsed + 1),"),  # writes the counter again and again
              ("late.eq(elapsed >= c.watchdog)", "late.eq(elapsed > c.watchdog)"),
              ("late.eq(elapsed >= c.watchdog)", "late.eq(elapsed == c.watchdog)"),  # misses a watchdog that is set later
              ("with m.If(fault | late)", "with m.If(late)"),
              ("with m.Elif(finished)", "with m.If(finished)"),  # goes on in spite of a fault
              ("Mux(fault, Error.ADDRESS, Error.WATCHDOG)", "Mux(late, Error.WATCHDOG, Error.ADDRESS)"),
              ("self.abort.eq(1)", "self.abort.eq(late)"),
              (" & (c.stop_at != STOP_NONE)", ""),
              ("hit[Opcode.END] | stops", "hit[Opcode.END]"),
              ("c.ended.eq(hit[Opcode.END])", "c.ended.eq(1)"),
              ("c.error.eq(Error.ILLEGAL), c.busy.eq(0)", "c.error.eq(Error.ILLEGAL), c.busy.eq(0), c.index.eq(c.index + 1)"),
              ("with m.If(c.start_at == 0)", "with m.If(c.start_at <= 1)"),
              ("with m.If(c.go)", "with m.If(c.go | c.ended)"))),
}


def prove(name: str, out: Path = OUT):
    """Prove job ``name`` for all its configurations: yields what is decided, and the :class:`Result`."""
    job, place = JOBS[name], out / name.replace(" ", "_")
    for number, fields in enumerate(job.configs):
        yield str(fields), decide(job.make(fields), "prove", job.depth, place / f"prove{number}")
    yield "covers", decide(job.make(), "cover", job.reach, place / "cover")


def find_bugs(name: str, out: Path = OUT):
    """Search each planted bug of job ``name``: yields the bug, and the :class:`Result`, which is to be FAIL."""
    job, place = JOBS[name], out / name.replace(" ", "_")
    for number, bug in enumerate(job.bugs):
        yield " -> ".join(bug), decide(job.make(bug=bug), "bmc", job.reach, place / f"bug{number}")


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
    for name in chosen.names or JOBS:
        for what, result in (find_bugs if chosen.bugs else prove)(name):
            bad += result.status != ("FAIL" if chosen.bugs else "PASS")
            print(f"{name:13} {JOBS[name].depth:3} {result.status:7} {result.seconds:6.1f} s  {what}", *result.failed,
                  sep="\n      ", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
