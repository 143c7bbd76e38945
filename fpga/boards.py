"""The boards that ``gradgate synth --board`` knows."""

from dataclasses import dataclass
from importlib import import_module

from gradgate.arch.checks import ConfigError
from gradgate.fpga import pll
from gradgate.fpga.families import FAMILIES, Family
from gradgate.fpga.resources import Resources


class TooLarge(ConfigError):
    """A design that does not fit a board; ``needs`` are its :class:`Resources`."""

    def __init__(self, message: str, needs: Resources):
        super().__init__(message)
        self.needs = needs


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board. Its pins are those of ``amaranth_boards``."""

    name: str
    title: str  #: in tables
    platform: str  #: module and class in ``amaranth_boards``
    device: str
    family: Family
    has: Resources  #: of the device
    place: tuple  #: arguments that tell nextpnr the device, its package and its speed grade
    source_mhz: float  #: the clock on the board
    mhz: float  #: of the core, unless another is asked for
    config: str  #: preset, unless another is asked for
    leds: int = 4  #: that the design uses
    button: tuple = ()  #: resource of the button that resets
    baud: int = 1_000_000  #: of the serial line
    pack: tuple = ()  #: arguments of the packer
    program: str = ""  #: command that loads a bitstream, up to the file

    def make(self):
        """A new platform of Amaranth."""
        module, _, name = self.platform.partition(":")
        return getattr(import_module(f"amaranth_boards.{module}"), name)()

    def pll(self, mhz=None):
        """Dividers that make ``mhz`` or the default clock; None where the core runs at the board's own. Raises :class:`ConfigError`."""
        wanted = self.mhz if mhz is None else mhz
        if self.family.pll:
            return pll.pll(self.source_mhz, wanted)
        if abs(wanted - self.source_mhz) > pll.TOLERANCE * self.source_mhz:
            raise ConfigError(f"clock of {self.name} must be {self.source_mhz:g} MHz, its own, not {wanted:g}")
        return None

    def require(self, what: str, needs: Resources) -> None:
        """Raise :class:`TooLarge` with all that ``what``, which takes ``needs``, has too little of."""
        short = [f"{getattr(needs, key):,} {label}, {self.name} has {getattr(self.has, key):,}"
                 for key, label in self.family.labels.items() if getattr(needs, key) > getattr(self.has, key)]
        if short:
            raise TooLarge(f"{what} needs {'; '.join(short)}", needs)


def _ulx3s(size, lut4, dsp, bram, die, config, mhz):
    return Board(
        name=f"ulx3s_{size.lower()}", title=f"ULX3S {size}", platform=f"ulx3s:ULX3S_{size}_Platform", device=f"LFE5U-{size}",
        family=FAMILIES["ecp5"], has=Resources(lut4=lut4, ff=lut4, dsp=dsp, bram=bram),
        place=(f"--{die}", "--package", "CABGA381", "--speed", "6"), source_mhz=25.0, mhz=mhz, config=config,
        button=("button_fire", 0), program="openFPGALoader --board ulx3s")


BOARDS = {board.name: board for board in (
    # the 12F is a 25F die: Lattice promises 12k LUTs and 32 block RAMs, the open tools give all that is there
    _ulx3s("12F", 24288, 28, 56, "12k", "nano", 100.0),
    _ulx3s("25F", 24288, 28, 56, "25k", "nano", 100.0),
    _ulx3s("45F", 43848, 72, 108, "45k", "tiny", 80.0),
    _ulx3s("85F", 83640, 156, 208, "85k", "small", 100.0),
    Board(name="icebreaker", title="iCEBreaker", platform="icebreaker:ICEBreakerPlatform", device="iCE40UP5K", family=FAMILIES["ice40"],
          has=Resources(lut4=5280, ff=5280, dsp=8, bram=30), place=("--up5k", "--package", "sg48"), source_mhz=12.0, mhz=12.0,
          config="pico", leds=2, button=("button", 0)),
    Board(name="tang_primer_20k", title="Tang Primer 20K", platform="tang_primer_20k:TangPrimer20kPlatform",
          device="GW2A-LV18PG256C8/I7", family=FAMILIES["gowin"], has=Resources(lut4=20736, ff=15552, dsp=48, bram=46),
          place=("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18C"), pack=("-d", "GW2A-18C"), source_mhz=27.0, mhz=27.0,
          config="pico", leds=0, program="openFPGALoader --board tangprimer20k"),
)}


def board(name: str) -> Board:
    """The board called ``name``; raises :class:`ConfigError`."""
    if name not in BOARDS:
        raise ConfigError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
