"""A system on a board: clock, reset, pins."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.io import Buffer

from gradgate.fpga import pll
from gradgate.fpga.boards import Board
from gradgate.hw.parts.registers import delays

#: registers between what ends the reset, beside the PLL, and what is reset
RESET_WAY = 3
LEDS = ("busy", "error", "alive", "link")  #: in the order of the board's LEDs, as many as it has


class BoardTop(Elaboratable):
    """A :class:`~gradgate.hw.bus.system.System`, or what has the same members, on a board.

    ::

        board's clock -- PLL --- sync          uart -- System -- LEDs: busy, error, alive, link
                          '-- lock, button -- reset

    Parameters
    ----------
    board : :class:`~gradgate.fpga.boards.Board`
    make : function of the clock in Hz and the baud rate that makes the system: ``partial(System, config)``
    mhz : of the clock; :class:`~gradgate.arch.checks.ConfigError` where the board cannot make it

    Members
    -------
    mhz : the clock that it gets, in MHz
    system : the system, for a simulation: elaborated without a platform, this is all there is

    Resources: those of the system, and a PLL where the board's family is ECP5; other boards run at their own clock.
    """

    def __init__(self, board: Board, make, mhz: float | None = None):
        self.board = board
        self.setting = board.pll(mhz)
        self.mhz = self.setting.mhz if self.setting else board.source_mhz
        self.system = make(self.mhz * 1e6, board.baud)

    def elaborate(self, platform):
        m = Module()
        m.submodules.system = system = self.system
        if platform is None:
            return m
        m.domains.sync = ClockDomain()
        m.domains.early = ClockDomain()
        m.submodules.clock = source = Buffer("i", platform.request(platform.default_clk, dir="-"))
        reset = Const(0)
        if self.board.button:
            m.submodules.button = button = Buffer("i", platform.request(*self.board.button, dir="-"))
            reset = button.i
        if self.setting:
            clock, locked = Signal(), Signal()
            m.submodules.pll = pll.instance(self.setting, source.i, clock, locked)
            reset |= ~locked
        else:
            clock = source.i
        m.d.comb += ClockSignal().eq(clock)
        m.d.comb += ClockSignal("early").eq(clock)
        m.submodules.reset = ResetSynchronizer(reset, domain="early")
        m.d.comb += ResetSignal().eq(delays(m, ResetSignal("early"), RESET_WAY)[-1])

        line = platform.request("uart", 0, dir="-")
        m.submodules.rx, m.submodules.tx = rx, tx = Buffer("i", line.rx), Buffer("o", line.tx)
        m.d.comb += system.rx.eq(rx.i)
        m.d.comb += tx.o.eq(system.tx)
        for number, name in enumerate(LEDS[:self.board.leds]):
            m.submodules[f"led{number}"] = led = Buffer("o", platform.request("led", number, dir="-"))
            m.d.comb += led.o.eq(getattr(system, name))
        return m
