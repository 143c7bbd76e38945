"""Figures of others: each has a source and a date, and a wrong file is told in one line."""

import pytest
from support import DOCS

from gradgate.arch.checks import ConfigError
from gradgate.report import published

SPEEDUP = 'of = "A"\nnetworks = "two"\ntotal = [1, 2.5]\nsource = "a paper"\ndate = "2020"\n'
ARRAY = 'name = "B"\nwords = "8 in 32"\npes = 4\nlut4 = 5\nff = 6\ndsp = 7\nbram = 8\nmhz = [100.0, 90]\nsource = "here"\ndate = "2021"\n'


def test_the_projects_file():
    found = published.load(DOCS / "published.toml")
    assert [one.of for one in found.speedups] == ["arXiv 2109.07710", "TensorDash"] and len(found.arrays) == 3
    text = (DOCS / "boards.md").read_text(encoding="utf-8")
    for line in published.array_section(found):
        assert line in text, "run `gradgate boards --docs`"


def test_sections(tmp_path):
    """What the file says, cell by cell; what it does not say makes no section."""
    path = tmp_path / "p.toml"
    path.write_text(f"[[speedup]]\n{SPEEDUP}[arrays]\nremarks = 'But.'\n[[arrays.array]]\n{ARRAY}")
    found = published.load(path)
    speedups, arrays = published.speedup_section(found), published.array_section(found)
    assert [cell.strip() for cell in speedups[4].strip("|").split("|")] == ["A", "two", "", "1 to 2.5", "a paper", "2020"]
    assert [cell.strip() for cell in arrays[4].strip("|").split("|")] == [
        "B", "8 in 32", "4", "5", "6", "7", "8", "90.0", "100.0, 90.0", "0.36", "here", "2021"]
    assert arrays[-2:] == ["But.", ""]
    nothing = published.load(None)
    assert published.speedup_section(nothing) == published.array_section(nothing) == []


@pytest.mark.parametrize("text, message", [
    ("x = 1", "published figures: unknown key 'x'; known are arrays, speedup"),
    ("speedup = 1", "speedup must be tables [[speedup]]"),
    ("arrays = 1", "arrays must be a table, not 1"),
    ("[arrays]\nhow = 1", "how must be a text, not 1"),
    (f"[[speedup]]\n{SPEEDUP}x = 1", "speedup 1: unknown key 'x'; known are backpropagation, date, networks, of, source, total"),
    (f"[[speedup]]\n{SPEEDUP}".replace('source = "a paper"\n', "").replace('date = "2020"\n', ""), "speedup 1 needs source and date"),
    (f"[[speedup]]\n{SPEEDUP}".replace("[1, 2.5]", "[2.5, 1]"), "speedup 1: total must be the least and the most, not [2.5, 1]"),
    (f"[[speedup]]\n{SPEEDUP}".replace("[1, 2.5]", "2.5"), "speedup 1: total must be a list of numbers, not 2.5"),
    (f"[[arrays.array]]\n{ARRAY}".replace("pes = 4", "pes = 4.5"), "array 1: pes must be 0 to 1000000000, not 4.5"),
    (f"[[arrays.array]]\n{ARRAY}".replace("[100.0, 90]", "[]"), "array 1: mhz must be one clock or more, not none"),
    (f"[[arrays.array]]\n{ARRAY}[[arrays.array]]\n{ARRAY}".replace('date = "2021"\n[[', 'date = 2021\n[['),
     "array 1: date must be a text, not 2021"),
])
def test_a_wrong_file_is_told_in_one_line(text, message, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        published.load(path)
    assert str(error.value) == f"{path}: {message}"
