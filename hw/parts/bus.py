"""The bus between a host and a core."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import ADDRESS_BITS


class BusSignature(wiring.Signature):
    """The host bus (seen from its master). A transfer is done in the cycle with both ``valid`` and ``ready``.

    valid : Out(1), a request; it stays as it is up to and with the cycle with ``ready``
    write : Out(1), it is a write; valid with ``valid``
    addr : Out(24), word address; valid with ``valid``
    w_data : Out(32), the word to write; valid with ``valid`` of a write
    ready : In(1); may depend on ``write``, not on ``valid``
    r_data : In(32), the word read; valid in the cycle with ``ready`` of a read
    """

    def __init__(self):
        super().__init__({
            "valid": Out(1),
            "write": Out(1),
            "addr": Out(ADDRESS_BITS),
            "w_data": Out(WORD),
            "ready": In(1),
            "r_data": In(WORD),
        })
