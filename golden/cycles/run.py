"""Cycles of a RUN command, from the zeros of its operands.

For each row the recurrence over positions m, with S lists, list length L, u_j targets of lane j::

    head(m)  = max(builder free + target bricks, rel(m - S) + FREE)        rel(m) = max over lanes of fin_j(m)
    close(m) = head(m) + sum over the list's bricks of max(1, non-zeros)   (1 a brick where no lane has a target)
    fin_j(m) = max(fin_j(m-1) + 1 + bubble, close(m) + OPEN) + max(1, u_j * L) - 1

The constants restate the pipeline of the gateware; tests hold the sum against the command's own counter.
"""

from dataclasses import dataclass

import numpy as np

FIRST_ITEM = 13  #: from ``start`` to the list builder's first item
OPEN = 4  #: from the decision on the last entry of a list until lanes may visit it
FREE = 2  #: from the last lane's last cycle on a list until it may be filled again
BUBBLE = 3  #: idle cycles of a lane behind the OUT turns of a list
LAST = 9  #: from the last lane's last cycle to ``done``
ENDED = 8  #: from the END item to ``done``, where that is later
EDGES = FIRST_ITEM + OPEN + LAST + 1  #: before a RUN's first list opens, and behind its last multiplication: lanes have no work


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


def run_cost(config, command, list_flags, target_flags=None, times=None) -> RunCost:
    """Cycles and multiplications of one RUN ``command`` (:class:`gradgate.arch.commands.Command`).

    ``list_flags``, ``target_flags``: bool arrays (rows, bricks of a row memory, lanes), true where the word is not zero.
    ``times``: asked instead of :func:`row_times`, for what a RUN would cost if something took no time.
    """
    c, lanes = command, config.lanes
    window, inside = _window(c)
    window_flags, point_flags = (target_flags, list_flags) if c.swap else (list_flags, target_flags)
    window_words = np.where(_tails(c), c.l_tail, lanes)
    point_words = np.where(np.arange(c.t_count) == c.t_count - 1, c.t_tail, lanes)
    if c.swap:
        counted = _counted(window_flags, window, window_words, c.skip_target, lanes) & inside[..., None]
        targets = _turned(c, counted).sum(axis=2)
        targets[..., lanes - 1] += c.bias
        nonzero = _counted(point_flags, _points(c), point_words, c.skip_list, lanes).sum(axis=3)
        entries = nonzero.sum(axis=2)
        build = np.maximum(nonzero, 1).sum(axis=2)
        fetches, least = inside.sum(axis=1), np.full(len(inside), c.t_count)
    else:
        nonzero = _counted(window_flags, window, window_words, c.skip_list, lanes).sum(axis=3) * inside
        entries = c.bias + nonzero.sum(axis=2)
        build = (np.maximum(nonzero, 1) * inside).sum(axis=2)
        if c.fetch:
            targets = _counted(point_flags, _points(c), point_words, c.skip_target, lanes).sum(axis=2)
        else:
            targets = np.broadcast_to(np.where(np.arange(lanes) < c.t_tail, c.t_count, c.t_count - 1), entries.shape + (lanes,))
        fetches, least = np.full(len(inside), c.fetch * c.t_count), inside.sum(axis=1)
    build = np.where(targets.any(axis=2), build, least)

    released, free = (times or row_times)(config.lists, bool(c.outer), fetches[:, None], build.T, entries.T, targets.swapaxes(0, 1))
    owned = [c.y_count * c.x_count * (c.slots - (row >= c.last_rows)) for row in range(config.rows)]
    cycles = max(int(done(released[:count, row], free[:count, row])) for row, count in enumerate(owned))
    work = targets * (entries if c.outer else np.maximum(entries, 1))[..., None]
    return RunCost(cycles=cycles + 1, macs=int(sum(work[row, :count].sum() for row, count in enumerate(owned))))


def _window(c) -> tuple:
    """Brick addresses of the windows, and which lie inside the image: arrays (positions, window bricks)."""
    y_off, y_in = _axis(c.y_count, c.stride, c.skip_y, c.room_y, c.kh, c.l_pitch)
    x_off, x_in = _axis(c.x_count, c.stride, c.skip_x, c.room_x, c.kw, c.l_col)
    slots, bricks = np.arange(c.slots) * c.l_slot, np.arange(c.l_bricks)
    where = (c.l_addr + slots[:, None, None, None, None, None] + y_off[None, :, None, :, None, None]
             + x_off[None, None, :, None, :, None] + bricks)
    inside = np.broadcast_to((y_in[:, None, :, None] & x_in[None, :, None, :])[None, ..., None], where.shape)
    positions = c.slots * c.y_count * c.x_count
    return np.where(inside, where, 0).reshape(positions, -1), inside.reshape(positions, -1)


def _tails(c) -> np.ndarray:
    """Which bricks of a window are the last of their pixel."""
    return np.tile(np.arange(c.l_bricks) == c.l_bricks - 1, c.kh * c.kw)


def _points(c) -> np.ndarray:
    """Brick addresses at the positions: array (positions, t_count)."""
    steps = np.full(c.slots * c.y_count * c.x_count, c.t_x)
    steps[c.x_count - 1::c.x_count] = c.t_y
    steps[c.x_count * c.y_count - 1::c.x_count * c.y_count] = c.t_slot
    starts = (c.t_addr + np.concatenate(([0], np.cumsum(steps[:-1])))) & 0xFFFF
    return starts[:, None] + np.arange(c.t_count)


def _counted(flags, where, words, skip, lanes) -> np.ndarray:
    """Words that count, (rows, positions, bricks, lanes), of the bricks ``where`` of which ``words`` belong to the tensor."""
    belongs = np.broadcast_to(np.arange(lanes) < words[:, None], where.shape + (lanes,))
    return flags[:, where] & belongs if skip else np.broadcast_to(belongs, flags.shape[:1] + belongs.shape)


def _turned(c, counted) -> np.ndarray:
    """``counted`` with the words of each window brick moved to their lanes."""
    lanes = counted.shape[-1]
    turn = (np.arange(c.kh)[:, None] * c.turn_row + np.arange(c.kw) * c.turn_tap).repeat(c.l_bricks)
    source = (np.arange(lanes) - turn[:, None]) % lanes
    return np.take_along_axis(counted, np.broadcast_to(source, counted.shape), axis=3)


def row_times(lists: int, outer: bool, fetches, build, entries, targets, bubble: int | None = None) -> tuple:
    """When rows get on with their positions: many rows, and tiles, at once.

    lists : S; outer : OUT turns instead of RED turns
    fetches : (positions, ...) bricks of targets; build : (positions, ...) cycles from a position's first brick to its close
    entries : (positions, ...) length of the list, 0 for an empty one; targets : (positions, ..., lanes) targets of each lane
    bubble : idle cycles of a lane after the OUT turns of a list; None: :data:`BUBBLE`, as it is at the call

    Axes behind the positions are independent rows, and broadcast against each other. Returns two arrays (positions, ...) of
    cycles counted from ``start``: the last lane's last cycle on the position's list, and the builder's first cycle behind it.
    Both depend on a position and those before it only.
    """
    bubble = BUBBLE if bubble is None else bubble
    length = entries if outer else np.maximum(entries, 1)
    shape = np.broadcast_shapes(fetches.shape[1:], build.shape[1:], entries.shape[1:], targets.shape[1:-1])
    dtype = np.result_type(build, length, targets)
    released, free = np.empty((2, len(build)) + shape, dtype)
    now = np.full(shape, FIRST_ITEM, dtype)
    ready = np.zeros(shape + targets.shape[-1:], dtype)  # cycle in which each lane could begin
    for m in range(len(build)):
        head = now + fetches[m]
        if m >= lists:
            np.maximum(head, released[m - lists] + FREE, out=head)
        close = head + build[m]
        work = targets[m] * length[m][..., None]
        np.maximum(ready, (close + OPEN)[..., None], out=ready)
        ready += np.maximum(work, 1)
        released[m] = ready.max(axis=-1) - 1
        if outer:
            ready += bubble * (work > 0)
        now = free[m] = close + 1
    return released, free


def done(released, free):
    """Cycle, counted from ``start``, in which rows would be ``done`` that end with the last position of ``row_times``' results."""
    if not len(free):
        return FIRST_ITEM + ENDED
    return np.maximum(free[-1] + ENDED, released[-1] + LAST)
