"""Access to the memories of one row at a time."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.parts.shapes import below


class BrickPortSignature(wiring.Signature):
    """Access to the memory of one row (seen from who uses it).

    addr : Out(range(act_bricks)), brick to read and to write
    en : Out(lanes), write these words of it; 0 only reads
    w_data : Out(brick), the words, lane 0 first; valid with ``en``
    r_data : In(brick), the brick of some cycles ago; the component whose memory it is says of how many
    """

    def __init__(self, config):
        brick = data.ArrayLayout(config.formats.act_bits, config.lanes)
        super().__init__({
            "addr": Out(range(config.act_bricks)),
            "en": Out(config.lanes),
            "w_data": Out(brick),
            "r_data": In(brick),
        })


class RowPortSignature(wiring.Signature):
    """Access to the row memories by a unit that works on one row at a time (seen from the unit).

    row : Out(range(rows)), row number, for reads and writes
    addr : Out(range(act_bricks)), brick in its memory, for reads and writes
    en : Out(lanes), write these words of it; 0 only reads
    w_data : Out(brick), the words, lane 0 first; valid with ``en``
    r_data : In(brick), the brick at the ``row`` and ``addr`` of ``READ`` cycles ago
    """

    #: cycles from address to ``r_data``
    READ = latency.PORT

    def __init__(self, config):
        brick = data.ArrayLayout(config.formats.act_bits, config.lanes)
        super().__init__({
            "row": Out(below(config.rows)),
            "addr": Out(range(config.act_bricks)),
            "en": Out(config.lanes),
            "w_data": Out(brick),
            "r_data": In(brick),
        })


class ChoicePortSignature(wiring.Signature):
    """Reading of the argmax memories, one row at a time (seen from who reads).

    row : Out(range(rows)), row number
    addr : Out(range(argmax_bricks)), brick in its memory
    data : In(lanes x 2), the brick of ``READ`` cycles ago
    """

    #: cycles from address to ``data``
    READ = latency.PORT

    def __init__(self, config):
        super().__init__({
            "row": Out(below(config.rows)),
            "addr": Out(range(config.argmax_bricks)),
            "data": In(data.ArrayLayout(2, config.lanes)),
        })
