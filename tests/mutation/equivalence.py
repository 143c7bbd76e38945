"""Survivors of the replay: is there any legal input that tells one from the unit?"""

import re
from pathlib import Path

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, ClockSignal, Instance, Signal
from formal.proof import Proof, decide, implies

from mutation.record import inner, ports


def comparison(unit, mutants: str, numbers) -> Proof:
    """The unit in its surroundings, and beside it one of the mutants ``numbers``, whichever, with the same inputs."""

    class Comparison(unit.proof):
        sources = {"mutants.il": mutants}

        def properties(self, m):
            prove, self.check, self.cover = self.check, lambda _: None, lambda _: None
            super().properties(m)
            unit.legal(self, m)
            number = Signal(32)
            m.d.comb += number.eq(AnyConst(32))
            self.assume(Cat(number == mutant for mutant in numbers).any())
            inputs, outputs = ports(self.unit)
            given = {f"i_{inner(name)}": value for name, value in inputs.items()}
            answers = {name: Signal(len(value), name=f"mutant_{inner(name)}") for name, value in outputs.items()}
            m.submodules.mutant = Instance("unit", i_clk=ClockSignal(), i_mutant=number, **given,
                                           **{f"o_{inner(name)}": answer for name, answer in answers.items()})
            for name, value in outputs.items():
                prove(implies(unit.counts(self, name), value == answers[name]))

    return Comparison(unit.config)


def told_apart(unit, mutants: str, numbers, directory: Path) -> dict:
    """Those mutants of ``numbers`` that a legal input tells from the unit within ``unit.cycles``, with the cycles that it took."""
    left, found = set(numbers), {}
    while left:
        result = decide(comparison(unit, mutants, left), "bmc", unit.cycles, directory)
        if result.status == "PASS":
            break
        number = re.search(rf"Value for anyconst in top \({__file__}:\d+\): (\d+)", result.log)
        step = re.search(r"failed assertion .* step (\d+)", result.log)
        if result.status != "FAIL" or not number or not step:
            raise AssertionError(f"the comparison is {result.status}:\n{result.log}")
        found[int(number.group(1))] = int(step.group(1)) + 1
        left.discard(int(number.group(1)))
    return found
