"""A core behind a serial line, as a link for the driver; the protocol is LiteX's uartbone, see ``docs/link.md``."""

import time

import numpy as np
import serial

from gradgate.arch.checks import ConfigError
from gradgate.arch.memorymap import Csr, Region, address
from gradgate.host.link import DeviceTimeout

WRITE, READ = 1, 2  # to and from consecutive addresses
LONGEST = 255  #: words of a frame
UNCONFIRMED = 3  #: longest frames that an operating system's buffer (4096 bytes) takes whole, so that none is sent in parts
ANSWER_S = 5.0  #: silence until an answer is given up: adapters and operating systems keep bytes for a while
SILENCE_S = 0.15  #: silence behind which a board has given up any frame; it does after 0.1 s
IDENTITY = address(Region.CSR, Csr.ID)
SLOWEST_HZ = 1e6  #: slowest clock that a board may have: what :meth:`SerialLink.run` makes seconds of cycles with


class SerialLink:
    """An implementation of :class:`gradgate.host.link.Link` over a serial port.

    Parameters
    ----------
    port : path of the serial port, or a URL of pyserial's (``socket://host:port``)
    baud : bits a second, as the board was built for
    answer_s : seconds of silence until an answer is given up

    Before the first frame, and behind an error, the line is left silent until the board waits for a frame, and what came
    meanwhile is thrown away. Long writes are interrupted by reads, which are answered when everything before has arrived: no
    frame waits half sent while this process gets no time, which the board would take for its end. As a context manager
    the port is closed at the end.

    Raises :class:`~gradgate.arch.checks.ConfigError` when the port cannot be opened; every call raises
    :class:`DeviceTimeout` when the board does not answer, or is gone. The protocol has no check sum: lost bytes are noticed,
    for an answer is missing then, changed bytes are not.
    """

    def __init__(self, port, baud=1_000_000, *, answer_s=ANSWER_S):
        self.port, self.baud, self.answer_s = port, baud, answer_s
        try:
            self._line = serial.serial_for_url(port, baud, write_timeout=answer_s + self._duration(6 + 4 * LONGEST), exclusive=True)
        except (OSError, ValueError) as error:  # pyserial's own errors are among them
            raise ConfigError(f"port {port} cannot be opened at {baud} baud: {error}") from None
        try:
            self._line.set_low_latency_mode(True)  # adapters wait 16 ms for more bytes otherwise
        except (AttributeError, NotImplementedError, OSError, ValueError):
            pass  # not this adapter, or not this system
        self._lost = True  # whether the board may be within a frame
        self._sent = 0.0  # when the last byte will be on the line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._line.close()

    def write(self, address: int, words) -> None:
        """Write ``words`` (integers, taken modulo ``2**32``, shape ``(n,)``) to consecutive addresses."""
        data = np.atleast_1d(np.asarray(words))
        if data.ndim != 1 or data.size and data.dtype.kind not in "iu":
            raise ValueError(f"words must be a list of integers, not {data.dtype} of shape {data.shape}")
        data = data.astype(np.uint32).astype(">u4")
        for number, at in enumerate(range(0, len(data), LONGEST)):
            if number and number % UNCONFIRMED == 0:
                self.read(IDENTITY, 1)
            burst = data[at:at + LONGEST]
            self._send(_header(WRITE, len(burst), address + at) + burst.tobytes())

    def read(self, address: int, n: int) -> np.ndarray:
        """Words at ``n`` consecutive addresses: uint32, shape ``(n,)``."""
        bursts = []
        for at in range(0, n, LONGEST):
            count = min(LONGEST, n - at)
            self._send(_header(READ, count, address + at))
            bursts.append(self._receive(4 * count, address + at))
        return np.frombuffer(b"".join(bursts), ">u4").astype(np.uint32)

    def run(self, max_cycles: int) -> int:
        """Wait until the core is not busy; returns the cycles it was busy since its last start.

        Raises :class:`DeviceTimeout` when it is still busy after as long as ``max_cycles`` take at 1 MHz, and a second.
        """
        end = time.monotonic() + 1 + max_cycles / SLOWEST_HZ
        while self.read(address(Region.CSR, Csr.STATUS), 1)[0] & 1:
            if time.monotonic() > end:
                raise DeviceTimeout(f"still busy after {1 + max_cycles / SLOWEST_HZ:.0f} s")
        return int(self.read(address(Region.CSR, Csr.CYCLES), 1)[0])

    def _duration(self, n):
        """Seconds of ``n`` bytes on the line."""
        return 10 * n / self.baud

    def _send(self, frame):
        """Send a frame, when the board is ready for one."""
        try:
            if self._lost:
                time.sleep(SILENCE_S)
                self._lost = False
            self._line.reset_input_buffer()  # nothing is expected; what came is noise
            self._sent = max(self._sent, time.monotonic()) + self._duration(len(frame))
            self._line.write(frame)
        except serial.SerialTimeoutException:
            self._lost = True
            raise DeviceTimeout(f"{self.port} has taken no byte for {self.answer_s:g} s: is anything at its other end?") from None
        except OSError as error:
            self._lost = True
            raise DeviceTimeout(f"{self.port} is gone: {error}") from None

    def _receive(self, n, where):
        """``n`` bytes of an answer."""
        data = bytearray()
        try:
            self._line.timeout = self.answer_s + max(0, self._sent - time.monotonic())
            while len(data) < n:
                part = self._line.read(min(n - len(data), max(1, self._line.in_waiting)))
                if not part:
                    break
                data += part
                self._line.timeout = self.answer_s
        except OSError as error:
            self._lost = True
            raise DeviceTimeout(f"{self.port} is gone: {error}") from None
        if len(data) < n:
            self._lost = True
            advice = ("bytes were lost; try again, or a lower rate" if data else
                      f"is the board's design loaded, is this its port, and was it built for {self.baud} baud?")
            raise DeviceTimeout(f"{self.port}: {len(data)} of {n} bytes of the answer at address {where:#08x} came within "
                                f"{self.answer_s:g} s of silence: {advice}")
        return bytes(data)


def _header(request, count, where) -> bytes:
    return bytes([request, count]) + where.to_bytes(4, "big")
