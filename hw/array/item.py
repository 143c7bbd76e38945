"""What travels from the window walk to the list builder."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum


class Kind(enum.Enum, shape=2):
    """Kinds of items of one position, in their order; END comes after the last position."""

    TARGET = 0  # one for each brick of targets
    HEAD = 1
    LIST = 2  # one for each brick of the list
    END = 3


def tag_layout(config) -> data.StructLayout:
    """An item without its brick.

    kind : what the item is
    last : the position's list ends here
    tail : the brick's last words do not belong to the tensor
    k : bank index of the brick's first word (``k * t_count``); with ``swap`` of its target
    t : number of the brick of targets
    turn : lane of a target brick's first word, 0 but for ``swap``
    """
    return data.StructLayout({
        "kind": Kind, "last": 1, "tail": 1,
        "k": unsigned((config.bank_weights - 1).bit_length()), "t": range(config.targets),
        "turn": range(config.lanes),
    })


def request_layout(config) -> data.StructLayout:
    """An item whose brick is still to be read.

    tag : the item without its brick
    addr : the brick, in row memory; of a head or an end it does not matter
    """
    return data.StructLayout({"tag": tag_layout(config), "addr": range(config.act_bricks)})


def item_layout(config) -> data.StructLayout:
    """An item with its brick.

    words : the brick, lane 0 first
    flags : one for each word that counts
    lowest : the lowest flag alone
    some : there is a flag
    single : there is at most one flag
    """
    return data.StructLayout({
        "tag": tag_layout(config),
        "words": data.ArrayLayout(unsigned(config.formats.act_bits), config.lanes),
        "flags": config.lanes, "lowest": config.lanes, "some": 1, "single": 1,
    })
