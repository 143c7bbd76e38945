"""Which modules of a design are identical up to names."""

import re

MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.MULTILINE | re.DOTALL)
SIGNAL = re.compile(r"([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?|\d+'([^\s,]*)|[^\s{}]")


class _Bits:
    """The bits of a module's wires, numbered in the order in which they are mentioned."""

    def __init__(self):
        self.wires = {}  #: {name: what is known of each bit}
        self.number = {}  #: {(name, bit): its number}

    def declare(self, wire: str, attributes: list) -> None:
        """A line that declares a wire, with the attributes in front of it."""
        *options, name = wire.split(" ")
        width = int(options[options.index("width") + 1]) if "width" in options else 1
        direction = next((word for word in options if word in ("input", "output", "inout")), "")
        initial = next((text.rpartition("'")[2] for text in attributes if text.startswith("\\init ")), "")
        others = [text for text in attributes if not text.startswith("\\init ")]
        self.wires[name] = [(direction, initial[-1 - bit:][:1], *others) for bit in range(width)]

    def split(self, signals: str) -> list:
        """The bits of signals, highest first: (wire, bit), or the digit of a constant."""
        found = []
        for match in SIGNAL.finditer(signals):
            wire, high, low, constant = match.groups()
            if wire is None:
                found += match[0] if constant is None else constant
            else:
                high, low = (len(self.wires[wire]) - 1, 0) if high is None else (int(high), int(low or high))
                found += [(wire, bit) for bit in range(high, low - 1, -1)]
        return found

    def text(self, bits) -> str:
        """Digits of constants, and numbers of other bits."""
        return " ".join(bit if isinstance(bit, str) else f"#{self.number.setdefault(bit, len(self.number))}" for bit in bits)


def same_modules(rtlil: str) -> dict:
    """For each module of RTLIL as Amaranth writes it the first module that is identical to it up to names."""
    first = {}
    return {name: first.setdefault(form, name) for name, form in forms(rtlil).items()}


def forms(rtlil: str) -> dict:
    """The text of each module of RTLIL as Amaranth writes it, without its names: equal for modules that are identical up to names.

    Cells and processes are compared in the order in which they are written, with numbers for the bits of their wires: Amaranth makes a
    port one vector in one module and several in another. In an instance, the type becomes the first identical module, and a bit of a
    port becomes the number it has in there. What is left has to be equal to the letter.
    """
    bodies = dict(MODULE.findall(rtlil))
    modules, first, result = {}, {}, {}

    def visit(name):
        if name not in result:
            result[name] = form(name)
        return first.setdefault(result[name], name)

    def form(name):
        bits = modules[name] = _Bits()
        lines, joined, attributes, cell, pins = [], [], [], None, None
        for line in bodies[name].splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "attribute":
                attributes += [rest] if not rest.startswith("\\src ") else []
                continue
            if word == "wire":
                bits.declare(rest, attributes)
            elif word:
                lines += attributes
                if word == "cell":
                    cell = rest.split(" ")[0]
                    pins = [] if cell[1:] in bodies else None
                    lines.append(f"cell {cell}" if pins is None else f"instance of {visit(cell[1:])}")
                elif word == "connect" and cell:
                    port, _, signals = rest.partition(" ")
                    if pins is None:
                        lines.append(f"{port} {bits.text(bits.split(signals))}")
                    else:
                        child = modules[cell[1:]]
                        pins += zip((child.number[bit] for bit in child.split(port)), bits.split(signals), strict=True)
                elif word == "end" and cell:
                    lines += [f"{port} {bits.text([bit])}" for port, bit in sorted(pins or (), key=lambda pin: pin[0])]
                    cell = pins = None
                elif word == "connect":
                    both = bits.split(rest)
                    joined += zip(both[:len(both) // 2], both[len(both) // 2:])
                elif word in ("parameter", "memory"):
                    lines.append(line)
                else:
                    lines.append(word if word == "process" else f"{word} {bits.text(bits.split(rest))}")
            attributes = []
        ports = [(wire, bit) for wire, each in bits.wires.items() for bit, (direction, *_) in enumerate(each) if direction]
        used = {*bits.number, *ports}  # other bits are second names
        while live := {bit: source for bit, source in joined if bit in used}:
            lines += map(bits.text, live.items())
            joined = [pair for pair in joined if pair[0] not in live]
            used = set(live.values())
        bits.text(ports)  # all have numbers
        return "\n".join([*lines, *(repr(bits.wires[wire][bit]) for wire, bit in bits.number)])

    for name in bodies:
        visit(name)
    return result
