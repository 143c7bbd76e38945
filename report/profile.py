"""Where the cycles of one training step go, by the cycle model: no simulation."""

from dataclasses import dataclass, replace

import numpy as np

from gradgate.arch.commands import WITH_UNIT, Opcode
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import SPARSE
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.cycles.run import BUBBLE, row_times
from gradgate.golden.cycles.timeline import advances
from gradgate.report.tables import table
from gradgate.training.datasets import batches
from gradgate.training.run import Trainer
from gradgate.tune.roles import cheaper_roles

#: What a RUN is computed with, as factors of the arguments of ``row_times``.
LIMITS = {"builder": {"targets": 0, "bubble": 0}, "lanes": {"fetches": 0, "build": 0}, "no fetch": {"fetches": 0},
          "no bubble": {"bubble": 0}}
#: Columns of the table.
HEADS = ["command", "number", "cycles", "added", "of all", "multiplications", "per cycle and PE", "builder", "lanes"]
#: What goes on beside something else: opcodes that share no port with some others.
BESIDE = (Opcode.LOAD, Opcode.CLEAR, Opcode.UPDATE)
#: Columns of the table of what goes on at once.
TOGETHER = ["what", "cycles beside", "cycles saved"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Commands of a step, added up.

    name, commands : what they are, and how many
    cycles : in which they are under way
    added : by which they move the end on: cycles that are not hidden beside what began before
    macs : multiplications
    limits : cycles of RUNs under the first two of :data:`LIMITS`
    """

    name: str
    commands: int
    cycles: int
    added: int
    macs: int = 0
    limits: tuple = ()


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A step.

    parts : its :class:`Part`\\ s, in the order in which they begin
    cycles : from start to end
    limits : the same under each limit
    plain : the same with plain roles in weight gradients
    beside : ``{opcode: {other: cycles in which both are under way}}`` of :data:`BESIDE`
    saved : ``{what: cycles}`` that the step would take more if fetching, and then the opcodes of :data:`BESIDE`, waited for all before
    """

    parts: list
    cycles: int
    limits: dict
    plain: int
    beside: dict
    saved: dict


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

    def step(switches, times=None):
        program = compile_step(network, config, batch=batch, lr_shift=lr_shift, switches=switches)
        costs = program_costs(config, program, tensors, times)
        return program, costs, program_times(program, costs)

    switches = cheaper_roles(network, config, batch, tensors)
    program, costs, times = step(switches)
    limits = {name: step(switches, limited(**factors))[2] for name, factors in LIMITS.items()}
    return Profile(parts=_parts(program, costs, times, limits), cycles=times[-1].end, plain=step(SPARSE)[2][-1].end,
                   limits={name: one[-1].end for name, one in limits.items()},
                   beside=_beside(program.commands, times), saved=_saved(program, costs))


def _parts(program, costs, times, limits):
    """Commands by opcode, RUNs by layer and pass."""
    found, added = {}, advances(times)
    for index, (command, note) in enumerate(zip(program.commands, program.notes)):
        name = f"RUN {note.phase} {note.block}" if command.opcode == Opcode.RUN else command.opcode.name
        found.setdefault(name, []).append(index)
    runs = [name for name in found if name.startswith("RUN")]
    return [Part(name=name, commands=len(found[name]), cycles=sum(times[i].cycles for i in found[name]),
                 added=sum(added[i] for i in found[name]), macs=sum(costs[i].macs for i in found[name]),
                 limits=tuple(sum(limits[limit][i].cycles for i in found[name]) for limit in ("builder", "lanes")) if name in runs else ())
            for name in runs + [name for name in found if name not in runs]]


def _beside(commands, times):
    """Cycles in which commands of two opcodes are under way together, for those of :data:`BESIDE`."""
    result = {opcode: {} for opcode in BESIDE}
    for command, one in zip(commands, times):
        for other, two in zip(commands, times):
            together = min(one.end, two.end) - max(one.start, two.start)
            if together > 0 and command.opcode in BESIDE and other.opcode != command.opcode:
                beside = result[command.opcode]
                beside[other.opcode] = beside.get(other.opcode, 0) + together
    return {opcode: dict(sorted(others.items())) for opcode, others in result.items()}


def _saved(program, costs):
    """Cycles saved by fetching while units are busy, and then by each opcode of :data:`BESIDE` that need not wait for all before."""
    everything = range(len(program.commands))
    totals = [program_times(program, costs, stops=everything)[-1].end]
    for count in range(len(BESIDE) + 1):
        free = set(BESIDE[:count])
        waiting = [replace(c, waits=c.waits | {op for op in WITH_UNIT if not {op, c.opcode} & free}) for c in program.commands]
        totals.append(program_times(replace(program, commands=waiting), costs)[-1].end)
    names = ["fetching", *(opcode.name for opcode in BESIDE)]
    return {name: before - after for name, before, after in zip(names, totals, totals[1:])}


def figures(profile: Profile, config) -> dict:
    """The profile as JSON: parts in the order of :data:`HEADS`, the whole step, and what follows from it, in cycles."""
    macs = sum(part.macs for part in profile.parts)
    return {
        "parts": [{"command": part.name, "number": part.commands, "cycles": part.cycles, "added_cycles": part.added,
                   "share": part.added / profile.cycles,
                   **({"macs": part.macs, "macs_per_cycle_and_pe": part.macs / part.cycles / config.pes,
                       "builder_cycles": part.limits[0], "lanes_cycles": part.limits[1]} if part.limits else {})}
                  for part in profile.parts],
        "number": sum(part.commands for part in profile.parts), "cycles": profile.cycles, "macs": macs,
        "macs_per_cycle_and_pe": macs / profile.cycles / config.pes,
        "fetch_cycles": profile.cycles - profile.limits["no fetch"], "bubble_cycles": profile.cycles - profile.limits["no bubble"],
        "plain_roles_cycles": profile.plain,
        "beside_cycles": {opcode.name: {other.name: cycles for other, cycles in others.items()}
                          for opcode, others in profile.beside.items()},
        "saved_cycles": profile.saved}


def rows(profile: Profile, config) -> list:
    """Rows of the table under :data:`HEADS`, the last one for the whole step."""
    rows = [[part.name, part.commands, f"{part.cycles:,}", f"{part.added:,}", f"{100 * part.added / profile.cycles:.1f} %",
             *((f"{part.macs:,}", f"{part.macs / part.cycles / config.pes:.2f}", *(f"{one:,}" for one in part.limits))
               if part.limits else ("",) * 4)] for part in profile.parts]
    macs = sum(part.macs for part in profile.parts)
    rows.append(["step", sum(part.commands for part in profile.parts), f"{profile.cycles:,}", f"{profile.cycles:,}", "", f"{macs:,}",
                 f"{macs / profile.cycles / config.pes:.2f}", "", ""])
    return rows


def together(profile: Profile) -> list:
    """Rows of the table under :data:`TOGETHER`, the last one for all of it."""
    rows = [["fetching", "", f"{profile.saved['fetching']:,}"]]
    for opcode, others in profile.beside.items():
        beside = ", ".join(f"{other.name} {cycles:,}" for other, cycles in others.items())
        rows.append([opcode.name, beside, f"{profile.saved[opcode.name]:,}"])
    return [*rows, ["all", "", f"{sum(profile.saved.values()):,}"]]


def notes(profile: Profile) -> list:
    """What follows from the table."""
    fetch, bubble = (profile.cycles - profile.limits[name] for name in ("no fetch", "no bubble"))
    return [f"- Targets that are fetched cost {fetch:,} cycles of the step, the OUT bubble {bubble:,}.",
            f"- With plain roles in all weight gradients the step takes {profile.plain:,} cycles."]


def lines(profile: Profile, config) -> list:
    """The profile as Markdown tables and what follows from them."""
    return [*table(HEADS, rows(profile, config)), "", *notes(profile), "", "## What goes on at once", "",
            "What the step would take more if a command were fetched only after the one before has ended; if every LOAD began, and what "
            "comes after it, only then; if every CLEAR did, and every UPDATE. Each line takes those above it for granted.", "",
            *table(TOGETHER, together(profile))]


def page(profile: Profile, config, what: str) -> str:
    """The page of documentation; ``what`` says of which step."""
    return "\n".join([
        "# Where cycles go", "", "Written by `gradgate profile --docs`; do not edit.", "",
        f"{what} Cycles are those of the model, which equal the RTL's, start and end of every command. *Cycles*: in which commands are "
        "under way, from their issue to the record of their end. *Added*: by which they move the end of the step on; the rest is hidden "
        "beside what began before. *Builder*: what the RUNs would take if lanes took no time. *Lanes*: if lists were there at once.", "",
        *lines(profile, config), ""])
