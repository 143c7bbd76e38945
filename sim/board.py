"""A board in simulation: a pseudo-terminal whose other end is a system's serial line."""

import ctypes
import fcntl
import functools
import os
import select
import termios
import threading
import time
import tty
from array import array
from ctypes import byref, c_int, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

from gradgate.sim import build, generated

HARNESS = Path(__file__).with_name("serial.cpp")
BYTES = np.ctypeslib.ndpointer(np.uint8, flags="C_CONTIGUOUS")
FUNCTIONS = {
    "gs_destroy": (None,),
    "gs_run": (c_uint64, c_uint64, BYTES, c_uint64, BYTES, c_void_p),
    "gs_hold": (None, c_int, c_uint64),
    "gs_sending": (c_int,),
    "gs_leds": (c_int,),
    "gs_finished": (c_int,),
    "gs_cycles": (c_uint64,),
}

CLOCK_HZ = 100_000  #: that the simulated board pretends to have: a third of what simulations of small cores reach
DIVISOR = 4  #: clock cycles of a bit, the least there can be
CHUNK = 512  #: cycles of one call into the model: about one read of a register


class SimulatedBoard:
    """A core behind a serial line, in simulation, on a pseudo-terminal: to a program ``port`` is a board's serial port.

    Parameters
    ----------
    config : configuration of the core
    clock_hz, divisor : of the system; the line runs at ``clock_hz / divisor`` baud of simulated time

    A thread runs the simulation: as fast as it can while bytes come or the core is busy, in real time (or slower) while
    the line is silent, so that a silence is as long for the board as for the program, and not at all when nothing can change
    any more. Bytes that the program does not read in time are lost, as in an adapter. As a context manager it ends at the end.
    Raises :class:`gradgate.sim.toolchain.ToolError` when it cannot be built.
    """

    def __init__(self, config, *, clock_hz=CLOCK_HZ, divisor=DIVISOR):
        from gradgate.hw.bus.system import FRAME_TIMEOUT_S

        path = build.library(generated.system(config, clock_hz, clock_hz / divisor), harness=HARNESS)
        library = ctypes.CDLL(str(path))
        library.gs_create.restype, library.gs_create.argtypes = c_void_p, [c_uint32]
        pointer = library.gs_create(divisor)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, [c_void_p, *arguments]
            setattr(self, f"_{name.removeprefix('gs_')}", functools.partial(function, pointer))
        self.clock_hz, self.divisor = clock_hz, divisor
        self._quiet = round(2 * FRAME_TIMEOUT_S * clock_hz)  # cycles of silence behind which nothing happens any more
        self._lock = threading.Lock()  # of the model
        self._over = self._idle = False
        self._out = np.zeros(CHUNK // (10 * divisor) + 2, np.uint8)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._wake = os.pipe()
        self.port = os.ttyname(self._slave)  #: path of the serial port
        self._thread = threading.Thread(target=self._shuttle, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """End the simulation and take the port away."""
        if self._thread is None:
            return
        self._over = True
        os.write(self._wake[1], b"x")
        self._thread.join()
        self._thread = None
        for end in (self._master, self._slave, *self._wake):
            os.close(end)
        self._destroy()

    @property
    def cycles(self) -> int:
        """Clock cycles so far."""
        with self._lock:
            return self._cycles()

    @property
    def leds(self) -> int:
        """busy, error, alive, link, from bit 0 up."""
        with self._lock:
            return self._leds()

    def settle(self) -> None:
        """Wait until every byte sent so far has been dealt with, and every frame that was not whole given up."""
        left = array("i", [1])
        while left[0] or not self._idle:
            fcntl.ioctl(self._master, termios.FIONREAD, left)  # before asking whether all is done: what is taken out is not done
            time.sleep(0.01)

    def hold(self, level: int, cycles: int) -> None:
        """Noise: hold the line to the board at ``level`` for ``cycles`` clock cycles, whatever was being sent."""
        with self._lock:
            self._hold(level, cycles)
        os.write(self._wake[1], b"x")

    def _shuttle(self):
        """Carry bytes between the pseudo-terminal and the model, and let time pass, until :meth:`close`."""
        pending, silent, due = b"", 0, 0.0
        while not self._over:
            if not pending:
                pending = self._receive()
            slow = silent > 100 * self.divisor  # what was asked has been answered, or is not going to be
            with self._lock:
                sent, received = self._pass(CHUNK, pending)
                quiet = not (sent or received or self._sending() or self._leds() & 1)
                if self._finished():
                    return
            pending = pending[sent:]
            if received:
                self._send(received)
            silent = silent + CHUNK if quiet else 0
            if silent > self._quiet:
                self._idle = True
                self._sleep(None)
                self._idle, silent = False, 0
            elif slow and quiet:
                due += CHUNK / self.clock_hz
                self._sleep(due - time.monotonic())
            else:
                due = time.monotonic()

    def _pass(self, cycles, pending):
        """Let ``cycles`` cycles pass while ``pending`` is sent; returns how many bytes of it were, and those that came."""
        data, got = np.frombuffer(pending or b"\0", np.uint8), c_uint64()
        sent = self._run(cycles, data, len(pending), self._out, byref(got))
        return sent, self._out[:got.value].tobytes()

    def _receive(self):
        try:
            return os.read(self._master, 256)
        except BlockingIOError:
            return b""

    def _send(self, data):
        try:
            os.write(self._master, data)
        except BlockingIOError:
            pass  # nobody reads, and the terminal's buffer is full

    def _sleep(self, seconds):
        """Until there is something to do, or for ``seconds``."""
        if seconds is not None and seconds <= 0:
            return
        if self._wake[0] in select.select([self._master, self._wake[0]], [], [], seconds)[0]:
            os.read(self._wake[0], 100)
