"""Access to one memory."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ReadPortSignature(wiring.Signature):
    """Reading of a memory (seen from who reads).

    addr : Out(addr), the word to read
    data : In(data), the word of some cycles ago; the component whose memory it is says of how many
    """

    def __init__(self, addr, data):
        super().__init__({
            "addr": Out(addr),
            "data": In(data),
        })


class WritePortSignature(wiring.Signature):
    """Writing of a memory (seen from who writes).

    en : Out(parts), write these parts of a word
    addr : Out(addr), the word; valid with ``en``
    data : Out(data), what to write; valid with ``en``
    """

    def __init__(self, addr, data, parts=1):
        super().__init__({
            "en": Out(parts),
            "addr": Out(addr),
            "data": Out(data),
        })
