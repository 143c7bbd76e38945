"""Bytes over two wires: asynchronous serial, a start bit, eight data bits, no parity, a stop bit (8N1)."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import ConfigError, integer

LEAST_DIVISOR, MOST_DIVISOR = 4, 1 << 20
BITS = 10  #: bit times of a byte: start, eight data bits, stop
TOLERANCE = 0.02  #: relative error of the baud rate; both sides together may differ by 5 %: half a bit in ten


def divisor(clock_hz: float, baud: float) -> int:
    """Clock cycles of a bit, for a clock of ``clock_hz`` and ``baud`` bits a second.

    Raises :class:`ConfigError` where the nearest whole number is off by more than 2 %, or too small or large.
    """
    for name, value in (("clock", clock_hz), ("baud", baud)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
            raise ConfigError(f"{name} must be a positive number of Hz or baud, not {value!r}")
    cycles = round(clock_hz / baud)
    if not LEAST_DIVISOR <= cycles <= MOST_DIVISOR:
        lowest, highest = clock_hz / MOST_DIVISOR, clock_hz / LEAST_DIVISOR
        raise ConfigError(f"baud must be {lowest:.6g} to {highest:.6g} with a clock of {clock_hz:g} Hz, "
                          f"not {baud:g}")
    off = clock_hz / cycles / baud - 1
    if abs(off) > TOLERANCE:
        raise ConfigError(f"baud {baud:g} cannot be had from a clock of {clock_hz:g} Hz: {cycles} cycles a "
                          f"bit are {off:+.1%} off, more than {TOLERANCE:.0%}; {clock_hz / cycles:.6g} can")
    return cycles


class UartReceiver(wiring.Component):
    """Bytes from a line.

    A level is looked at in the middle of its bit. Where the middle of a start bit is high it was noise. Where
    the stop bit is low, the byte is dropped, and the line has to be high once before the next start bit.

    Parameters
    ----------
    divisor : clock cycles of a bit (at least 4)

    Members
    -------
    rx : In(1), the line, asynchronous
    o : Out(stream of 8 bits), bytes; one that comes while the last one has not been taken is dropped
    framing : Out(1), for one cycle: a byte was dropped for its stop bit
    overrun : Out(1), for one cycle: a byte was dropped because the last one was not taken

    Latency: first cycle of the start bit to ``o.valid``: ``self.latency = 3 + divisor // 2 + 9 * divisor``
    cycles. Throughput: a byte in ``10 * divisor`` cycles; the stop bit may be short by almost half a bit.
    Resources: no DSP, no block RAM. Source: own.
    Example: docs/examples.md#uartreceiver
    """

    def __init__(self, divisor):
        self.divisor = integer("divisor", divisor, LEAST_DIVISOR, MOST_DIVISOR)
        self.latency = 3 + divisor // 2 + 9 * divisor
        super().__init__({
            "rx": In(1, init=1),
            "o": Out(stream.Signature(8)),
            "framing": Out(1),
            "overrun": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        count = Signal(range(self.divisor))  # cycles to the middle of the next bit
        bits = Signal(range(8))
        byte = Signal(8)
        m.d.sync += [
            count.eq(count - 1),
            self.framing.eq(0),
            self.overrun.eq(0),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += count.eq(self.divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(count == 0):
                    m.d.sync += count.eq(self.divisor - 1)
                    m.d.sync += bits.eq(0)
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(count == 0):
                    m.d.sync += [
                        count.eq(self.divisor - 1),
                        bits.eq(bits + 1),
                        byte.eq(Cat(byte[1:], line)),
                    ]
                    with m.If(bits == 7):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(count == 0):
                    m.next = "IDLE"
                    with m.If(~line):
                        m.d.sync += self.framing.eq(1)
                        m.next = "BREAK"
                    with m.Elif(self.o.valid & ~self.o.ready):
                        m.d.sync += self.overrun.eq(1)
                    with m.Else():
                        m.d.sync += self.o.valid.eq(1)
                        m.d.sync += self.o.payload.eq(byte)
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line.

    Parameters
    ----------
    divisor : clock cycles of a bit (at least 4)

    Members
    -------
    i : In(stream of 8 bits), bytes
    tx : Out(1), the line, from a register

    Latency: transfer on ``i`` to the start bit: 1 cycle.
    Throughput: a byte in ``10 * divisor`` cycles, without gaps.
    Resources: no DSP, no block RAM. Source: own.
    Example: docs/examples.md#uarttransmitter
    """

    def __init__(self, divisor):
        self.divisor = integer("divisor", divisor, LEAST_DIVISOR, MOST_DIVISOR)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self.divisor))
        left = Signal(range(BITS + 1))  # bits to go, with the one on the line
        bits = Signal(BITS - 1)
        zero = Signal(init=1)  # count == 0, known a cycle ahead
        last = zero & (left <= 1)
        m.d.comb += self.i.ready.eq(last)
        with m.If(last):
            m.d.sync += left.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    bits.eq(Cat(self.i.payload, Const(1, 1))),
                    left.eq(BITS),
                    count.eq(self.divisor - 1),
                    zero.eq(0),
                ]
        with m.Elif(zero):
            m.d.sync += [
                self.tx.eq(bits[0]),
                bits.eq(bits >> 1),
                left.eq(left - 1),
                count.eq(self.divisor - 1),
                zero.eq(0),
            ]
        with m.Else():
            m.d.sync += count.eq(count - 1)
            m.d.sync += zero.eq(count == 1)
        return m
