"""Which commands may run beside each other: their order, and where weights and accumulators lie in the banks."""

import itertools

import numpy as np
import pytest
from support.rig import ODD, legal_case

from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import Switches
from gradgate.compiler.overlap import HARMLESS
from gradgate.compiler.waits import bricks, in_the_way

PLAIN = Switches(overlap=False)
SEED = 7
CASES = [(Network.load(model), Config.load(config), 4) for model in ("digits", "resnet_digits") for config in ("tiny", "small", "base")]


def random_cases(count):
    """(network, configuration, batch), odd configurations in turn."""
    rng = np.random.default_rng(SEED)
    for config in itertools.islice(itertools.cycle(ODD), count):
        network, batch = legal_case(config, rng)
        yield network, config, batch


def outline(program):
    """Commands as text, with what is in the banks."""
    lines = []
    for command, note in zip(program.commands, program.notes):
        name = f"{command.opcode.name} {note.phase} {note.block}".replace("  ", " ").strip()
        match command.opcode:
            case Opcode.LOAD:
                name += f" @{command.bank_addr}+{bricks(command)}"
            case Opcode.RUN:
                name += f" @{command.bank_addr}"
            case Opcode.CLEAR:
                name += f" +{command.words}"
            case Opcode.UPDATE:
                name += f" @{command.bank_addr}+{bricks(command)}"
        lines.append(name)
    return lines


def test_by_eye():
    """Two convolutions of the image, both with 9 weights and a bias, and a dense layer, on two lanes and banks of 64 accumulators.

    The first LOAD comes before the images, the others beside the RUN before; zeros beside the backward-data pass, whose weights make
    room for them; and one CLEAR does for all weight gradients.
    """
    conv = {"type": "conv", "out": 2, "kernel": 3, "padding": 1, "from": "input"}
    network = Network.build("eye", (2, 2, 1), [
        {**conv, "name": "a"}, {**conv, "name": "b"}, {"type": "add", "from": "a"},
        {"type": "dense", "name": "c", "out": 2}])
    config = Config(name="eye", rows=1, lanes=2, lists=1, targets=4, act_bricks=64, weight_bricks=64, bank_words=64, psum_words=32)
    assert outline(compile_step(network, config, batch=1)) == [
        "LOAD a @0+10", "MOVE", "MOVE", "RUN FW a @0",
        "LOAD b @10+10", "POST a", "RUN FW b @10",
        "LOAD c @0+9", "POST b", "RUN FW c @0",
        "LOAD c @58+8", "POST c", "LOSS c", "RUN BD c @58",
        "CLEAR c +29", "POST c", "RUN WG c @0", "UPDATE c @0+9",
        "RUN WG b @9", "UPDATE b @9+10", "RUN WG a @19", "UPDATE a @19+10", "END"]


def strip(program, opcodes):
    """Opcodes and fields without where things lie in the banks, and notes; without the commands of ``opcodes``."""
    return [(c.opcode, {name: value for name, value in c.fields.items() if name != "bank_addr"}, note.block, note.tile)
            for c, note in zip(program.commands, program.notes) if c.opcode not in opcodes]


def check(network, config, batch):
    """What must hold of the order; returns the numbers of LOADs and CLEARs that went before something, and of CLEARs saved."""
    moved, plain = (compile_step(network, config, batch=batch, switches=switches) for switches in (Switches(), PLAIN))
    movable = (Opcode.LOAD, Opcode.CLEAR)
    assert strip(moved, movable) == strip(plain, movable)
    assert strip(moved, set(Opcode) - {Opcode.LOAD}) == strip(plain, set(Opcode) - {Opcode.LOAD})
    zeros = [sum(c.words for c in program.commands if c.opcode == Opcode.CLEAR) for program in (moved, plain)]
    assert zeros[0] == zeros[1]
    steps = [(one, other) for one, other in zip(moved.commands, moved.commands[1:]) if one.opcode in movable and other.opcode in HARMLESS]
    return len(steps), len(plain.commands) - len(moved.commands)


@pytest.mark.parametrize("network, config, batch", CASES, ids=lambda value: getattr(value, "name", value))
def test_order_of_networks(network, config, batch):
    """Nothing but LOADs and CLEARs changes its place, and these keep their order."""
    assert check(network, config, batch)[0] > 1


def test_order_of_random_networks():
    before, saved = zip(*(check(*case) for case in random_cases(30)))
    assert sum(count > 0 for count in before) > 25 and sum(count > 0 for count in saved) > 5


def contents(config, program):
    """Checks what every command finds in the banks, by program order: a RUN the weights loaded for it, an OUT RUN and an UPDATE
    accumulators that were cleared; returns how many RUNs there were of each kind."""
    words = {}  # of a bank: number of the LOAD of each weight, or the CLEAR
    runs = {False: 0, True: 0}
    loads = []
    for index, (command, note) in enumerate(zip(program.commands, program.notes)):
        match command.opcode:
            case Opcode.LOAD:
                loads.append(index)
                assert command.bank_addr + bricks(command) <= config.bank_weights
                words |= dict.fromkeys(range(command.bank_addr, command.bank_addr + bricks(command)), index)
            case Opcode.CLEAR:
                words |= dict.fromkeys(range(2 * command.words), "zero")
            case Opcode.UPDATE:
                used = range(2 * command.bank_addr, 2 * (command.bank_addr + bricks(command)))
                assert {words[word] for word in used} == {note.block}, index
            case Opcode.RUN if command.outer:
                runs[True] += 1
                used = {2 * int(word) for word in note.sums[1]}
                assert command.bank_addr == min(used) // 2 and {words[word] for word in used} == {"zero"}, index
                words |= dict.fromkeys(range(min(used), max(used) + 2), note.block)
            case Opcode.RUN:
                runs[False] += 1
                window = max((command.kh - 1) * command.k_row + (command.kw - 1) * command.k_tap + (command.l_bricks - 1) * command.k_brick
                             + command.l_tail * command.t_count, command.bias and command.k_bias + command.t_count)
                if command.kh and command.kw:
                    for number in {words[word] for word in range(command.bank_addr, command.bank_addr + window)}:
                        assert number in loads and program.notes[number].block == note.block, index
    return runs


@pytest.mark.parametrize("network, config, batch", CASES, ids=lambda value: getattr(value, "name", value))
def test_banks_of_networks(network, config, batch):
    assert min(contents(config, compile_step(network, config, batch=batch)).values()) >= 3


def test_banks_of_random_networks():
    for network, config, batch in random_cases(30):
        for switches in (Switches(), PLAIN):
            contents(config, compile_step(network, config, batch=batch, switches=switches))


def test_beside_what_loads_and_clears_go():
    """Each kind of pair for which there is a rule occurs: LOAD and CLEAR beside a RUN, LOAD beside POST, LOSS and MOVE, UPDATE beside
    POST."""
    beside = set()
    for network, config, batch in [*CASES, *random_cases(20)]:
        commands = compile_step(network, config, batch=batch).commands
        beside |= {(one.opcode.name, other.opcode.name) for one, other in zip(commands, commands[1:])
                   if one.opcode not in other.waits and not in_the_way(one, other)}
    assert beside >= {("RUN", "LOAD"), ("RUN", "CLEAR"), ("POST", "LOAD"), ("LOSS", "LOAD"), ("LOAD", "MOVE"), ("LOAD", "POST"),
                      ("UPDATE", "POST"), ("CLEAR", "POST")}, beside
