"""Words between staging memory and row memories."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.rowport import RowPortSignature
from gradgate.hw.parts.shapes import outside


class StageSignature(wiring.Signature):
    """Access to the staging memory (seen from the unit).

    addr : Out(range(staging_words)), word to read
    r_data : In(act_bits), the word at the ``addr`` of ``latency.RAM`` cycles ago
    w_addr : Out(range(staging_words)), word to write; valid with ``w_en``
    w_data : Out(act_bits), what to write; valid with ``w_en``
    w_en : Out(1), write
    """

    def __init__(self, config):
        addr, word = range(config.staging_words), config.formats.act_bits
        super().__init__({
            "addr": Out(addr),
            "r_data": In(word),
            "w_addr": Out(addr),
            "w_data": Out(word),
            "w_en": Out(1),
        })


class _Walk:
    """The registers of :class:`Move` that say which word is due.

    Counters are a step ahead and begin with 2, so that what is the last is known in time.
    """

    def __init__(self, config, fields, rows):
        self.active = Signal()
        self.channel = Signal(len(fields.channels))
        self.pixel = Signal(len(fields.pixels))
        self.image = Signal(len(fields.images))
        self.last_channel = Unreset()
        self.last_pixel = Unreset()
        self.last_image = Unreset()
        self.staged = Signal(17)  # word of the staging memory
        self.row = Signal.like(rows.row)
        self.addr = Signal(16)  # brick of the row
        self.lane = Signal(range(config.lanes))
        self.base = Signal(16)  # brick at which the slot begins

        # Of the command.
        self.some = Unreset()  # there are words to move
        self.only_channel = Unreset()
        self.only_pixel = Unreset()
        self.only_image = Unreset()


class Move(wiring.Component):
    """Copies words between staging memory and row memories, one word a cycle.

    The words lie in staging memory one after the other, in the order image, pixel, channel. Image i is in row
    i mod R, slot i div R; its pixels begin at brick ``row_addr + slot * slot_step + pixel * ceil(channels /
    lanes)``, channel c is c div lanes bricks on, in lane c mod lanes. Inwards (field ``out`` = 0) the first
    word of a brick sets the other lanes to zero, outwards only the channels are read. An address outside the
    staging memory or the row memory is a fault.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`

    Members
    -------
    unit : UnitSignature, fields of ``Opcode.MOVE``; any count may be 0, then nothing is moved
    rows : RowPortSignature, used from ``start`` to ``done``
    stage : StageSignature, used from ``start`` to ``done``

    Latency: ``channels * pixels * images + 8`` cycles from ``start`` to ``done``, both included.
    Throughput: one word a cycle. Resources: no DSP, no block RAM.

        walk -> stage -> word -> rows  |  walk -> rows -> lane -> word -> stage

    Source: own.
    Example: docs/examples.md#move
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature()),
            "rows": Out(RowPortSignature(config)),
            "stage": Out(StageSignature(config)),
        })

    def elaborate(self, platform):
        m = Module()
        fields = data.View(layout(Opcode.MOVE), self.unit.payload)
        walk = _Walk(self.config, fields, self.rows)
        self._walk(m, fields, walk)
        write_row, write_addr = self._inwards(m, fields, walk)
        m.d.comb += self.rows.row.eq(Mux(fields.out, walk.row, write_row))
        m.d.comb += self.rows.addr.eq(Mux(fields.out, walk.addr, write_addr))
        self._outwards(m, fields, walk)
        self._control(m, fields, walk)
        return m

    def _walk(self, m, fields, walk):
        """From word to word: channel, pixel, image; and whether one is outside."""
        config = self.config
        last_row = walk.row == config.rows - 1
        m.d.sync += [
            walk.some.eq((fields.channels != 0) & (fields.pixels != 0) & (fields.images != 0)),
            walk.only_channel.eq(fields.channels == 1),
            walk.only_pixel.eq(fields.pixels == 1),
            walk.only_image.eq(fields.images == 1),
        ]
        with m.If(walk.active):
            m.d.sync += [
                walk.staged.eq(walk.staged + 1),
                walk.channel.eq(walk.channel + 1),
                walk.last_channel.eq(walk.channel == fields.channels),
                walk.lane.eq(walk.lane + 1),
                walk.addr.eq(walk.addr + walk.lane.all()),
            ]
            with m.If(walk.last_channel):
                m.d.sync += [
                    walk.channel.eq(2),
                    walk.last_channel.eq(walk.only_channel),
                    walk.lane.eq(0),
                    walk.addr.eq(walk.addr + 1),
                    walk.pixel.eq(walk.pixel + 1),
                    walk.last_pixel.eq(walk.pixel == fields.pixels),
                ]
                with m.If(walk.last_pixel):
                    m.d.sync += [
                        walk.pixel.eq(2),
                        walk.last_pixel.eq(walk.only_pixel),
                        walk.image.eq(walk.image + 1),
                        walk.last_image.eq(walk.image == fields.images),
                        walk.row.eq(walk.row + 1),
                        walk.addr.eq(walk.base),
                    ]
                    with m.If(last_row):
                        m.d.sync += [
                            walk.row.eq(0),
                            walk.base.eq(walk.base + fields.slot_step),
                            walk.addr.eq(walk.base + fields.slot_step),
                        ]
        lost = outside(walk.staged, config.staging_words) | outside(walk.addr, config.act_bricks)
        m.d.sync += self.unit.fault.eq(walk.active & lost)

    def _inwards(self, m, fields, walk):
        """From staging memory; returns row and brick to write.

        Word and address meet in registers in front of the row memories.
        """
        rows, stage = self.rows, self.stage
        m.d.comb += stage.addr.eq(walk.staged)
        valid = _delayed(m, "in_valid", walk.active & ~fields.out, latency.RAM)
        row = _delayed(m, "in_row", walk.row, latency.RAM)
        addr = _delayed(m, "in_addr", walk.addr, latency.RAM)
        lane = _delayed(m, "in_lane", walk.lane, latency.RAM)
        write_row = Signal.like(walk.row, name="write_row")
        write_addr = Signal(16)
        first = lane == 0
        m.d.sync += [
            write_row.eq(row),
            write_addr.eq(addr),
            rows.en.eq(0),
            rows.w_data[0].eq(stage.r_data),
        ]
        m.d.sync += [rows.w_data[i].eq(Mux(first, 0, stage.r_data)) for i in range(1, self.config.lanes)]
        with m.If(valid):
            m.d.sync += rows.en.eq(Mux(first, ~0, 1 << lane))
        return write_row, write_addr

    def _outwards(self, m, fields, walk):
        """To staging memory: one register after the choice of the lane."""
        rows, stage = self.rows, self.stage
        lane = _delayed(m, "out_lane", walk.lane, RowPortSignature.READ)
        staged = _delayed(m, "out_staged", walk.staged, RowPortSignature.READ)
        valid = _delayed(m, "out_valid", walk.active & fields.out, RowPortSignature.READ)
        m.d.sync += [
            stage.w_en.eq(valid),
            stage.w_addr.eq(staged),
            stage.w_data.eq(Array(rows.r_data[i] for i in range(self.config.lanes))[lane]),
        ]

    def _control(self, m, fields, walk):
        """The walk, and then its last words on their way."""
        drain = Signal(range(RowPortSignature.READ + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    walk.channel.eq(2),
                    walk.pixel.eq(2),
                    walk.image.eq(2),
                    walk.last_channel.eq(walk.only_channel),
                    walk.last_pixel.eq(walk.only_pixel),
                    walk.last_image.eq(walk.only_image),
                    walk.lane.eq(0),
                    walk.row.eq(0),
                    drain.eq(0),
                    walk.staged.eq(fields.stage_addr),
                    walk.addr.eq(fields.row_addr),
                    walk.base.eq(fields.row_addr),
                ]
                with m.If(self.unit.start):
                    m.next = "DRAIN"
                    with m.If(walk.some):
                        m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += walk.active.eq(1)
                with m.If(walk.last_channel & walk.last_pixel & walk.last_image):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += drain.eq(drain + 1)
                m.d.sync += self.unit.done.eq(drain == RowPortSignature.READ - 1)
                with m.If(self.unit.done):
                    m.next = "IDLE"


def _delayed(m, name, value, cycles):
    """``value`` of ``cycles`` cycles ago; a reset clears the registers, which are called ``name0``, .."""
    return delays(m, value, cycles, Signal, name)[-1]
