"""What the sequencer adds to the cycles of units: fetching, starting, and recording ends."""

from gradgate.arch import latency

#: From the issue of a command to that of the next, beyond the words of the next: the memory, and registers of the word, of what it is,
#: and of what to do.
FETCH = latency.RAM + 3
SHORTEST = FETCH + 2  #: the same for the shortest command, its word included: what it is takes longer than its word
START = 1  #: from a command's issue to its unit's ``start``
RECORD = 1  #: from ``done`` to the record of the end
AROUND = START - 1 + RECORD  #: from the issue of a command to the record of its end, beyond the cycles of its unit
WAITED = 1  #: from a record to the issue of a command that waits for it
AGAIN = 1  #: busy cycles after the last record, at a stop


def fetch_cycles(length: int) -> int:
    """Cycles from the issue of a command, or from the start of the program, to the issue of the next, if it waits for nothing;
    ``length`` in words with header."""
    return max(length + FETCH, SHORTEST)
