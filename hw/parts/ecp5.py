"""The multiplier and the block RAM of Lattice ECP5 with all their registers in use.

Source: Lattice, ECP5 and ECP5-5G sysDSP Usage Guide (FPGA-TN-02205), ECP5 Memory Usage Guide (FPGA-TN-02204).
"""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal

#: Bits of a word that a block's address can select, by the number of words; the first that is deep enough
#: takes fewest blocks.
WIDTHS = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
BYTE = 9  # bits that share a write enable


def has(platform) -> bool:
    """Whether ``platform`` is an ECP5: one whose ``device`` says so."""
    return str(getattr(platform, "device", "")).startswith(("LFE5U", "LAE5U"))


def bits(prefix, value, width) -> dict:
    """Instance ports ``prefix0`` .. of the bits of ``value``, with zeros above them."""
    return {f"{prefix}{i}": value[i] if i < len(value) else Const(0, 1) for i in range(width)}


def multiplier(a, b, o) -> Module:
    """``o = a * b``, signed, up to 18 x 18 bits, three cycles later.

    It is a ``MULT18X18D`` with input, pipeline and output registers. Other ports stay open: nextpnr cannot
    route constants to the cascade and to the second clocks, enables and resets.
    """
    m = Module()
    product = Signal(36)
    wide_a = Cat(a, a[-1].replicate(18 - len(a)))
    wide_b = Cat(b, b[-1].replicate(18 - len(b)))
    m.submodules.dsp = Instance(
        "MULT18X18D",
        p_REG_INPUTA_CLK="CLK0", p_REG_INPUTB_CLK="CLK0", p_REG_PIPELINE_CLK="CLK0", p_REG_OUTPUT_CLK="CLK0",
        i_CLK0=ClockSignal(), i_CE0=Const(1), i_RST0=Const(0), i_SIGNEDA=Const(1), i_SIGNEDB=Const(1),
        **bits("i_A", wide_a, 18),
        **bits("i_B", wide_b, 18),
        **bits("o_P", product, 36))
    m.d.comb += o.eq(product)
    return m


def copy(i, o, en=1) -> Module:
    """``o`` is ``i`` a cycle later, or of the last cycle with ``en`` where that is a signal.

    There is a ``TRELLIS_FF`` for each bit.
    """
    m = Module()
    enable = {"p_CEMUX": "1"} if isinstance(en, int) else {"p_CEMUX": "CE", "i_CE": en}
    for bit in range(len(i)):
        m.submodules[f"bit{bit}"] = Instance(
            "TRELLIS_FF", p_GSR="DISABLED", p_CLKMUX="CLK", p_LSRMUX="LSR", p_REGSET="RESET", **enable,
            i_CLK=ClockSignal(), i_LSR=Const(0), i_DI=i[bit], o_Q=o[bit])
    return m


def ram(component) -> Module:
    """Block RAM of ``component``, a :class:`~gradgate.hw.parts.ram.Ram`.

    It is made of ``DP16KD``, written by port A, read by port B with output register. A block of 36 bits takes
    both its ports for a word: port A has the lower half of the data, port B the upper.
    """
    m = Module()
    depth = next(depth for depth in WIDTHS if depth >= component.depth)
    width, part = WIDTHS[depth], component.width // component.parts
    # Pieces of a word that have a block to themselves in part, as many in it as it has enables: each its
    # first bit, its bits, its enable.
    pieces = []
    for i in range(component.parts):
        end = part * (i + 1)
        pieces += [(low, min(width, end - low), i) for low in range(part * i, end, width)]
    bytes_each = max(-(-size // BYTE) for _, size, _ in pieces)
    each = max(1, width // (bytes_each * BYTE)) if component.parts > 1 else 1
    shift = {36: 5, 18: 4, 9: 3, 4: 2, 2: 1, 1: 0}[width]  # address bits below the word's
    for number in range(0, len(pieces), each):
        data, enables, out = [], [], []
        for low, size, enable in pieces[number:number + each]:
            fill = min(width, bytes_each * BYTE) - size
            data += [component.w_data[low:low + size], Const(0, fill)]
            enables += [component.w_en[enable]] * bytes_each
            out += [component.r_data[low:low + size], *([Signal(fill, name="unused")] if fill else [])]
        block = _block(component, width, shift, Cat(data), Cat(enables), Cat(out))
        m.submodules[f"block{number // each}"] = block
    return m


def _block(component, width, shift, data, enables, out):
    """One ``DP16KD`` of ``width`` bits a word."""
    half = min(width, 18)
    read = Signal(width)
    read_address = Cat(Const(0, shift), component.r_addr)
    write_address = Cat(Const(0, shift), component.w_addr)
    if width >= 18:  # the address bits below the word's are the enables of its bytes
        enables = Cat(enables, Const(0, width // BYTE - len(enables)))
        write_address = Cat(enables, Const(0, shift - len(enables)), component.w_addr)
    ports = bits("i_DIA", data[:half], 18)
    if width == 36:
        ports |= bits("i_DIB", data[18:], 18)
        ports |= bits("o_DOA", read[:18], 18)
        ports |= bits("o_DOB", read[18:], 18)
    else:
        ports |= {f"o_DOB{i}": read[i] for i in range(width)}
    m = Module()
    m.d.comb += out.eq(read)
    m.submodules.ram = Instance(
        "DP16KD",
        p_DATA_WIDTH_A=width, p_DATA_WIDTH_B=width, p_REGMODE_A="OUTREG", p_REGMODE_B="OUTREG",
        p_RESETMODE="SYNC", p_GSR="DISABLED", p_CSDECODE_A="0b000", p_CSDECODE_B="0b000",
        p_WRITEMODE_A="NORMAL", p_WRITEMODE_B="NORMAL",
        i_CLKA=ClockSignal(), i_CLKB=ClockSignal(),
        i_CEA=Const(1), i_CEB=Const(1), i_OCEA=Const(1), i_OCEB=Const(1),
        i_RSTA=Const(0), i_RSTB=Const(0), i_WEA=Const(1) if width >= 18 else enables[0], i_WEB=Const(0),
        **{f"i_CS{port}{i}": Const(0) for port in "AB" for i in range(3)},
        **bits("i_ADA", write_address, 14),
        **bits("i_ADB", read_address, 14),
        **ports)
    return m
