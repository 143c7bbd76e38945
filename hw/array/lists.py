"""The lists of a row: what list builder, carousel and lanes tell each other about them."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.shapes import below


def entry_layout(config) -> data.StructLayout:
    """A list entry.

    k : bank index of the value's weight for target brick 0
    value : the two's-complement value, a word
    """
    return data.StructLayout({"k": (config.bank_weights - 1).bit_length(), "value": config.formats.act_bits})


class BuildSignature(wiring.Signature):
    """How lists are made, one after the other (seen from the list builder).

    free : In(lists), the list's memory may be written from the next cycle on
    claim : Out(1), one cycle: list ``slot`` begins; the targets of its position are complete
    slot : Out(range(lists)), number of the list under construction
    target_slot : Out(range(lists + 1)), slot of its targets, of which there is one more than lists
    w_en : Out(1), write an entry of list ``list``
    w_addr : Out(range(list_entries)), its place in the list; valid with ``w_en``
    w_entry : Out(entry), the entry; valid with ``w_en``
    open : Out(1), one cycle: list ``list`` is complete
    list : Out(range(lists)), number of the list; valid with ``w_en`` and ``open``
    length : Out(range(list_entries + 1)), its entries; valid with ``open``
    psum : Out(range(psum_words)), address of the first sum of its position; valid with ``open``
    void : Out(1), no lane has anything to do with it; valid with ``open``
    """

    def __init__(self, config):
        number = below(config.lists)
        super().__init__({
            "free": In(config.lists),
            "claim": Out(1),
            "slot": Out(number),
            "target_slot": Out(range(config.lists + 1)),
            "w_en": Out(1),
            "w_addr": Out(range(config.list_entries)),
            "w_entry": Out(entry_layout(config)),
            "open": Out(1),
            "list": Out(number),
            "length": Out(range(config.list_entries + 1)),
            "psum": Out(range(config.psum_words)),
            "void": Out(1),
        })


class ListsSignature(wiring.Signature):
    """The lists as all lanes of a row see them (seen from the carousel).

    bus : Out(lists x entry), one entry of each list, another one every cycle
    length : Out(lists x range(list_entries + 1)), entries of each list; from a cycle before it is pending
    single : Out(lists), its length is 1; likewise
    void : Out(lists), no lane has anything to do with it; from two cycles before it is pending
    psum : Out(lists x range(psum_words)), address of the first sum of each list; while it is pending
    target : Out(lists x range(lists + 1)), slot of the targets of each list; while it is pending
    """

    def __init__(self, config):
        lists = config.lists
        super().__init__({
            "bus": Out(data.ArrayLayout(entry_layout(config), lists)),
            "length": Out(data.ArrayLayout(range(config.list_entries + 1), lists)),
            "single": Out(lists),
            "void": Out(lists),
            "psum": Out(data.ArrayLayout(range(config.psum_words), lists)),
            "target": Out(data.ArrayLayout(range(lists + 1), lists)),
        })


class VisitSignature(wiring.Signature):
    """The lists that one lane has to visit (seen from the carousel).

    pending : Out(lists), the lane still has to visit the list
    fin : In(lists), this cycle is the last one that the lane spends on the list
    """

    def __init__(self, config):
        super().__init__({
            "pending": Out(config.lists),
            "fin": In(config.lists),
        })
