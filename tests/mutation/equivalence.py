"""Survivors of the replay: is there any legal input that tells one from the unit?"""

import re
from pathlib import Path

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, ClockSignal, Instance, Signal

from formal.proof import Proof, decide, implies
from mutation.record import inner, ports


def comparison(proof: type[Proof], config, mutants: str, survivors, observed) -> Proof:
    """The unit in the surroundings of its proof, and beside it one of the ``survivors``, whichever, with the same inputs."""

    class Comparison(proof):
        sources = {"mutants.il": mutants}

        def properties(self, m):
            prove, self.check, self.cover = self.check, lambda _: None, lambda _: None
            super().properties(m)
            number = Signal(32)
            m.d.comb += number.eq(AnyConst(32))
            self.assume(Cat(number == mutant for mutant in survivors).any())
            inputs, outputs = ports(self.unit)
            given = {f"i_{inner(name)}": value for name, value in inputs.items()}
            answers = {name: Signal(len(value), name=f"mutant_{inner(name)}") for name, value in outputs.items()}
            m.submodules.mutant = Instance("unit", i_clk=ClockSignal(), i_mutant=number, **given,
                                            **{f"o_{inner(n)}": a for n, a in answers.items()})
            for name, value in outputs.items():
                prove(implies(observed(self, name), value == answers[name]))

    return Comparison(config)


def told_apart(proof: type[Proof], config, mutants: str, survivors, observed, cycles: int, directory: Path) -> dict:
    """Those of ``survivors`` that a legal input tells from the unit within ``cycles`` cycles, each with that number of cycles."""
    survivors, found = set(survivors), {}
    while survivors:
        result = decide(comparison(proof, config, mutants, survivors, observed), "bmc", cycles, directory)
        if result.status == "PASS":
            break
        number = re.search(rf"Value for anyconst in top \({__file__}:\d+\): (\d+)", result.log)
        step = re.search(r"failed assertion .* step (\d+)", result.log)
        if result.status != "FAIL" or not number or not step:
            raise AssertionError(f"the comparison is {result.status}:\n{result.log}")
        print("apart", number.group(1), step.group(1), round(result.seconds, 1), flush=True)
        found[int(number.group(1))] = int(step.group(1))
        survivors.discard(int(number.group(1)))
    return found
