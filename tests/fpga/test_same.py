"""Modules that are identical up to names, and modules that are not."""

import pytest

from gradgate.fpga.same import same_modules

#: Every kind of line that Amaranth writes.
ONE = r"""
module \one

  attribute \init 2'10
  wire width 2 \state

  wire width 3 input 0 \port$9$0

  wire width 2 output 1 \y

  wire width 2 output 2 \z

  wire width 1 \again

  memory width 2 size 4 \mem

  cell \AND \gate
    parameter \KIND "a"
    connect \A \port$9$0 [0]
    connect \B { 1'0 \port$9$0 [2:1] }
    connect \Z \y [1:0]
  end

  process $1
    assign \state [1:0] 2'00
    switch { \port$9$0 [0] \port$9$0 [2] }
      case 2'1-, 2'01
        assign \state [1:0] { \port$9$0 [1] \state [0] }
    end
  end

  connect \z [1:0] \state [1:0]
  connect \again [0] \state [0]

end
"""

#: What ``TWO`` has instead: other names, two ports for one, and no second name for a bit.
RENAMED = {
    r"\one": r"\two", r"\state": r"\register", r"\gate": r"\door", "$1\n": "$7\n",
    "  wire width 2 output 1 \\y": "  wire width 2 output 2 \\out", r"\y": r"\out", r"output 2 \z": r"output 0 \z",
    "  wire width 3 input 0 \\port$9$0": "  wire width 2 input 1 \\port$10$1\n\n  wire width 1 input 3 \\port$10$0",
    r"\port$9$0 [0]": r"\port$10$0 [0]", r"\port$9$0 [1]": r"\port$10$1 [0]",
    r"\port$9$0 [2:1]": r"\port$10$1 [1:0]", r"\port$9$0 [2]": r"\port$10$1 [1]",
    "  wire width 1 \\again\n\n": "", "  connect \\again [0] \\register [0]\n": "",
}


def twin(module: str) -> str:
    """``module`` with ``RENAMED``, its declarations in the opposite order."""
    for old, new in RENAMED.items():
        assert old in module, old
        module = module.replace(old, new)
    head, *declarations, cell, process, connections, end = module.split("\n\n")
    return "\n\n".join([head, *reversed(declarations), cell, process, connections, end])


TWO = twin(ONE)

#: A parent of each. What goes in comes the other way round in the second.
PARENTS = r"""
module \p.one
  wire width 3 input 0 \i
  wire width 4 output 1 \o
  cell \one \child
    connect \port$9$0 \i
    connect \y \o [1:0]
    connect \z \o [3:2]
  end
end
module \p.two
  wire width 3 input 0 \i
  wire width 4 output 1 \o
  cell \two \child
    connect \z \o [3:2]
    connect \out \o [1:0]
    connect \port$10$0 \i [0]
    connect \port$10$1 \i [2:1]
  end
end
"""

CHANGES = {
    "type": (r"cell \AND", r"cell \OR"), "parameter": ("KIND", "SORT"), "value": ('"a"', '"b"'), "pin": (r"connect \B", r"connect \C"),
    "constant": ("1'0", "1'1"), "case": ("2'01", "2'11"), "initial value": (r"\init 2'10", r"\init 2'11"), "words": ("size 4", "size 8"),
    "operand": (r"\A \port$10$0 [0]", r"\A \port$10$1 [0]"), "direction": (r"output 2 \out", r"inout 2 \out"),
    "bit": (r"{ \port$10$1 [0] \register [0] }", r"{ \port$10$1 [0] \register [1] }"),
    "unused input": ("input 1", "input 4 \\more\n  wire width 2 input 1"),
    "port of a register": (r"\z [1:0] \register [1:0]", r"\z [1:0] { \register [0] \register [0] }"),
    "attribute": (r"  cell \AND", "  attribute \\keep 1\n  cell \\AND"),
}


def test_identical():
    """Names, widths and order of ports, and second names do not matter; nor do they in instances."""
    assert same_modules(ONE + TWO + PARENTS) == {"one": "one", "two": "one", "p.one": "p.one", "p.two": "p.one"}


@pytest.mark.parametrize("what", CHANGES)
def test_different(what):
    old, new = CHANGES[what]
    assert TWO.count(old) == 1
    same = same_modules(ONE + TWO.replace(old, new) + PARENTS)
    assert same == {name: name for name in same}


def test_different_in_an_instance():
    """Which bit goes where, and what the type is."""
    for old, new in ((r"\port$10$1 \i [2:1]", r"\port$10$1 { \i [1] \i [1] }"), (r"\out \o [1:0]", r"\out \o [2:1]"),
                     (r"\port$10$0 \i [0]", r"\port$10$0 1'0")):
        assert PARENTS.count(old) == 1
        same = same_modules(ONE + TWO + PARENTS.replace(old, new))
        assert same["two"] == "one" and same["p.two"] == "p.two", new
