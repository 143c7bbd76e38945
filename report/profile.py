"""Where the cycles of one training step go, by the cycle model: no simulation."""

from dataclasses import dataclass, replace

import numpy as np

from gradgate.arch.commands import Opcode
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import SPARSE
from gradgate.golden.cycles.program import program_costs
from gradgate.golden.cycles.run import BUBBLE, row_times
from gradgate.report.tables import table
from gradgate.training.datasets import batches
from gradgate.training.run import Trainer
from gradgate.tune.roles import cheaper_roles

#: What a RUN is computed with, as factors of the arguments of ``row_times``.
LIMITS = {"builder": {"targets": 0, "bubble": 0}, "lanes": {"fetches": 0, "build": 0}, "no fetch": {"fetches": 0},
          "no bubble": {"bubble": 0}}
#: Commands that are added up, in this order; RUNs are shown by layer.
OTHERS = (Opcode.MOVE, Opcode.LOAD, Opcode.CLEAR, Opcode.POST, Opcode.LOSS, Opcode.UPDATE, Opcode.END)
#: Columns of the table.
HEADS = ["command", "number", "cycles", "of all", "multiplications", "per cycle and PE", "builder", "lanes"]


@dataclass(frozen=True)
class Part:
    """Commands of a step, added up: what they are and how many; cycles; multiplications; cycles of RUNs under :data:`LIMITS`."""

    name: str
    commands: int
    cycles: int
    macs: int = 0
    limits: tuple = ()


@dataclass(frozen=True)
class Profile:
    """Parts of a step; its cycles; those under each limit, and with plain roles in weight gradients."""

    parts: list
    cycles: int
    limits: dict
    plain: int


def limited(**factors):
    """``row_times`` with some of its arguments multiplied."""
    def times(lists, outer, fetches, build, entries, targets):
        given = {"fetches": fetches, "build": build, "entries": entries, "targets": targets, "bubble": BUBBLE}
        return row_times(lists, outer, **{name: value * factors.get(name, 1) for name, value in given.items()})
    return times


def profile(schedule, data) -> Profile:
    """A step on the first batch again, behind the training on ``data`` that ``schedule`` says. Raises :class:`ConfigError`."""
    trainer = Trainer(replace(schedule, backend="golden"), data)
    trainer.run()
    network, config, batch, lr_shift = schedule.network, schedule.config, schedule.batch, schedule.lr_shifts[-1]
    index = next(batches(len(data.train_x), batch, np.random.default_rng(schedule.seed)))
    tensors = trainer.golden.step(trainer.train_x[index], data.train_y[index], lr_shift).tensors

    def costs(switches, times=None):
        program = compile_step(network, config, batch=batch, lr_shift=lr_shift, switches=switches)
        return program, program_costs(config, program, tensors, times)

    switches = cheaper_roles(network, config, batch, tensors)
    program, real = costs(switches)
    limits = {name: costs(switches, limited(**factors))[1] for name, factors in LIMITS.items()}
    found = {}
    for index, (command, note) in enumerate(zip(program.commands, program.notes)):
        name = f"RUN {note.phase} {note.block}" if command.opcode == Opcode.RUN else command.opcode.name
        found.setdefault(name, []).append(index)

    def part(name, indices):
        runs = name.startswith("RUN")
        return Part(name=name, commands=len(indices), cycles=sum(real[i][0] for i in indices), macs=sum(real[i][1] for i in indices),
                    limits=tuple(sum(limits[limit][i][0] for i in indices) for limit in ("builder", "lanes")) if runs else ())

    order = [name for name in found if name.startswith("RUN")] + [opcode.name for opcode in OTHERS if opcode.name in found]
    return Profile(
        parts=[part(name, found[name]) for name in order], cycles=sum(cycles for cycles, _ in real),
        limits={name: sum(cycles for cycles, _ in one) for name, one in limits.items()},
        plain=sum(cycles for cycles, _ in costs(SPARSE)[1]))


def figures(profile: Profile, config) -> dict:
    """The profile as JSON: parts in the order of :data:`HEADS`, the whole step, and what follows from it, in cycles."""
    macs = sum(part.macs for part in profile.parts)
    return {
        "parts": [{"command": part.name, "number": part.commands, "cycles": part.cycles, "share": part.cycles / profile.cycles,
                   **({"macs": part.macs, "macs_per_cycle_and_pe": part.macs / part.cycles / config.pes,
                       "builder_cycles": part.limits[0], "lanes_cycles": part.limits[1]} if part.limits else {})}
                  for part in profile.parts],
        "number": sum(part.commands for part in profile.parts), "cycles": profile.cycles, "macs": macs,
        "macs_per_cycle_and_pe": macs / profile.cycles / config.pes,
        "fetch_cycles": profile.cycles - profile.limits["no fetch"], "bubble_cycles": profile.cycles - profile.limits["no bubble"],
        "plain_roles_cycles": profile.plain}


def rows(profile: Profile, config) -> list:
    """Rows of the table under :data:`HEADS`, the last one for the whole step."""
    rows = [[part.name, part.commands, f"{part.cycles:,}", f"{100 * part.cycles / profile.cycles:.1f} %",
             *((f"{part.macs:,}", f"{part.macs / part.cycles / config.pes:.2f}", *(f"{one:,}" for one in part.limits))
               if part.limits else ("",) * 4)] for part in profile.parts]
    macs = sum(part.macs for part in profile.parts)
    rows.append(["step", sum(part.commands for part in profile.parts), f"{profile.cycles:,}", "", f"{macs:,}",
                 f"{macs / profile.cycles / config.pes:.2f}", "", ""])
    return rows


def notes(profile: Profile) -> list:
    """What follows from the table."""
    fetch, bubble = (profile.cycles - profile.limits[name] for name in ("no fetch", "no bubble"))
    return [f"- Targets that are fetched cost {fetch:,} cycles of the step, the OUT bubble {bubble:,}.",
            f"- With plain roles in all weight gradients the step takes {profile.plain:,} cycles."]


def lines(profile: Profile, config) -> list:
    """The profile as a Markdown table and what follows from it."""
    return [*table(HEADS, rows(profile, config)), "", *notes(profile)]


def page(profile: Profile, config, what: str) -> str:
    """The page of documentation; ``what`` says of which step."""
    return "\n".join([
        "# Where cycles go", "", "Written by `gradgate profile --docs`; do not edit.", "",
        f"{what} Cycles are those of the model, which equal the RTL's counters command by command. *Builder*: what the RUNs would take if "
        "lanes took no time. *Lanes*: if lists were there at once. A LOAD that goes on beside a RUN counts 2 cycles.", "",
        *lines(profile, config), ""])
