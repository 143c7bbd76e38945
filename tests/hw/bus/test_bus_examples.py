"""The examples of serial line and bus faces of docs/examples.md."""

from support.bus_slave import BusSlave
from support.examples import several, table, trace
from support.units import simulate

from gradgate.hw.bus.axilite import AxiLiteFace
from gradgate.hw.bus.uart import UartReceiver, UartTransmitter
from gradgate.hw.bus.uartbone import UartBone
from gradgate.hw.bus.wishbone import WishboneFace

BIT = 4  #: cycles


def levels(rows, cycles):
    """The line in each of so many cycles."""
    return [next(row["level"] for row in reversed(rows) if row["from cycle"] <= cycle) for cycle in range(cycles)]


def bits(rows):
    """The byte whose bits are at these levels."""
    data = [(row["bit"], row["level"]) for row in rows if isinstance(row["bit"], int)]
    assert [bit for bit, _ in data] == list(range(8))
    return sum(level << bit for bit, level in data)


def test_transmitter():
    byte = 0x53
    dut, rows, seen = UartTransmitter(BIT), table("UartTransmitter", "bit", "level", "from cycle"), []

    async def bench(ctx):
        ctx.set(dut.i.payload, byte)
        ctx.set(dut.i.valid, 1)
        for _ in range(rows[-1]["from cycle"] + BIT):
            seen.append(ctx.get(dut.tx))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    simulate(dut, bench)
    assert seen == levels(rows, len(seen)) and bits(rows) == byte
    assert [row["from cycle"] for row in rows[1:]] == list(range(1, len(seen) - BIT + 1, BIT))


def test_receiver():
    dut, rows = UartReceiver(BIT), table("UartReceiver", "bit", "level", "from cycle")
    byte, = table("UartReceiver", "byte", "in cycle")
    line, came = levels(rows, byte["in cycle"] + BIT), []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle, level in enumerate(line):
            ctx.set(dut.rx, level)
            if ctx.get(dut.o.valid):
                came.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()

    simulate(dut, bench)
    assert came == [(byte["in cycle"], byte["byte"])] and bits(rows) == byte["byte"]
    assert [row["from cycle"] for row in rows] == list(range(0, BIT * len(rows), BIT))


def test_uartbone():
    dut, rows = UartBone(timeout=50), table("UartBone", "bytes in", "write", "address", "word", "bytes out")
    memory, answers = BusSlave(dut.bus), []

    async def send(ctx):
        for row in rows:
            answers.append([])
            for byte in row["bytes in"]:
                ctx.set(dut.i.payload, byte)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(20)  # for the answer
        memory.over = True

    async def listen(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                answers[-1].append(byte)

    simulate(dut, send, memory.run, processes=(listen,))
    assert memory.transfers == [(row["write"], row["address"], row["word"]) for row in rows]
    assert answers == [several(row["bytes out"]) for row in rows]


def named(interface, *names):
    """``{name: its signal}``."""
    return {name: getattr(interface, name) for name in names}


def test_wishbone():
    dut = WishboneFace()
    rows = table("Wishbone", "cycle", "stb", "we", "adr", "dat_w", "sel", "ack", "err", "dat_r",
                 "ready", "r_data", "valid", "write", "addr", "w_data")
    inputs = named(dut.wb, "stb", "we", "adr", "dat_w", "sel") | named(dut.bus, "ready", "r_data")
    outputs = named(dut.wb, "ack", "err", "dat_r") | named(dut.bus, "valid", "write", "addr", "w_data")

    async def bench(ctx):
        ctx.set(dut.wb.cyc, 1)
        await trace(ctx, rows, inputs, outputs)

    simulate(dut, bench)


def test_axi():
    dut = AxiLiteFace()
    writes = table("AXI4-Lite", "cycle", "awvalid", "awaddr", "wvalid", "wdata", "bvalid", "bresp",
                   "ready", "valid", "write", "addr", "w_data")
    reads = table("AXI4-Lite", "cycle", "arvalid", "araddr", "rvalid", "rdata", "rresp", "ready", "r_data", "valid", "write", "addr")

    async def bench(ctx):
        ctx.set(dut.axi.wstrb, 15)
        ctx.set(dut.axi.bready, 1)
        ctx.set(dut.axi.rready, 1)
        await trace(ctx, writes, named(dut.axi, "awvalid", "awaddr", "wvalid", "wdata") | named(dut.bus, "ready"),
                    named(dut.axi, "bvalid", "bresp") | named(dut.bus, "valid", "write", "addr", "w_data"))
        await trace(ctx, reads, named(dut.axi, "arvalid", "araddr") | named(dut.bus, "ready", "r_data"),
                    named(dut.axi, "rvalid", "rdata", "rresp") | named(dut.bus, "valid", "write", "addr"))

    simulate(dut, bench)
