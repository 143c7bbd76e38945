"""What Yosys makes of a design for each family of FPGAs, and what its cells cost there."""

from dataclasses import dataclass, field

from gradgate.fpga.resources import CELLS, FREE, Resources


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of FPGAs."""

    name: str
    title: str  #: in tables
    synthesis: str  #: Yosys' command
    costs: dict  #: {resource: {cell type: number}}
    free: frozenset  #: cells that cost nothing of their own
    labels: dict = field(default_factory=lambda: {"lut4": "LUT4", "ff": "FF", "dsp": "DSP", "bram": "BRAM"})
    pll: bool = False  #: whether a PLL makes the clock
    tool: str = ""  #: nextpnr's name; "": no board of this family here
    constraints: str = ""  #: suffix of the file of pins
    bitstream: str = ""  #: name of the file

    def resources(self, cells: dict) -> Resources:
        """Resources of ``{cell type: number}``. Raises :class:`~gradgate.sim.toolchain.ToolError` for a cell of unknown cost."""
        return Resources.of(cells, self.costs, self.free)


def _ones(*kinds) -> dict:
    return dict.fromkeys(kinds, 1)


_GOWIN_DFF = [f"DFF{edge}{kind}" for edge in ("", "N") for kind in ("", "E", "S", "SE", "R", "RE", "P", "PE", "C", "CE")]
_ICE40_DFF = [f"SB_DFF{edge}{kind}" for edge in ("", "N") for kind in ("", "E", "SR", "R", "SS", "S", "ESR", "ER", "ESS", "ES")]
_IO = {"$scopeinfo", "GND", "VCC", "GSR", "INV", "IBUF", "OBUF", "IOBUF", "TBUF", "BUFG"}

FAMILIES = {family.name: family for family in (
    Family(name="ecp5", title="Lattice ECP5", synthesis="synth_ecp5", costs=CELLS, free=frozenset(FREE | {"TRELLIS_IO", "EHXPLLL"}),
           pll=True, tool="nextpnr-ecp5", constraints="lpf", bitstream="gradgate.bit"),
    Family(name="ice40", title="Lattice iCE40 UltraPlus", synthesis="synth_ice40 -abc9 -device u -dsp -spram", costs={
        "lut4": _ones("SB_LUT4"), "ff": _ones(*_ICE40_DFF), "dsp": _ones("SB_MAC16"), "bram": _ones("SB_RAM40_4K"),
        "lutram": {},
    }, free=frozenset(_IO | {"SB_CARRY", "SB_IO", "SB_GB", "SB_GB_IO", "SB_SPRAM256KA"}),
           labels={"lut4": "LUT4", "ff": "FF", "dsp": "DSP", "bram": "4-kbit BRAM"},
           tool="nextpnr-ice40", constraints="pcf", bitstream="gradgate.bin"),
    # a LUT RAM cell takes the LUTs of a row of four, and those beside it that its write port needs, as far as nextpnr says
    Family(name="gowin", title="Gowin GW2A", synthesis="synth_gowin -family gw2a", costs={
        "lut4": _ones("LUT1", "LUT2", "LUT3", "LUT4", "ALU") | {"RAM16SDP4": 4, "RAM16SDP2": 2, "RAM16SDP1": 1},
        "ff": _ones(*_GOWIN_DFF), "dsp": _ones("MULT18X18", "MULT9X9", "MULTALU18X18"),
        "bram": _ones("DP", "DPB", "DPX9B", "SDP", "SDPB", "SDPX9B", "SP", "SPX9", "pROM"),
        "lutram": _ones("RAM16SDP4", "RAM16SDP2", "RAM16SDP1"),
    }, free=frozenset(_IO | {f"MUX2_LUT{n}" for n in (5, 6, 7, 8)}), tool="nextpnr-himbaechel-gowin",
           constraints="cst", bitstream="gradgate.fs"),
    Family(name="xc7", title="Xilinx 7-series", synthesis="synth_xilinx -family xc7 -noiopad -flatten", costs={
        "lut4": _ones(*(f"LUT{n}" for n in range(1, 7)), "SRL16E", "SRLC32E") | {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2},
        "ff": _ones("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1"), "dsp": _ones("DSP48E1"), "bram": {"RAMB18E1": 1, "RAMB36E1": 2},
        "lutram": _ones("RAM32M", "RAM64M", "RAM32X1D", "RAM64X1D"),
    }, free=frozenset(_IO | {"CARRY4", "MUXF7", "MUXF8"}), labels={"lut4": "LUT6", "ff": "FF", "dsp": "DSP48", "bram": "RAMB18"}),
)}
