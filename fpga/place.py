"""From a configuration to a bitstream: Yosys, nextpnr for each seed, the packer."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from gradgate.arch.files import write_files
from gradgate.fpga import floorplan, synthesis
from gradgate.fpga.boards import Board, TooLarge
from gradgate.fpga.placed import Placed, read
from gradgate.fpga.resources import Resources
from gradgate.fpga.top import BoardTop
from gradgate.hw.generate import TOP
from gradgate.sim.toolchain import ToolError, first_error

#: Share of the clock period that paths may take in logic for ABC9, which knows no routing; measured on ``tiny``: with the whole
#: period it saves so many LUTs that the clock is a fifth slower.
LOGIC = 0.3
#: What makes designs faster on an ECP5. Measured on ``tiny``: router1 reaches 79 MHz where router2 reaches 67 from the same placement.
#: On one netlist of ``small``: where paths that matter count more in placement, 82 MHz are expected before routing instead of 73.
ECP5_EFFORT = ("--router", "router1", "--placer-heap-timingweight", "20", "--placer-heap-critexp", "3")
#: On a Gowin a flip-flop takes the place of the LUT beside it, unless that feeds it: designs are fuller than the counts say. Measured on
#: ``pico``: where cells are spread more, wires are a tenth shorter after eight iterations of placement. And nextpnr gives up on a cell
#: without a place, as in ``nano``, within a minute; else it goes on for more than a quarter of an hour.
GOWIN_EFFORT = ("--placer-heap-beta", "0.6", "--placer-heap-cell-placement-timeout", "100000")
#: What nextpnr says of a cell for which there is no place, although by count there is.
NO_PLACE = "Unable to find legal placement"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A design on a board, placed and routed with several seeds."""

    board: Board
    config: dict  #: ``name``, ``array`` with ``rows`` and ``lanes``, and what else describes the design
    mhz: float  #: the clock
    needs: Resources  #: after synthesis
    seeds: dict  #: {seed: its :class:`Placed`}
    bitstream: str | None  #: where the bitstream is; None where no seed is fast enough
    tools: str

    @property
    def fmax(self) -> float:
        """MHz of the worst seed."""
        return min(placed.fmax for placed in self.seeds.values())

    @property
    def best(self) -> int:
        """The seed of the bitstream."""
        return max(self.seeds, key=lambda seed: self.seeds[seed].fmax)

    @property
    def pes(self) -> int:
        """Multipliers that can be busy in every cycle."""
        return self.config["array"]["rows"] * self.config["array"]["lanes"]

    def require_clock(self) -> None:
        """Raise :class:`ToolError` where no seed is fast enough."""
        if self.bitstream is None:
            raise ToolError(f"too slow for a clock of {self.mhz:g} MHz, no bitstream: the best seed reaches "
                            f"{self.seeds[self.best].fmax:.1f} MHz; try a lower --freq or other --seeds")

    def json(self) -> dict:
        """All figures."""
        worst = min(self.seeds.values(), key=lambda placed: placed.fmax)
        return {
            "board": self.board.name, "device": self.board.device, "config": self.config, "pes": self.pes, "clock_mhz": self.mhz,
            "fmax_mhz": round(self.fmax, 2), "seeds_mhz": {str(seed): round(placed.fmax, 2) for seed, placed in self.seeds.items()},
            "meets_clock": self.bitstream is not None, "bitstream_seed": self.best if self.bitstream else None,
            "synthesised": asdict(self.needs), "used": worst.used, "critical_path": worst.path.json(), "units": worst.units,
            "dense_gmacs": round(self.pes * self.fmax / 1000, 3), "tools": self.tools,
            "date": date.today().isoformat(),
        }


def tool(name: str, arguments: list, directory: Path, log: str) -> None:
    """Run a tool of this Python environment in ``directory``, with relative paths only. Raises :class:`ToolError`."""
    beside = Path(sys.executable).with_name(name)
    command = str(beside) if beside.exists() else shutil.which(name)
    if command is None:
        raise ToolError(f"{name} is needed, and is not there; run: pip install -e '.[fpga]'")
    with open(directory / log, "w", encoding="utf-8") as output:
        done = subprocess.run([command, *map(str, arguments)], cwd=directory, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        text = (directory / log).read_text(encoding="utf-8", errors="replace")
        why = first_error(text) if done.returncode > 0 else f"ended by signal {-done.returncode}"
        raise ToolError(f"{name} failed: {why} (all of it: {directory / log})", text)


def script(family, mhz: float, read=synthesis.READ_RTLIL) -> list:
    """Yosys' commands that make ``design.json`` and ``stat.json`` of what it is told to ``read``, for a clock of ``mhz``."""
    time = [f"scratchpad -set abc9.D {round(LOGIC * 1e6 / mhz)}"] if family.name == "ecp5" else []
    return [*read, *time, f"{family.synthesis} -top {TOP} -json design.json", "tee -o stat.json stat -json"]


def cells(directory: Path) -> dict:
    """``{cell type: number}`` of the flattened design that Yosys left in ``directory``."""
    table = json.loads((directory / "stat.json").read_text(encoding="utf-8"))["modules"][f"\\{TOP}"]
    return {kind.removeprefix("\\"): number for kind, number in table["num_cells_by_type"].items()}


def synthesise(top: BoardTop, directory: Path) -> Resources:
    """Write a board's design and its constraints to ``directory``, synthesise it, and say what it takes."""
    board = top.board
    plan = board.make().prepare(top, name=TOP, emit_src=False, debug_verilog=False)
    names = [f"{TOP}.{suffix}" for suffix in ("il", board.family.constraints)]
    write_files(directory, {name: plan.files[name] for name in names})
    synthesis.yosys(directory, script(board.family, top.mhz))
    floorplan.fix(directory / "design.json", TOP, board.device)
    return board.family.resources(cells(directory))


def route(board: Board, mhz: float, seed: int, directory: Path) -> Placed:
    """Place and route what :func:`synthesise` left in ``directory``; the result is in ``seed<seed>``."""
    constraints = f"{TOP}.{board.family.constraints}"
    out = f"seed{seed}"
    (directory / out).mkdir(exist_ok=True)
    common = ["--json", "design.json", "--freq", f"{mhz:.6g}", "--seed", seed, "--report", f"{out}/report.json", "--write",
              f"{out}/placed.json", "--timing-allow-fail"]
    arguments = {
        "ecp5": [*ECP5_EFFORT, "--lpf", constraints, "--textcfg", f"{out}/top.config"],
        "ice40": ["--pcf", constraints, "--asc", f"{out}/top.asc"],
        "gowin": [*GOWIN_EFFORT, "--vopt", f"cst={constraints}"],
    }[board.family.name]
    tool(f"yowasp-{board.family.tool}", [*board.place, *common, *arguments], directory, f"{out}/nextpnr.log")
    return read(directory / out)


def pack(board: Board, seed: int, directory: Path) -> Path:
    """The bitstream of a seed."""
    out, name = f"seed{seed}", board.family.bitstream
    packer, *arguments = {
        "ecp5": ["yowasp-ecppack", "--compress", f"{out}/top.config", name],
        "ice40": ["yowasp-icepack", f"{out}/top.asc", name],
        "gowin": ["gowin_pack", *board.pack, "-o", name, f"{out}/placed.json"],
    }[board.family.name]
    tool(packer, arguments, directory, "pack.log")
    return directory / name


def versions(family) -> str:
    """Of the tools."""
    from importlib.metadata import version

    return f"{synthesis.tool_version()}, {family.tool} {version(f'yowasp-{family.tool}')}"


def refusal(board: Board, config: dict, error: TooLarge) -> dict:
    """The figures of a design that was refused."""
    return {"board": board.name, "device": board.device, "config": config, "synthesised": asdict(error.needs), "refused": str(error),
            "tools": synthesis.tool_version(), "date": date.today().isoformat()}


def run(top: BoardTop, config: dict, seeds: list, directory: Path, progress=lambda step: None) -> Placement:
    """Synthesise, place and route ``top``, which ``config`` describes; all files stay in ``directory``.

    Raises :class:`~gradgate.fpga.boards.TooLarge` for what does not fit the board: by count, before place and route, or because nextpnr
    finds no place for a cell.
    """
    board = top.board
    progress("synthesis")
    needs = synthesise(top, directory)
    board.require(config["name"], needs)
    def one(seed):
        progress(f"seed {seed}")
        return route(board, top.mhz, seed, directory)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # nextpnr keeps one processor busy
        try:
            found = dict(zip(seeds, pool.map(one, seeds)))
        except ToolError as error:
            if NO_PLACE not in error.output:
                raise
            what = f"{config['name']} fits {board.name} by count, but nextpnr finds no place for all its cells"
            raise TooLarge(what, needs) from error
    progress("bitstream")
    best = max(found, key=lambda seed: found[seed].fmax)
    (directory / board.family.bitstream).unlink(missing_ok=True)  # none is better than that of an earlier run
    path = pack(board, best, directory) if found[best].fmax >= top.mhz else None
    return Placement(board=board, config=config, mhz=top.mhz, needs=needs, seeds=found, bitstream=path and str(path),
                     tools=versions(board.family))
