"""Whether two texts of a core are the same netlist, module by module, paired by place in the hierarchy."""

import re
from itertools import zip_longest

from gradgate.fpga.same import forms

#: A module, or an instance of one, by its name.
NAMED = re.compile(r"^(module|  cell) \\([^\s$]\S*)", re.MULTILINE)
#: What Amaranth puts after a name that its parent has already.
NUMBER = re.compile(r"\$\d+")


def differences(old: str, new: str) -> dict:
    """For each place whose module differs between two texts of RTLIL: the first line of its form that does.

    The innermost come first: a parent's form numbers the bits of its children as theirs do, so it may differ because they do. A place
    that only one of the texts has is a difference.
    """
    both = {"old": _renamed(old, "old"), "new": _renamed(new, "new")}
    form = forms("".join(both.values()))
    places = {side: _places([name for name in form if name.startswith(f"{side}:")]) for side in both}
    pair = {name: place for each in places.values() for place, name in each.items()}
    result = {}
    for place in sorted({*places["old"], *places["new"]}, key=lambda place: (-place.count("."), place)):
        names = [places[side].get(place) for side in both]
        if None in names:
            result[place] = f"only in the {'new' if names[0] is None else 'old'} text"
            continue
        was, now = ([_placed(line, pair) for line in form[name].splitlines()] for name in names)
        if was != now:
            number, lines = next((n, each) for n, each in enumerate(zip_longest(was, now, fillvalue="")) if each[0] != each[1])
            result[place] = f"line {number} of its form: {lines[0]!r} was, {lines[1]!r} is"
    return result


def _renamed(text, side):
    """The text with ``side`` in front of the names of its modules."""
    names = {match[2] for match in NAMED.finditer(text) if match[1] == "module"}
    return NAMED.sub(lambda match: f"{match[1]} \\{side}:{match[2]}" if match[2] in names else match[0], text)


def _places(names):
    """``{place: name}``: the names without numbers; of several that are alike then, each with its count."""
    result = {}
    for name in names:
        place = NUMBER.sub("", name.partition(":")[2])
        while place in result:
            place += "'"
        result[place] = name
    return result


def _placed(line, pair):
    """A line of a form, an instance's type by its place."""
    before, instance, name = line.partition("instance of ")
    return before + instance + pair[name] if instance else line
