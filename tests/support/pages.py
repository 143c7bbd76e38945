"""Commands and snippets of the documentation, taken from its pages and run as a reader would.

Of a page's blocks of code, those whose lines begin with ``$`` are console sessions: commands, and what they print; a line ``...`` stands
for any further ones. What a time or a rate stands in is compared without it. A TOML block after a line with a file's name is that file.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support import SOURCES

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Lines that depend on the machine, and on what was built before.
TIMES = re.compile(r"^(simulation  .*|time  .*|building the simulation, .*|\d+( of \d+)? steps, .* s)$")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, and the text of the page before it, back to the block before."""

    language: str
    text: str
    before: str


def text(page: str) -> str:
    """The text of a page: ``README.md``, or one of ``docs``."""
    path = SOURCES / page
    return (path if path.exists() else SOURCES / "docs" / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list:
    """The blocks of a page, of one language."""
    found, at = [], 0
    whole = text(page)
    for match in BLOCK.finditer(whole):
        found.append(Block(match[1], match[2], whole[at:match.start()]))
        at = match.end()
    return [block for block in found if language in (None, block.language)]


def files(page: str) -> dict:
    """``{name: text}`` of the TOML files that a page shows."""
    return {re.findall(r"`(\w+\.toml)`", block.before)[-1]: block.text for block in blocks(page, "toml")}


def sessions(page: str) -> list:
    """All commands of a page's console sessions, with the lines that each prints."""
    commands = []
    for block in blocks(page, ""):
        if not block.text.startswith("$ "):
            continue
        for line in block.text.rstrip("\n").split("\n"):
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
    return commands


def environment() -> dict:
    """That of a reader who has activated the virtual environment; builds are those of all tests."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, "GRADGATE_BUILD": os.environ.get("GRADGATE_BUILD", str(SOURCES / "build" / "sim")),
            "COLUMNS": "100"}


def run(command: str, directory: Path) -> subprocess.CompletedProcess:
    """Run a command of the shell there."""
    return subprocess.run(command, shell=True, cwd=directory, env=environment(), text=True, capture_output=True)


def compare(expected: list, got: str, what: str) -> None:
    """The lines that a page shows are those that came, but for times."""
    lines = [line.rstrip() for line in got.rstrip("\n").split("\n")]
    if expected and expected[-1] == "...":
        lines, expected = lines[:len(expected) - 1], expected[:-1]
    wanted, found = (["" if TIMES.match(line) else line for line in some if not line.startswith("building the simulation")]
                     for some in (expected, lines))
    assert found == wanted, f"{what} prints\n" + "\n".join(lines)


def follow(page: str, directory: Path) -> int:
    """Run the console sessions of ``page`` in ``directory``, compare what they print; returns how many commands there were.

    A command that prints an error is to fail; any other is to end with status 0.
    """
    commands = sessions(page)
    for command, expected in commands:
        if command.startswith(". "):
            continue  # activates the environment
        done = run(command, directory)
        fails = bool(expected) and expected[0].startswith("gradgate: ")
        assert done.returncode == int(fails), f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        if expected:
            compare(expected, done.stderr if fails else done.stdout, command)
    return len(commands)


def program(block: Block, output: str, directory: Path) -> None:
    """Run a Python snippet, and compare what it prints with the block ``output``."""
    done = subprocess.run([sys.executable, "-c", block.text], cwd=directory, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    compare(output.rstrip("\n").split("\n"), done.stdout, "the program")
