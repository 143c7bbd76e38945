"""The bridge from bytes to the host bus against a plain model: frames, noise, silences, addresses, rates."""

import gc
import random

import pytest
from support.bus_slave import BusSlave
from support.frames import expected, frame
from support.units import simulate, stalls

from gradgate.arch.checks import ConfigError
from gradgate.hw.bus.uartbone import Request, UartBone

TIMEOUT = 50
TOP = (1 << 24) - 1


def blank(address):
    """The word at an address that was not written: one that follows from the address."""
    return address * 0x9E3779B1 % (1 << 32)


def content(address, transfers):
    """The word at an address: the last one written, or a blank one."""
    written = [word for write, where, word in transfers if write and where == address]
    return written[-1] if written else blank(address)


class Host:
    """Plays both sides of a bridge: sends bytes, takes answers, and has the memory on the bus.

    stall : chance of a cycle without byte, and of one in which no answer is taken
    slow : most cycles that the bus waits
    """

    def __init__(self, *, seed=0, stall=0.0, slow=0, timeout=TIMEOUT):
        self.dut = UartBone(timeout)
        self.memory = BusSlave(self.dut.bus, seed=seed, slow=slow, blank=blank)
        self.seed, self.stall = seed, stall
        self.random = random.Random(seed)
        self.answers, self.answered = bytearray(), 0  #: bytes, and the cycle of the last one

    @property
    def finished(self):
        """The last cycle in which something was written, read or answered."""
        return max(self.memory.last, self.answered)

    def play(self, parts, silence=TIMEOUT + 1):
        """Send the byte strings ``parts`` with ``silence`` cycles between them; returns transfers on the bus, and answers."""
        simulate(self.dut, lambda ctx: self.send(ctx, parts, silence), self.listen, self.memory.run, limit=1_000_000)
        return self.memory.transfers, bytes(self.answers)

    async def send(self, ctx, parts, silence):
        i, gap = self.dut.i, stalls(self.seed, self.stall)
        for part in parts:
            for byte in part:
                while gap():
                    await ctx.tick()
                ctx.set(i.payload, byte)
                ctx.set(i.valid, 1)
                await ctx.tick().until(i.ready)
                ctx.set(i.valid, 0)
                ctx.set(i.payload, self.random.getrandbits(8))
            await self.quiet(ctx)
            for _ in range(silence):
                await ctx.tick()
        await ctx.tick().repeat(100)
        self.memory.over = True

    async def quiet(self, ctx):
        """Wait until the bridge waits for bytes."""
        while not ctx.get(self.dut.i.ready):
            await ctx.tick()

    async def listen(self, ctx):
        o, pause = self.dut.o, stalls(self.seed + 1, self.stall)
        while not self.memory.over:
            ready = not pause()
            ctx.set(o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(o.valid, o.payload)
            if valid and ready:
                self.answers.append(byte)
                self.answered = self.memory.cycle


def check(parts, **kwargs):
    """Bus and answers are what the model says."""
    print(f"seed {kwargs.get('seed', 0)}")
    transfers, answers = Host(**kwargs).play(parts)
    wanted, said = expected(parts, content)
    assert transfers == wanted
    assert answers == said
    return transfers, answers


def random_frame(rng, beyond=0.1):
    """A whole frame of any command."""
    command = rng.choice(list(Request))
    address = rng.choice([rng.randrange(TOP), rng.randrange(20), TOP - rng.randrange(4)])
    if rng.random() < beyond:
        address = rng.choice([1 << 24, 0xFFFFFFFF, 0xFFFFFFFE, rng.randrange(1 << 24, 1 << 32), address | 1 << rng.randrange(24, 32)])
    length = rng.choice([0, 1, 1, 2, 3, 9])
    write = command in (Request.WRITE, Request.WRITE_FIXED)
    return frame(command, address, [rng.getrandbits(32) for _ in range(length)] if write else (), length)


@pytest.mark.parametrize("stall, slow, seed", [(0.0, 0, 1), (0.5, 0, 2), (0.3, 9, 3), (0.8, 3, 4)])
def test_random_frames(stall, slow, seed):
    """Frames of all commands one behind the other, addresses outside among them."""
    rng = random.Random(seed)
    transfers, answers = check([b"".join(random_frame(rng) for _ in range(150))], seed=seed, stall=stall, slow=slow)
    assert len(transfers) > 200 and len(answers) > 400


@pytest.mark.parametrize("seed", [5, 6])
def test_noise_and_truncated_frames(seed):
    """Random bytes, and frames that end anywhere, each with a silence behind it: the next frame is understood."""
    rng = random.Random(seed)
    parts = []
    for _ in range(60):
        whole = random_frame(rng)
        parts.append(rng.choice([whole[:rng.randrange(len(whole) + 1)], rng.randbytes(rng.randrange(9)), whole + whole[:3]]))
        parts.append(random_frame(rng))
    check(parts, seed=seed, slow=2)


def test_every_cut():
    """A frame cut behind each of its bytes writes the words that came whole and no other; a read is not answered."""
    for whole in (frame(1, 100, [0x01020304, 0x02020202, 3]), frame(3, 7, [0x04040404] * 2), frame(2, 5, length=2)):
        for cut in range(1, len(whole)):
            transfers, answers = check([whole[:cut], frame(2, 0x20, length=1)])
            assert len(transfers) == max(0, cut - 6) // 4 + 1 and len(answers) == 4


def test_other_bytes_are_skipped():
    """What is no command does not begin a frame."""
    others = bytes(byte for byte in range(256) if byte not in list(Request))
    transfers, _ = check([others + frame(1, 3, [9]) + others + frame(2, 3, length=1)])
    assert transfers == [(1, 3, 9), (0, 3, 9)]


@pytest.mark.parametrize("address", [1 << 24, 1 << 31, 0xFFFFFFFF, 0xFF000000, 0x01000003])
def test_no_aliases(address):
    """Outside the bus nothing is written, reads are 0, and a burst does not come round to address 0."""
    for command in (Request.WRITE, Request.WRITE_FIXED):
        assert check([frame(command, address, [1, 2, 3])]) == ([], b"")
    for command in (Request.READ, Request.READ_FIXED):
        assert check([frame(command, address, length=3)]) == ([], bytes(12))


def test_a_burst_ends_at_the_last_address():
    transfers, _ = check([frame(1, TOP - 1, [1, 2, 3, 4]) + frame(2, TOP - 1, length=4)])
    assert [where for _, where, _ in transfers] == [TOP - 1, TOP] * 2


def test_longest_frames():
    words = [i * 0x01010101 for i in range(255)]
    transfers, answers = check([frame(1, 1000, words) + frame(2, 1000, length=255)])
    assert len(transfers) == 510 and answers == b"".join(word.to_bytes(4, "big") for word in words)


@pytest.mark.parametrize("timeout", [1, 2, 50])
def test_timeout_is_exact(timeout):
    """A silence of ``timeout`` cycles ends a frame, one of a cycle less does not, wherever it comes."""
    whole = frame(1, 9, [0x05060708])
    for cut in range(1, len(whole)):
        for silence, done in ((timeout - 1, [(1, 9, 0x05060708)]), (timeout, [])):
            assert Host(timeout=timeout).play([whole[:cut], whole[cut:]], silence)[0] == done, (cut, silence)


@pytest.mark.parametrize("words", [1, 100])
def test_latency_and_rate(words):
    """Six bytes, and five cycles a word: four bytes, and one for the bus."""
    for whole in (frame(1, 0, range(words)), frame(2, 0, length=words)):
        host = Host()
        host.play([whole])
        assert host.finished + 1 == 6 + 5 * words


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("timeout", [0, -1, 1 << 32, 1.5, None])
def test_bad_timeout(timeout):
    with pytest.raises(ConfigError, match="timeout must be 1 to 4294967295, not"):
        UartBone(timeout)
    gc.collect()  # here, where the warning is expected
