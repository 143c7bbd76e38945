"""Shapes that several components share."""


def below(n: int) -> range:
    """Shape of a number below ``n``, of at least one bit: vectors without bits are legal here but not in Verilog."""
    return range(max(2, n))
