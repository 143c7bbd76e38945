"""The comparison of two texts of a core, which proves a change of style: it finds what is planted, where it is."""

import pytest
from amaranth.hdl import Mux
from support.rig import ODD
from support.same_core import differences

from gradgate.hw.array import fetch, lane, window
from gradgate.hw.generate import rtlil

CONFIG = ODD[0]
ROW = "gradgate.array.row0"


@pytest.fixture(scope="module")
def core():
    return rtlil(CONFIG)


def test_same(core):
    """The same text; and one of which a register has another name and a submodule another number."""
    assert differences(core, core) == {}
    renamed = core.replace("\\in_bubble", "\\waits").replace("row0.fetch", "row0.fetch$1")
    assert renamed.count("\\waits") > 2 and "row0.fetch$1" in renamed
    assert differences(core, renamed) == {}


@pytest.mark.parametrize("module, name, value, places", [
    (lane, "Mux", lambda which, one, other: Mux(which, other, one), [f"{ROW}.lane0", f"{ROW}.lane1"]),
    (fetch, "ones", lambda flags: (flags[0], flags[0]), [f"{ROW}.fetch"]),
    (window, "outside", lambda address, depth: address > depth, [f"{ROW}.window"]),
], ids=["operands swapped", "another value", "one more word"])
def test_planted(core, monkeypatch, module, name, value, places):
    """A change of one unit is found in all its places, with the first line of it, and besides at most in what these are part of."""
    monkeypatch.setattr(module, name, value)
    found = differences(core, rtlil(CONFIG))
    assert list(found)[:len(places)] == places
    assert all(places[0].startswith(f"{place}.") for place in list(found)[len(places):])
    assert all(text.startswith("line ") and " was, " in text for text in found.values())


def test_added(core):
    """A core with one list more has places that the other one has not."""
    found = differences(core, rtlil(CONFIG.replace(lists=2)))
    assert found[f"{ROW}.carousel.list1"] == "only in the new text"
