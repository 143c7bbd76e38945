"""Multiplier arrays of other open projects, measured once in the flow of ours, by hand."""

from dataclasses import dataclass

from gradgate.report.tables import table


@dataclass(frozen=True, kw_only=True)
class Peer:
    """An array of somebody else's on an LFE5U-85F, pins free, between registers of a wrapper that needs few cells."""

    name: str
    source: str  #: repository and commit
    words: str  #: operands, and what they are summed in
    pes: int
    lut4: int
    ff: int
    dsp: int
    bram: int
    mhz: tuple  #: nextpnr's Fmax with seeds 1, 2, 3
    date: str

    @property
    def gmacs(self) -> float:
        """Dense, in GMAC/s, with the worst seed."""
        return self.pes * min(self.mhz) / 1000


PEERS = (
    Peer(name="axis-systolic-array, 4x8", source="github.com/abarajithan11/axis-systolic-array at 38d9d70", words="16 bits in 36", pes=32,
         lut4=3843, ff=5024, dsp=32, bram=0, mhz=(99.04, 104.57, 97.93), date="2026-11-21"),
    Peer(name="axis-systolic-array, 4x8", source="the same", words="8 bits in 32", pes=32,
         lut4=3367, ff=3467, dsp=32, bram=0, mhz=(106.08, 97.23, 111.93), date="2026-11-21"),
    Peer(name="tiny-tpu's array, 2x2", source="github.com/tiny-tpu-v2/tiny-tpu at 06dee0d, arithmetic of c18e5b4", words="Q8.8 in 16",
         pes=4, lut4=88, ff=364, dsp=4, bram=0, mhz=(93.98, 94.13, 95.67), date="2026-11-21"),
)


def peer_section() -> list:
    """Lines of Markdown: the table, and what it does not say."""
    return [
        "## Arrays of others", "",
        "Through the same flow: Yosys 0.70 `synth_ecp5`, nextpnr-ecp5 0.11.1 with `--85k --speed 6 --freq 100 --router router1`, three "
        "seeds. These are arrays alone; of ours only `macs32` is comparable in scope.", "",
        *table(["array", "operands", "PEs", "LUT4", "FF", "DSP", "BRAM", "Fmax, worst", "all seeds", "GMAC/s, dense", "source",
                "measured"], [
            [p.name, p.words, p.pes, p.lut4, p.ff, p.dsp, p.bram, f"{min(p.mhz):.1f}", ", ".join(f"{mhz:.1f}" for mhz in p.mhz),
             f"{p.gmacs:.2f}", p.source, p.date] for p in PEERS]), "",
        "What flatters them: no memories for operands, no host port, no program, no update, no rounding to a number format and no skipping "
        "stand around these multipliers, and a PE counts as busy in every cycle. What does not: they were written for other targets, so "
        "their multipliers have no registers inside. The pins are free and the cells of a wrapper are counted (about 250 FF and 50 LUT4). "
        "`synth_ecp5` ran with its defaults. The longest path of axis-systolic-array goes from its input handshake through an unregistered "
        "multiplier; that of tiny-tpu's through multiplier, adder and saturation in one cycle. Of tiny-tpu, which trains, only the "
        "array's sources could be had, and reset became synchronous, because Yosys refuses it as written.", ""]
