"""Wishbone and AXI4-Lite: the same answers as on the native bus, and what their own rules ask for."""

import json

import pytest
from support import SUPPORT, TESTS
from support.fresh_process import text_with_hash_seed
from support.rig import ODD

from gradgate.arch.checks import ConfigError
from gradgate.hw.generate import BUSES, generate, manifest, verilog
from gradgate.sim import cocotb, toolchain

CONFIG = ODD[0]
PORTS = {
    "native": "bus__valid bus__write bus__addr bus__w_data bus__ready bus__r_data clk rst",
    "wishbone": "wb_cyc wb_stb wb_we wb_adr wb_dat_w wb_sel wb_dat_r wb_ack wb_err clk rst",
    "axi-lite": "s_axi_aclk s_axi_aresetn s_axi_awaddr s_axi_awprot s_axi_awvalid s_axi_awready s_axi_wdata s_axi_wstrb s_axi_wvalid "
                "s_axi_wready s_axi_bresp s_axi_bvalid s_axi_bready s_axi_araddr s_axi_arprot s_axi_arvalid s_axi_arready s_axi_rdata "
                "s_axi_rresp s_axi_rvalid s_axi_rready",
}


def test_same_on_all_buses(tmp_path):
    """All tests of the bench; whatever is read is what the native bus reads, under all stalls."""
    toolchain.use_yosys()
    lines = []
    for bus in BUSES:
        log = tmp_path / bus
        environment = {"BENCH_CONFIG": json.dumps(CONFIG.to_dict()), "BENCH_BUS": bus, "BENCH_LOG": str(log), "PYTHONPATH": str(TESTS)}
        cocotb.run(verilog(CONFIG, bus), SUPPORT / "cocotb_faces.py", seed=1, environment=environment)
        lines += log.read_text().splitlines()
    assert len(lines) == 9 and len(set(lines)) == 1
    assert len(json.loads(lines[0])) > 80


@pytest.mark.parametrize("bus", BUSES)
def test_files(bus, tmp_path):
    """The same text for two hash seeds, clean under lint; ports have the names that tools look for; the manifest tells the bus."""
    toolchain.use_yosys()
    generate(CONFIG, tmp_path, bus)
    text = (tmp_path / "gradgate.v").read_text()
    toolchain.lint(tmp_path / "gradgate.v")
    if bus != "native":
        assert text == text_with_hash_seed(CONFIG.to_dict(), 2, bus)
    ports = text.split("module gradgate(")[1].split(")")[0].replace("\n", "").split(",")
    assert {p.strip() for p in ports} == {*PORTS[bus].split(), "busy", "error"}
    assert json.loads((tmp_path / "manifest.json").read_text())["bus"]["kind"] == bus


def test_no_such_bus():
    with pytest.raises(ConfigError, match="bus must be one of native, wishbone, axi-lite, not 'axi'"):
        verilog(CONFIG, "axi")
    assert manifest(CONFIG)["bus"] == {"kind": "native", "signals": "bus__*", "address_unit": "word"}
