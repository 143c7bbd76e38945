"""A port that several users share: who has it, what it shows, and what all of them see."""

import gc
import random
import re

import pytest
from amaranth.hdl import signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from gradgate.arch.config import Config
from gradgate.hw.parts.rowport import RowPortSignature
from gradgate.hw.parts.share import Share

NESTED = wiring.Signature({
    "request": Out(wiring.Signature({"addr": Out(7), "ready": In(1)})),
    "word": Out(data.ArrayLayout(signed(5), 3)),
    "answer": In(33),
})
SIGNATURES = {
    "a bit each way": wiring.Signature({"o": Out(1), "i": In(1)}),
    "one way": wiring.Signature({"o": Out(64)}),
    "nested": NESTED,
    "row port 2x4": RowPortSignature(Config(rows=2, lanes=4)),
    "row port 1x16": RowPortSignature(Config(rows=1, lanes=16)),
}


def simulate(dut, bench):
    """Run ``bench(ctx)`` on what has no clock."""
    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()


def members(signature, interface, flow):
    """The members of an interface that have this direction, seen from a user, as plain values."""
    return [value.as_value() if isinstance(value, data.View) else value
            for _, member, value in signature.flatten(interface) if member.flow == flow]


@pytest.mark.parametrize("seed", [1, 2], ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("name", SIGNATURES)
def test_random(name, number, seed):
    """Every member in every cycle, with any bits of ``granted``; nothing has a clock, so all of it holds at once."""
    signature, rng = SIGNATURES[name], random.Random(seed)
    names = [f"user{index}" for index in range(number)]
    dut = Share(signature, names)
    users = [getattr(dut, user) for user in names]

    async def bench(ctx):
        for _ in range(60):
            bits = rng.choice([0, *(1 << index for index in range(number - 1)), rng.getrandbits(number - 1)])
            ctx.set(dut.granted.as_value(), bits)
            has = next((index for index in range(number - 1) if bits >> index & 1), number - 1)
            driven = [[rng.getrandbits(len(value)) for value in members(signature, dut.port, Out)] for _ in users]
            for user, words in zip(users, driven):
                for value, word in zip(members(signature, user, Out), words, strict=True):
                    ctx.set(value, word)
            answers = [rng.getrandbits(len(value)) for value in members(signature, dut.port, In)]
            for value, word in zip(members(signature, dut.port, In), answers, strict=True):
                ctx.set(value, word)
            assert [ctx.get(value) for value in members(signature, dut.port, Out)] == driven[has], f"{bits:b}"
            for user in users:
                assert [ctx.get(value) for value in members(signature, user, In)] == answers

    simulate(dut, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("users, message", [
    (("host",), "users must be at least two names, not ('host',)"),
    (("move", "host", "move"), "users must have different names, not 'move' twice"),
    (("port", "host"), "user must be a name other than port and granted, not 'port'"),
    (("a b", "host"), "user must be a name other than port and granted, not 'a b'"),
])
def test_wrong_users(users, message):
    """Names that cannot be members are refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Share(NESTED, users)
    gc.collect()  # here, where the warning is expected
