"""The memory of master weights: banks, address adders and rotators."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.ram import Ram


def address_bits(config) -> int:
    """Bits of a brick address in the weight memory."""
    return (config.weight_bricks - 1).bit_length()


def rotation_bits(config) -> int:
    """Bits of a rotation, which counts lanes."""
    return (config.lanes - 1).bit_length()


def master_brick(config) -> data.ArrayLayout:
    """A brick of master weights."""
    return data.ArrayLayout(signed(config.formats.master_bits), config.lanes)


def working_brick(config) -> data.ArrayLayout:
    """A brick of working weights."""
    return data.ArrayLayout(signed(config.formats.act_bits), config.lanes)


def read_request(config) -> data.StructLayout:
    """Which brick to read; see :class:`WeightMemory`."""
    return data.StructLayout({"addr": address_bits(config), "rot": rotation_bits(config), "spread": 1,
                              "out_bricks": 12})


def write_request(config) -> data.StructLayout:
    """Which words of which brick to write; see :class:`WeightMemory`."""
    return data.StructLayout({"addr": address_bits(config), "rot": rotation_bits(config), "en": config.lanes,
                              "data": master_brick(config)})


def delays(m, value, cycles) -> list:
    """``value`` delayed by 0, 1, .. ``cycles`` cycles."""
    taps = [value]
    for _ in range(cycles):
        stage = Signal.like(taps[-1], name="delayed")
        m.d.sync += stage.eq(taps[-1])
        taps.append(stage)
    return taps


def saturate(value, bits):
    """The signed ``value`` clipped to ``bits`` bits."""
    sign, above = value[-1], value[bits - 1:]
    clipped = Cat((~sign).replicate(bits - 1), sign)
    return Mux(above.all() | ~above.any(), value[:bits], clipped).as_signed()


def rotated(words, rot, unit) -> list:
    """Word j of the result is word ``(j + unit * rot) mod len(words)``; a multiplexer level for each bit of ``rot``."""
    for bit in range(len(rot)):
        by = unit << bit
        words = [Mux(rot[bit], words[(j + by) % len(words)], word) for j, word in enumerate(words)]
    return words


class WeightMemory(wiring.Component):
    """Master weights in ``lanes`` skewed banks, read as bricks along outputs or along inputs, written along outputs.

    ::

        read -> products | bases | + per bank | banks | | rotate by 0..3 | by 4,8,12 |-> master
                                                                                     '-> round, saturate |-> working
        write -> rotate by 0..3 | by 4,8,12 | banks

    A bar is a register. Lane j's word is in bank ``(j + rot) mod lanes``. Without ``spread`` all banks read brick
    ``addr``: a *co-brick*, ``lanes`` consecutive outputs of input k, with ``rot = k mod lanes``. With ``spread`` bank
    b reads brick ``addr + ((b - rot) mod lanes) * out_bricks``, so that lane j reads ``addr + j * out_bricks``:
    ``lanes`` consecutive inputs, from k0 on, of output co, with ``rot = (co + k0) mod lanes``; ``out_bricks`` is the
    number of bricks from one input to the next. Addresses wrap modulo the power of two from ``weight_bricks`` up.
    Lanes beyond the tensor read rubbish.

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``, ``formats``

    Members
    -------
    read : In(read_request): ``addr`` brick, ``rot``, ``spread``, ``out_bricks``; every cycle's request is independent
    master : Out(brick of signed master_bits), lane order, the answer to the request of ``MASTER`` cycles ago
    working : Out(brick of signed act_bits), lane order, ``(M + 2**(drop-1)) >> drop`` saturated, for the request of
        ``WORKING`` cycles ago; ``drop = formats.master_drop``
    write : In(write_request): ``addr`` brick, ``rot``, ``en`` one bit a lane, ``data`` in lane order; co-bricks only

    A word alone: ``rot`` = its bank, then it is lane 0's (read and write).

    Latency: ``MASTER`` = 7 and ``WORKING`` = 8 cycles; a write is in the banks ``WRITE`` = 3 cycles after its request,
    and is seen by every read requested in its own cycle or later. A read of the same brick requested one cycle before a
    write meets it in the bank (see :class:`Ram`): users avoid it. Throughput: one read and one write a cycle.
    Resources: no DSP; ``lanes`` memories of ``weight_bricks`` x ``master_bits`` (two 18-kbit blocks each for 1024 x
    24); with 4, 8, 16 lanes about 0.7, 1.8, 4.2 k LUT (yosys, ECP5; a ``CCU2C`` counts as two) and 0.7, 1.4, 2.7 k FF.
    Source: the skewing of arrays over parallel memories is Budnik's and Kuck's (1971).
    """

    #: cycles from a read request to ``master``: two for the bases, one for the banks' adders, two for the rotator
    MASTER = latency.RAM + 5
    #: cycles from a read request to ``working``
    WORKING = MASTER + 1
    #: cycles from a write request to the first in which the banks hold it
    WRITE = 3

    def __init__(self, config):
        self.config = config
        super().__init__({
            "read": In(read_request(config)),
            "master": Out(master_brick(config)),
            "working": Out(working_brick(config)),
            "write": In(write_request(config)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, width = self.config.lanes, self.config.formats.master_bits
        banks = [Ram(width=width, depth=self.config.weight_bricks) for _ in range(lanes)]
        for bank, ram in enumerate(banks):
            m.submodules[f"bank{bank}"] = ram
        self._addresses(m, banks)

        # bank order -> lane order
        rots = delays(m, self.read.rot, latency.RAM + 4)
        half = self._registers(m, "half_read", width)
        m.d.sync += [a.eq(b) for a, b in zip(half, rotated([ram.r_data for ram in banks], rots[-2][:2], 1))]
        m.d.sync += [self.master[j].eq(word) for j, word in enumerate(rotated(half, rots[-1][2:], 4))]

        # lane order -> bank order: bank b takes lane (b - rot) mod lanes
        half = self._registers(m, "half_write", width + 1)
        full = self._registers(m, "full_write", width + 1)
        words = [Cat(self.write.data[j], self.write.en[j]) for j in range(lanes)]
        m.d.sync += [a.eq(b) for a, b in zip(half, rotated(words, self.write.rot[:2], -1))]
        m.d.sync += [a.eq(b) for a, b in zip(full, rotated(half, delays(m, self.write.rot, 1)[1][2:], -4))]
        addr = delays(m, self.write.addr, 2)[-1]
        for ram, word in zip(banks, full):
            m.d.comb += [ram.w_addr.eq(addr), ram.w_data.eq(word[:width]), ram.w_en.eq(word[width])]

        # rounding
        drop = self.config.formats.master_drop
        for j in range(lanes):
            total = Signal(signed(width + 1), name=f"total{j}")
            m.d.comb += total.eq(self.master[j] + (1 << (drop - 1)))
            m.d.sync += self.working[j].eq(saturate(total >> drop, self.config.formats.act_bits))
        return m

    def _registers(self, m, name, width):
        """One signal for each lane."""
        return [Signal(width, name=f"{name}{j}") for j in range(self.config.lanes)]

    def _addresses(self, m, banks):
        """Read addresses of the banks, three cycles after the request.

        Bank b adds ``((b - rot) mod lanes) * out_bricks``. That is ``b * out_bricks``, a multiple common to all
        requests of a command, on top of one of two bases: ``addr - rot * out_bricks`` for banks from ``rot`` up, and
        ``addr + (lanes - rot) * out_bricks`` for those below, which have wrapped.
        """
        bits, lanes = address_bits(self.config), self.config.lanes
        stride = Signal(bits)
        m.d.comb += stride.eq(Mux(self.read.spread, self.read.out_bricks, 0))

        multiples = [Const(0, bits), stride]
        for b in range(2, lanes):
            multiple = Signal(bits, name=f"multiple{b}")
            top = b.bit_length() - 1
            if b & (b + 1) == 0:
                m.d.comb += multiple.eq((stride << (top + 1)) - stride)
            else:
                m.d.comb += multiple.eq((stride << top) + multiples[b - (1 << top)])
            multiples.append(multiple)
        multiples = [delays(m, multiple, 2)[-1] for multiple in multiples]

        def product(rot, name):
            """``rot * stride`` as the registered sums of two partial products each."""
            parts = []
            for low in range(0, len(rot), 2):
                part = Signal(bits, name=f"{name}{low}")
                m.d.sync += part.eq(sum(Mux(rot[i], stride << i, 0) for i in range(low, min(low + 2, len(rot)))))
                parts.append(part)
            return sum(parts)

        rot, addr = delays(m, self.read.rot, 1)[-1], delays(m, self.read.addr, 1)[-1]
        back = Signal.like(self.read.rot)
        m.d.comb += back.eq(-self.read.rot)
        base = Signal(bits)
        wrapped = Signal(bits)
        below = Signal(lanes)
        m.d.sync += [
            base.eq(addr - product(self.read.rot, "product")),
            wrapped.eq(addr + product(back, "back_product")),
            below.eq(Cat(b < rot for b in range(lanes))),
        ]
        for b, ram in enumerate(banks):
            bank_addr = Signal(bits, name=f"bank_addr{b}")
            m.d.sync += bank_addr.eq(Mux(below[b], wrapped, base) + multiples[b])
            m.d.comb += ram.r_addr.eq(bank_addr)
