"""Shapes and checks that several components share."""

from amaranth.hdl import Const, Mux


def ones(flags) -> tuple:
    """Whether of ``flags`` none, exactly one is set."""
    if len(flags) == 1:
        return ~flags[0], flags[0]
    half = len(flags) // 2
    none_low, one_low = ones(flags[:half])
    none_high, one_high = ones(flags[half:])
    return none_low & none_high, (one_low & none_high) | (none_low & one_high)


def below(n: int) -> range:
    """Shape of a number below ``n``, of at least one bit.

    Vectors without bits are legal here but not in Verilog.
    """
    return range(max(2, n))


def outside(address, depth: int):
    """Whether ``address`` is no word of a memory of ``depth`` words; a power of two costs no comparator."""
    bits = (depth - 1).bit_length()
    if len(address) < bits or depth == 1 << len(address):
        return Const(0)
    return address[bits:].any() if depth == 1 << bits else address >= depth


def beyond(end, depth: int):
    """Whether ``end`` is more than ``depth``; a power of two costs no comparator."""
    bits = (depth - 1).bit_length()
    return end > depth if depth != 1 << bits else end[bits + 1:].any() | (end[bits] & end[:bits].any())


def rotated(words, rot, unit) -> list:
    """Word j of the result is word ``(j + unit * rot) mod len(words)``.

    It costs a level of multiplexers for each bit of ``rot``.
    """
    for bit in range(len(rot)):
        by = unit << bit
        words = [Mux(rot[bit], words[(j + by) % len(words)], word) for j, word in enumerate(words)]
    return words
