"""What docs/soc.md tells its readers to do works: its snippets are taken from the page, and LiteX' own client talks to a system."""

import re
import subprocess
import sys

from litex.tools.remote.comm_uart import CommUART
from support import DOCS
from support.rig import ODD, TINY

from gradgate.arch.memorymap import ID_VALUE, Region, address
from gradgate.hw.generate import verilog
from gradgate.sim import toolchain
from gradgate.sim.board import SimulatedBoard

PAGE = (DOCS / "soc.md").read_text(encoding="utf-8")
SOC = """
import sys
from gradgate_litex import Gradgate
from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCMini
from migen import ClockDomain

platform = SimPlatform("SIM", [("clk", 0, Pins(1)), ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1)))])


class SoC(SoCMini):
    def __init__(self):
        self.cd_sys = ClockDomain()
        self.comb += self.cd_sys.clk.eq(platform.request("clk"))
        SoCMini.__init__(self, platform, clk_freq=1_000_000)
        self.add_uartbone(baudrate=115200)
{lines}


soc = SoC()
soc.finalize()
platform.get_verilog(soc, name="soc").write("soc.v")
assert [path for path, *_ in platform.sources] == [sys.argv[1]], platform.sources
"""


class Client(CommUART):
    """LiteX' client, which otherwise waits for ever."""

    def _read(self, length):
        self.port.timeout = 20
        data = self.port.read(length)
        assert len(data) == length, f"{len(data)} of {length} bytes came"
        return data


def blocks(language):
    """Code blocks of the page in one language ("" for none)."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in every if name == language]


def lint(top, directory, *files):
    """Complaints about ports: unknown, left open, of another width. LiteX' own Verilog has other warnings, which are not ours."""
    output = toolchain.run_verilator(["--lint-only", "-Wno-fatal", "--top-module", top, *files], cwd=directory)
    return re.findall(r"PINMISSING.*|PINNOTFOUND.*|.*port connection.*", output)


def core(directory, bus):
    """Writes the core; its own warnings are looked for elsewhere."""
    toolchain.use_yosys()
    (directory / "gradgate.v").write_text("/* verilator lint_off WIDTH */\n" + verilog(ODD[0], bus) + "/* verilator lint_on WIDTH */\n")
    return directory / "gradgate.v"


def elaborate(directory, text):
    """Elaborate the page's class and lines in a LiteX SoC."""
    (directory / "gradgate_litex.py").write_text(text)
    lines, = (block for block in blocks("") if "add_slave" in block)
    lines = lines.replace('"build/gradgate.v"', "sys.argv[1]")
    (directory / "soc.py").write_text(SOC.format(lines="".join(f"        {line}\n" for line in lines.splitlines())))
    done = subprocess.run([sys.executable, "soc.py", str(core(directory, "wishbone"))], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_litex_soc(tmp_path):
    """The class and the lines of the page, in a SoC with a serial bridge; LiteX' Verilog and the core fit together."""
    text, = blocks("python")
    elaborate(tmp_path, text)
    assert lint("soc", tmp_path, "soc.v", "gradgate.v") == []
    elaborate(tmp_path, text.replace("i_wb_sel=self.bus.sel, ", ""))
    assert "wb_sel" in lint("soc", tmp_path, "soc.v", "gradgate.v")[0]


def test_axi_template(tmp_path):
    text, = blocks("verilog")
    (tmp_path / "my_system.v").write_text(text)
    core(tmp_path, "axi-lite")
    assert lint("my_system", tmp_path, "my_system.v", "gradgate.v") == []
    (tmp_path / "my_system.v").write_text(text.replace("m_araddr[25:0]", "m_araddr").replace(" .s_axi_bready(m_bready),", ""))
    wrong = " ".join(lint("my_system", tmp_path, "my_system.v", "gradgate.v"))
    assert "s_axi_araddr" in wrong and "s_axi_bready" in wrong


def test_litex_client():
    """LiteX' client reads the identification, and writes and reads staging, bursts and fixed addresses, through our bridge."""
    with SimulatedBoard(TINY) as board:
        client = Client(board.port, 115200)
        staging = 4 * address(Region.STAGING, 0)
        assert client.read(0) == ID_VALUE
        words = [i * 0x1111 for i in range(1, 8)] * 3
        client.write(staging, words)
        assert [word & 0xFFFF for word in client.read(staging, len(words))] == [word & 0xFFFF for word in words]
        client.write(staging + 8, [5, 6, 7], burst="fixed")
        assert client.read(staging, 4) == [0x1111, 0x2222, 7, 0x4444]
        assert client.read(staging + 8, 3, burst="fixed") == [7, 7, 7]
        assert client.read(staging + 8 + (1 << 26)) == 0
        client.close()
