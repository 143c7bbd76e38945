"""Between the host port and the sequencer."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WORD, Error
from gradgate.arch.memorymap import STOP_NONE, WATCHDOG_DEFAULT

INDEX_BITS = 16  #: of the number of a command


class ControlSignature(wiring.Signature):
    """What the host port and the sequencer share (seen from the sequencer).

    go : In(1), one cycle, ignored while ``busy``: start at program word ``start_at``. A start at 0 sets
        ``index`` and ``now`` to 0; one beyond the program memory is an error like a missing ``END``.
    start_at : In(range(program_words + 1)), valid in the cycle of ``go``
    stop_at : In(16), index of the last command to issue, 0xffff for none; looked at in the cycle before it is
    watchdog : In(32), cycles that may pass, while a unit is busy, until one starts or an end is recorded;
        looked at in every cycle
    busy : Out(1), from the cycle after ``go`` to the last cycle of the program
    ended : Out(1), an ``END`` was executed; cleared by ``go``
    error : Out(Error), why the program stopped; cleared by ``go``
    index : Out(16), number of the next command to issue; with an error of the one at fault
    pc : Out(range(program_words + 1)), program word at which the next command to issue begins
    now : Out(32), cycles with ``busy`` before this one since the start at 0
    p_addr : Out(range(program_words)), word of the program memory to read
    p_data : In(32), the word at the ``p_addr`` of ``latency.RAM`` cycles ago
    starts_en : Out(1), the command ``starts_addr`` was issued in the cycle before: ``now`` is when
    starts_addr : Out(range(counters)), valid with ``starts_en``
    ends_en : Out(1), the end of the command ``ends_addr`` was recorded in the cycle before: ``now`` is when
    ends_addr : Out(range(counters)), valid with ``ends_en``
    """

    def __init__(self, config):
        pc = range(config.program_words + 1)
        super().__init__({
            "go": In(1),
            "start_at": In(pc),
            "stop_at": In(INDEX_BITS, init=STOP_NONE),
            "watchdog": In(WORD, init=WATCHDOG_DEFAULT),
            "busy": Out(1),
            "ended": Out(1),
            "error": Out(Error),
            "index": Out(INDEX_BITS),
            "pc": Out(pc),
            "now": Out(WORD),
            "p_addr": Out(range(config.program_words)),
            "p_data": In(WORD),
            "starts_en": Out(1),
            "starts_addr": Out(range(config.counters)),
            "ends_en": Out(1),
            "ends_addr": Out(range(config.counters)),
        })
