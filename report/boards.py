"""Figures of boards as text, and the page docs/boards.md."""

from gradgate.arch.commands import ERROR_DOC, Error
from gradgate.fpga.boards import BOARDS
from gradgate.fpga.families import FAMILIES
from gradgate.fpga.place import Placement
from gradgate.fpga.top import LEDS
from gradgate.report.published import Published, array_section
from gradgate.report.tables import table

KEYS = ("lut4", "ff", "dsp", "bram")


def text(placement: Placement) -> str:
    """What ``gradgate synth --board`` says."""
    figures, board = placement.json(), placement.board
    worst = min(placement.seeds.values(), key=lambda placed: placed.fmax)
    took = [f"{n:,} {label} ({n / getattr(board.has, key):.0%})" for key, label in board.family.labels.items()
            for n in [getattr(placement.needs, key)]]
    return "\n".join([
        f"{figures['config']['name']} on {board.title} ({board.device}), clock {placement.mhz:g} MHz",
        f"after synthesis  {', '.join(took)}",
        f"after placement  {', '.join(f'{used:,} of {there:,} {kind}' for kind, (used, there) in worst.used.items())}",
        f"Fmax             {', '.join(f'{mhz:.1f} MHz (seed {seed})' for seed, mhz in figures['seeds_mhz'].items())}; "
        f"worst {placement.fmax:.1f} MHz",
        f"longest path     {worst.path.text()}",
        f"dense            {figures['dense_gmacs']:.2f} GMAC/s at the worst Fmax ({placement.pes} PEs)",
        *([f"bitstream        {placement.bitstream} (seed {placement.best})"] if placement.bitstream else []),
        "", *units(worst.units)])


def counted(figures: dict) -> str:
    """What ``gradgate synth --family`` says."""
    target = FAMILIES[figures["family"]]
    return f"{figures['config']['name']} on {target.title}, after synthesis: " + ", ".join(
        f"{figures['synthesised'][key]:,} {label}" for key, label in target.labels.items())


def units(found: dict) -> list:
    """Cells after placement, unit by unit."""
    rows = [[name, *(cells[key] for key in KEYS)] for name, cells in sorted(found.items(), key=lambda item: -item[1]["lut4"])]
    return table(["unit", "LUT4", "FF", "DSP", "BRAM"], [*rows, ["sum", *(sum(row[i] for row in rows) for i in range(1, 5))]])


def board_figures() -> dict:
    """``{board: figures}`` of all boards: the device and what it has, the clock and the preset that fit it, the command that loads."""
    return {board.name: {"device": board.device, **{key: getattr(board.has, key) for key in KEYS}, "clock_mhz": board.mhz,
                         "config": board.config, "loads_with": board.program} for board in BOARDS.values()}


def boards() -> list:
    """The table of boards."""
    return table(["board", "device", *("LUT4", "FF", "DSP", "BRAM"), "clock, MHz", "configuration", "loads with"], [
        [name, *figures.values(), f"`{program}`" if program else ""]
        for name, figures in board_figures().items() for program in [figures.pop("loads_with")]])


def size(config: dict) -> str:
    """Rows and lanes of a design; figures that were kept before configurations had sections have them without."""
    array = config.get("array", config)
    return f"{array['rows']}x{array['lanes']}"


def speedup(demo: dict | None):
    """What skipping was worth in the demo, and the name of its configuration."""
    part = (demo or {}).get("skip_on_off")
    return (part["speedup"], demo["config"]["name"]) if part else (None, None)


def placed_table(found: list, demo: dict | None) -> list:
    """Placed and routed designs."""
    factor, of = speedup(demo)
    return table(["design", "board", "PEs", "LUT4", "FF", "DSP", "BRAM", "clock", "Fmax, worst", "by seed",
                  "GMAC/s, dense", "effective"], [
        [f["config"]["name"], BOARDS[f["board"]].title, f["pes"], *(f["synthesised"][key] for key in KEYS), f"{f['clock_mhz']:g}",
         f"{f['fmax_mhz']:.1f}", ", ".join(f"{seed}: {mhz:.1f}" for seed, mhz in f["seeds_mhz"].items()), f"{f['dense_gmacs']:.2f}",
         f"{f['dense_gmacs'] * factor:.2f}" if f["config"]["name"] == of else ""] for f in found if "fmax_mhz" in f])


def counted_table(found: list) -> list:
    """Designs that were only synthesised."""
    return table(["core", "family", "PEs", "LUT", "FF", "DSP", "BRAM", "of", "tool"], [
        [f["config"]["name"], FAMILIES[f["family"]].title, f["pes"], *(f["synthesised"][key] for key in KEYS),
         ", ".join(FAMILIES[f["family"]].labels.values()), f["tools"]] for f in found if "family" in f])


def page(found: list, demo: dict | None, pictures: list, published: Published) -> str:
    """The page ``docs/boards.md``, of the figures ``found``, of those of the demo and of others, and of pictures in docs/images."""
    placed = [f for f in found if "fmax_mhz" in f]
    refused = [f for f in found if "refused" in f]
    factor, of = speedup(demo)
    lines = [
        "# Boards", "",
        "Written by `gradgate synth --board B --config C --docs` from the figures in `results/board`; do not edit. "
        "`gradgate boards --docs` writes it anew without running the tools. What skipping is worth, and how it is measured: "
        "[results](results.md). What each unit takes: [resources](resources.md).", "",
        "Everything is open: Amaranth, Yosys, nextpnr, the packers, all installed by `pip install -e '.[fpga]'`.", "",
        *boards(), "",
        "The 12F is a 25F die, and the open tools give all of it. A design that does not fit is refused after synthesis, with all that "
        "there is too little of, or when nextpnr finds no place for a cell" + (":" if refused else "."), "",
        *[f"- {f['refused']} ({size(f['config'])}, {f['date']}, {f['tools']})." for f in refused],
        *([""] if refused else []),
        "## Placed and routed", "",
        *placed_table(found, demo), "",
        "MHz: `clock` is the frequency the bitstream is for, `Fmax` is nextpnr's for the worst and for each seed. Cells are counted after "
        "synthesis. Dense: PEs times Fmax. "
        + (f"Effective: times {factor:.2f}, which skipping zeros was worth in the demo, for the demo's configuration `{of}` alone. "
           if factor else "")
        + "Each row is of the gateware of its date, which stands below; commands that go on beside each other came on 2026-11-27. "
        "`macs32` and the like are no cores: so many bare multipliers, registers and banks of accumulators, a yardstick of flow and "
        "device.", ""]
    for f in placed:
        path = f["critical_path"]
        lines += [f"- {f['config']['name']} on {f['board']} ({f['date']}, {f['tools']}): the longest path goes from `{path['from']}` to "
                  f"`{path['to']}`: logic {path['logic_ns']:.1f} ns, routing {path['routing_ns']:.1f} ns, {path['cells']} cells in "
                  f"{', '.join(path['units'])}."]
    for f in placed:
        lines += ["", f"### {f['config']['name']} on {BOARDS[f['board']].title}", "", *units(f["units"])]
    lines += ["", *array_section(published)]
    for name in pictures:
        lines += ["", f"![Placement of the units: {name}](images/{name})"]
    if any("family" in f for f in found):
        lines += ["", "## After synthesis only", "", *counted_table(found)]
    return "\n".join([*lines, "", *bring_up()]) + "\n"


def bring_up() -> list:
    """From a board in the box to a trained network."""
    config = BOARDS["ulx3s_85f"].config
    bitstream = f"build/synth/ulx3s_85f-{config}/gradgate.bit"
    errors = table(["code", "name", "meaning"], [[int(error), error.name, ERROR_DOC[error]] for error in Error])
    return [
        "## From a board in the box to a trained network", "",
        "Nobody has done this yet: the bitstreams are built and their timing is checked, and the design behind the pins runs in "
        "simulation, byte by byte. What a board does with them has not been seen.", "",
        "1. Build: `make board BOARD=ulx3s_85f` (or `gradgate synth --board ulx3s_85f`). The bitstream is "
        f"`{bitstream}`. With status 0 it meets its clock.",
        "2. Connect the board's USB socket `US1` (the one of the FTDI chip); a serial port appears, such as `/dev/ttyUSB0`.",
        f"3. Load: `openFPGALoader --board ulx3s {bitstream}`, or `fujprog` with the same file. Neither comes "
        "with this project. The bitstream is gone when the power is; `openFPGALoader --write-flash` keeps it.",
        f"4. Look at the LEDs D0 to D{len(LEDS) - 1}, {', '.join(LEDS)}: *alive* changes every half second, and if it does not, there is "
        "no clock. *link* shows bytes from the host, *busy* that a program runs, *error* that it stopped with an error.",
        f"5. Train: `gradgate board --port /dev/ttyUSB0 --config {config}`. It asks for the configuration's fingerprint first and refuses "
        "a bitstream of another one. Words that differ from the model stop it.",
        "6. The button FIRE 1 resets the core; the memories keep what they hold.", "",
        "Errors (`arch.commands.Error`), which stop a run with this name and the index of the command:", "", *errors]
