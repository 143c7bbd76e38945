"""A core behind a serial line: everything of a board's design but its clock and its pins."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.checks import ConfigError
from gradgate.hw.bus.uart import UartReceiver, UartTransmitter, divisor
from gradgate.hw.bus.uartbone import UartBone
from gradgate.hw.core import Core

FRAME_TIMEOUT_S = 0.1  #: silence within a frame until it is given up; the same as LiteX's
SHOWN_S = 0.05  #: how long ``link`` shows a byte


class System(wiring.Component):
    """A core, the bridge from its bus to bytes, and a UART.

    ::

        rx -- UartReceiver -- UartBone -- bus -- Core
        tx -- UartTransmitter ----'

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`
    clock_hz : of the clock domain ``sync``
    baud : bits a second on the line; :class:`~gradgate.arch.checks.ConfigError` where the clock cannot make
        it to 2 %

    Members
    -------
    rx : In(1), the line to here (8N1, idle high); what comes while an answer is sent is lost but for one byte
    tx : Out(1), the line from here (8N1, idle high)
    busy : Out(1), of the core
    error : Out(1), of the core
    alive : Out(1), changes every half second: there is a clock
    link : Out(1), a byte came within the last 50 ms

    Latency: of the parts. Throughput: a word in ``40 * divisor`` cycles, ``divisor = clock_hz / baud``.
    Resources: those of the core; besides no DSP, no block RAM.
    """

    def __init__(self, config, clock_hz, baud):
        self.config = config
        self.divisor = divisor(clock_hz, baud)
        self.clock_hz = clock_hz
        self.frame_timeout = max(1, round(FRAME_TIMEOUT_S * clock_hz))
        if self.frame_timeout < 2 * 10 * self.divisor:
            raise ConfigError(f"baud must be at least {2 * 10 / FRAME_TIMEOUT_S:g}, so that a byte is "
                              f"shorter than a silence, not {baud:g}")
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "busy": Out(1),
            "error": Out(1),
            "alive": Out(1),
            "link": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self.config)
        m.submodules.bridge = bridge = UartBone(self.frame_timeout)
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.d.comb += receiver.rx.eq(self.rx)
        wiring.connect(m, receiver.o, bridge.i)
        wiring.connect(m, bridge.o, transmitter.i)
        wiring.connect(m, bridge.bus, core.bus)
        m.d.comb += [
            self.tx.eq(transmitter.tx),
            self.busy.eq(core.busy),
            self.error.eq(core.error),
        ]

        half_second = max(2, round(self.clock_hz / 2))
        ticks = Signal(range(half_second))
        m.d.sync += ticks.eq(ticks + 1)
        with m.If(ticks == half_second - 1):
            m.d.sync += ticks.eq(0)
            m.d.sync += self.alive.eq(~self.alive)
        shown = max(1, round(SHOWN_S * self.clock_hz))
        left = Signal(range(shown + 1))
        m.d.comb += self.link.eq(left != 0)
        with m.If(receiver.o.valid):
            m.d.sync += left.eq(shown)
        with m.Elif(self.link):
            m.d.sync += left.eq(left - 1)
        return m
