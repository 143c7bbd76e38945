"""ECP5 primitives, and what is made of them, under test: a table of stimuli goes in, what every instance answered comes out.

All instances of a design see the same input bits ``in``, a row of the table every cycle, so that one build has all modes.
"""

from gradgate.arch.config import Config
from gradgate.fpga.netlist import models
from gradgate.sim.simulator import Simulator

ROWS = 4096  #: of the table, at most
BITS = 96  #: of a row

#: Table and answers are written and read by the backdoor. The bus is there because a simulator of a core has one; it writes only so
#: that the table is no constant.
TOP = """
module gradgate(input clk, input rst, input bus__valid, input bus__write, input [23:0] bus__addr, input [31:0] bus__w_data,
                output bus__ready, output [31:0] bus__r_data, output busy, output error);
  assign bus__ready = 1, bus__r_data = 0, busy = 0, error = 0;
  reg [{bits}:0] stimuli [{rows}:0];
  reg [11:0] row = 0;
  always @(posedge clk) row <= rst ? 0 : row + 1;
  always @(posedge clk) if (bus__valid && bus__write) stimuli[bus__addr[11:0]] <= bus__w_data;
  wire [{bits}:0] in = rst ? 0 : stimuli[row];
{instances}
endmodule
"""

INSTANCE = """
  wire [{high}:0] {name};
  reg [{high}:0] answer_{name} [{rows}:0];
  always @(posedge clk) answer_{name}[row] <= {name};
  {text}
"""

#: First bit and bits of what a row holds. Primitives without an address or data take their control inputs from the same bits.
FIELDS = {"dia": (0, 18), "dib": (18, 18), "ada": (36, 14), "adb": (50, 14), "cea": (64, 1), "ocea": (65, 1), "wea": (66, 1),
          "rsta": (67, 1), "ceb": (68, 1), "oceb": (69, 1), "web": (70, 1), "rstb": (71, 1), "csa": (72, 3), "csb": (75, 3)}


def pins(pin: str, wire: str, count: int, first: int = 0) -> str:
    """Connections of the pins ``pin``0, ``pin``1, .. to the bits of ``wire`` from ``first`` on."""
    return ", ".join(f".{pin}{i}({wire}[{first + i}])" for i in range(count))


def parameters(**values) -> str:
    """Parameters of an instance: numbers as they are, texts in quotes."""
    return ", ".join(f'.{name}({value})' if isinstance(value, int) else f'.{name}("{value}")' for name, value in values.items())


def design(instances: dict, bits: int = BITS) -> str:
    """Verilog of ``{name: (bits of the answer, instances that drive a wire of that name)}``, and the models. ``bits`` of a row: 96,
    or another multiple of 32 above 64."""
    body = "".join(INSTANCE.format(name=name, high=bits - 1, rows=ROWS - 1, text=text) for name, (bits, text) in instances.items())
    return TOP.format(bits=bits - 1, rows=ROWS - 1, instances=body) + models()


def pack(rows: list) -> list:
    """Rows of the table from the values of their fields by name; what is left out is zero."""
    return [sum((int(row.get(name, 0)) & (1 << bits) - 1) << first for name, (first, bits) in FIELDS.items()) for row in rows]


def answers(verilog: str, names, rows: list) -> dict:
    """What the instances ``names`` answer to ``rows``, integers: values before the clock edge that ends each cycle, ``{name: [..]}``.

    Primitives start as after configuration, and see zeros before the first row.
    """
    with Simulator(Config.load("tiny"), verilog=verilog) as sim:
        table = sim.memory("stimuli")
        table[:len(rows)] = [[row >> 32 * part & 0xFFFFFFFF for part in range(table.shape[1])] for row in rows]
        sim.reset()  # the first row has passed then
        sim.step(len(rows) - 1)
        return {name: sim.memory(f"answer_{name}")[:len(rows)].tolist() for name in names}
