"""What the host port's addresses mean: one table for gateware, driver, manifest and documentation.

Addresses count 32-bit words. The region is in bits 23..20, the rest is the offset within it.
"""

from dataclasses import dataclass
from enum import IntEnum

ADDRESS_BITS = 24
REGION_SHIFT = 20


class Region(IntEnum):
    """Regions of the address space."""

    CSR = 0
    PROGRAM = 1
    STARTS = 2
    STAGING = 3
    WEIGHTS = 4
    ROWS = 5
    ARGMAX = 6
    VELOCITY = 7
    ENDS = 8


class Csr(IntEnum):
    """Control and status registers, offsets in region CSR."""

    ID = 0
    CONTROL = 1
    STATUS = 2
    START = 3
    STOP = 4
    INDEX = 5
    PC = 6
    CORRECT = 7
    OVERFLOW = 8
    CYCLES = 9
    WATCHDOG = 10
    FINGERPRINT = 11


CSR_DOC = {
    Csr.ID: ("r", "0x67726164"),
    Csr.CONTROL: ("w", "bit 0: start (ignored while busy); bit 1: set CORRECT, OVERFLOW and STATUS bit 2 to zero"),
    Csr.STATUS: ("r", "bit 0: busy; bit 1: the program ended; bit 2: an access was refused since it was cleared: no "
                      "such word, not in this direction, data memory or START while busy; bits 15..8: error code"),
    Csr.START: ("rw", "program word where the next start begins; moves on with every command that is issued"),
    Csr.STOP: ("rw", "index of the last command to issue before the program stops, when all units are idle; 0xffff: none"),
    Csr.INDEX: ("r", "commands issued since the start at START = 0; with an error, the index of the command at fault"),
    Csr.PC: ("r", "program word of the next command to issue; ILLEGAL, NO_END and CONFLICT: of the command at fault"),
    Csr.CORRECT: ("r", "correct predictions counted by LOSS"),
    Csr.OVERFLOW: ("r", "final sums whose two top bits differed"),
    Csr.CYCLES: ("r", "cycles busy since the start at START = 0, low 32 bits"),
    Csr.WATCHDOG: ("rw", "cycles that may pass, while a command is under way, until one starts or ends; 2**24 after reset"),
    Csr.FINGERPRINT: ("r", "of the configuration and the command set: the same number in manifest.json of the same core"),
}

ID_VALUE = 0x67726164
STOP_NONE = 0xFFFF
WATCHDOG_DEFAULT = 1 << 24


@dataclass(frozen=True)
class Window:
    """A region: number of words, bits of a word, and how a word's place follows from its offset."""

    words: int
    bits: int
    doc: str


def windows(config) -> dict:
    """The memories behind the host port as ``{Region: Window}``; data memories answer only while the core is idle."""
    lane_bits = (config.lanes - 1).bit_length()

    def rows_of(bricks):
        return config.rows << ((bricks - 1).bit_length() + lane_bits)

    return {
        Region.PROGRAM: Window(config.program_words, 32, "program words; write only"),
        Region.STARTS: Window(config.counters, 32, "when command i was issued, in busy cycles since the start at START = 0; read only"),
        Region.ENDS: Window(config.counters, 32, "when the end of command i was recorded, likewise; read only"),
        Region.STAGING: Window(config.staging_words, config.formats.act_bits, "staging words"),
        Region.WEIGHTS: Window(config.weight_bricks * config.lanes, config.formats.master_bits,
                               "master weights: brick * lanes + bank, two's complement"),
        Region.ROWS: Window(rows_of(config.act_bricks), config.formats.act_bits,
                            "activations: (row, brick, lane), brick and lane padded to powers of two"),
        Region.ARGMAX: Window(rows_of(config.argmax_bricks), 2,
                              "pooling choices 2 * dy + dx: (row, brick, lane), padded likewise; read only"),
        Region.VELOCITY: Window(config.weight_bricks * config.lanes if config.momentum else 0, config.formats.master_bits,
                                "velocities: brick * lanes + lane, two's complement; no words without momentum"),
    }


def address(region: Region, offset: int) -> int:
    """Host address of word ``offset`` of ``region``."""
    return region << REGION_SHIFT | offset


def row_offset(config, bricks: int, row: int, brick: int, lane: int = 0) -> int:
    """Offset of a row memory's word; ``bricks`` is the depth of that memory."""
    lane_bits = (config.lanes - 1).bit_length()
    return (row << (bricks - 1).bit_length() | brick) << lane_bits | lane
