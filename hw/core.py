"""A whole core."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.array import Array
from gradgate.hw.hostport import BusSignature, HostPort
from gradgate.hw.loss import Loss
from gradgate.hw.move import Move
from gradgate.hw.rowport import RowPortSignature
from gradgate.hw.sequencer import UNITS, Sequencer
from gradgate.hw.weights import Weights


class Core(wiring.Component):
    """The accelerator: array, weights, loss, moves, sequencer, behind a host port.

    ::

        bus -- HostPort -- Sequencer --> start/done of every unit
                  |  staging -- Move --.
                  |                    +-- row port -- Array (rows x lanes) <-- weights -- Weights (LOAD, UPDATE)
                  |            Loss ---'                    '-- accumulators ------------------^
                  '-- rows, weights, choices while idle

    Where the sequencer stops a unit (an address outside its memory, or too slow), array, weights, loss and moves are put back
    into the state after reset; the memories keep what they hold.

    Parameters: config, :class:`~gradgate.arch.config.Config`.

    Members
    -------
    bus : BusSignature (seen from here)
    busy : Out, a program runs; error : Out, it stopped with an error

    Latency: of the commands, see the units. Throughput: ``rows * lanes`` multiplications a cycle.
    Resources: ``rows * lanes + 1`` DSPs; block RAM of the parts.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({"bus": In(BusSignature()), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.host = host = HostPort(config, weight_read=Weights.HOST, choice_read=RowPortSignature.READ)
        m.submodules.sequencer = sequencer = Sequencer(config)
        array, weights, loss, move = Array(config), Weights(config), Loss(config), Move(config)
        left_over = Signal()
        m.d.sync += left_over.eq(host.control.go & weights.failed)  # nobody waited for a LOAD ahead, and it failed
        for name, unit, reset in (("array", array, 0), ("weights", weights, left_over), ("loss", loss, 0), ("move", move, 0)):
            m.submodules[name] = ResetInserter(sequencer.abort | reset)(unit)

        wiring.connect(m, wiring.flipped(self.bus), host.bus)
        wiring.connect(m, host.control, sequencer.control)
        wiring.connect(m, host.stage, move.stage)
        wiring.connect(m, host.weights, weights.host)
        units = {"move": move.unit, "load": weights.load, "clear": array.clear, "run": array.run, "post": array.post,
                 "loss": loss.unit, "update": weights.update}
        for name in UNITS.values():
            wiring.connect(m, getattr(sequencer.units, name), units[name])
        m.d.comb += [self.busy.eq(host.busy), self.error.eq(sequencer.control.error != 0)]

        # LOAD and UPDATE
        m.d.comb += [
            array.w_en.eq(weights.bank_en), array.w_addr.eq(weights.bank_addr), array.w_data.eq(weights.bank_data),
            array.loading.eq(weights.loading), sequencer.failed.eq(weights.failed),
            array.acc_addr.eq(weights.acc_addr), weights.acc.eq(array.acc),
        ]
        # counts and pooling choices
        m.d.comb += [
            host.correct.eq(loss.correct), host.overflow.eq(array.overflow + weights.overflow),
            array.choice_row.eq(host.choice_row), array.choice_addr.eq(host.choice_addr), host.choices.eq(array.choices),
        ]
        # one row at a time: for the unit whose command is under way, or else the host
        active = {}
        for name, unit in (("loss", loss), ("move", move)):
            active[name] = Signal(name=f"{name}_active")
            with m.If(unit.unit.start):
                m.d.sync += active[name].eq(1)
            with m.Elif(unit.unit.done | sequencer.abort):
                m.d.sync += active[name].eq(0)
        for user in (host.rows, loss.rows, move.rows):
            m.d.comb += user.r_data.eq(array.port.r_data)
        with m.If(active["loss"]):
            self.connect_port(m, array.port, loss.rows)
        with m.Elif(active["move"]):
            self.connect_port(m, array.port, move.rows)
        with m.Else():
            self.connect_port(m, array.port, host.rows)
        return m

    @staticmethod
    def connect_port(m, port, user):
        """Let ``user`` drive ``port``."""
        m.d.comb += [port.row.eq(user.row), port.addr.eq(user.addr), port.en.eq(user.en), port.w_data.eq(user.w_data)]
