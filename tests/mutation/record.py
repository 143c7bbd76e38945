"""Records a unit's ports while its tests run."""

from dataclasses import dataclass, field

from amaranth.hdl import Value
from amaranth.lib.wiring import In
from amaranth.sim import Simulator
from support import units


def ports(unit):
    """Names of a unit's ports as in its Verilog, and their values: inputs, outputs."""
    inputs, outputs = {}, {}
    for path, member, value in unit.signature.flatten(unit):
        (inputs if member.flow == In else outputs)["__".join(map(str, path))] = Value.cast(value)
    return inputs, outputs


def inner(name: str) -> str:
    """Name of a port in the mutants' Verilog, one that C++ and Verilator leave alone."""
    return "port_" + name.replace("__", "_")


@dataclass
class Trace:
    """What went on at the ports, one row a cycle: values before the clock edge, by port; names of the outputs that the
    testbench looked at; and for each output that matters a mask of the bits that do."""

    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    seen: list = field(default_factory=list)
    masks: list = field(default_factory=list)


class Watch:
    """The context of a testbench, which notes of which signals it gets the value."""

    def __init__(self, ctx, names, seen):
        self._ctx, self._names, self._seen = ctx, names, seen

    def __getattr__(self, name):
        return getattr(self._ctx, name)

    def get(self, expression):
        """The value, as of the context."""
        name = self._names.get(id(Value.cast(expression)))
        if name:
            self._seen.add(name)
        return self._ctx.get(expression)


class Recorder:
    """A simulator class for tests: records the unit that ``find`` takes out of what is simulated.

    ``observe(rows, seen)``: yields for each cycle which bits of which outputs matter, ``{name: mask}``, from the values of all
    ports in all cycles and from the outputs that a testbench got the value of. Where it ends, the trace ends.
    """

    def __init__(self, find, observe):
        self.find, self.observe, self.traces = find, observe, []
        self.unit = None

    def simulator(self, top):
        """A simulator of ``top``, in the place of :class:`amaranth.sim.Simulator`."""
        self.unit = unit = self.find(top)
        inputs, outputs = ports(unit)
        names = {id(value): name for name, value in outputs.items()}
        trace, seen = Trace(), set()
        self.traces.append(trace)

        async def record(ctx):
            async for _, _, *values in ctx.tick().sample(*inputs.values(), *outputs.values()):
                trace.inputs.append(dict(zip(inputs, values)))
                trace.outputs.append(dict(zip(outputs, values[len(inputs):])))
                trace.seen.append(set(seen))
                seen.clear()

        class Recording(Simulator):
            def add_clock(self, *args, **kwargs):
                super().add_clock(*args, **kwargs)
                self.add_process(record)

            def add_testbench(self, constructor, **kwargs):
                async def watched(ctx):
                    await constructor(Watch(ctx, names, seen))
                super().add_testbench(watched, **kwargs)

        return Recording(top)

    def run(self, test, *arguments, module=units):
        """Run a test function, the ``Simulator`` of ``module`` replaced."""
        before = len(self.traces)
        module.Simulator, genuine = self.simulator, module.Simulator
        try:
            test(*arguments)
        finally:
            module.Simulator = genuine
        for trace in self.traces[before:]:
            rows = [given | answer for given, answer in zip(trace.inputs, trace.outputs)]
            trace.masks = list(self.observe(rows, trace.seen))
