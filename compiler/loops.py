"""Turns index arithmetic into the fields of nested loops."""

from gradgate.arch.commands import POST_LEVELS

MASK = 0xFFFF


def weight_loop(*, wm_addr, bank_addr, counts, steps, rot, rot_steps, lanes) -> dict:
    """Fields of WEIGHT_LOOP. ``counts``, ``steps`` = (t, inner, outer); ``rot_steps`` = (inner, outer)."""
    return {
        "wm_addr": wm_addr & MASK, "bank_addr": bank_addr,
        **{f"{name}_count": value for name, value in zip(("t", "inner", "outer"), counts)},
        **{f"{name}_step": value & MASK for name, value in zip(("t", "inner", "outer"), steps)},
        "rot": rot % lanes, "rot_inner": rot_steps[0] % lanes, "rot_outer": rot_steps[1] % lanes,
    }


def post_levels(**levels) -> dict:
    """Loop fields of POST from ``level=(count, source stride, destination stride)``; levels left out run once.

    The hardware adds one step when a loop advances, from wherever the loops within it ended; so their way is taken back.
    """
    result, way_src, way_dst = {}, 0, 0
    for name in POST_LEVELS:
        count, src, dst = levels.get(name, (1, 0, 0))
        result[f"{name}_count"] = count
        result[f"{name}_src"] = (src - way_src) & MASK
        result[f"{name}_dst"] = (dst - way_dst) & MASK
        way_src, way_dst = way_src + (count - 1) * src, way_dst + (count - 1) * dst
    return result
