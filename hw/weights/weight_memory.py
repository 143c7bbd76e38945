"""The memory of master weights: banks, address adders and rotators."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind, delays
from gradgate.hw.parts.shapes import rotated


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
    return data.StructLayout({
        "addr": address_bits(config),
        "rot": rotation_bits(config),
        "spread": 1,
        "first": rotation_bits(config),
        "out_bricks": 12,
    })


def write_request(config) -> data.StructLayout:
    """Which words of which brick to write; ``data`` are those of the request a cycle ago."""
    return data.StructLayout({
        "addr": address_bits(config),
        "rot": rotation_bits(config),
        "spread": 1,
        "en": config.lanes,
        "data": master_brick(config),
    })


class WeightReadSignature(wiring.Signature):
    """Reading of bricks of the weight memory (seen from who reads).

    request : Out(read_request), which brick; every cycle's is independent
    master : In(brick of signed master_bits), the brick of ``WeightMemory.MASTER`` cycles ago, in lane order
    working : In(brick of signed act_bits), its working weights, ``WeightMemory.WORKING`` cycles later
    """

    def __init__(self, config):
        super().__init__({
            "request": Out(read_request(config)),
            "master": In(master_brick(config)),
            "working": In(working_brick(config)),
        })


class WeightWriteSignature(wiring.Signature):
    """Writing of bricks of the weight memory (seen from who writes).

    request : Out(write_request), which words; their ``data`` a cycle later, in lane order
    ahead : Out(read_request), ``addr``, ``first`` and ``out_bricks`` of a brick along inputs; in the cycle of
        a request with ``spread``
    """

    def __init__(self, config):
        super().__init__({
            "request": Out(write_request(config)),
            "ahead": Out(read_request(config)),
        })


def saturate(value, bits):
    """The signed ``value`` clipped to ``bits`` bits."""
    sign, above = value[-1], value[bits - 1:]
    clipped = Cat((~sign).replicate(bits - 1), sign)
    return Mux(above.all() | ~above.any(), value[:bits], clipped).as_signed()


class BankAddresses(wiring.Component):
    """Where the words of a brick along inputs lie: of each bank, the brick to access.

    Bank b adds ``((b - first) mod lanes) * stride``. That is ``b * stride``, a multiple common to all
    requests of a command, on top of one of two bases: ``addr - first * stride`` for banks from ``first`` up,
    and ``addr + (lanes - first) * stride`` for those below, which have wrapped.

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``

    Members
    -------
    addr : In, brick of the first word
    first : In(rotation_bits), bank of the first word
    stride : In, bricks from one input to the next; 0: all banks the same brick
    banks : Out(lanes addresses), brick of each bank, ``LATENCY`` = 3 cycles later, from registers

    Throughput: one request a cycle, each independent. Resources: no DSP, no block RAM.
    Example: docs/examples.md#bankaddresses
    """

    LATENCY = 3

    def __init__(self, config):
        bits = address_bits(config)
        self.bits, self.lanes = bits, config.lanes
        super().__init__({
            "addr": In(bits),
            "first": In(rotation_bits(config)),
            "stride": In(bits),
            "banks": Out(data.ArrayLayout(bits, config.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        bits, lanes = self.bits, self.lanes
        multiples = [delays(m, multiple, 2)[-1] for multiple in self._multiples(m)]
        first = delays(m, self.first, 1)[-1]
        addr = delays(m, self.addr, 1)[-1]
        back = Signal.like(self.first)
        m.d.comb += back.eq(-self.first)
        base = Unreset(bits)
        wrapped = Unreset(bits)
        below = Unreset(lanes)
        m.d.sync += [
            base.eq(addr - self._product(m, self.first, "product")),
            wrapped.eq(addr + self._product(m, back, "back_product")),
            below.eq(Cat(b < first for b in range(lanes))),
        ]
        banks = behind(m, self.banks, "banks")
        m.d.sync += [banks[b].eq(Mux(below[b], wrapped, base) + multiples[b]) for b in range(lanes)]
        return m

    def _multiples(self, m):
        """``b * stride`` of each bank b."""
        stride = self.stride
        multiples = [Const(0, self.bits), stride]
        for b in range(2, self.lanes):
            multiple = Signal(self.bits, name=f"multiple{b}")
            top = b.bit_length() - 1
            if b & (b + 1) == 0:
                m.d.comb += multiple.eq((stride << (top + 1)) - stride)
            else:
                m.d.comb += multiple.eq((stride << top) + multiples[b - (1 << top)])
            multiples.append(multiple)
        return multiples

    def _product(self, m, number, name):
        """``number * stride`` as the registered sums of two partial products each."""
        parts = []
        for low in range(0, len(number), 2):
            part = Unreset(self.bits, name=f"{name}{low}")
            bits = range(low, min(low + 2, len(number)))
            m.d.sync += part.eq(sum(Mux(number[i], self.stride << i, 0) for i in bits))
            parts.append(part)
        return sum(parts)


class WeightMemory(wiring.Component):
    """Master weights in ``lanes`` skewed banks, read and written as bricks along outputs or along inputs.

    ::

        read -> | BankAddresses | | | banks | | rotate by 0..3 | by 4,8,12 |-> master
                                                                         '-> round, saturate |-> working
        write, but for data -> | --.
        its data, a cycle later ---+-> rotate by 0..3 | by 4,8,12 | banks
        ahead -> BankAddresses | | | ------------------------------'

    A bar is a register. Lane j's word is in bank ``(j + rot) mod lanes``. Without ``spread`` all banks access
    brick ``addr``: a *co-brick*, ``lanes`` consecutive outputs of input k, with ``rot = k mod lanes``. With
    ``spread`` bank b accesses brick ``addr + ((b - first) mod lanes) * out_bricks``: ``lanes`` consecutive
    inputs, from k0 on, of output co, with ``first = (co + k0) mod lanes``; ``out_bricks`` is the number of
    bricks from one input to the next. With ``rot = first`` lane j has the j-th of these inputs, with ``rot =
    first - turn`` lane ``(j + turn) mod lanes`` has it. Addresses wrap modulo the power of two from
    ``weight_bricks`` up. Lanes beyond the tensor read rubbish.

    A working weight is ``(M + 2**(drop-1)) >> drop`` of the master M, saturated; ``drop =
    formats.master_drop``. A word alone: ``rot`` = its bank, then it is lane 0's (read and write).

    Parameters
    ----------
    config : ``lanes``, ``weight_bricks``, ``formats``

    Members
    -------
    read : WeightReadSignature (seen from here)
    write : WeightWriteSignature (seen from here)

    Latency: ``MASTER`` = 8 and ``WORKING`` = 9 cycles; a write is in the banks ``WRITE`` = 4 cycles after its
    request, and is seen by every read requested in its own cycle or later. A read of the same brick requested
    one cycle before a write meets it in the bank (see :class:`Ram`): users avoid it. Throughput: one read and
    one write a cycle.
    Resources: no DSP; ``lanes`` memories of ``weight_bricks`` x ``master_bits`` (two 18-kbit blocks each for
    1024 x 24).
    Source: the skewing of arrays over parallel memories is Budnik's and Kuck's (1971).
    Example: docs/examples.md#weightmemory
    """

    #: cycles from a read request to ``master``: its register, two for the bases, one for the banks' adders,
    #: the banks, two for the rotator
    MASTER = latency.RAM + 6
    #: cycles from a read request to ``working``
    WORKING = MASTER + 1
    #: cycles from a write request to the first in which the banks hold it
    WRITE = 4

    def __init__(self, config):
        self.config = config
        super().__init__({
            "read": In(WeightReadSignature(config)),
            "write": In(WeightWriteSignature(config)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, width = self.config.lanes, self.config.formats.master_bits
        banks = [Ram(width=width, depth=self.config.weight_bricks) for _ in range(lanes)]
        for bank, ram in enumerate(banks):
            m.submodules[f"bank{bank}"] = ram
        m.submodules.read_addresses = reads = BankAddresses(self.config)
        m.submodules.write_addresses = writes = BankAddresses(self.config)
        read = Unreset(read_request(self.config))
        ahead = self.write.ahead
        m.d.sync += read.eq(self.read.request)
        m.d.comb += [
            reads.addr.eq(read.addr),
            reads.first.eq(read.first),
            reads.stride.eq(Mux(read.spread, read.out_bricks, 0)),
            writes.addr.eq(ahead.addr),
            writes.first.eq(ahead.first),
            writes.stride.eq(ahead.out_bricks),
        ]
        self._read(m, banks, read)
        self._write(m, banks, reads, writes)
        self._round(m)
        return m

    def _read(self, m, banks, read):
        """From bank order to lane order."""
        rots = delays(m, read.rot, latency.RAM + 4)
        half = self._registers(m, "half_read", self.config.formats.master_bits)
        turned = rotated([ram.r_data for ram in banks], rots[-2][:2], 1)
        m.d.sync += [register.eq(word) for register, word in zip(half, turned)]
        master = behind(m, self.read.master, "master")
        m.d.sync += [master[j].eq(word) for j, word in enumerate(rotated(half, rots[-1][2:], 4))]

    def _write(self, m, banks, reads, writes):
        """From lane order to bank order: bank b takes lane (b - rot) mod lanes."""
        write, lanes, width = self.write.request, self.config.lanes, self.config.formats.master_bits
        half = self._registers(m, "half_write", width + 1)
        full = self._registers(m, "full_write", width + 1)
        en = Signal(lanes, name="write_en")
        m.d.sync += en.eq(write.en)
        _, rot, rot_late = delays(m, write.rot, 2)
        words = [Cat(write.data[j], en[j]) for j in range(lanes)]
        m.d.sync += [register.eq(word) for register, word in zip(half, rotated(words, rot[:2], -1))]
        m.d.sync += [register.eq(word) for register, word in zip(full, rotated(half, rot_late[2:], -4))]
        addr = delays(m, write.addr, 3)[-1]
        spread = delays(m, write.spread, 3)[-1]
        for b, (ram, word) in enumerate(zip(banks, full)):
            m.d.comb += [
                ram.r_addr.eq(reads.banks[b]),
                ram.w_addr.eq(Mux(spread, writes.banks[b], addr)),
                ram.w_data.eq(word[:width]),
                ram.w_en.eq(word[width]),
            ]

    def _round(self, m):
        """Working weights from master weights."""
        formats = self.config.formats
        drop = formats.master_drop
        working = behind(m, self.read.working, "working")
        for j in range(self.config.lanes):
            total = Signal(signed(formats.master_bits + 1), name=f"total{j}")
            m.d.comb += total.eq(self.read.master[j] + (1 << (drop - 1)))
            m.d.sync += working[j].eq(saturate(total >> drop, formats.act_bits))

    def _registers(self, m, name, width):
        """One register for each lane."""
        return [Unreset(width, name=f"{name}{j}") for j in range(self.config.lanes)]
