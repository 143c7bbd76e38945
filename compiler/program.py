"""A compiled program: its commands, and where every tensor lies and when."""

from dataclasses import dataclass, field

import numpy as np

from gradgate.arch.block import INPUT
from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Command
from gradgate.arch.units import UNITS


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor in the row memories: ``height`` x ``width`` pixels of ``bricks`` bricks for each image, images in slots."""

    base: int  #: first brick of slot 0
    height: int
    width: int
    channels: int
    bricks: int

    @property
    def pitch(self) -> int:
        """Bricks of an image row."""
        return self.width * self.bricks

    @property
    def slot(self) -> int:
        """Bricks of an image."""
        return self.height * self.pitch


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a command does, for reports, the cycle model and the comparison with the golden model."""

    phase: str = ""  #: RUN: FW, BD or WG; other commands have that of their unit
    block: str = ""
    reads: str = ""  #: RUN: list tensor
    targets: str = ""  #: RUN: target tensor
    tile: str = ""
    completes: tuple = ()  #: tensors that are complete once this command is done
    sums: tuple = ()  #: completed part of a weight gradient: arrays of lane, bank word, output and k of each


@dataclass(kw_only=True)
class Program:
    """Commands of one training step or inference pass, with a note on each.

    places: tensors in row memories; choices: argmax tensors (bricks counted in argmax memory); weights: first brick of each
    block in the weight memory; staging: first staging word of ``input`` and ``labels``.
    """

    batch: int
    commands: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    places: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    staging: dict = field(default_factory=dict)

    def add(self, opcode, note: Note, **fields):
        """Append a command. Raises :class:`ConfigError` where a value is too large for its field: the network is."""
        try:
            self.commands.append(Command(opcode, {name: int(value) for name, value in fields.items()}))
        except ValueError as error:
            raise ConfigError(f"{note.block or INPUT} is too large for the core's commands: {error}") from None
        self.notes.append(note)

    def phase(self, index: int) -> str:
        """What command ``index`` is in reports; empty for END, which does nothing."""
        opcode = self.commands[index].opcode
        return UNITS[opcode].phase or self.notes[index].phase if opcode in UNITS else ""

    def words(self) -> np.ndarray:
        """The encoded program, 32-bit words."""
        return np.array([word for command in self.commands for word in command.encode()], dtype=np.uint32)

    def position(self, index: int) -> int:
        """Word where command ``index`` begins."""
        return sum(len(command.encode()) for command in self.commands[:index])
