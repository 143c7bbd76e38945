"""The examples of the array of docs/examples.md."""

import random

import test_lane
import test_post
from support.examples import core, grids, table
from support.lists_bench import Bench, Brick, Lists, Position
from support.units import ReadPort, blank, pack, payload, signed, simulate

from gradgate.arch.commands import POST_LEVELS, Opcode
from gradgate.compiler.geometry import Axis, list_fields
from gradgate.compiler.program import Place
from gradgate.compiler.tiles import Span
from gradgate.hw.array.fetch import Fetch
from gradgate.hw.array.item import Kind, tag_layout
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.targets import Targets, target_layout
from gradgate.hw.array.window import Window

CONFIG = core()
BITS = CONFIG.formats.act_bits


def test_window():
    dut, rows = Window(CONFIG), table("Window", "cycle", "item", "brick", "k", "last")
    bricks, = grids("Window", "bricks").values()
    assert bricks == [[3 * y + x for x in range(3)] for y in range(3)]
    axis, image = Axis(first=-1, kernel=3, size=3), Place(base=0, height=3, width=3, channels=2, bricks=1)
    fields = {"y_count": 1, "x_count": 3, "t_count": 1, "t_tail": 2,
              **list_fields(image, 0, axis, axis, 1, Span(first=0, count=1), CONFIG.lanes, 1)}
    seen = []

    async def bench(ctx):
        ctx.set(dut.fields.as_value(), payload(Opcode.RUN, **fields))
        ctx.set(dut.k_most, CONFIG.bank_weights - CONFIG.lanes)
        ctx.set(dut.k_most_tail, CONFIG.bank_weights - CONFIG.lanes)
        ctx.set(dut.slots, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(Window.SETTLE)
        for cycle in range(rows[-1]["cycle"] + 5):
            ctx.set(dut.start, cycle == 0)
            assert not ctx.get(dut.fault)
            if ctx.get(dut.o.valid):
                tag, addr = ctx.get(dut.o.payload.tag), ctx.get(dut.o.payload.addr)
                brick = (addr, tag.k) if tag.kind == Kind.LIST else (None, None)
                seen.append((cycle, Kind(tag.kind).name, *brick, tag.last))
            await ctx.tick()

    simulate(dut, bench)
    assert seen == [tuple(row.values()) for row in rows]


def test_fetch():
    dut, rows = Fetch(CONFIG), table("Fetch", "in cycle", "item", "tail", "brick", "words", "flags", "out cycle")
    bricks = {row["brick"]: row["words"] for row in rows if row["brick"] is not None}
    memory = [pack(bricks.get(number, (0, 0)), BITS) for number in range(CONFIG.act_bricks)]
    port, seen = ReadPort(memory, dut.memory.addr, dut.memory.data.as_value(), Fetch.READ), []

    async def bench(ctx):
        ctx.set(dut.list_words, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(rows[-1]["out cycle"] + 5):
            row = next((row for row in rows if row["in cycle"] == cycle), None)
            ctx.set(dut.i.valid, row is not None)
            if row:
                ctx.set(dut.i.payload.tag, tag_layout(CONFIG).const({"kind": Kind[row["item"]], "tail": row["tail"]}))
                ctx.set(dut.i.payload.addr, row["brick"] or 0)
            port.step(ctx)
            if ctx.get(dut.o.valid):
                item, brick = ctx.get(dut.o.payload), (None, None)
                if item.tag.kind == Kind.LIST:
                    brick = tuple(item.words), tuple(item.flags >> lane & 1 for lane in range(CONFIG.lanes))
                seen.append((Kind(item.tag.kind).name, item.tag.tail, *brick, cycle))
            await ctx.tick()

    simulate(dut, bench)
    assert seen == [(row["item"], row["tail"], row["words"], row["flags"], row["out cycle"]) for row in rows]


def one_position():
    """The position whose bricks the page shows, and the fields of its RUN."""
    head, *bricks = table("ListBuilder", "item", "k", "words")
    assert head == {"item": "HEAD", "k": None, "words": None} and {row["item"] for row in bricks} == {"LIST"}
    fields = blank(Opcode.RUN) | {"t_count": 2, "t_tail": 1}
    position = Position(targets=[], bricks=[
        Brick(k=row["k"], words=list(row["words"]), flags=[word != 0 for word in row["words"]]) for row in bricks])
    return fields, position.expect(CONFIG, fields, 0)


def play_lists(watched):
    """A RUN of that position: what ``watched(dut)`` showed in each cycle, from the one of the head on."""
    dut, seen, head = Lists(CONFIG), [], []
    fields, position = one_position()

    async def bench(ctx):
        play = Bench(CONFIG, dut, ctx)
        await play.run(fields, [position])
        play.check()
        play.check_cycles()
        head.extend(play.claim)

    async def watch(ctx):
        async for _, _, *values in ctx.tick().sample(*watched(dut)):
            seen.append(values)

    simulate(dut, bench, processes=(watch,))
    return seen[head[0]:]


def test_list_builder():
    rows = table("ListBuilder", "cycle", "claim", "w_en", "w_addr", "k", "value", "open", "length")
    seen = play_lists(lambda dut: [getattr(dut.builder.build, name) for name in ("claim", "w_en", "w_addr", "w_entry", "open", "length")])
    assert [row["cycle"] for row in rows] == list(range(len(rows)))
    for row, (claim, w_en, w_addr, entry, opened, length) in zip(rows, seen):
        write = (w_addr, entry.k, signed(entry.value, BITS)) if w_en else (None, None, None)
        assert tuple(row.values())[1:] == (claim, w_en, *write, opened, length if opened else None), row


def test_carousel():
    rows = table("Carousel", "cycle", "pending, lane 0", "pending, lane 1", "fin, lane 0", "fin, lane 1", "k", "value")
    seen = play_lists(lambda dut: [visit.pending[0] for visit in dut.carousel.visits] + [visit.fin[0] for visit in dut.carousel.visits]
                      + [dut.carousel.lists.bus[0]])
    assert [row["cycle"] for row in rows] == list(range(rows[0]["cycle"], rows[0]["cycle"] + len(rows)))
    for row in rows:
        *bits, entry = seen[row["cycle"]]
        assert list(row.values())[1:5] == bits, row
        assert row["k"] is None or (row["k"], row["value"]) == (entry.k, signed(entry.value, BITS)), row


def test_targets():
    dut = Targets(CONFIG)
    rows = table("Targets", "cycle", "en", "slot", "t", "value", "claim", "claim_list", "r_index",
                 "slot 0", "slot 1", "count of list 0", "count of list 1")

    async def bench(ctx):
        for cycle, row in enumerate(rows):
            assert row["cycle"] == cycle
            for name in ("en", "slot", "claim", "claim_list"):
                ctx.set(getattr(dut.append, name), row[name] or 0)
            ctx.set(dut.append.entry, {"t": row["t"] or 0, "value": row["value"] or 0})
            ctx.set(dut.r_index, row["r_index"])
            for number in range(2):
                entry = target_layout(CONFIG).from_bits(ctx.get(dut.r_entries[number].as_value()))
                assert row[f"slot {number}"] in (None, (entry.t, entry.value)), row
                assert row[f"count of list {number}"] in (None, ctx.get(dut.count[number])), row
            await ctx.tick()

    simulate(dut, bench)


def test_lane_reduces():
    entries = table("Lane", "k", "value", "weight of t = 0", "weight of t = 1")
    sums = table("Lane", "t", "sum")
    dut, rng = Lane(CONFIG), random.Random(0)

    async def bench(ctx):
        play = test_lane.Bench(CONFIG, dut, ctx, rng)
        for row in entries:
            for t in range(2):
                await play.fill(row["k"] + t, row[f"weight of t = {t}"])
        position = test_lane.Position(entries=[(row["k"], row["value"]) for row in entries], targets=[(row["t"], 0) for row in sums])
        await play.run(test_lane.Run(outer=False, fetch=False, every=len(sums), positions=[position]))
        await play.check()
        seen = await play.read(dut.sums, [row["t"] for row in sums])
        assert [signed(word, CONFIG.formats.acc_bits) for word in seen] == [row["sum"] for row in sums]

    simulate(dut, bench)


def test_lane_adds_products():
    products = table("Lane", "position", "t", "target", "k", "value", "word", "product")
    words = table("Lane", "word", "accumulator")
    times = table("Lane", "position", "first cycle", "last cycle")
    dut, rng = Lane(CONFIG), random.Random(0)
    for row in products:
        assert (row["word"], row["product"]) == (row["k"] + row["t"], row["target"] * row["value"]), row

    def distinct(number, *names):
        """The pairs that the products of a position are made of, each once."""
        return list(dict.fromkeys(tuple(row[name] for name in names) for row in products if row["position"] == number))

    positions = [test_lane.Position(entries=distinct(row["position"], "k", "value"), targets=distinct(row["position"], "t", "target"))
                 for row in times]
    run = test_lane.Run(outer=True, fetch=True, positions=positions)

    async def bench(ctx):
        play = test_lane.Bench(CONFIG, dut, ctx, rng)
        await play.clear()
        await play.run(run)
        await play.check()
        seen = await play.read(dut.accs, [row["word"] for row in words])
        assert [signed(word, CONFIG.formats.acc_bits) for word in seen] == [row["accumulator"] for row in words]

    simulate(dut, bench)
    assert len(run.issued) == len(products)
    begin = run.issued[0][0]
    for row, position in zip(times, positions):
        cycles = [cycle - begin for cycle, where, _, _ in run.issued if where is position]
        assert (row["first cycle"], row["last cycle"]) == (min(cycles), max(cycles)), row


def test_post_pools():
    beats = table("PostWalk and Post", "beat", "address", "sum, lane 0", "sum, lane 1", "word, lane 0", "word, lane 1")
    writes = table("PostWalk and Post", "cycle", "brick", "words", "argmax word", "places")
    dut, walked = test_post.PostRow(CONFIG), []
    fields = dict.fromkeys(test_post.FLAGS, 0) | {"relu": 1, "tail": 2, "last_rows": 1}
    fields |= {"src_addr": 0, "dst_addr": writes[0]["brick"], "aux_addr": writes[0]["argmax word"], "add_addr": 0}
    once = {name: (1, 0, 0) for name in POST_LEVELS}
    pooled = once | {"wx": (2, 1, 0), "wy": (2, 4, 0), "x": (2, 2, 1)}

    async def bench(ctx):
        memories = test_post.Memories(CONFIG, dut, random.Random(0))
        for row in beats:
            memories.sums[row["address"]] = [row["sum, lane 0"], row["sum, lane 1"]]
        memories.ports[0].words[:] = [pack(brick, CONFIG.formats.acc_bits) for brick in memories.sums]
        play = test_post.Bench(CONFIG, dut, ctx, memories)
        seen, *_ = await play.run(fields | {"pool": 1}, pooled, 1)
        assert seen == [(row["cycle"], row["brick"], list(row["words"]), (row["argmax word"], list(row["places"]))) for row in writes]
        walked.append(None)  # the beats of the first command end here
        seen, *_ = await play.run(fields, once | {"x": (8, 1, 1)}, 1)  # without pooling
        words = [words for _, _, words, _ in seen]
        assert [words[row["address"]] for row in beats] == [[row["word, lane 0"], row["word, lane 1"]] for row in beats]

    async def watch(ctx):
        async for _, _, valid, beat in ctx.tick().sample(dut.walk.o.valid, dut.walk.o.beat):
            if valid:
                walked.append(beat.src)

    simulate(dut, bench, processes=(watch,))
    assert list(enumerate(walked[:walked.index(None)])) == [(row["beat"], row["address"]) for row in beats]
