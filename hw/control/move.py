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

    addr : Out; r_data : In, the word at the ``addr`` of ``latency.RAM`` cycles ago
    w_addr, w_data, w_en : Out
    """

    def __init__(self, config):
        addr, word = range(config.staging_words), config.formats.act_bits
        super().__init__({
            "addr": Out(addr), "r_data": In(word), "w_addr": Out(addr), "w_data": Out(word), "w_en": Out(1)})


class Move(wiring.Component):
    """Copies words between staging memory and row memories, one word a cycle.

    The words lie in staging memory one behind the other, in the order image, pixel, channel. Image i is in row i mod
    R, slot i div R; its pixels begin at brick ``row_addr + slot * slot_step + pixel * ceil(channels / lanes)``,
    channel c is c div lanes bricks on, in lane c mod lanes. Inwards (field ``out`` = 0) the first word of a brick
    sets the other lanes to zero, outwards only the channels are read. An address outside the staging memory or the row
    memory is a fault.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    unit : UnitSignature, fields of ``Opcode.MOVE``; any count may be 0, then nothing is moved
    rows : RowPortSignature, stage : StageSignature, used from ``start`` to ``done``

    Latency: ``channels * pixels * images + 8`` cycles from ``start`` to ``done``, both included.
    Throughput: one word a cycle. Resources: no DSP, no block RAM.

        walk -> stage -> word -> rows  |  walk -> rows -> lane -> word -> stage

    Source: own.
    Example: docs/examples.md#move
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature()), "rows": Out(RowPortSignature(config)), "stage": Out(StageSignature(config))})

    def elaborate(self, platform):
        m = Module()
        config, rows, stage = self.config, self.rows, self.stage
        fields = data.View(layout(Opcode.MOVE), self.unit.payload)
        lanes = range(config.lanes)

        # The walk; counters are a step ahead and begin with 2, so that what is the last is known in time.
        walking = Signal()
        channel, pixel, image = (Signal(len(fields[name]), name=name) for name in ("channels", "pixels", "images"))
        staged, addr, base = (Signal(bits, name=name) for bits, name in ((17, "staged"), (16, "addr"), (16, "base")))
        row = Signal.like(rows.row)
        lane = Signal(range(config.lanes))
        last_channel, last_pixel, last_image = (Unreset(name=f"last_{name}") for name in ("channel", "pixel", "image"))
        last_row = row == config.rows - 1
        some, only_channel, only_pixel, only_image = (Unreset(name=name) for name in ("some", "only_channel", "only_pixel", "only_image"))
        m.d.sync += [some.eq((fields.channels != 0) & (fields.pixels != 0) & (fields.images != 0)), only_channel.eq(fields.channels == 1),
                     only_pixel.eq(fields.pixels == 1), only_image.eq(fields.images == 1)]
        first_channel, first_pixel, first_image = last_channel.eq(only_channel), last_pixel.eq(only_pixel), last_image.eq(only_image)
        with m.If(walking):
            m.d.sync += [staged.eq(staged + 1), channel.eq(channel + 1), last_channel.eq(channel == fields.channels)]
            m.d.sync += [lane.eq(lane + 1), addr.eq(addr + lane.all())]
            with m.If(last_channel):
                m.d.sync += [channel.eq(2), first_channel, lane.eq(0), addr.eq(addr + 1), pixel.eq(pixel + 1),
                             last_pixel.eq(pixel == fields.pixels)]
                with m.If(last_pixel):
                    m.d.sync += [pixel.eq(2), first_pixel, image.eq(image + 1), last_image.eq(image == fields.images),
                                 row.eq(row + 1), addr.eq(base)]
                    with m.If(last_row):
                        m.d.sync += [row.eq(0), base.eq(base + fields.slot_step), addr.eq(base + fields.slot_step)]

        m.d.sync += self.unit.fault.eq(walking & (outside(staged, config.staging_words) | outside(addr, config.act_bricks)))

        def pipe(name, value, stages):
            return delays(m, value, stages, Signal, name)[-1]

        # Inwards: word and row address meet in registers in front of the row memories.
        m.d.comb += stage.addr.eq(staged)
        in_valid = pipe("in_valid", walking & ~fields.out, latency.RAM)
        in_row, in_addr, in_lane = (pipe(f"in_{name}", value, latency.RAM)
                                    for name, value in (("row", row), ("addr", addr), ("lane", lane)))
        write_row = Signal.like(row)
        write_addr = Signal(16)
        first = in_lane == 0
        m.d.sync += [write_row.eq(in_row), write_addr.eq(in_addr), rows.en.eq(0)]
        m.d.sync += [rows.w_data[i].eq(Mux(first, 0, stage.r_data) if i else stage.r_data) for i in lanes]
        with m.If(in_valid):
            m.d.sync += rows.en.eq(Mux(first, ~0, 1 << in_lane))

        # Outwards: one register behind the choice of the lane.
        m.d.comb += [rows.row.eq(Mux(fields.out, row, write_row)), rows.addr.eq(Mux(fields.out, addr, write_addr))]
        out_lane = pipe("out_lane", lane, RowPortSignature.READ)
        out_staged = pipe("out_staged", staged, RowPortSignature.READ)
        m.d.sync += [
            stage.w_en.eq(pipe("out_valid", walking & fields.out, RowPortSignature.READ)),
            stage.w_addr.eq(out_staged),
            stage.w_data.eq(Array(rows.r_data[i] for i in lanes)[out_lane]),
        ]

        drain = Signal(range(RowPortSignature.READ + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [channel.eq(2), pixel.eq(2), image.eq(2), first_channel, first_pixel, first_image]
                m.d.sync += [lane.eq(0), row.eq(0), drain.eq(0)]
                m.d.sync += [staged.eq(fields.stage_addr), addr.eq(fields.row_addr), base.eq(fields.row_addr)]
                with m.If(self.unit.start):
                    m.next = "DRAIN"
                    with m.If(some):
                        m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += walking.eq(1)
                with m.If(last_channel & last_pixel & last_image):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += drain.eq(drain + 1)
                m.d.sync += self.unit.done.eq(drain == RowPortSignature.READ - 1)
                with m.If(self.unit.done):
                    m.next = "IDLE"
        return m
