"""The configuration of one generated core, its presets and its TOML form."""

from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path

from gradgate.arch.checks import ConfigError, integer, label, one_of, only_keys, read_toml
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import REGION_SHIFT, Region, windows


@dataclass(frozen=True, kw_only=True)
class Config:
    """Size of a core. A *brick* is one word for each lane; a *word* is one number.

    Raises :class:`ConfigError` for a value out of range.
    """

    name: str = "custom"  #: shown in reports and in the manifest
    rows: int  #: rows of the array (1 to 16); each owns the images i with i mod rows = its number
    lanes: int  #: lanes (PEs) of a row: 2, 4, 8 or 16
    lists: int = 2  #: S, lists that circulate in a row (1 to 4)
    targets: int = 16  #: targets a lane may have in one tile (1 to 32)
    act_bricks: int = 2048  #: bricks in each row's activation memory
    weight_bricks: int = 1024  #: bricks in the master weight memory
    bank_words: int = 512  #: accumulators in a PE's bank; it holds twice as many weights
    psum_words: int = 512  #: sums a lane can keep
    argmax_bricks: int = 512  #: bricks in each row's memory of pooling choices
    program_words: int = 4096  #: 32-bit words of program memory
    counters: int = 1024  #: commands of a program whose cycle counts are kept
    staging_words: int = 2048  #: words in the staging memory between host and row memories
    momentum: bool = False  #: a velocity for every master weight, in a memory of the same size, so that UPDATE can use momentum
    formats: Formats = field(default_factory=Formats)  #: number formats

    def __post_init__(self):
        label("name", self.name)
        integer("rows", self.rows, 1, 16)
        one_of("lanes", self.lanes, (2, 4, 8, 16))
        integer("lists", self.lists, 1, 4)
        integer("targets", self.targets, 1, 32)
        for name, high in (("act_bricks", 65536), ("weight_bricks", 65536), ("bank_words", 2048), ("psum_words", 4096),
                           ("argmax_bricks", 65536), ("program_words", 65536), ("counters", 4096), ("staging_words", 65536)):
            integer(name, getattr(self, name), 16, high)
        one_of("momentum", self.momentum, (False, True))
        if self.bank_words & (self.bank_words - 1):
            raise ConfigError(f"bank_words must be a power of two, not {self.bank_words}")
        for region, window in windows(self).items():
            if window.words > 1 << REGION_SHIFT:
                raise ConfigError(f"{LARGE[region]} is too large: the host can address {1 << REGION_SHIFT} words of {region.name}, "
                                  f"not {window.words}")

    replace = replace

    @property
    def pes(self) -> int:
        """Processing elements, one multiplier each."""
        return self.rows * self.lanes

    @property
    def bank_weights(self) -> int:
        """Working weights a PE's bank can hold: two in each accumulator word."""
        return 2 * self.bank_words

    @property
    def list_entries(self) -> int:
        """Entries a list can hold."""
        return self.bank_words

    def bricks(self, channels: int) -> int:
        """Bricks that hold ``channels`` words."""
        return -(-channels // self.lanes)

    def to_dict(self) -> dict:
        """All fields, for the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict) -> "Config":
        """The configuration described by ``table``; ``preset`` names one to start from."""
        table = dict(table)
        only_keys("configuration", table, {"preset"} | {f.name for f in fields(cls)})
        formats = table.pop("formats", {})
        only_keys("formats", formats, {f.name for f in fields(Formats)})
        base = asdict(preset(table.pop("preset"))) if "preset" in table else {}
        base_formats = base.pop("formats", {})
        values = {**base, **table, "formats": Formats(**{**base_formats, **formats})}
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in values]
        if missing:
            raise ConfigError(f"configuration needs {' and '.join(missing)}, or the preset to start from")
        return cls(**values)

    @classmethod
    def load(cls, name_or_path: str) -> "Config":
        """A preset by name, or a TOML file by path."""
        if name_or_path in PRESETS:
            return PRESETS[name_or_path]
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(f"configuration must be one of {', '.join(PRESETS)} or a TOML file, not {name_or_path!r}")
        table = read_toml(path)
        try:
            return cls.from_dict({"name": path.stem, **table})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


#: What decides the size of a region that may outgrow the address space.
LARGE = {Region.WEIGHTS: "weight_bricks", Region.ROWS: "act_bricks", Region.ARGMAX: "argmax_bricks", Region.VELOCITY: "weight_bricks"}

PRESETS = {
    config.name: config
    for config in (
        # the least on which `digits` trains, and the least with four lanes; small boards have room for them
        Config(name="pico", rows=1, lanes=2, act_bricks=4096, weight_bricks=4096),
        Config(name="nano", rows=1, lanes=4, weight_bricks=2048),
        Config(name="tiny", rows=2, lanes=4, weight_bricks=2048),
        Config(name="small", rows=4, lanes=8),
        Config(name="base", rows=4, lanes=16),
        # as much memory as the accelerators of published comparisons have, for the cycle model; no board needs to hold it
        Config(name="paper", rows=4, lanes=16, lists=4, targets=32, act_bricks=16384, weight_bricks=65536, bank_words=2048,
               psum_words=4096, argmax_bricks=16384, program_words=65536, counters=4096, staging_words=65536),
    )
}


def preset(name: str) -> Config:
    """The preset called ``name``."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]
