"""Weight memory with all that works on it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.memoryport import ReadPortSignature, WritePortSignature
from gradgate.hw.parts.registers import behind, delays
from gradgate.hw.weights.loader import Loader
from gradgate.hw.weights.updater import Updater, acc_shape
from gradgate.hw.weights.velocity_memory import VelocityMemory
from gradgate.hw.weights.weight_memory import WeightMemory, address_bits, rotation_bits, working_brick


class HostWeightSignature(wiring.Signature):
    """Access of the host to single master weights (seen from the host), while no command is under way.

    addr : Out, brick of the word
    bank : Out(rotation_bits), its bank
    we : Out(1), write ``w_data``; otherwise the word is only read
    w_data : Out(master_bits), what to write; valid with ``we``
    r_data : In(master_bits), the word at the ``addr`` and ``bank`` of ``Weights.HOST`` cycles ago, two's
        complement
    velocity : Out(1), with momentum only: the word is a velocity, and ``bank`` its lane. To be read,
        ``addr``, ``bank`` and ``velocity`` must stay as they are up to ``r_data``.
    """

    def __init__(self, config):
        super().__init__({
            "addr": Out(address_bits(config)),
            "bank": Out(rotation_bits(config)),
            "we": Out(1),
            "w_data": Out(config.formats.master_bits),
            "r_data": In(config.formats.master_bits),
            **({"velocity": Out(1)} if config.momentum else {}),
        })


class Weights(wiring.Component):
    """The weight memory, LOAD and UPDATE and the host, which share its two ports; and velocities.

    ::

        load  -> Loader  -- read --.                     .-- working --> banks
        update-> Updater -- read --+--> WeightMemory ----+-- master ---> Updater <-- accs, --> overflow
        host  ----------------read-'        ^            '-- lane 0 ---> host.r_data
                 Updater -- write, host.we -'

    LOAD and UPDATE must not overlap. The host reads and writes a single word as lane 0 of the co-brick whose
    rotation is the word's bank, so it needs no path of its own through the banks. With ``config.momentum``
    there is a :class:`VelocityMemory` too, for UPDATE and the host.

    Parameters
    ----------
    config : ``lanes``, ``rows``, ``weight_bricks``, ``bank_words``, ``momentum``, ``formats``

    Members
    -------
    load : UnitSignature, payload of LOAD
    update : UnitSignature, payload of UPDATE
    banks : WritePortSignature, as of :class:`Loader`
    accs : ReadPortSignature, as of :class:`Updater`
    overflow : Out(range(lanes + 1)), as of :class:`Updater`
    host : HostWeightSignature (seen from here); only while neither unit is busy. A read may follow a write of
        the same word at once.

    Latency: as of the units; the host reads in ``HOST`` = 9 cycles. Throughput: one brick, or one host word,
    a cycle.
    Resources: no DSP; block RAM of :class:`WeightMemory`.
    """

    #: cycles from the host's address to its ``r_data``
    HOST = WeightMemory.MASTER + 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "load": Out(UnitSignature()),
            "update": Out(UnitSignature()),
            "banks": Out(WritePortSignature(range(config.bank_weights), working_brick(config))),
            "accs": Out(ReadPortSignature(range(config.bank_words), acc_shape(config))),
            "overflow": Out(range(config.lanes + 1)),
            "host": In(HostWeightSignature(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = WeightMemory(self.config)
        m.submodules.loader = loader = Loader(self.config)
        m.submodules.updater = updater = Updater(self.config)
        wiring.connect(m, wiring.flipped(self.load), loader.unit)
        wiring.connect(m, wiring.flipped(self.update), updater.unit)

        host, read, write = self.host, memory.read, memory.write
        with m.If(loader.reading):
            m.d.comb += read.request.eq(loader.read.request)
        with m.Elif(updater.reading):
            m.d.comb += read.request.eq(updater.read.request)
        with m.Else():
            m.d.comb += read.request.addr.eq(host.addr)
            m.d.comb += read.request.rot.eq(host.bank)
        m.d.comb += write.ahead.eq(updater.write.ahead)
        updating = Signal()
        with m.If(self.update.start):
            m.d.sync += updating.eq(1)
        with m.Elif(self.update.done):
            m.d.sync += updating.eq(0)
        m.d.comb += write.request.eq(updater.write.request)
        with m.If(~updating):  # only lane 0 is the host's
            m.d.comb += [
                write.request.addr.eq(host.addr),
                write.request.rot.eq(host.bank),
                write.request.spread.eq(0),
                write.request.en[0].eq(host.we),
                write.request.data[0].eq(delays(m, host.w_data, 1)[-1]),
            ]

        wiring.connect(m, wiring.flipped(self.banks), loader.banks)
        wiring.connect(m, wiring.flipped(self.accs), updater.accs)
        m.d.comb += [
            loader.read.working.eq(read.working),
            updater.read.master.eq(read.master),
            self.overflow.eq(updater.overflow),
        ]
        shown = Signal.like(read.master[0])
        m.d.comb += shown.eq(read.master[0])
        m.d.sync += behind(m, host.r_data, "r_data").eq(shown)
        if self.config.momentum:
            self._velocities(m, memory, updater, updating, shown)
        return m

    def _velocities(self, m, memory, updater, updating, shown):
        """The velocity memory, and the host's access to it."""
        host = self.host
        m.submodules.velocities = velocities = VelocityMemory(self.config)
        word = Signal(self.config.formats.master_bits)
        m.d.sync += word.eq(velocities.read.data[host.bank])
        m.d.comb += [
            velocities.read.addr.eq(Mux(updater.velocity_reading, updater.velocities.addr, host.addr)),
            updater.velocities.data.eq(velocities.read.data),
        ]
        with m.If(host.velocity):
            m.d.comb += shown.eq(word)
        with m.If(updating):
            m.d.comb += velocities.write.eq(updater.velocity_write)
        with m.Else():
            m.d.comb += [
                memory.write.request.en[0].eq(host.we & ~host.velocity),
                velocities.write.addr.eq(host.addr),
                velocities.write.en.eq(Mux(host.we & host.velocity, 1 << host.bank, 0)),
                *(word.eq(host.w_data) for word in velocities.write.data),
            ]
