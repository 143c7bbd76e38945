"""Weight memory with all that works on it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.registers import behind, delays
from gradgate.hw.weights.loader import Loader
from gradgate.hw.weights.updater import Updater, acc_shape
from gradgate.hw.weights.velocity_memory import VelocityMemory
from gradgate.hw.weights.weight_memory import WeightMemory, address_bits, rotation_bits, working_brick


class HostWeightSignature(wiring.Signature):
    """Access of the host to single master weights (seen from the host), while no command is under way.

    addr, bank : Out, brick and bank of the word
    we : Out, write ``w_data``; otherwise the word is only read
    r_data : In, the word at the ``addr`` and ``bank`` of ``Weights.HOST`` cycles ago, two's complement
    velocity : Out, with momentum only: the word is a velocity, and ``bank`` its lane. To be read, ``addr``, ``bank`` and
        ``velocity`` must stay as they are up to ``r_data``.
    """

    def __init__(self, config):
        super().__init__({
            "addr": Out(address_bits(config)), "bank": Out(rotation_bits(config)),
            "we": Out(1), "w_data": Out(config.formats.master_bits), "r_data": In(config.formats.master_bits),
            **({"velocity": Out(1)} if config.momentum else {}),
        })


class Weights(wiring.Component):
    """The weight memory, the units for LOAD and UPDATE, and the host's access, sharing its two ports; and velocities.

    ::

        load  -> Loader  -- read --.                     .-- working --> bank_en, bank_addr, bank_data
        update-> Updater -- read --+--> WeightMemory ----+-- master ---> Updater <-- acc, --> acc_addr, overflow
        host  ----------------read-'        ^            '-- lane 0 ---> host.r_data
                 Updater -- write, host.we -'

    LOAD and UPDATE must not overlap. The host reads and writes a single word as lane 0 of the co-brick whose rotation is the word's
    bank, so it needs no path of its own through the banks.
    With ``config.momentum`` there is a :class:`VelocityMemory` too, for UPDATE and the host.

    Parameters
    ----------
    config : ``lanes``, ``rows``, ``weight_bricks``, ``bank_words``, ``momentum``, ``formats``

    Members
    -------
    load, update : ``UnitSignature``, payloads of LOAD and UPDATE
    bank_en, bank_addr, bank_data : Out, as of :class:`Loader`
    acc_addr, acc, overflow : as of :class:`Updater`
    host : In(HostWeightSignature); only while neither unit is busy. A read may follow a write of the same word at once.

    Latency: as of the units; the host reads in ``HOST`` = 9 cycles. Throughput: one brick, or one host word, a cycle.
    Resources: no DSP; block RAM of :class:`WeightMemory`.
    """

    #: cycles from the host's address to its ``r_data``
    HOST = WeightMemory.MASTER + 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "load": Out(UnitSignature()), "update": Out(UnitSignature()),
            "bank_en": Out(1), "bank_addr": Out(range(config.bank_weights)), "bank_data": Out(working_brick(config)),
            "acc_addr": Out(range(config.bank_words)), "acc": In(acc_shape(config)),
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

        with m.If(loader.reading):
            m.d.comb += memory.read.eq(loader.read)
        with m.Elif(updater.reading):
            m.d.comb += memory.read.eq(updater.read)
        with m.Else():
            m.d.comb += [memory.read.addr.eq(self.host.addr), memory.read.rot.eq(self.host.bank)]
        m.d.comb += memory.ahead.eq(updater.ahead)
        updating = Signal()
        with m.If(self.update.start):
            m.d.sync += updating.eq(1)
        with m.Elif(self.update.done):
            m.d.sync += updating.eq(0)
        m.d.comb += memory.write.eq(updater.write)
        with m.If(~updating):  # only lane 0 is the host's
            m.d.comb += [
                memory.write.addr.eq(self.host.addr), memory.write.rot.eq(self.host.bank), memory.write.spread.eq(0),
                memory.write.en[0].eq(self.host.we), memory.write.data[0].eq(delays(m, self.host.w_data, 1)[-1]),
            ]

        m.d.comb += [
            loader.working.eq(memory.working), updater.master.eq(memory.master),
            self.bank_en.eq(loader.bank_en), self.bank_addr.eq(loader.bank_addr), self.bank_data.eq(loader.bank_data),
            self.acc_addr.eq(updater.acc_addr), updater.acc.eq(self.acc), self.overflow.eq(updater.overflow),
        ]
        shown = Signal.like(memory.master[0])
        m.d.comb += shown.eq(memory.master[0])
        m.d.sync += behind(m, self.host.r_data, "r_data").eq(shown)
        if self.config.momentum:
            self._velocities(m, memory, updater, updating, shown)
        return m

    def _velocities(self, m, memory, updater, updating, shown):
        """The velocity memory, and the host's access to it."""
        host = self.host
        m.submodules.velocities = velocities = VelocityMemory(self.config)
        word = Signal(self.config.formats.master_bits)
        m.d.sync += word.eq(velocities.brick[host.bank])
        m.d.comb += [
            velocities.addr.eq(Mux(updater.velocity_reading, updater.velocity_addr, host.addr)),
            updater.velocity.eq(velocities.brick),
        ]
        with m.If(host.velocity):
            m.d.comb += shown.eq(word)
        with m.If(updating):
            m.d.comb += velocities.write.eq(updater.velocity_write)
        with m.Else():
            m.d.comb += [
                memory.write.en[0].eq(host.we & ~host.velocity),
                velocities.write.addr.eq(host.addr), velocities.write.en.eq(Mux(host.we & host.velocity, 1 << host.bank, 0)),
                *(word.eq(host.w_data) for word in velocities.write.data),
            ]
