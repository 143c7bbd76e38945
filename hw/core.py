"""A whole core."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.arch.units import UNITS
from gradgate.hw.array.array import Array
from gradgate.hw.control.command_fetch import UNIT
from gradgate.hw.control.hostport import BusSignature, HostPort
from gradgate.hw.control.loss import Loss
from gradgate.hw.control.move import Move
from gradgate.hw.control.sequencer import Sequencer
from gradgate.hw.parts.registers import Unreset
from gradgate.hw.parts.rowport import ChoicePortSignature, RowPortSignature
from gradgate.hw.parts.share import Share
from gradgate.hw.weights.weights import Weights


class Core(wiring.Component):
    """The accelerator: array, weights, loss, moves, sequencer, behind a host port.

    ::

        bus -- HostPort -- Sequencer --> start/done of every unit
                  |  staging -- Move --.
                  |                    +-- row port -- Array (rows x lanes) <-- weights -- Weights
                  |            Loss ---'                    '-- accumulators -----------------^
                  '-- rows, weights, choices while idle

    Where the sequencer stops a unit (an address outside its memory, or too slow), array, weights, loss and
    moves are put back into the state after reset; the memories keep what they hold.

    Parameters: config, :class:`~gradgate.arch.config.Config`.

    Members
    -------
    bus : BusSignature (seen from here)
    busy : Out(1), a program runs
    error : Out(1), the last program stopped with an error

    Latency: of the commands, see the units. Throughput: ``rows * lanes`` multiplications a cycle.
    Resources: ``rows * lanes + 1`` DSPs; block RAM of the parts.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({"bus": In(BusSignature()), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        host = HostPort(config, weight_read=Weights.HOST, choice_read=ChoicePortSignature.READ)
        m.submodules.host = host
        m.submodules.sequencer = sequencer = Sequencer(config)
        array, weights, loss, move = Array(config), Weights(config), Loss(config), Move(config)
        for domain, component in {"array": array, "weights": weights, "loss": loss, "move": move}.items():
            self.connect_units(m, sequencer, domain, component)

        wiring.connect(m, wiring.flipped(self.bus), host.bus)
        wiring.connect(m, host.control, sequencer.control)
        wiring.connect(m, host.stage, move.stage)
        wiring.connect(m, host.weights, weights.host)
        wiring.connect(m, host.choices, array.choices)
        wiring.connect(m, weights.banks, array.banks)
        wiring.connect(m, weights.accs, array.accs)
        m.d.comb += [
            self.busy.eq(host.busy),
            self.error.eq(sequencer.control.error != 0),
            host.correct.eq(loss.correct),
            host.overflow.eq(array.overflow + weights.overflow),
        ]
        # One row at a time: for the unit whose command is under way, or else the host.
        m.submodules.row_port = row_port = Share(RowPortSignature(config), ("loss", "move", "host"))
        wiring.connect(m, row_port.port, array.port)
        wiring.connect(m, row_port.host, host.rows)
        wiring.connect(m, row_port.loss, loss.rows)
        wiring.connect(m, row_port.move, move.rows)
        m.d.comb += [
            row_port.granted.loss.eq(sequencer.busy[UNIT[Opcode.LOSS]]),
            row_port.granted.move.eq(sequencer.busy[UNIT[Opcode.MOVE]]),
        ]
        return m

    @staticmethod
    def connect_units(m, sequencer, domain, component):
        """Add the component that has the units of a clock domain with a reset of its own, and connect them.

        A component with a single unit calls it ``unit``, others call each like its opcode. The reset is a
        register. A fault of a unit does not wait for the sequencer: it resets the component a cycle later.
        """
        names = [op.name.lower() for op, unit in UNITS.items() if unit.domain == domain]
        units = {name: getattr(component, name if len(names) > 1 else "unit") for name in names}
        stop = Unreset(name=f"{domain}_reset")
        fault = Cat(unit.fault for unit in units.values()).any()
        m.d.sync += stop.eq(ResetSignal(allow_reset_less=True) | sequencer.abort | fault)
        m.domains += ClockDomain(domain, local=True)
        m.d.comb += [
            ClockSignal(domain).eq(ClockSignal()),
            ResetSignal(domain).eq(stop),
        ]
        m.submodules[domain] = DomainRenamer(domain)(component)
        for name, unit in units.items():
            wiring.connect(m, getattr(sequencer.units, name), unit)
