"""Multipliers, accumulators and memories with nothing around them: how fast the flow and the device are at best."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram

WORD, SUM, WORDS = 16, 36, 512


class MacArray(wiring.Component):
    """``pes`` multipliers that add up into memories of their own: what is left of a PE without lists, skipping and control.

    ::

        rx -- shift register -- a --+-- multiplier -- register -- + -- bank of 512 sums --.
                             '- b --'   (one b a PE)              '-----------------------+-- fold -- tx

    Parameters: pes (at least 1).
    Members: those of :class:`~gradgate.hw.bus.system.System`; rx feeds the operands, tx depends on all sums.
    Latency: of no use. Throughput: ``pes`` multiplications a cycle. Resources: a DSP and a block RAM a PE.
    """

    def __init__(self, pes):
        self.pes = pes
        super().__init__({"rx": In(1), "tx": Out(1), "busy": Out(1), "error": Out(1), "alive": Out(1), "link": Out(1)})

    def elaborate(self, platform):
        m = Module()
        # everything goes from PE to PE: a broadcast would be all that is measured
        count = Signal(range(WORDS))
        link = last = self.rx
        m.d.sync += count.eq(count + 1)
        operand = Signal(signed(WORD))
        address = count
        m.d.sync += operand.eq(Cat(self.rx, operand))
        for pe in range(self.pes):
            m.submodules[f"mac{pe}"] = multiplier = Multiplier(WORD)
            m.submodules[f"bank{pe}"] = bank = Ram(width=SUM, depth=WORDS)
            factor = Signal(signed(WORD), name=f"factor{pe}")
            weight = Signal(signed(WORD), name=f"weight{pe}")
            product = Signal(signed(SUM), name=f"product{pe}")
            held = Signal(signed(SUM), name=f"held{pe}")
            total = Signal(signed(SUM), name=f"total{pe}")
            r_addr = Signal(range(WORDS), name=f"read{pe}")
            w_addr = Signal(range(WORDS), name=f"write{pe}")
            folded = Signal(SUM, name=f"folded{pe}")
            m.d.sync += [
                weight.eq(Cat(link, weight)),
                factor.eq(operand),
                product.eq(multiplier.o),
                r_addr.eq(address),
                w_addr.eq(r_addr - 5),
                held.eq(bank.r_data),
                total.eq(held + product),
                folded.eq(bank.r_data ^ Cat(last, folded)),
            ]
            m.d.comb += [
                multiplier.a.eq(factor),
                multiplier.b.eq(weight),
                bank.r_addr.eq(r_addr),
                bank.w_addr.eq(w_addr),
                bank.w_data.eq(total),
                bank.w_en.eq(1),
            ]
            operand, address = factor, r_addr
            link, last = weight[-1], folded[-1]
        m.d.comb += self.tx.eq(last)
        m.d.sync += self.alive.eq(count[-1])
        return m
