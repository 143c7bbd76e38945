"""Pipeline latencies, in clock cycles, that gateware and cycle model share.

Memory and multiplier have the latency of the registered ECP5 primitives (``DP16KD`` with output register, ``MULT18X18D``
with input, pipeline and output registers) in the portable version too, so that the target changes no cycle count.
"""

RAM = 2  #: address to data of every block RAM: array register, output register
ROW = RAM + 2  #: address at a row to data of its memories: a register of the row's own, memory, a register on the way out
PORT = ROW + 2  #: address at the rows' port to data: a register, the row, and a register behind the choice of the row
MULTIPLY = 3  #: operands to product: input, pipeline, output register
