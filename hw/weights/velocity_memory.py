"""The memory of velocities, one for every master weight."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from gradgate.arch import latency
from gradgate.hw.parts.memoryport import ReadPortSignature
from gradgate.hw.parts.ram import Ram
from gradgate.hw.weights.weight_memory import address_bits, master_brick


def velocity_request(config) -> data.StructLayout:
    """Which words of which brick to write; see :class:`VelocityMemory`."""
    return data.StructLayout({"addr": address_bits(config), "en": config.lanes, "data": master_brick(config)})


class VelocityMemory(wiring.Component):
    """Velocities, in the format and at the brick addresses of master weights.

    ::

        read.addr -----> lane 0 .. lanes-1 -> read.data
        write -> | ----> lane 0 .. lanes-1

    A bar is a register. Nothing reads velocities as bricks along inputs, so they are not skewed: word j of a
    brick lies in the memory of lane j, and there are no address adders and no rotators.

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``, ``formats``

    Members
    -------
    read : ReadPortSignature (seen from here), of bricks of signed master_bits, ``READ`` cycles later
    write : In(velocity_request), brick ``addr``; ``en`` has a bit for each lane, ``data`` its velocity

    Latency: ``READ`` = 2 cycles. A write is in the memory ``WRITE`` = 2 cycles after its request; a brick
    must not be read in the cycle before (see :class:`Ram`). Throughput: one read and one write a cycle.
    Resources: ``lanes`` memories of ``weight_bricks`` x ``master_bits`` (two 18-kbit blocks each for 1024 x
    24), and the write register.
    Example: docs/examples.md#velocitymemory
    """

    READ = latency.RAM
    WRITE = 2

    def __init__(self, config):
        self.config = config
        super().__init__({
            "read": In(ReadPortSignature(address_bits(config), master_brick(config))),
            "write": In(velocity_request(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        write = Signal.like(self.write)
        m.d.sync += write.eq(self.write)
        for j in range(config.lanes):
            m.submodules[f"lane{j}"] = ram = Ram(width=config.formats.master_bits, depth=config.weight_bricks)
            m.d.comb += [
                ram.r_addr.eq(self.read.addr),
                self.read.data[j].eq(ram.r_data),
                ram.w_addr.eq(write.addr),
                ram.w_data.eq(write.data[j]),
                ram.w_en.eq(write.en[j]),
            ]
        return m
