"""The host bus behind a stream of bytes, in the protocol that LiteX calls uartbone."""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import integer
from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS
from gradgate.hw.parts.bus import BusSignature

BYTES = WORD // 8  #: bytes of a word, and of an address


class Request(IntEnum):
    """First byte of a frame."""

    WRITE = 1  #: to consecutive addresses
    READ = 2
    WRITE_FIXED = 3  #: all to one address
    READ_FIXED = 4


class _Frame:
    """The registers of :class:`UartBone` that its states share: the frame under way."""

    def __init__(self):
        self.write = Signal()
        self.fixed = Signal()
        self.left = Signal(8)  # words to go
        self.count = Signal(range(BYTES))  # of the bytes of an address or word
        self.address = Signal(ADDRESS_BITS)
        self.beyond = Signal()  # the address has more bits than the bus; stays so to the end of the frame
        self.word = Signal(WORD)
        self.waiting = Signal()  # for a byte, within a frame
        self.last = self.count == BYTES - 1


class UartBone(wiring.Component):
    """Does what frames of bytes ask for on the host bus.

    A frame is a :class:`Request`, the number of words (0 to 255), the word address (four bytes, highest
    first), and, of writes, the words (likewise). Reads are answered by their words, writes by nothing. Bytes
    that are no request are skipped where one should be. A frame of no words does nothing. When no byte comes
    for ``timeout`` cycles within a frame, the rest of it is given up; the words that came whole have been
    written.

    Addresses of more than 24 bits, and those that a burst counts to after the last one, do not reach the bus:
    they read as 0 and take no word.

    Parameters
    ----------
    timeout : clock cycles (1 to 2**32 - 1) without a byte until a frame is given up

    Members
    -------
    i : In(stream of 8 bits), bytes from the host; waits while the bus or ``o`` is busy
    o : Out(stream of 8 bits), bytes to the host; has to be taken in the end
    bus : BusSignature (seen from its master)

    Latency: last byte of a word to its write on the bus: 1 cycle; last byte of a read's address to the read
    on the bus: 1 cycle; answer of the bus to the first byte: 1 cycle.
    Throughput: of writes 5 cycles a word, of reads 4 and the bus's; far more than a serial line has.
    Resources: no DSP, no block RAM.
    Source: own; the protocol is LiteX's (``litex/tools/remote/comm_uart.py`` of 2024.12).
    Example: docs/examples.md#uartbone
    """

    def __init__(self, timeout):
        self.timeout = integer("timeout", timeout, 1, (1 << 32) - 1)
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "bus": Out(BusSignature()),
        })

    def elaborate(self, platform):
        m = Module()
        bus, f = self.bus, _Frame()
        received = self.i.valid & self.i.ready
        m.d.comb += [
            bus.write.eq(f.write),
            bus.addr.eq(f.address),
            bus.w_data.eq(f.word),
            self.o.payload.eq(f.word[WORD - 8:]),
        ]

        idle = Signal(range(self.timeout + 1))
        m.d.sync += idle.eq(idle + 1)
        with m.If(received | ~f.waiting):
            m.d.sync += idle.eq(0)
        given_up = f.waiting & ~self.i.valid & (idle == self.timeout - 1)
        with m.FSM():
            self._request(m, f, given_up)
            self._words(m, f, given_up)
        return m

    def _go_on(self, m, f):
        """To the next word, or the next frame."""
        m.d.sync += f.left.eq(f.left - 1)
        with m.If(~f.fixed):
            m.d.sync += Cat(f.address, f.beyond).eq(Cat(f.address, f.beyond) + 1)
            with m.If(f.beyond):
                m.d.sync += f.beyond.eq(1)
        m.next = "COMMAND"
        with m.If((f.left != 1) & f.write):
            m.next = "DATA"
        with m.Elif(f.left != 1):
            m.next = "READ"

    def _request(self, m, f, given_up):
        """States COMMAND, LENGTH, ADDRESS: a frame begins."""
        with m.State("COMMAND"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += f.count.eq(0)
            request = self.i.payload
            m.d.sync += [
                f.write.eq((request == Request.WRITE) | (request == Request.WRITE_FIXED)),
                f.fixed.eq((request == Request.WRITE_FIXED) | (request == Request.READ_FIXED)),
            ]
            with m.If(self.i.valid):
                with m.Switch(self.i.payload):
                    with m.Case(*Request):
                        m.next = "LENGTH"
        with m.State("LENGTH"):
            m.d.comb += self.i.ready.eq(1)
            m.d.comb += f.waiting.eq(1)
            m.d.sync += f.left.eq(self.i.payload)
            m.d.sync += f.beyond.eq(0)
            with m.If(self.i.valid):
                m.next = "ADDRESS"
            with m.Elif(given_up):
                m.next = "COMMAND"
        with m.State("ADDRESS"):
            m.d.comb += self.i.ready.eq(1)
            m.d.comb += f.waiting.eq(1)
            with m.If(self.i.valid):
                m.d.sync += f.address.eq(Cat(self.i.payload, f.address))
                m.d.sync += f.count.eq(f.count + 1)
                with m.If((f.count == 0) & (self.i.payload != 0)):
                    m.d.sync += f.beyond.eq(1)
                with m.If(f.last):
                    m.next = "READ"
                    with m.If(f.left == 0):
                        m.next = "COMMAND"
                    with m.Elif(f.write):
                        m.next = "DATA"
            with m.Elif(given_up):
                m.next = "COMMAND"

    def _words(self, m, f, given_up):
        """States DATA, WRITE, READ, SEND: a word comes and is written, or is read and sent."""
        bus = self.bus
        with m.State("DATA"):
            m.d.comb += self.i.ready.eq(1)
            m.d.comb += f.waiting.eq(1)
            with m.If(self.i.valid):
                m.d.sync += f.word.eq(Cat(self.i.payload, f.word))
                m.d.sync += f.count.eq(f.count + 1)
                with m.If(f.last):
                    m.next = "WRITE"
            with m.Elif(given_up):
                m.next = "COMMAND"
        with m.State("WRITE"):
            m.d.comb += bus.valid.eq(~f.beyond)
            with m.If(bus.ready | f.beyond):
                self._go_on(m, f)
        with m.State("READ"):
            m.d.comb += bus.valid.eq(~f.beyond)
            with m.If(f.beyond):
                m.d.sync += f.word.eq(0)
                m.next = "SEND"
            with m.Elif(bus.ready):
                m.d.sync += f.word.eq(bus.r_data)
                m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += self.o.valid.eq(1)
            with m.If(self.o.ready):
                m.d.sync += f.word.eq(f.word << 8)
                m.d.sync += f.count.eq(f.count + 1)
                with m.If(f.last):
                    self._go_on(m, f)


assert BYTES == 4 and ADDRESS_BITS == 24, "the first byte of an address is what the bus does not have"
