"""The multiplier: the product, when it is promised. What a lane's proof takes from it is only the number of cycles."""

from formal.proof import Proof
from gradgate.arch import latency
from gradgate.hw.parts import multiplier


class MultiplierProof(Proof):
    """The output is the signed product of the operands of ``latency.MULTIPLY`` cycles ago. Nothing is assumed."""

    def __init__(self, config=None, module=multiplier):
        super().__init__(module.Multiplier(width=6))

    def properties(self, m):
        dut = self.unit
        a, b = dut.a, dut.b
        for _ in range(latency.MULTIPLY):
            a, b = self.past(a), self.past(b)
        self.check(dut.o == a * b)
        self.cover((a == -32) & (b == -32) & (dut.o == 1024))
