"""Where the walk over a position's window is."""

from amaranth.lib import enum

from gradgate.hw.parts.registers import Unreset


class Phase(enum.Enum, shape=5):
    """What the walk is at, a bit each."""

    IDLE = 0
    AIM = 1  # the first position
    POINT = 2  # the bricks at a position
    HEAD = 4  # its head
    WINDOW = 8  # the bricks of its window
    END = 16  # the end


class WindowState:
    """Where the walk is: at a position, and among the bricks at it or in its window. Registers."""

    def __init__(self, config):
        # Of the position.
        self.over = Unreset()  # no position is left
        self.no_window = Unreset()  # no brick of its window lies inside the image
        self.columns = Unreset(4)  # columns of its window that lie inside
        self.one_column = Unreset()  # there is one of them
        # Among the bricks at the position.
        self.t_addr = Unreset(16)
        self.t = Unreset(range(config.targets + 1))  # number of the brick; with swap, in the window
        self.last_point = Unreset()  # this is the last one
        # In the window.
        self.brick = Unreset(16)
        self.window_row = Unreset(16)  # first brick of the row
        self.k = Unreset(16)
        self.k_tap = Unreset(16)  # of the pixel's first brick
        self.k_row = Unreset(16)  # of the row's first brick
        self.turn = Unreset(range(config.lanes))
        self.turn_row = Unreset(range(config.lanes))  # of the row's first brick
        self.bricks = Unreset(12)  # bricks of the pixel up to the one after the next
        self.last_brick = Unreset()  # this brick is the pixel's last
        self.next_last_brick = Unreset()  # the next one is
        self.wx_left = Unreset(4)  # columns of the row from this one on
        self.last_wx = Unreset()  # this one is the last
        self.wy_left = Unreset(4)  # rows of the window from this one on
        self.last_wy = Unreset()  # this one is the last
        self.last_window = Unreset()  # this brick is the window's last
