"""Cycles around the RUNs of a pass: loading and clearing banks, post-processing, updates, and the fetching of commands.

Each command is taken to be fetched when the one before has ended. The core fetches earlier, and lets commands that share no port go on
beside each other (``compiler/waits.py``); of that, only LOADs beside the RUN before are counted, and only in :meth:`Around.overlapped`.
So the figures are upper bounds.
"""

from dataclasses import dataclass, replace
from functools import cache

from gradgate.arch.commands import Opcode, length
from gradgate.bench.cost.cuts import channels, entries_of, targets_of
from gradgate.compiler.common import channels_of
from gradgate.golden.cycles.array import POST_LATENCY, clear_cycles
from gradgate.golden.cycles.sequencer import AROUND, WAITED, fetch_cycles
from gradgate.golden.cycles.weights import LOAD_LATENCY, update_latency


@dataclass(kw_only=True)
class Around:
    """Cycles by kind, each command's fetch included. ``issue``: the fetches of the RUNs."""

    load: float = 0
    clear: float = 0
    post: float = 0
    update: float = 0
    issue: float = 0
    loads: tuple = ()  #: cycles of the LOADs before each RUN that needs some

    @property
    def total(self) -> float:
        """All of them, nothing overlapping."""
        return self.load + self.clear + self.post + self.update + self.issue

    def overlapped(self, run: float) -> "Around":
        """With LOADs during the RUN before, which takes ``run`` cycles on average, as the core has it where both tiles' weights have room
        in the banks; the first LOAD has none before it."""
        first = self.loads[0] if self.loads else 0
        return replace(self, load=first + sum(max(0, load - run) for load in self.loads[1:]))


@cache
def _fetch(opcode: Opcode) -> int:
    """Cycles of a command that its unit does not take."""
    return fetch_cycles(length(opcode)) + AROUND


def around(config, layer, walk, cut, parts: list, bias: bool) -> Around:
    """What the compiler puts around the RUNs of a pass (or phase) over ``parts``, the (slots, rows) of a tile's RUNs.

    Bricks and numbers of commands are the compiler's; a POST takes one cycle a brick (two where branches of a network add to one
    gradient, which is not counted here).
    """
    result = Around()
    loads = []
    pairs = [(i, i) for i in range(len(cut.inputs))] if cut.paired else [
        (k, n) for n in range(len(cut.outputs)) for k in range(len(cut.inputs))]
    listed = channels(layer, walk)[0]
    for k, n in pairs:
        words = config.lanes if cut.paired else channels_of(cut.inputs[k], listed, config.lanes)[1]
        last = cut.paired or k == len(cut.inputs) - 1
        own = bias and (n == len(cut.outputs) - 1 if walk.role == "WG-Y" else last)
        bricks = entries_of(walk, words, own) * targets_of(walk, cut.outputs[n].count, own)
        # whole kernels lie in a row in the weight memory; else the bias has a command of its own
        commands = 1 + bool(own and (cut.paired or len(cut.inputs) > 1))
        if walk.role == "WG-Y":
            commands = cut.outputs[n].count + bool(own)
        if walk.outer:
            result.clear += _fetch(Opcode.CLEAR) + clear_cycles(bricks)
            result.update += bricks + commands * (_fetch(Opcode.UPDATE) + update_latency(config))
            result.issue += _fetch(Opcode.RUN)
            continue
        if walk.role == "BD" and walk.taps:
            commands = 1 if layer.stride == 1 and not cut.paired else walk.rows.kernel
        elif walk.role == "BD":
            commands = 0
        elif cut.paired:
            commands = 1
        load = bricks + commands * (_fetch(Opcode.LOAD) + LOAD_LATENCY + WAITED)
        if commands:
            loads += [load] * (len(parts) if len(cut.inputs) > 1 and not cut.paired else 1)
        result.issue += len(parts) * _fetch(Opcode.RUN)
        if last:
            for slots, rows in parts:
                beats = slots.count * rows.count * walk.grid.columns * cut.outputs[n].count
                result.post += _fetch(Opcode.POST) + beats + POST_LATENCY
    result.load, result.loads = sum(loads), tuple(loads)
    return result
