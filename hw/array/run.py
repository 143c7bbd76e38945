"""What the rows of the array and their lanes are told of a RUN."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.array.run_check import RunCheck
from gradgate.hw.parts.command import layout


class RunSignature(wiring.Signature):
    """What a row has to know of a RUN, and says of it (seen from the array).

    start : Out(1), one cycle: the row begins, ``Row.SETTLE`` cycles after the command's ``start``
    running : Out(1), the RUN is active
    fields : Out(fields of RUN), stable from the cycle before the command's ``start`` on
    k_most : Out(signed), largest legal k of a full brick, of :class:`RunCheck`
    k_most_tail : Out(signed), the same for a pixel's last brick
    done : In(1), all positions are finished; a level, clear while starting
    fault : In(1), see :class:`~gradgate.hw.array.window.Window` and
        :class:`~gradgate.hw.array.list_builder.ListBuilder`
    """

    def __init__(self, config):
        super().__init__({
            "start": Out(1),
            "running": Out(1),
            "fields": Out(layout(Opcode.RUN)),
            "k_most": Out(RunCheck.k_shape(config)),
            "k_most_tail": Out(RunCheck.k_shape(config)),
            "done": In(1),
            "fault": In(1),
        })


def run_layout(config) -> data.StructLayout:
    """What a lane has to know of a RUN, from registers near it.

    running : it is active; the lane's memories are its own
    outer : field of the command: turns are OUT, not RED
    fetch : field of the command: each position has targets of its own
    accumulate : field of the command: sums go on from those in the memory
    bank_addr : field of the command: bank word of k = 0
    every : targets of this lane at each position without ``fetch``
    """
    return data.StructLayout({
        "running": 1, "outer": 1, "fetch": 1, "accumulate": 1,
        "bank_addr": range(config.bank_weights), "every": range(config.targets + 1),
    })
