"""Sites of block RAMs: each its own, those of a row together."""

import json
import re

import pytest

from gradgate.fpga.floorplan import DEVICES, fix, floorplan

DEVICE = "LFE5U-85F"


def memories(rows, lanes, lists=2, act=16, weights=2, host=12):
    """Paths like those of a core's block RAMs."""
    core = "system.core"
    paths = [f"{core}.host.program.block{n}.ram" for n in range(host)]
    paths += [f"{core}.weights.memory.bank{b}.block{n}.ram" for b in range(lanes) for n in range(weights)]
    for row in range(rows):
        paths += [f"{core}.array.row{row}.act.block{n}.ram" for n in range(act)] + [f"{core}.array.row{row}.argmax.block0.ram"]
        paths += [f"{core}.array.row{row}.carousel.list{n}.block0.ram" for n in range(lists)]
        paths += [f"{core}.array.row{row}.lane{j}.{what}.block0.ram" for j in range(lanes) for what in ("bank", "sums")]
    return paths


def place(site):
    """(x, y) of a site."""
    x, y, bel = re.fullmatch(r"X(\d+)/Y(\d+)/(EBR[0-3])", site).groups()
    assert (int(x) - 2 * int(bel[3])) in DEVICES[DEVICE][0]
    return int(x), int(y)


@pytest.mark.parametrize("rows, lanes", [(1, 1), (1, 8), (2, 4), (3, 5), (4, 8)])
def test_sites(rows, lanes):
    """Every memory has a site, no two the same; a row stays in its half of two neighbouring rows of the die."""
    paths = memories(rows, lanes)
    plan = floorplan(DEVICE, paths)
    assert set(plan) == set(paths) and len(set(plan.values())) == len(paths)
    bands = DEVICES[DEVICE][1]
    for row in range(rows):
        places = [place(site) for path, site in plan.items() if f".row{row}." in path]
        assert {y for _, y in places} <= set(bands[row // 2])
        assert all((x > 61) == row % 2 for x, _ in places)
    assert plan == floorplan(DEVICE, paths[::-1])


@pytest.mark.parametrize("rows, lanes", [(5, 1), (6, 8), (7, 4)])
def test_sites_of_many_rows(rows, lanes):
    """More than four rows: each in its half of the die, on at most two neighbouring rows of block RAMs; both halves are as full."""
    paths = memories(rows, lanes, act=8)
    plan = floorplan(DEVICE, paths)
    assert set(plan) == set(paths) and len(set(plan.values())) == len(paths)
    right = sum(place(site)[0] > 61 for site in plan.values())
    assert abs(len(plan) - 2 * right) <= 1
    lines = sum(DEVICES[DEVICE][1], ())
    for row in range(rows):
        places = [place(site) for path, site in plan.items() if f".row{row}." in path]
        used = sorted({lines.index(y) for _, y in places})
        assert len(used) <= 2 and used[-1] - used[0] <= 1 and all((x > 61) == row % 2 for x, _ in places)


@pytest.mark.parametrize("device, paths", [
    ("LFE5U-25F", memories(1, 2)), (DEVICE, memories(4, 16)), (DEVICE, memories(6, 8)), (DEVICE, []),
    (DEVICE, memories(0, 1))], ids=["another device", "too many in a half", "too many", "none", "no rows"])
def test_no_plan(device, paths):
    """What is not known, or does not fit, is left to the placer."""
    assert floorplan(device, paths) == {}


def test_netlist(tmp_path):
    """Block RAMs get the attribute that nextpnr looks at, other cells none; a netlist without a plan stays as it is."""
    paths = memories(2, 4)
    cells = {path: {"type": "DP16KD", "attributes": {}} for path in paths} | {"a.lut": {"type": "LUT4", "attributes": {}}}
    design = tmp_path / "design.json"
    design.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    before = design.read_text()
    assert fix(design, "top", "LFE5U-12F") == 0 and design.read_text() == before
    assert fix(design, "top", DEVICE) == len(paths)
    found = {path: cell["attributes"].get("BEL") for path, cell in json.loads(design.read_text())["modules"]["top"]["cells"].items()}
    assert found == {**floorplan(DEVICE, paths), "a.lut": None}
