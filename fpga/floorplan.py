"""Which block RAM of the die a memory gets: one near those that it works with.

A placer spreads the memories of a row over the whole die when most of the device's block RAM is in use, and the row's logic follows
them. Here every row of the array gets a quarter of the die, or less where there are more than four, and what all rows share the middle.
"""

import json
import re
from pathlib import Path

from gradgate.arch.files import write_files

#: Devices whose block RAMs are known: left edges of groups of four, 2 apart; rows of the die for the lanes' memories and those of
#: activations, for two rows of the array beside each other, then for the next two. More than four share the rows of a half.
DEVICES = {"LFE5U-85F": ((4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), ((22, 46), (70, 82)))}
#: Paths of memories and what they belong to; the first that matches counts.
GROUPS = (
    (re.compile(r"\.row(\d+)\.(?:act|argmax)\."), "activations"), (re.compile(r"\.row(\d+)\."), "lanes"),
    (re.compile(r"\.weights\.()"), "weights"), (re.compile("()"), "host"),
)


def fix(design: Path, top: str, device: str) -> int:
    """Give the block RAMs of a netlist of Yosys their sites; returns how many have one."""
    netlist = json.loads(design.read_text(encoding="utf-8"))
    memories = {path: cell for path, cell in netlist["modules"][top]["cells"].items() if cell["type"] == "DP16KD"}
    plan = floorplan(device, list(memories))
    for path, site in plan.items():
        memories[path]["attributes"]["BEL"] = site
    if plan:
        write_files(design.parent, {design.name: json.dumps(netlist)})
    return len(plan)


def floorplan(device: str, memories: list) -> dict:
    """``{path: site}`` of block RAMs, given as paths in the hierarchy; empty where the device is unknown, or there is no row.

    It is empty too where a row has too few sites. A site has the name that nextpnr gives to it. The order of paths is of no meaning.
    """
    if device not in DEVICES:
        return {}
    edges, bands = DEVICES[device]
    columns = [(edge + 2 * number, f"EBR{number}") for edge in edges for number in range(4)]
    middle = len(columns) // 2
    groups = {}
    for path in sorted(memories, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]):
        number, name = next((match[1], name) for pattern, name in GROUPS if (match := pattern.search(path)))
        groups.setdefault((name, number and int(number)), []).append(path)
    rows = 1 + max((number for _, number in groups if number != ""), default=-1)
    if rows == 0:
        return {}
    free = {(y, side): columns[:middle][::-1] if side == 0 else columns[middle:] for band in bands for y in band for side in (0, 1)}
    plan = {}

    def take(paths, side, *lines):
        """The free sites nearest to the middle, line by line; too few are found out at the end."""
        for y in lines:
            sites = free[y, side]
            plan.update({path: f"X{x}/Y{y}/{bel}" for path, (x, bel) in zip(paths, sites)})
            free[y, side], paths = sites[len(paths):], paths[len(sites):]

    # what all share first: weights between the first rows, the host's memories on the other side of the die; five rows and the like
    # leave more room in one half
    for name, y in (("weights", bands[0][1]), ("host", bands[1][1] if rows > 2 else bands[1][0])):
        paths = groups.get((name, ""), [])
        left = 0 if rows > 2 * len(bands) and rows % 2 else len(paths) // 2
        take(paths[:left], 0, y)
        take(paths[left:], 1, y)
    for row in range(rows):
        both = [groups.get((name, row), []) for name in ("lanes", "activations")]
        if rows <= 2 * len(bands):
            for paths, y in zip(both, bands[row // 2]):
                take(paths, row % 2, y)
        else:
            take(sum(both, []), row % 2, *sum(bands, ()))
    return plan if len(plan) == len(memories) else {}
