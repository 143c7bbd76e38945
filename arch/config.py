"""The configuration of one generated core, its presets and its TOML form.

In Python a configuration has flat fields, ``config.rows``. Files and manifests have them in sections, ``[array] rows``; files may have
flat keys too, and both.
"""

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

    # [array]
    rows: int  #: rows of the array (1 to 16); each owns the images i with i mod rows = its number
    lanes: int  #: lanes (PEs) of a row: 2, 4, 8 or 16
    lists: int = 2  #: S, lists that circulate in a row (1 to 4)
    targets: int = 16  #: targets a lane may have in one tile (1 to 32)

    # [memories]
    act_bricks: int = 2048  #: bricks in each row's activation memory
    weight_bricks: int = 1024  #: bricks in the master weight memory
    bank_words: int = 512  #: accumulators in a PE's bank; it holds twice as many weights
    psum_words: int = 512  #: sums a lane can keep
    argmax_bricks: int = 512  #: bricks in each row's memory of pooling choices

    # [host]
    program_words: int = 4096  #: 32-bit words of program memory
    counters: int = 1024  #: commands of a program whose cycle counts are kept
    staging_words: int = 2048  #: words in the staging memory between host and row memories

    # [update]
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
        """All fields, in sections, for manifests and other JSON: what :meth:`from_dict` reads."""
        flat = asdict(self)
        flat |= flat.pop("formats")
        return {"name": self.name, **{section: {key: flat[key] for key in keys} for section, keys in SECTIONS.items()}}

    @classmethod
    def from_dict(cls, table: dict) -> "Config":
        """The configuration described by ``table``: keys in sections, flat ones, or both; ``preset`` names one to start from.

        Raises :class:`ConfigError`, which names a key as it stands in ``table``.
        """
        given, formats, spelled = _flat(table)
        base = asdict(preset(given.pop("preset"))) if "preset" in given else {}
        formats = {**base.pop("formats", {}), **formats}
        values = {**base, **given}
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in values]
        if missing:
            raise ConfigError(f"configuration needs {' and '.join(missing)}, or the preset to start from")
        try:
            return cls(**values, formats=Formats(**formats))
        except ConfigError as error:
            key, space, rest = str(error).partition(" ")  # the name of a field comes first
            raise ConfigError(f"{spelled.get(key, key)}{space}{rest}") from None

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


#: Sections of files and manifests, and the keys in each. Number formats are an object of their own in Python, too.
SECTIONS = {
    "array": ("rows", "lanes", "lists", "targets"),
    "memories": ("act_bricks", "weight_bricks", "bank_words", "psum_words", "argmax_bricks"),
    "host": ("program_words", "counters", "staging_words"),
    "update": ("momentum",),
    "formats": tuple(f.name for f in fields(Formats)),
}
#: Keys that need no section.
FLAT = ("preset", "name", *(key for section, keys in SECTIONS.items() if section != "formats" for key in keys))


def outline() -> str:
    """What a file may have, in a line."""
    return "; ".join(["preset, name", *(f"[{section}] {', '.join(keys)}" for section, keys in SECTIONS.items())])


def _flat(table: dict) -> tuple:
    """``(fields, fields of the number formats, {field: how the table spells it})`` of a table with sections, flat keys, or both."""
    values, formats, spelled = {}, {}, {}

    def take(into, key, value, spelling):
        if key in spelled:
            raise ConfigError(f"{spelled[key]} and {spelling} are the same: only one of them may be given")
        into[key], spelled[key] = value, spelling

    for key, value in table.items():
        if key in SECTIONS:
            only_keys(key, value, SECTIONS[key])
            for inner in value:
                take(formats if key == "formats" else values, inner, value[inner], f"{key}.{inner}")
        elif key in FLAT:
            take(values, key, value, key)
        else:
            raise ConfigError(f"configuration: unknown key {key!r}; known are {outline()}")
    return values, formats, spelled


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
