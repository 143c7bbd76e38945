"""What ends a command from outside."""

import signal
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal has asked the process to end: as after Control-C, all that is unfinished is cleaned up first."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  #: exit status, as shells have it


@contextmanager
def endable():
    """In here :data:`SIGNALS` raise :class:`Ended`, but for those that are ignored (``nohup``) or have a handler already."""
    def end(number, _frame):
        raise Ended(number)

    main = threading.current_thread() is threading.main_thread()
    taken = [number for number in SIGNALS if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
