"""The command set: one table from which decoder, encoder and documentation come.

A command is one header word and the words of its fields. The header has the opcode in bits 7..0, the length in words in bits 15..8,
and from bit 16 up one bit for each unit, in the order of opcodes from MOVE on: the command starts when these units, and its own, are
idle. END waits for all units. Bits 31..23 are zero. Fields are packed in table order from bit 0 up; a field never crosses a 32-bit
word.
"""

from dataclasses import dataclass
from enum import IntEnum

WORD = 32


class Opcode(IntEnum):
    """Operation of a command."""

    END = 0
    MOVE = 1
    LOAD = 2
    CLEAR = 3
    RUN = 4
    POST = 5
    LOSS = 6
    UPDATE = 7


#: Opcodes that have a unit which a command can wait for.
WITH_UNIT = frozenset(Opcode) - {Opcode.END}
#: Header bit by which a command waits for the unit of an opcode.
WAIT_BIT = {opcode: 16 - 1 + opcode for opcode in sorted(WITH_UNIT)}


class Error(IntEnum):
    """Why the sequencer stopped."""

    NONE = 0
    ILLEGAL = 1
    NO_END = 2
    ADDRESS = 3
    WATCHDOG = 4
    CONFLICT = 5


ERROR_DOC = {
    Error.NONE: "no error",
    Error.ILLEGAL: "unknown opcode, a length that is not the opcode's, a header bit that must be zero, or an `END` that does not wait for "
                   "all units",
    Error.NO_END: "the program memory ended before an `END`",
    Error.ADDRESS: "an address outside its memory, or a count out of its range",
    Error.WATCHDOG: "no command started and none ended for WATCHDOG cycles",
    Error.CONFLICT: "a command would use a memory port that a unit under way uses, for which it does not wait",
}


@dataclass(frozen=True)
class Field:
    """One field of a command: width in bits, and what it means."""

    name: str
    bits: int
    doc: str
    signed: bool = False


def flag(name, doc):
    """A one-bit field."""
    return Field(name, 1, doc)


def address(name, doc):
    """A memory address, or a step between addresses taken modulo ``2**16``."""
    return Field(name, 16, doc)


def count(name, doc, bits=12):
    """A count; 0 is legal only where the text says so."""
    return Field(name, bits, doc)


def lane(name, doc):
    """A lane number, or a difference of two."""
    return Field(name, 4, doc)


#: Loop levels of POST, innermost first.
POST_LEVELS = ("wx", "wy", "t", "x", "y", "slot")

WEIGHT_LOOP = (
    address("wm_addr", "weight memory: first brick"),
    address("bank_addr", "banks: first word; LOAD: weight address (two weights lie in a word), UPDATE: accumulator address"),
    count("t_count", "innermost loop: bricks of outputs (with spread: of inputs)"),
    count("inner_count", "middle loop: input channels (with spread: output channels)"),
    count("outer_count", "outer loop: kernel taps"),
    address("t_step", "added to the weight address from one t to the next"),
    address("inner_step", "added, when the middle loop advances, to the address at which its iteration began (with "
                          "spread: only behind every lanes-th iteration, counted from where the outer loop advanced)"),
    address("outer_step", "added, when the outer loop advances, to the address at which its iteration began"),
    count("rot", "rotation of the first brick: k mod lanes (with spread: (output + k) mod lanes)", 4),
    count("rot_inner", "added to the rotation when the middle loop advances, mod lanes", 4),
    count("rot_outer", "added, when the outer loop advances, to the rotation at which its iteration began", 4),
)

COMMANDS = {
    Opcode.END: ("Ends the program when all units are idle: its header has the bits of all units.", ()),
    Opcode.MOVE: ("Copies words between staging memory and row memories, one word a cycle. Image i lives in row i mod rows, "
                  "slot i div rows. Inwards, the words behind the last channel of a pixel become zero.", (
        flag("out", "0: staging to rows, 1: rows to staging"),
        count("channels", "words of a pixel"),
        count("pixels", "pixels of an image"),
        address("images", "images"),
        address("stage_addr", "staging memory: first word"),
        address("row_addr", "row memory: first brick of slot 0"),
        address("slot_step", "bricks from one slot to the next"),
    )),
    Opcode.LOAD: ("Rounds master weights to working weights and writes them to the banks of all rows, one brick a cycle, at "
                  "consecutive bank addresses.", WEIGHT_LOOP + (
        flag("spread", "bricks run along inputs instead of outputs (backward-data)"),
        count("out_bricks", "with spread: bricks of one input's outputs, the stride between inputs in the weight memory"),
    )),
    Opcode.CLEAR: ("Sets accumulators 0 .. words-1 of every bank to zero.", (
        count("words", "accumulators to clear: 1 to the depth of a bank"),
    )),
    Opcode.RUN: ("One pass over one tile: builds the list of every position, and every lane makes one turn of it for each of "
                 "its targets. A reducing turn (RED) sums list value x weight into a sum; an outer-product turn (OUT) adds "
                 "list value x target value to the accumulators.", (
        flag("outer", "OUT turns (weight-gradient) instead of RED turns"),
        flag("fetch", "targets are the non-zeros of a target tensor; otherwise all targets of the tile"),
        flag("bias", "every list starts with (k = k_bias, value 1.0); with swap: so does the last lane's row of targets"),
        flag("accumulate", "RED sums start from the sums memory instead of zero"),
        flag("skip_list", "input skip: zeros of the list tensor make no list entry"),
        flag("skip_target", "output skip: zeros of the target tensor are no targets"),
        flag("swap", "with outer and fetch: the words of the windows are the targets, and the words at the position make the list. Fields "
                     "that begin with l_ go on describing the windows, those with t_ what lies at the positions"),
        count("stride", "pixels of the list tensor from one position to the next: 1 or 2", 2),
        count("slots", "images of row 0 in this tile"),
        count("last_rows", "rows that own an image in the last slot; the others have one slot less", 5),
        count("y_count", "rows of positions of an image"),
        count("x_count", "columns of positions"),
        address("l_addr", "list tensor: first brick of the first position's window, where it lies in the image"),
        address("l_slot", "list tensor: bricks from one slot to the next"),
        address("l_pitch", "list tensor: bricks from one image row to the next"),
        count("l_col", "list tensor: bricks of a pixel"),
        count("l_bricks", "bricks of a pixel that belong to the tile"),
        count("l_tail", "words of the last of them that belong to the tensor", 5),
        count("kh", "window rows", 4),
        count("kw", "window columns", 4),
        count("skip_y", "window rows above the image at the first row of positions", 4),
        count("skip_x", "window columns left of the image at the first column", 4),
        count("room_y", "image rows from the window's first row on, at the first row of positions (padding included)"),
        count("room_x", "the same for columns"),
        address("k_tap", "k from one window column to the next, times t_count; with swap, here and below: times the words at a position"),
        address("k_row", "k from one window row to the next, times t_count"),
        address("k_first_y", "skip_y times k_row"),
        address("k_first_x", "skip_x times k_tap"),
        address("k_brick", "k from one brick to the next, times t_count"),
        address("k_bias", "k of the bias, times t_count"),
        lane("turn_tap", "swap: a window's word goes to a lane that many further than in the window column before, mod lanes"),
        lane("turn_row", "the same for window rows"),
        lane("turn_first_y", "skip_y times turn_row, mod lanes"),
        lane("turn_first_x", "skip_x times turn_tap, mod lanes"),
        count("t_count", "bricks of targets in the tile: 1 to the targets that a lane may have", 6),
        count("t_tail", "words of the last of them that are targets", 5),
        address("t_addr", "target tensor: first brick of the first position"),
        address("t_x", "target tensor: bricks from one column of positions to the next"),
        address("t_y", "target tensor: bricks from the last column to the next row's first"),
        address("t_slot", "target tensor: bricks from the last position of a slot to the first of the next"),
        address("bank_addr", "banks: address of k = 0, target brick 0"),
        address("psum_addr", "sums memory: address of the first position"),
    )),
    Opcode.POST: ("Turns sums into words: rounds, saturates, adds a residual, applies ReLU or the mask, pools, and writes bricks to "
                  "row memory. With rows as its source: averages, or sends the gradients of pooled words back. One word a lane a cycle; "
                  "two cycles where a mask and another word are read from row memory. Not together: rows and add, mask and pool, mask and "
                  "choose.", tuple(
        [flag("rows", "source is row memory instead of the sums memory"),
         flag("choose", "a word counts only at the window element that the argmax memory names"),
         flag("add", "the word of another tensor is added, before relu and mask"),
         flag("relu", "negative words become zero"),
         flag("mask", "a word becomes zero where the word of the mask tensor is zero"),
         flag("pool", "the maximum over the two inner loops is written, and its place to the argmax memory"),
         flag("mean", "the sum over the two inner loops is written"),
         count("shift", "right shift, rounding halves up, of what is written: 0 to 6", 3),
         count("tail", "words of the last t brick that belong to the tensor", 5),
         count("last_rows", "rows that own an image in the last slot", 5),
         address("src_addr", "sums memory (rows: row memory): first address"),
         address("dst_addr", "row memory: first brick written"),
         address("aux_addr", "mask: row memory; pool, choose: argmax memory: first address; steps as the destination's (choose: source's)"),
         address("add_addr", "add: row memory: first brick; steps as the destination's")]
        + [f for level in POST_LEVELS for f in (
            count(f"{level}_count", f"iterations of loop {level}", 16),
            address(f"{level}_src", f"added to the source address when loop {level} advances"),
            address(f"{level}_dst", f"added to the destination address when loop {level} advances"))])),
    Opcode.LOSS: ("Softmax cross-entropy of every image: counts correct predictions and, if asked, writes the gradient of the "
                  "logits.", (
        flag("grad", "write the gradient"),
        count("classes", "number of classes: 2 to 32", 6),
        address("images", "images"),
        address("logits", "row memory: logits of slot 0"),
        address("logits_slot", "bricks from one slot to the next"),
        address("labels", "row memory: label of slot 0, word 0 of a brick"),
        address("labels_slot", "bricks from one slot to the next"),
        address("grads", "row memory: gradient of slot 0"),
        address("grads_slot", "bricks from one slot to the next"),
    )),
    Opcode.UPDATE: ("Adds the weight gradients of all rows and updates the master weights M, one brick a cycle: M - step, saturated, "
                    "with step = (sum + half) >> shift; or with momentum V - round(V / 2**decay) + step, saturated, is the new "
                    "velocity V, and M - V, saturated, the new weight.", WEIGHT_LOOP + (
        count("shift", "right shift of the summed gradient: 1 to 31", 5),
        count("tail", "words of the last t brick that belong to the tensor", 5),
        count("decay", "momentum: a velocity loses its 2**-decay part, rounded away from zero, before the step is added; 0: no "
                       "momentum, velocities stay as they are. Cores without momentum ignore it", 3),
        flag("diagonal", "only the lane whose number is the rotation: depthwise weights"),
        flag("spread", "bricks run along inputs instead of outputs (behind a RUN with swap); not with momentum"),
        count("out_bricks", "with spread: bricks of one input's outputs, the stride between inputs in the weight memory"),
        lane("turn", "with spread: lane of a brick's first word"),
        lane("turn_outer", "added to turn when the outer loop advances, mod lanes"),
    )),
}


def layout(opcode: Opcode) -> dict:
    """Bit offset of every field of a command behind its header word, as ``{name: (offset, field)}``."""
    position, result = 0, {}
    for f in COMMANDS[opcode][1]:
        if position % WORD + f.bits > WORD:
            position += WORD - position % WORD
        result[f.name] = (position, f)
        position += f.bits
    return result


def length(opcode: Opcode) -> int:
    """Words of a command, header included."""
    ends = [offset + f.bits for offset, f in layout(opcode).values()]
    return 1 + -(-max(ends, default=0) // WORD)


def header(opcode: Opcode, waits) -> int:
    """The header word of a command that waits for the units of the opcodes ``waits``."""
    return opcode | length(opcode) << 8 | sum(1 << WAIT_BIT[unit] for unit in waits)


def _names(opcodes) -> str:
    return ", ".join(getattr(op, "name", repr(op)) for op in sorted(opcodes)) or "none"


@dataclass(frozen=True)
class Command:
    """An opcode, the values of its fields, and the opcodes whose units the command waits for: by default all.

    Raises :class:`ValueError` where a value does not fit its field, or where ``waits`` has what is no unit or END does not wait for all.
    """

    opcode: Opcode
    fields: dict
    waits: frozenset = WITH_UNIT

    def __post_init__(self):
        if not self.waits <= WITH_UNIT:
            raise ValueError(f"{self.opcode.name} can wait for {_names(WITH_UNIT)}, not {_names(self.waits - WITH_UNIT)}")
        if self.opcode == Opcode.END and self.waits != WITH_UNIT:
            raise ValueError(f"END must wait for all units, not only for {_names(self.waits)}")
        known = layout(self.opcode)
        for name in set(known) ^ set(self.fields):
            raise ValueError(f"{self.opcode.name}: field {name!r} is {'missing' if name in known else 'unknown'}")
        for name, value in self.fields.items():
            if not 0 <= value < 1 << known[name][1].bits:
                raise ValueError(f"{self.opcode.name}.{name} must be 0 to {(1 << known[name][1].bits) - 1}, not {value}")

    def __getattr__(self, name):
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def encode(self) -> list:
        """The command's 32-bit words."""
        size = length(self.opcode)
        bits = 0
        for name, (offset, _) in layout(self.opcode).items():
            bits |= int(self.fields[name]) << offset
        return [header(self.opcode, self.waits)] + [bits >> WORD * i & 0xFFFFFFFF for i in range(size - 1)]


def decode(words: list) -> list:
    """The commands of an encoded program, up to and with its ``END``."""
    result, position = [], 0
    while not result or result[-1].opcode != Opcode.END:
        opcode = Opcode(words[position] & 0xFF)
        size = length(opcode)
        bits = sum(word << WORD * i for i, word in enumerate(words[position + 1:position + size]))
        fields = {name: bits >> offset & (1 << f.bits) - 1 for name, (offset, f) in layout(opcode).items()}
        waits = frozenset(unit for unit, bit in WAIT_BIT.items() if words[position] >> bit & 1)
        result.append(Command(opcode, fields, waits))
        position += size
    return result
