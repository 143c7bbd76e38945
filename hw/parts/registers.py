"""Registers that several components make."""

from functools import partial

from amaranth.hdl import Signal

#: A register that a reset leaves alone, because nobody looks at it before it is written: what a reset reaches
#: costs time.
Unreset = partial(Signal, reset_less=True)


def behind(m, output, name):
    """An :class:`Unreset` register that drives ``output``; members of a signature cannot be one."""
    register = Unreset(output.shape(), name=name)
    m.d.comb += output.eq(register)
    return register


def delays(m, value, cycles, kind=Unreset, name="delayed") -> list:
    """``value`` delayed by 0, 1, .. ``cycles`` cycles, in registers called ``name0``, ``name1``, .."""
    taps = [value]
    for stage in range(cycles):
        taps.append(kind(value.shape(), name=f"{name}{stage}"))
        m.d.sync += taps[-1].eq(taps[-2])
    return taps


def gated(m, condition, value, name):
    """A register of ``value``, or zero where ``condition`` does not hold: its reset, which costs no LUT."""
    register = Unreset(len(value), name=name)
    with m.If(condition):
        m.d.sync += register.eq(value)
    with m.Else():
        m.d.sync += register.eq(0)
    return register
