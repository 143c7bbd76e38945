"""The phase-locked loop of ECP5: which frequencies it makes of a board's clock, and its instance.

Source: Lattice, ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage Guide (FPGA-TN-02200), ECP5 data sheet (FPGA-DS-02012).
"""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Signal

from gradgate.arch.checks import ConfigError

VCO = 400.0, 800.0  #: MHz that the oscillator can run at
COMPARED = 10.0, 400.0  #: MHz of the phase detector
OUTPUT = 3.125, 400.0  #: MHz of an output
DIVIDERS = range(1, 129)
TOLERANCE = 0.001  #: relative; a serial line allows twenty times as much


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Dividers. One output closes the loop at the frequency of the phase detector, the other is the clock."""

    source_mhz: float
    reference: int  #: divides the source's clock for the phase detector
    loop: int  #: divides the oscillator for the phase detector
    output: int  #: divides the oscillator for the clock

    @property
    def vco_mhz(self) -> float:
        return self.source_mhz / self.reference * self.loop

    @property
    def mhz(self) -> float:
        """The clock."""
        return self.vco_mhz / self.output


def choices(source_mhz: float):
    """All dividers that keep to the limits."""
    for reference in DIVIDERS:
        compared = source_mhz / reference
        if COMPARED[0] <= compared <= COMPARED[1]:
            for loop in range(-int(-VCO[0] // compared), int(VCO[1] // compared) + 1):
                for output in DIVIDERS:
                    if OUTPUT[0] <= compared * loop / output <= OUTPUT[1]:
                        yield Pll(source_mhz=source_mhz, reference=reference, loop=loop, output=output)


def pll(source_mhz: float, mhz: float) -> Pll:
    """The dividers that make ``mhz``, to a thousandth, of ``source_mhz``.

    Raises :class:`ConfigError` where there are none, with the frequencies next to it.
    """
    if not OUTPUT[0] <= mhz <= OUTPUT[1]:
        raise ConfigError(f"clock must be {OUTPUT[0]:g} to {OUTPUT[1]:g} MHz, not {mhz:g}")
    found = sorted(choices(source_mhz), key=lambda p: p.mhz)
    if not found:
        raise ConfigError(f"source of the clock must be {COMPARED[0]:g} to {COMPARED[1]:g} MHz, not {source_mhz:g}")
    best = min(found, key=lambda p: (abs(p.mhz - mhz), p.reference, p.vco_mhz))
    if abs(best.mhz - mhz) > TOLERANCE * mhz:
        below = [p.mhz for p in found if p.mhz < mhz][-1:]
        above = [p.mhz for p in found if p.mhz > mhz][:1]
        raise ConfigError(f"clock {mhz:g} MHz cannot be made of {source_mhz:g} MHz: next to it are "
                          f"{' and '.join(f'{f:.6g}' for f in below + above)} MHz")
    return best


def instance(setting: Pll, source: Signal, clock: Signal, locked: Signal) -> Instance:
    """An ``EHXPLLL`` that makes ``clock``, valid while ``locked``, of ``source``."""
    loop = Signal()
    return Instance(
        "EHXPLLL",
        # of the loop filter, as the vendor's tool sets them for frequencies like these
        a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        a_FREQUENCY_PIN_CLKI=f"{setting.source_mhz:.6g}", a_FREQUENCY_PIN_CLKOS=f"{setting.mhz:.6g}",
        p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=setting.reference, p_CLKFB_DIV=1,
        p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=setting.loop, p_CLKOP_CPHASE=setting.loop - 1, p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=setting.output, p_CLKOS_CPHASE=setting.output - 1, p_CLKOS_FPHASE=0,
        i_CLKI=source, i_CLKFB=loop, o_CLKOP=loop, o_CLKOS=clock, o_LOCK=locked,
        i_RST=Const(0), i_STDBY=Const(0), i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(0), i_PHASESTEP=Const(0),
        i_PHASELOADREG=Const(0), i_PLLWAKESYNC=Const(0), i_ENCLKOP=Const(0), i_ENCLKOS=Const(0))
