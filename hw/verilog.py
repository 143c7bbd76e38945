"""From Amaranth to Verilog that means the same in every tool."""

import re
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

#: A control file for Verilator, which waives what the Verilog writer of Yosys does in every file.
WAIVERS = Path(__file__).with_name("lint.vlt")
#: How Yosys begins a module with combinational processes: they name a register that never changes, so that a simulator has something
#: to run them for at the start. But in SystemVerilog an initial value is there before any process waits for it, and nothing changes.
TRIGGER = re.compile(r"^  reg (\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+) += 0;$", re.MULTILINE)
#: What it is called here, and how it changes: after all processes have come to where they wait.
START = r"\$start"
#: Verilator has no processes that wait, so that the order does not matter to it.
HEADER = "/* verilator lint_off INITIALDLY */\n"
WORD = r"\$word "  # of a memory
#: The declaration of a memory: bits of a word, name, number of the last word.
MEMORY = re.compile(r"^  reg (?:signed )?(?:\[(\d+):0\] )?(\S+) +\[(\d+):0\];\n(?!  initial begin\n)", re.MULTILINE)
#: A process of a single statement, which Yosys begins without that.
SINGLE = re.compile(r"^  always @\*\n    (.*;)$", re.MULTILINE)
MODULE = re.compile(r"^module (\S+?)( ?\(.*?^endmodule)$", re.MULTILINE | re.DOTALL)
#: A port that Amaranth adds for a signal of another module; the numbers follow from where in the design it is.
PORT = re.compile(r"port\$\d+\$\d+")
#: An instance: its module's name, and all from its own name on.
INSTANCE = re.compile(r"^  (\S+)( +\S+ +\(\n.*?^  \);)$", re.MULTILINE | re.DOTALL)
PIN = re.compile(rf"^    \.\\({PORT.pattern})", re.MULTILINE)


def convert(top, name: str, *, device: str = "", shared: bool = True) -> str:
    """The component ``top`` as Verilog-2005, its top module called ``name``; the same text for the same arguments.

    Of modules that are the same, as most lanes are, only the first is written, and the others' instances are of that. Without ``shared``
    each instance has a module of its own, called by its place.

    It has the same values in every simulator: combinational processes run at the start, whether or not what they read ever changes, and
    memories are zero. A loop makes them so, which is not for synthesis: tools that define ``SYNTHESIS`` do not read it, which would take
    them longer than all the rest. No result depends on these zeros.

    ``device``: see :func:`gradgate.hw.generate.verilog`. Raises Amaranth's ``YosysError``.
    """
    from amaranth.back import verilog as backend  # slow to import

    # The second step of Amaranth's own conversion, of which it has no public name; pyproject.toml bounds its releases.
    text = portable(backend._convert_rtlil_text(rtlil(top, name, device=device), strip_internal_attrs=True))
    return share(text) if shared else text


def rtlil(top, name: str, *, device: str = "") -> str:
    """The component ``top`` in the language of Yosys; memories of zeros have no initial values there."""
    from amaranth.back import rtlil as backend

    with _no_zeros(backend):
        return backend.convert(top, platform=SimpleNamespace(device=device), name=name, emit_src=False)


@contextmanager
def _no_zeros(backend):
    """Let Amaranth write no initial values where a memory's are zeros: of a large core they are nine tenths of the time and of the text."""
    usual = backend.ModuleEmitter

    class Emitter(usual):
        def emit_memory(self, cell_idx, cell):
            if any(cell.init):
                super().emit_memory(cell_idx, cell)

    backend.ModuleEmitter = Emitter
    try:
        yield
    finally:
        backend.ModuleEmitter = usual


def share(text: str) -> str:
    """Verilog with one module in the place of all that differ in nothing but their names, and the numbers in those of their ports."""
    modules = dict(MODULE.findall(text))
    while True:
        first, same = {}, {}  # modules by what they are; for one that there is already, that and its ports
        for name, body in modules.items():
            what, ports = _without_numbers(body)
            original, names = first.setdefault(what, (name, ports))
            if original != name:
                same[name] = original, dict(zip(ports, names))
        modules = {name: _of_first(body, same) for name, body in modules.items() if name not in same}
        if not same:
            head = text[:MODULE.search(text).start()]
            return head + "\n\n".join(f"module {name}{body}" for name, body in modules.items()) + "\n"


def _without_numbers(body: str) -> tuple:
    """A module's text with the ports of Amaranth's own counted from 0 as they come, and their names."""
    ports = list(dict.fromkeys(PORT.findall(body)))
    number = {port: str(index) for index, port in enumerate(ports)}
    return PORT.sub(lambda port: number[port[0]], body), ports


def _of_first(body: str, same: dict) -> str:
    """A module's text whose instances are of the first module that is the same as their own."""
    def instance(match):
        original, ports = same.get(match[1], (match[1], {}))
        return f"  {original}{PIN.sub(lambda pin: pin[0].replace(pin[1], ports.get(pin[1], pin[1])), match[2])}"
    return INSTANCE.sub(instance, body)


def portable(text: str) -> str:
    """Yosys' Verilog with a start that is the same in every simulator."""
    return HEADER + MODULE.sub(lambda module: MEMORY.sub(_zeros, _started(module[0])), text)


def _started(module: str) -> str:
    """A module whose combinational processes all run at the start."""
    trigger = TRIGGER.search(module)
    if trigger:
        module = module.replace(trigger[0] + "\n", "").replace(trigger[1], START)
    module = SINGLE.sub(rf"  always @* begin\n    if (\{START} ) begin end\n    \1\n  end", module)
    if START not in module:
        return module
    head, body = module.split(";\n", 1)
    return f"{head};\n  reg {START} ;\n  initial {START}  <= 1'h0;\n{body}"


def _zeros(memory: re.Match) -> str:
    """The declaration of a memory, and a loop that fills it with zeros."""
    name = memory[2]
    block = rf"\{name.removeprefix(chr(92))}$zeros"
    return (f"{memory[0]}`ifndef SYNTHESIS\n  initial begin : {block} \n    integer {WORD};\n"
            f"    for ({WORD} = 0; {WORD} <= {memory[3]}; {WORD} = {WORD} + 1) {name} [{WORD}] = 0;\n  end\n`endif\n")
