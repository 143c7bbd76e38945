"""The host bus behind a stream of bytes, in the protocol that LiteX calls uartbone."""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import integer
from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS
from gradgate.hw.control.hostport import BusSignature

BYTES = WORD // 8  #: bytes of a word, and of an address


class Request(IntEnum):
    """First byte of a frame."""

    WRITE = 1  #: to consecutive addresses
    READ = 2
    WRITE_FIXED = 3  #: all to one address
    READ_FIXED = 4


class UartBone(wiring.Component):
    """Does what frames of bytes ask for on the host bus.

    A frame is a :class:`Request`, the number of words (0 to 255), the word address (four bytes, highest first), and, of
    writes, the words (likewise). Reads are answered by their words, writes by nothing. Bytes that are no request are
    skipped where one should be. A frame of no words does nothing. When no byte comes for ``timeout`` cycles within a frame,
    the rest of it is given up; the words that came whole have been written.

    Addresses of more than 24 bits, and those that a burst counts to behind the last one, do not reach the bus: they read as
    0 and take no word.

    Parameters
    ----------
    timeout : clock cycles (1 to 2**32 - 1) without a byte until a frame is given up

    Members
    -------
    i : In, stream of bytes from the host; waits while the bus or ``o`` is busy
    o : Out, stream of bytes to the host; has to be taken in the end
    bus : BusSignature (seen from its master)

    Latency: last byte of a word to its write on the bus: 1 cycle; last byte of a read's address to the read on the bus: 1
    cycle; answer of the bus to the first byte: 1 cycle.
    Throughput: of writes 5 cycles a word, of reads 4 and the bus's; far more than a serial line has.
    Resources: no DSP, no block RAM. Source: own; the protocol is LiteX's (``litex/tools/remote/comm_uart.py`` of 2024.12).
    Example: docs/examples.md#uartbone
    """

    def __init__(self, timeout):
        self.timeout = integer("timeout", timeout, 1, (1 << 32) - 1)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)), "bus": Out(BusSignature())})

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        write, fixed = Signal(), Signal()
        left = Signal(8)  # words to go
        count = Signal(range(BYTES))  # of the bytes of an address or word
        address = Signal(ADDRESS_BITS)
        beyond = Signal()  # the address has more bits than the bus; stays so to the end of the frame
        word = Signal(WORD)
        last = count == BYTES - 1
        received = self.i.valid & self.i.ready
        m.d.comb += [
            bus.write.eq(write), bus.addr.eq(address), bus.w_data.eq(word),
            self.o.payload.eq(word[WORD - 8:]),
        ]

        idle = Signal(range(self.timeout + 1))
        waiting = Signal()  # for a byte, within a frame
        m.d.sync += idle.eq(idle + 1)
        with m.If(received | ~waiting):
            m.d.sync += idle.eq(0)
        given_up = waiting & ~self.i.valid & (idle == self.timeout - 1)

        def go_on():
            """To the next word, or the next frame."""
            m.d.sync += left.eq(left - 1)
            with m.If(~fixed):
                m.d.sync += Cat(address, beyond).eq(Cat(address, beyond) + 1)
                with m.If(beyond):
                    m.d.sync += beyond.eq(1)
            m.next = "COMMAND"
            with m.If((left != 1) & write):
                m.next = "DATA"
            with m.Elif(left != 1):
                m.next = "READ"

        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += count.eq(0)
                m.d.sync += [write.eq((self.i.payload == Request.WRITE) | (self.i.payload == Request.WRITE_FIXED)),
                             fixed.eq((self.i.payload == Request.WRITE_FIXED) | (self.i.payload == Request.READ_FIXED))]
                with m.If(self.i.valid):
                    with m.Switch(self.i.payload):
                        with m.Case(*Request):
                            m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.comb += [self.i.ready.eq(1), waiting.eq(1)]
                m.d.sync += [left.eq(self.i.payload), beyond.eq(0)]
                with m.If(self.i.valid):
                    m.next = "ADDRESS"
                with m.Elif(given_up):
                    m.next = "COMMAND"
            with m.State("ADDRESS"):
                m.d.comb += [self.i.ready.eq(1), waiting.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [address.eq(Cat(self.i.payload, address)), count.eq(count + 1)]
                    with m.If((count == 0) & (self.i.payload != 0)):
                        m.d.sync += beyond.eq(1)
                    with m.If(last):
                        m.next = "READ"
                        with m.If(left == 0):
                            m.next = "COMMAND"
                        with m.Elif(write):
                            m.next = "DATA"
                with m.Elif(given_up):
                    m.next = "COMMAND"
            with m.State("DATA"):
                m.d.comb += [self.i.ready.eq(1), waiting.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [word.eq(Cat(self.i.payload, word)), count.eq(count + 1)]
                    with m.If(last):
                        m.next = "WRITE"
                with m.Elif(given_up):
                    m.next = "COMMAND"
            with m.State("WRITE"):
                m.d.comb += bus.valid.eq(~beyond)
                with m.If(bus.ready | beyond):
                    go_on()
            with m.State("READ"):
                m.d.comb += bus.valid.eq(~beyond)
                with m.If(beyond):
                    m.d.sync += word.eq(0)
                    m.next = "SEND"
                with m.Elif(bus.ready):
                    m.d.sync += word.eq(bus.r_data)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [word.eq(word << 8), count.eq(count + 1)]
                    with m.If(last):
                        go_on()
        return m


assert BYTES == 4 and ADDRESS_BITS == 24, "the first byte of an address is what the bus does not have"
