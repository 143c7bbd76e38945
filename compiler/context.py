"""What every pass needs."""

from dataclasses import dataclass

from gradgate.arch.config import Config
from gradgate.compiler.program import Program
from gradgate.compiler.tiles import Span


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Run-time switches. They change cycles, never results."""

    input_skip: bool = True  #: zeros of the list operand, and in WG of the target operand, cost nothing
    output_skip: bool = True  #: masked outputs of BD cost nothing
    overlap: bool = True  #: commands run beside each other where they can; otherwise each waits for the one before
    swapped: frozenset = frozenset()  #: names of blocks whose WG makes lists of gradients, not of activations
    tap_spread: bool = True  #: in these, the taps of a window are spread over the lanes


SPARSE = Switches()
DENSE = Switches(input_skip=False, output_skip=False)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every pass needs."""

    config: Config
    program: Program
    batch: int
    switches: Switches
    shift: int  #: of the weight update
    decay: int = 0  #: of velocities; 0: no momentum

    @property
    def slots(self) -> int:
        """Images of row 0."""
        return -(-self.batch // self.config.rows)

    def last_rows(self, slots: Span) -> int:
        """Rows that own an image in the last of ``slots``."""
        return min(self.config.rows, self.batch - (slots.end - 1) * self.config.rows)
