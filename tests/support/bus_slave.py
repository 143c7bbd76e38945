"""The host bus played by a testbench: a memory that lets a request wait as long as it likes, and keeps a log."""

import random


class BusSlave:
    """A memory behind the signals ``bus``; checks that a request stays as it is until it is done.

    slow : most cycles that a request waits
    seed : of the waiting, and of what is on ``r_data`` while nothing is read
    blank : the word at an address that was not written

    ``run`` is a testbench; it ends when ``over`` is set. ``transfers`` are tuples ``(write, address, word)`` in their order.
    """

    def __init__(self, bus, *, seed=0, slow=0, blank=lambda address: 0):
        self.bus, self.slow, self.blank, self.random = bus, slow, blank, random.Random(seed)
        self.words, self.transfers, self.over = {}, [], False
        self.cycle = self.last = 0  #: this cycle, and that of the last transfer

    async def run(self, ctx):
        bus, held, wait = self.bus, None, 0
        while not self.over:
            ctx.set(bus.ready, 0)
            ctx.set(bus.r_data, self.random.getrandbits(32))
            request = None
            if ctx.get(bus.valid):
                request = ctx.get(bus.write), ctx.get(bus.addr), ctx.get(bus.w_data) if ctx.get(bus.write) else None
            assert held in (None, request), "a request must stay as it is until it is done"
            held = request
            if request and wait:
                wait -= 1
            elif request:
                write, address, word = request
                if write:
                    self.words[address] = word
                else:
                    word = self.words.get(address, self.blank(address))
                self.transfers.append((write, address, word))
                ctx.set(bus.ready, 1)
                ctx.set(bus.r_data, word)
                held, wait, self.last = None, self.random.randrange(self.slow + 1), self.cycle
            await ctx.tick()
            self.cycle += 1
