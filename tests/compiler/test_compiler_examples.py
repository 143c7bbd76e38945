"""The compiler's examples of docs/examples.md."""

from support.examples import core, table

from gradgate.arch.commands import Opcode
from gradgate.arch.network import Network
from gradgate.compiler import tiles
from gradgate.compiler.compile import compile_step
from gradgate.compiler.step import lifetimes, training_step

CONFIG = core()


def names(cell):
    """The tensors of a cell."""
    return tuple(cell.split(", ")) if cell else ()


def test_lifetimes():
    network = Network.build("two layers", (3, 3, 1), [
        {"type": "conv", "out": 2, "kernel": 3, "padding": 1}, {"type": "relu"}, {"type": "dense", "out": 2}])
    tasks = training_step(network)
    assert [(row["task"], row["does"], row["block"], names(row["reads"]), names(row["writes"]))
            for row in table("Lifetimes", "task", "does", "block", "reads", "writes")] == [
        (number, task.what, task.block and task.block.name, task.reads, task.writes) for number, task in enumerate(tasks)]

    lives = lifetimes(tasks)
    places = compile_step(network, core(bank_words=64, weight_bricks=64, program_words=256, counters=32), batch=1).places
    shown = table("Lifetimes", "tensor", "bricks", "born", "dies", "first brick")
    assert {row["tensor"] for row in shown} == {name for name in lives if not name.endswith(".master")}
    for row in shown:
        name = row["tensor"]
        assert (row["bricks"], row["born"], row["dies"], row["first brick"]) == (
            places[name].slot, *lives[name], places[name].base), row


def test_tiles():
    layer, = table("Tiles", "kernel", "channels", "targets", "rows", "columns")
    ks, ns = tiles.cut(CONFIG, "example", taps=layer["kernel"] ** 2, channels=layer["channels"], bias=True, targets=layer["targets"],
                       bank=CONFIG.bank_weights, positions=layer["columns"])
    parts = tiles.position_tiles(CONFIG, slots=1, rows=layer["rows"], columns=layer["columns"], targets=ns[0].count)
    ms = [rows for _, rows in parts]
    assert {row["cut"]: row["parts: first + count"] for row in table("Tiles", "cut", "parts: first + count")} == {
        name: " ".join(f"{span.first}+{span.count}" for span in spans) for name, spans in (("K", ks), ("N", ns), ("M", ms))}


def test_commands_of_a_dense_layer():
    network = Network.build("dense", (1, 1, 3), [{"type": "dense", "out": 2}])
    program = compile_step(network, CONFIG, batch=2, training=False)
    layer = [command for command in program.commands if command.opcode not in (Opcode.MOVE, Opcode.LOSS, Opcode.END)]
    shown = table("Commands of a dense layer", "command", "field", "value")
    assert [command.opcode.name for command in layer] == list(dict.fromkeys(row["command"] for row in shown))
    for row in shown:
        command = next(command for command in layer if command.opcode.name == row["command"])
        assert command.fields[row["field"]] == row["value"], row
