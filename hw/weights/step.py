"""From the accumulators of all rows to what an update subtracts."""

from amaranth.hdl import Cat, Mux, Signal, signed

from gradgate.hw.parts.registers import Unreset


def tree(m, values, bits):
    """The sum of ``values`` modulo ``2**bits``, one register a level."""
    while len(values) > 1:
        level = []
        for pair in (values[i:i + 2] for i in range(0, len(values), 2)):
            node = Unreset(bits, name="node")
            m.d.sync += node.eq(sum(pair))
            level.append(node)
        values = level
    return values[0]


def step(m, formats, total, half, beyond, shift, j):
    """``(total + half) >> shift`` clipped to ``master_bits + 1`` bits, three cycles later.

    half : ``2**(shift-1)``
    beyond : bits of the rounded total, from that of the step's sign up, that ``shift`` leaves out of the step
    j : lane, in the names of registers

    Each multiplexer level keeps the bits that later levels can still shift into the result. Whether the rest
    matters is seen before: the bits from ``master_bits + shift`` up must all equal the sign.
    """
    width, keep = max(formats.acc_bits, 32) + 1, formats.master_bits + 1
    rounded = Unreset(signed(width), name=f"rounded{j}")
    m.d.sync += rounded.eq(total.as_signed() + half)

    wide = Unreset(signed(keep + 3), name=f"wide{j}")
    sign = Unreset(name=f"sign{j}")
    above = Signal(width - keep, name=f"above{j}")
    clip = Unreset(-(-len(above) // 5), name=f"clip{j}")
    value = rounded
    for bit in (4, 3, 2):
        value = Mux(shift[bit], value >> (1 << bit), value)
    m.d.comb += above.eq((rounded[keep - 1:width - 1] ^ rounded[-1].replicate(width - keep)) & beyond)
    m.d.sync += [
        wide.eq(value),
        sign.eq(rounded[-1]),
        clip.eq(Cat(above[low:low + 5].any() for low in range(0, len(above), 5))),
    ]

    result = Unreset(signed(keep), name=f"step{j}")
    value = wide
    for bit in (1, 0):
        value = Mux(shift[bit], value >> (1 << bit), value)
    m.d.sync += result.eq(Mux(clip.any(), Cat((~sign).replicate(keep - 1), sign), value[:keep]))
    return result
