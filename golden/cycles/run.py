"""Cycles of a RUN command, from the zeros of its operands.

For each row the recurrence over positions m, with S lists, list length L, u_j targets of lane j::

    head(m)  = max(builder free + target bricks, rel(m - S) + FREE)        rel(m) = max over lanes of fin_j(m)
    close(m) = head(m) + sum over window bricks of max(1, non-zeros)       (1 a brick where no lane has a target)
    fin_j(m) = max(fin_j(m-1) + 1 + bubble, close(m) + OPEN) + max(1, u_j * L) - 1

The constants restate the pipeline of the gateware; tests hold the sum against the command's own counter.
"""

from dataclasses import dataclass

import numpy as np

FIRST_ITEM = 6  #: from ``start`` to the list builder's first item
OPEN = 4  #: from the decision on the last entry of a list until lanes may visit it
FREE = 2  #: from the last lane's last cycle on a list until it may be filled again
BUBBLE = 3  #: idle cycles of a lane behind the OUT turns of a list
LAST = 9  #: from the last lane's last cycle to ``done``
ENDED = 8  #: from the END item to ``done``, where that is later


@dataclass(frozen=True)
class RunCost:
    """cycles: of the unit, ``start`` to ``done``; macs: multiplications done, all lanes of all rows."""

    cycles: int
    macs: int


def _axis(count, stride, skip, room, kernel, pitch):
    """Brick offsets of the window along one axis: arrays (count, kernel) of offsets and of what is inside the image."""
    first = np.arange(count)[:, None] * stride - skip  # relative to the first row inside
    taps = np.arange(kernel)[None, :]
    pixel = first + taps
    inside = (pixel >= 0) & (taps < room - np.arange(count)[:, None] * stride)
    return pixel * pitch, inside


def run_cost(config, command, list_flags, target_flags=None) -> RunCost:
    """Cycles and multiplications of one RUN ``command`` (:class:`gradgate.arch.commands.Command`).

    ``list_flags``, ``target_flags``: bool arrays (rows, bricks of a row memory, lanes), true where the word is not zero.
    """
    c = command
    lanes, rows = config.lanes, config.rows
    words = np.arange(lanes)

    # list entries of each brick the window touches
    y_off, y_in = _axis(c.y_count, c.stride, c.skip_y, c.room_y, c.kh, c.l_pitch)
    x_off, x_in = _axis(c.x_count, c.stride, c.skip_x, c.room_x, c.kw, c.l_col)
    slots, bricks = np.arange(c.slots) * c.l_slot, np.arange(c.l_bricks)
    where = (c.l_addr + slots[:, None, None, None, None, None] + y_off[None, :, None, :, None, None]
             + x_off[None, None, :, None, :, None] + bricks)
    inside = np.broadcast_to((y_in[:, None, :, None] & x_in[None, :, None, :])[None, ..., None], where.shape)
    positions = c.slots * c.y_count * c.x_count
    where = np.where(inside, where, 0).reshape(positions, -1)
    inside = inside.reshape(positions, -1)
    tail = np.broadcast_to(bricks == c.l_bricks - 1, (positions, c.kh * c.kw, c.l_bricks)).reshape(positions, -1)
    if c.skip_list:
        full, part = list_flags.sum(axis=2), (list_flags & (words < c.l_tail)).sum(axis=2)
        nonzero = np.where(tail, part[:, where], full[:, where])
    else:
        nonzero = np.broadcast_to(np.where(tail, c.l_tail, lanes), (rows,) + where.shape)
    nonzero = nonzero * inside
    entries = c.bias + nonzero.sum(axis=2)
    build = (np.maximum(nonzero, 1) * inside).sum(axis=2)
    touched = inside.sum(axis=1)

    # targets of each lane
    every = np.where(words < c.t_tail, c.t_count, c.t_count - 1)
    if c.fetch:
        steps = np.full(positions, c.t_x)
        steps[c.x_count - 1::c.x_count] = c.t_y
        steps[c.x_count * c.y_count - 1::c.x_count * c.y_count] = c.t_slot
        starts = (c.t_addr + np.concatenate(([0], np.cumsum(steps[:-1])))) & 0xFFFF
        if c.skip_target:
            counted = target_flags[:, starts[:, None] + np.arange(c.t_count)]
            counted = counted & ((words < c.t_tail) | (np.arange(c.t_count) < c.t_count - 1)[:, None])
            targets = counted.sum(axis=2)
        else:
            targets = np.broadcast_to(every, (rows, positions, lanes))
        void = ~targets.any(axis=2)
    else:
        targets = np.broadcast_to(every, (rows, positions, lanes))
        void = np.zeros((rows, positions), dtype=bool)
    build = np.where(void, touched, build)
    if c.outer:
        void = void | (entries == 0)
    work = np.where(void[..., None], 0, targets * np.maximum(entries, 1)[..., None])

    per_slot = c.y_count * c.x_count
    cycles = 0
    for row in range(rows):
        count = per_slot * (c.slots - (row >= c.last_rows))
        cycles = max(cycles, _row(config.lists, lanes, c.fetch * c.t_count, bool(c.outer), build[row, :count], work[row, :count]))
    owned = [per_slot * (c.slots - (row >= c.last_rows)) for row in range(rows)]
    return RunCost(cycles=cycles + 1, macs=int(sum(work[row, :owned[row]].sum() for row in range(rows))))


def _row(lists, lanes, fetches, outer, build, work) -> int:
    """Cycle, counted from ``start``, in which one row alone would be ``done``: positions x lanes ``work``, ``build`` cycles."""
    free = FIRST_ITEM
    fin = np.full(lanes, -1)
    bubble = np.zeros(lanes, dtype=np.int64)
    released = []
    spent = np.maximum(work, 1) - 1
    bubbles = np.where((work > 0) & outer, BUBBLE, 0)
    for m, cost in enumerate(build):
        head = free + fetches
        if m >= lists:
            head = max(head, released[m - lists] + FREE)
        close = head + int(cost)
        fin = np.maximum(fin + 1 + bubble, close + OPEN) + spent[m]
        bubble = bubbles[m]
        released.append(int(fin.max()))
        free = close + 1
    return max(free + ENDED, released[-1] + LAST if released else 0)
