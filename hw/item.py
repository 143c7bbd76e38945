"""What travels from the window walk to the list builder."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum


class Kind(enum.Enum, shape=2):
    """Kinds of items of one position, in their order: TARGET (one a brick of targets), HEAD, LIST (one a brick); END after the last."""

    TARGET = 0
    HEAD = 1
    LIST = 2
    END = 3


def tag_layout(config) -> data.StructLayout:
    """An item without its brick.

    kind; last: the position's list ends here; tail: the brick's last words do not belong to the tensor; k: bank index of the
    brick's first word (``k * t_count``; of its target, with ``swap``); t: number of the brick of targets; turn: lane of a target
    brick's first word, 0 but for ``swap``.
    """
    return data.StructLayout({
        "kind": Kind, "last": 1, "tail": 1,
        "k": unsigned((config.bank_weights - 1).bit_length()), "t": range(config.targets),
        "turn": range(config.lanes),
    })


def item_layout(config) -> data.StructLayout:
    """An item with its brick.

    words: lane 0 first; flags: one for each word that counts; lowest: the lowest flag alone; some, single: there is a flag, there
    is no more than one.
    """
    return data.StructLayout({
        "tag": tag_layout(config),
        "words": data.ArrayLayout(unsigned(config.formats.act_bits), config.lanes),
        "flags": config.lanes, "lowest": config.lanes, "some": 1, "single": 1,
    })
