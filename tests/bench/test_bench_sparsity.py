"""The sparsity bench: its cycles are those of the commands that the compiler makes, its counts those of its definitions."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.bench.cost.ideal import effectual
from gradgate.bench.cost.tiles import Cut, Options, run_cycles, work
from gradgate.bench.cost.walks import walks_of
from gradgate.bench.recording.masks import dense_masks, masks_of
from gradgate.bench.recording.networks import Layer
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import DENSE, SPARSE, Switches
from gradgate.compiler.tiles import Span
from gradgate.golden.cycles.image import RowImage
from gradgate.golden.cycles.run import run_cost

ROOM = {"act_bricks": 8192, "weight_bricks": 8192, "program_words": 65536, "counters": 4096, "argmax_bricks": 2048}
CONFIGS = [Config(name="3x4", rows=3, lanes=4, lists=3, targets=10, bank_words=64, psum_words=40, **ROOM),
           Config(name="2x8", rows=2, lanes=8, lists=4, targets=16, bank_words=256, psum_words=100, **ROOM),
           Config(name="1x16", rows=1, lanes=16, lists=1, targets=2, bank_words=256, psum_words=60, **ROOM)]
#: cin, cout, kernel, stride, padding, height, width
LAYERS = [(5, 6, 3, 1, 1, 7, 5), (9, 18, 3, 2, 1, 9, 7), (17, 7, 1, 2, 0, 6, 7), (10, 12, 3, 2, 0, 8, 9), (3, 9, 1, 1, 0, 5, 5),
          (19, 33, 2, 1, 1, 4, 6)]


def layer_of(shape, kind="conv") -> Layer:
    """A layer from a row of ``LAYERS``."""
    cin, cout, kernel, stride, padding, height, width = shape
    return Layer(name="layer", kind=kind, cin=cin, cout=cin if kind == "depthwise" else cout, kernel_h=kernel, kernel_w=kernel,
                 stride=stride, padding=padding, height=height, width=width, relu_input=True, dense_gradient=False)


def compiled(layer, config, batch, switches):
    """The layer as the second one of a network, and its training step: (block, program)."""
    own = {"type": layer.kind, "name": "layer", "kernel": layer.kernel_h, "stride": layer.stride, "padding": layer.padding}
    layers = [{"type": "conv", "name": "first", "out": layer.cin, "kernel": 1}, {"type": "relu"},
              own if layer.kind == "depthwise" else {**own, "out": layer.cout}]
    layers += [{"type": "conv", "out": 1, "kernel": 3, "stride": 2, "padding": 1}] * 4  # down to one pixel
    network = Network.build("one", (layer.height, layer.width, 2), [*layers, {"type": "dense", "out": 2}])
    config = config.replace(staging_words=65536)
    return network.blocks[1], compile_step(network, config, batch=batch, switches=switches)


def spans(tile):
    """Spans of a tile by letter, from its name in a note."""
    return {letter: Span(first=int(first), count=int(count)) for letter, first, count in re.findall(r"([knsy])(\d+)\+(\d+)", tile)}


def random_masks(layer, rng, batch, density):
    """X and dY: random, correlated in space, and with dead channels."""
    def mask(height, width, channels):
        coarse = rng.random((batch, -(-height // 2), -(-width // 2), channels)).repeat(2, 1).repeat(2, 2)[:, :height, :width]
        return (0.5 * coarse + 0.5 * rng.random((batch, height, width, channels)) < density) & (rng.random(channels) < 0.9)
    return mask(layer.height, layer.width, layer.cin), mask(layer.out_height, layer.out_width, layer.cout)


@pytest.mark.parametrize("switches", [SPARSE, DENSE, Switches(input_skip=False), Switches(output_skip=False),
                                      Switches(swapped=frozenset({"layer"})), Switches(swapped=frozenset({"layer"}), tap_spread=False)],
                         ids=["sparse", "dense", "output skip", "input skip", "WG-Y", "WG-Y without spread"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("shape", LAYERS, ids=str)
def test_cycles_are_those_of_the_compilers_commands(shape, config, switches):
    """FW, BD and WG, every tile, sparse and dense, with batches that do not fill all rows; and the multiplications."""
    rng = np.random.default_rng([config.lanes, *shape])
    layer, batch = layer_of(shape), 4
    x, dy = random_masks(layer, rng, batch, rng.choice([0.2, 0.45, 0.7]))
    try:
        block, program = compiled(layer, config, batch, switches)
    except ConfigError as error:
        assert switches.swapped and "targets" in str(error)
        return
    image = RowImage(config)
    image.write(program.places[block.source], x.astype(int))
    pass_of_weights = next(note for note in program.notes if note.phase == "WG" and note.block == "layer")
    image.write(program.places[pass_of_weights.reads if switches.swapped else pass_of_weights.targets], dy.astype(int))
    masks = masks_of(layer, config.lanes, x, dy)
    options = Options(input_skip=switches.input_skip, output_skip=switches.output_skip, spread=5 if switches.tap_spread else 0)
    roles = {"FW": "FW", "BD": "BD", "WG": "WG-Y" if switches.swapped else "WG-X"}
    begun, done = dict.fromkeys(roles, 0), dict.fromkeys(roles, 0)  # walks, each of which begins with the first tile; multiplications
    for command, note in zip(program.commands, program.notes):
        if command.opcode != Opcode.RUN or note.block != "layer":
            continue
        begun[note.phase] += not any(span.first for span in spans(note.tile).values())
        walk = walks_of(layer, roles[note.phase])[begun[note.phase] - 1]
        tile = {"s": Span(first=0, count=-(-batch // config.rows)), "y": Span(first=0, count=walk.grid.rows), **spans(note.tile)}
        inputs, outputs = (tile["n"], tile["k"]) if command.swap else (tile["k"], tile["n"])
        cut, chosen = Cut(inputs=(inputs,), outputs=(outputs,)), replace(options, bias=bool(command.bias))
        cost = run_cost(config, command, image.flags, image.flags)
        assert run_cycles(config, walk, masks, cut, chosen, tile["s"], tile["y"], batch) == [[cost.cycles]], note
        images = np.arange(config.rows)[:, None] + config.rows * (tile["s"].first + np.arange(tile["s"].count))
        job = work(walk, masks, cut, chosen, config.lanes, images, tile["y"].first, tile["y"].count)
        there = np.repeat(images < batch, tile["y"].count * walk.grid.columns, axis=1).T[:, :, None, None]
        lone = (job.targets.sum(axis=-1) * (job.entries == 0) * there).sum()  # a RED turn on an empty list multiplies once
        assert cost.macs == (job.targets.sum(axis=-1) * job.entries * there).sum() + (0 if walk.outer else lone)
        done[note.phase] += (job.entries - job.bias_entries).astype(int).ravel() @ (
            (job.targets.sum(axis=-1) - job.bias_targets) * there).astype(int).ravel()
    assert begun == {"FW": 1, "BD": len(walks_of(layer, "BD")), "WG": 1}
    if switches.input_skip and switches.output_skip:
        assert done == effectual(layer, masks, batch)
    if not (switches.input_skip or switches.output_skip):
        assert done == effectual(layer, dense_masks(layer, config.lanes), batch)
