"""What cells of an ECP5 cost, and what a design takes of a device."""

from dataclasses import dataclass, fields

from gradgate.sim.toolchain import ToolError

#: What cells take. A LUT RAM holds 16 words of 4 bits in 4 LUT4s, and its write port keeps 2 more from any other use.
CELLS = {
    "lut4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "ff": {"TRELLIS_FF": 1},
    "dsp": {"MULT18X18D": 1},
    "bram": {"DP16KD": 1},
    "lutram": {"TRELLIS_DPR16X4": 1},
}
#: Multiplexers that come with the LUT4s, and what is no hardware.
FREE = {"PFUMX", "L6MUX21", "$scopeinfo"}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a design takes of an ECP5. LUT4s are counted as nextpnr does before packing: 1 for a LUT4, 2 for a carry cell
    (CCU2C), 6 for a LUT RAM cell (TRELLIS_DPR16X4); wider multiplexers (PFUMX, L6MUX21) cost none of their own."""

    lut4: int = 0
    ff: int = 0  #: flip-flops
    dsp: int = 0  #: 18x18 multipliers
    bram: int = 0  #: 18-kbit block RAMs
    lutram: int = 0  #: LUT RAM cells of 16 x 4 bits, whose LUT4s are counted too

    @classmethod
    def of(cls, cells: dict, costs: dict = CELLS, free=FREE) -> "Resources":
        """The resources of ``{cell type: number}``. Raises :class:`ToolError` for a cell of unknown cost."""
        unknown = set(cells) - free - {kind for kinds in costs.values() for kind in kinds}
        if unknown:
            raise ToolError(f"synthesis left cells of unknown cost: {', '.join(sorted(unknown))}")
        return cls(**{name: sum(cost * cells.get(kind, 0) for kind, cost in kinds.items()) for name, kinds in costs.items()})

    def __add__(self, other):
        return Resources(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


DEVICE = "LFE5U-85F"  #: that cores are generated and synthesised for
DEVICES = {DEVICE: Resources(lut4=83640, ff=83640, dsp=156, bram=208)}
