"""What a command says while it runs: progress, as a bar in a terminal and a line every ten seconds elsewhere; messages."""

import logging
import sys
import threading
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PERIOD_S = 10.0  #: between two lines


def say(text: str) -> None:
    """Write a line to what is standard error at this moment: above a bar, which :func:`click.echo` would write into."""
    print(text, file=sys.stderr, flush=True)


class Messages(logging.Handler):
    """Says what is logged."""

    def emit(self, record):
        say(self.format(record))


class Progress:
    """A context manager, called with what has been done whenever that has changed. Everything goes to standard error.

    unit : what is counted, as "steps"
    total : how many there will be, if that is known

    Messages that are written meanwhile appear above the bar.
    """

    def __init__(self, unit: str, total: int | None = None):
        self.unit, self.total = unit, total
        self.done, self.note, self.began = 0, "", time.monotonic()
        self._ended = threading.Event()
        self._bar = self._task = self._thread = None

    def __enter__(self):
        if sys.stderr.isatty():
            self._bar = Bar(TextColumn(self.unit), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
                            TextColumn("{task.fields[note]}"), console=Console(stderr=True))
            self._task = self._bar.add_task(self.unit, total=self.total, note="")
            self._bar.start()
        else:
            self._thread = threading.Thread(target=self._say, args=(sys.stderr,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        if self._bar:
            self._bar.stop()
        else:
            self._thread.join()

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """``done`` of ``total`` are done; ``note``: what else to show."""
        self.done, self.total, self.note = done, total or self.total, note
        if self._bar:
            self._bar.update(self._task, completed=done, total=self.total, note=note)

    def _say(self, stream):
        """Write a line now and then until the end."""
        while not self._ended.wait(PERIOD_S):
            print(self.line(), file=stream, flush=True)

    def line(self) -> str:
        """The state in words: "120 of 445 steps, loss 0.531, 35 s"."""
        of = f" of {self.total}" if self.total else ""
        return ", ".join(filter(None, (f"{self.done}{of} {self.unit}", self.note, f"{time.monotonic() - self.began:.0f} s")))
