"""How well the numbers of a tensor use their format: words at its limits, and values that rounding made zero."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Range:
    """Counts over the words of one tensor, over as many steps as are added up.

    A gradient with several parts, and the sums of a layer whose output is pooled, are rounded before they become words, so that
    ``values`` can be more than ``words``.
    """

    words: int = 0  #: words stored
    limit: int = 0  #: of these: the largest or the smallest number of the format
    values: int = 0  #: exact values that were not zero before they were rounded
    vanished: int = 0  #: of these: zero afterwards

    @classmethod
    def of(cls, stored: np.ndarray, bits: int) -> "Range":
        """The words of ``stored``, integers of ``bits`` bits."""
        high = (1 << (bits - 1)) - 1
        return cls(words=stored.size, limit=int(np.count_nonzero(stored == high) + np.count_nonzero(stored == ~high)))

    @classmethod
    def rounding(cls, exact: np.ndarray, rounded: np.ndarray, copies: int = 1) -> "Range":
        """Values ``exact``, each of which became ``copies`` of the words ``rounded``; a zero stays zero."""
        values = copies * int(np.count_nonzero(exact))
        return cls(values=values, vanished=values - int(np.count_nonzero(rounded)))

    def __add__(self, other: "Range") -> "Range":
        return Range(self.words + other.words, self.limit + other.limit, self.values + other.values, self.vanished + other.vanished)

    @property
    def at_limit(self) -> float:
        """Share of the words that are at a limit of the format, 0 to 1."""
        return self.limit / self.words if self.words else 0.0

    @property
    def lost(self) -> float:
        """Share of the non-zero values that became zero, 0 to 1."""
        return self.vanished / self.values if self.values else 0.0
