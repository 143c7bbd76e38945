"""A RUN between the array and its rows."""

from amaranth.lib import wiring
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
