"""Commands as words: what a program says comes back from its words, and headers are those of the page."""

import random

import pytest

from gradgate.arch.commands import WAIT_BIT, WITH_UNIT, Command, Opcode, decode, layout, length


def test_a_header_by_hand():
    """CLEAR (opcode 3, 2 words) of 5 accumulators that waits for RUN (bit 19) and UPDATE (bit 22)."""
    command = Command(Opcode.CLEAR, {"words": 5}, frozenset({Opcode.RUN, Opcode.UPDATE}))
    assert command.encode() == [1 << 22 | 1 << 19 | 2 << 8 | 3, 5]
    assert Command(Opcode.END, {}).encode() == [0x7f0100]


def test_wait_bits():
    assert WAIT_BIT == {Opcode.MOVE: 16, Opcode.LOAD: 17, Opcode.CLEAR: 18, Opcode.RUN: 19, Opcode.POST: 20, Opcode.LOSS: 21,
                        Opcode.UPDATE: 22}


@pytest.mark.parametrize("seed", range(3))
def test_a_program_comes_back_from_its_words(seed):
    rng = random.Random(seed)
    program = []
    for _ in range(30):
        opcode = rng.choice(sorted(WITH_UNIT))
        fields = {name: rng.getrandbits(f.bits) for name, (_, f) in layout(opcode).items()}
        program.append(Command(opcode, fields, frozenset(unit for unit in WITH_UNIT if rng.random() < 0.5)))
    program.append(Command(Opcode.END, {}))
    words = [command.encode() for command in program]
    assert [len(found) for found in words] == [length(command.opcode) for command in program]
    assert decode(sum(words, [])) == program


def test_what_a_command_waits_for():
    """For all units, if nothing else is said; for units only; END for all."""
    assert Command(Opcode.CLEAR, {"words": 1}).waits == WITH_UNIT
    with pytest.raises(ValueError, match="^CLEAR can wait for MOVE, LOAD, CLEAR, RUN, POST, LOSS, UPDATE, not END$"):
        Command(Opcode.CLEAR, {"words": 1}, frozenset({Opcode.END, Opcode.RUN}))
    with pytest.raises(ValueError, match="^END must wait for all units, not only for RUN$"):
        Command(Opcode.END, {}, frozenset({Opcode.RUN}))


def test_fields():
    with pytest.raises(ValueError, match="^CLEAR: field 'words' is missing$"):
        Command(Opcode.CLEAR, {})
    with pytest.raises(ValueError, match="^CLEAR: field 'ahead' is unknown$"):
        Command(Opcode.CLEAR, {"words": 1, "ahead": 0})
    with pytest.raises(ValueError, match="^CLEAR.words must be 0 to 4095, not 4096$"):
        Command(Opcode.CLEAR, {"words": 4096})
