"""Weight memory with all that works on it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.memoryport import ReadPortSignature, WritePortSignature
from gradgate.hw.parts.registers import behind, delays
from gradgate.hw.parts.share import Share
from gradgate.hw.weights.loader import Loader
from gradgate.hw.weights.updater import Updater, acc_shape
from gradgate.hw.weights.velocity_memory import VelocityMemory, velocity_request
from gradgate.hw.weights.weight_memory import (
    WeightMemory,
    WeightReadSignature,
    WeightWriteSignature,
    address_bits,
    master_brick,
    rotation_bits,
    working_brick,
)


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

        updating = Signal()
        with m.If(self.update.start):
            m.d.sync += updating.eq(1)
        with m.Elif(self.update.done):
            m.d.sync += updating.eq(0)
        self._share(m, memory, loader, updater, updating)
        wiring.connect(m, wiring.flipped(self.banks), loader.banks)
        wiring.connect(m, wiring.flipped(self.accs), updater.accs)
        m.d.comb += self.overflow.eq(updater.overflow)
        shown = Signal.like(memory.read.master[0])
        m.d.comb += shown.eq(memory.read.master[0])
        m.d.sync += behind(m, self.host.r_data, "r_data").eq(shown)
        if self.config.momentum:
            self._velocities(m, updater, updating, shown)
        return m

    def _share(self, m, memory, loader, updater, updating):
        """The two ports of the weight memory; the host has what no unit uses."""
        host = self.host
        m.submodules.read_port = read = Share(WeightReadSignature(self.config), ("load", "update", "host"))
        wiring.connect(m, read.port, memory.read)
        wiring.connect(m, read.load, loader.read)
        wiring.connect(m, read.update, updater.read)
        m.d.comb += [
            read.granted.load.eq(loader.reading),
            read.granted.update.eq(updater.reading),
            read.host.request.addr.eq(host.addr),
            read.host.request.rot.eq(host.bank),
        ]
        m.submodules.write_port = write = Share(WeightWriteSignature(self.config), ("update", "host"))
        wiring.connect(m, write.port, memory.write)
        wiring.connect(m, write.update, updater.write)
        master = ~host.velocity if self.config.momentum else 1
        with m.If(~updating):
            word = delays(m, host.w_data, 1)[-1]
        m.d.comb += [
            write.granted.update.eq(updating),
            write.host.ahead.eq(updater.write.ahead),
            write.host.request.eq(updater.write.request),  # only lane 0 is the host's: others need no choice
            write.host.request.addr.eq(host.addr),
            write.host.request.rot.eq(host.bank),
            write.host.request.spread.eq(0),
            write.host.request.en[0].eq(host.we & master),
            write.host.request.data[0].eq(word),
        ]

    def _velocities(self, m, updater, updating, shown):
        """The velocity memory, and the host's access to it."""
        config, host = self.config, self.host
        m.submodules.velocities = memory = VelocityMemory(config)
        addr, brick = address_bits(config), master_brick(config)
        m.submodules.velocity_read = read = Share(ReadPortSignature(addr, brick), ("update", "host"))
        wiring.connect(m, read.port, memory.read)
        wiring.connect(m, read.update, updater.velocities)
        m.d.comb += [
            read.granted.update.eq(updater.velocity_reading),
            read.host.addr.eq(host.addr),
        ]
        word = Signal(config.formats.master_bits)
        m.d.sync += word.eq(read.host.data[host.bank])
        with m.If(host.velocity):
            m.d.comb += shown.eq(word)

        requests = wiring.Signature({"request": Out(velocity_request(config))})
        m.submodules.velocity_write = write = Share(requests, ("update", "host"))
        request = write.host.request
        m.d.comb += [
            write.granted.update.eq(updating),
            write.update.request.eq(updater.velocity_write),
            request.addr.eq(host.addr),
            request.en.eq(Mux(host.we & host.velocity, 1 << host.bank, 0)),
            *(word.eq(host.w_data) for word in request.data),
            memory.write.eq(write.port.request),
        ]
