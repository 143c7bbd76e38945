"""The calls a user's program makes, over any link to a core."""

from dataclasses import dataclass

import numpy as np

from gradgate.arch.commands import Error
from gradgate.arch.config import Config
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.memorymap import ID_VALUE, STOP_NONE, Csr, Region, address, row_offset, windows
from gradgate.host.link import DeviceTimeout, Link

START, CLEAR = 1, 2  # bits of CONTROL
DATA = (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.ARGMAX, Region.VELOCITY)  # answer only while the core is idle


class DeviceError(RuntimeError):
    """The core stopped with an error, is busy when it must not be, or is not the core it should be.

    ``code`` is the error code, ``index`` the number of the command at fault, ``pc`` the program word of the next command to issue, which
    is that command itself where it was not issued; all None where no command is at fault.
    """

    def __init__(self, message, *, code=None, index=None, pc=None):
        super().__init__(message)
        self.code, self.index, self.pc = code, index, pc


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the core does."""

    busy: bool
    ended: bool  #: the last program came to its end
    refused: bool  #: an access was refused since :meth:`Driver.clear_counts`
    error: int  #: error code, 0 for none
    index: int  #: commands issued since the start of the program; with an error, the command at fault
    pc: int  #: program word of the next command to issue; of the command at fault where that was not issued
    cycles: int  #: clock cycles busy since the start of the program


class Driver:
    """A core with configuration ``config`` behind ``link``.

    Arrays of numbers are int32 and hold two's-complement values of the width that ``config.formats`` gives. Every call
    raises :class:`ValueError` for what does not fit the core's memories, before anything is sent, and
    :class:`DeviceTimeout` when the core does not answer. Starting a program, and access to staging, weights, rows and
    choices, raise :class:`DeviceError` while the core is busy.
    """

    def __init__(self, link: Link, config: Config):
        self.link = link
        self.config = config
        self.windows = windows(config)

    def identify(self) -> int:
        """The core's identification; raises :class:`DeviceError` when it is not that of a core of ``config``."""
        value = self._csr(Csr.ID)
        if value != ID_VALUE:
            raise DeviceError(f"no core answers: its identification reads {value:#010x}, not {ID_VALUE:#010x}")
        found, wanted = self._csr(Csr.FINGERPRINT), fingerprint(self.config)
        if found != wanted:
            raise DeviceError(f"the device holds another core than that of configuration {self.config.name}: its fingerprint reads "
                              f"{found:#010x}, not {wanted:#010x}; generate it again, or name the configuration it was made from")
        return value

    def load_program(self, words) -> None:
        """Write a program: 32-bit words, shape ``(n,)``, from program word 0 on."""
        self._write(Region.PROGRAM, 0, np.asarray(words))

    def write_staging(self, offset: int, words) -> None:
        """Write signed words, shape ``(n,)``, to the staging memory from word ``offset`` on."""
        self._write(Region.STAGING, offset, np.asarray(words), signed=True)

    def read_staging(self, offset: int, n: int) -> np.ndarray:
        """``n`` words of the staging memory from word ``offset`` on, shape ``(n,)``."""
        return self._read_signed(Region.STAGING, offset, n)

    def write_weights(self, brick: int, values) -> None:
        """Write master weights, shape ``(bricks, lanes)``, column = bank, from ``brick`` on."""
        self._write(Region.WEIGHTS, brick * self.config.lanes, self._bricks(values), signed=True)

    def read_weights(self, brick: int, n: int) -> np.ndarray:
        """``n`` bricks of master weights from ``brick`` on, shape ``(n, lanes)``."""
        return self._read_bricks(Region.WEIGHTS, brick * self.config.lanes, n)

    def write_velocity(self, brick: int, values) -> None:
        """Write velocities, shape ``(bricks, lanes)``, column = lane, from ``brick`` on; only a core with momentum has any."""
        self._write(Region.VELOCITY, brick * self.config.lanes, self._bricks(values), signed=True)

    def read_velocity(self, brick: int, n: int) -> np.ndarray:
        """``n`` bricks of velocities from ``brick`` on, shape ``(n, lanes)``; only a core with momentum has any."""
        return self._read_bricks(Region.VELOCITY, brick * self.config.lanes, n)

    def write_rows(self, row: int, brick: int, values) -> None:
        """Write activations, shape ``(bricks, lanes)``, to the memory of ``row`` from ``brick`` on."""
        values = self._bricks(values)
        offset = self._row(row, brick, len(values) // self.config.lanes, self.config.act_bricks)
        self._write(Region.ROWS, offset, values, signed=True)

    def read_rows(self, row: int, brick: int, n: int) -> np.ndarray:
        """``n`` bricks of activations from the memory of ``row``, shape ``(n, lanes)``."""
        return self._read_bricks(Region.ROWS, self._row(row, brick, n, self.config.act_bricks), n)

    def read_argmax(self, row: int, brick: int, n: int) -> np.ndarray:
        """``n`` bricks of pooling choices ``2 * dy + dx`` of ``row``: uint8, shape ``(n, lanes)``."""
        offset = self._row(row, brick, n, self.config.argmax_bricks)
        words = self._read(Region.ARGMAX, offset, n * self.config.lanes)
        return (words & 3).astype(np.uint8).reshape(n, self.config.lanes)

    def start(self, at: int | None = 0, stop: int | None = None) -> None:
        """Start the program at word ``at`` (None: where it stopped); no command after ``stop`` is issued (None: all up to END are)."""
        if at is not None and not 0 <= at < self.config.program_words:
            raise ValueError(f"at must be 0 to {self.config.program_words - 1}, not {at!r}")
        if stop is not None and not 0 <= stop < STOP_NONE:
            raise ValueError(f"stop must be 0 to {STOP_NONE - 1}, not {stop!r}")
        self._require_idle("a program cannot be started")
        if at is not None:
            self._set(Csr.START, at)
        self._set(Csr.STOP, STOP_NONE if stop is None else stop)
        self._set(Csr.CONTROL, START)

    def wait(self, max_cycles: int) -> int:
        """Wait until the core has stopped; returns the cycles that it was busy since the start of the program (modulo ``2**32``).

        Raises :class:`DeviceError` when it stopped with an error, :class:`DeviceTimeout` when it has not stopped after
        ``max_cycles`` cycles.
        """
        try:
            self.link.run(max_cycles)
        except DeviceTimeout as error:
            status = self.status()
            raise DeviceTimeout(f"{error}, at command {status.index} (program word {status.pc})") from None
        status = self.status()
        if status.error:
            name = Error(status.error).name if status.error in iter(Error) else "unknown"
            raise DeviceError(f"error {status.error} ({name}) at command {status.index} (program word {status.pc})",
                              code=status.error, index=status.index, pc=status.pc)
        return status.cycles

    def run(self, max_cycles: int, at: int | None = 0, stop: int | None = None) -> int:
        """:meth:`start` and :meth:`wait`."""
        self.start(at, stop)
        return self.wait(max_cycles)

    def set_watchdog(self, cycles: int) -> None:
        """Let at most ``cycles`` cycles pass, while a command is under way, until one starts or ends. More are an error."""
        if not 1 <= cycles < 1 << 32:
            raise ValueError(f"cycles must be 1 to {(1 << 32) - 1}, not {cycles!r}")
        self._set(Csr.WATCHDOG, cycles)

    def status(self) -> Status:
        """What the core does now."""
        word = self._csr(Csr.STATUS)
        index, pc = self._csr(Csr.INDEX, 2)
        return Status(busy=bool(word & 1), ended=bool(word & 2), refused=bool(word & 4), error=word >> 8 & 0xFF,
                      index=int(index), pc=int(pc), cycles=self._csr(Csr.CYCLES))

    def times(self, n: int, first: int = 0) -> np.ndarray:
        """When commands ``first .. first + n - 1`` were issued, and when their ends were recorded, in busy cycles since the start of
        the program: uint32, shape ``(n, 2)``."""
        return np.stack([self._read(region, first, n) for region in (Region.STARTS, Region.ENDS)], axis=1)

    def correct(self) -> int:
        """Correct predictions since :meth:`clear_counts`."""
        return self._csr(Csr.CORRECT)

    def overflow(self) -> int:
        """Final sums since :meth:`clear_counts` whose two top bits differed."""
        return self._csr(Csr.OVERFLOW)

    def clear_counts(self) -> None:
        """Set the counts of correct predictions and of overflows to zero, and forget refused accesses."""
        self._set(Csr.CONTROL, CLEAR)

    def _csr(self, csr, n=1):
        words = self.link.read(address(Region.CSR, csr), n)
        return int(words[0]) if n == 1 else words

    def _set(self, csr, value):
        self.link.write(address(Region.CSR, csr), [value])

    def _require_idle(self, consequence):
        if self._csr(Csr.STATUS) & 1:
            raise DeviceError(f"the core is busy: {consequence}")

    def _row(self, row, brick, n, bricks):
        """Offset of a row's brick, checked: the window itself is padded."""
        if not 0 <= row < self.config.rows:
            raise ValueError(f"row must be 0 to {self.config.rows - 1}, not {row!r}")
        if brick < 0 or n < 0 or brick + n > bricks:
            raise ValueError(f"bricks must be within 0 to {bricks - 1}, not {brick} to {brick + n - 1}")
        return row_offset(self.config, bricks, row, brick)

    def _bricks(self, values):
        values = np.asarray(values)
        if values.ndim != 2 or values.shape[1] != self.config.lanes:
            raise ValueError(f"values must have shape (bricks, {self.config.lanes}), not {values.shape}")
        return values.reshape(-1)

    def _check(self, region, offset, n):
        size = self.windows[region].words
        if not size:
            raise ValueError(f"this core has no {region.name} words (configuration {self.config.name})")
        if offset < 0 or n < 0 or offset + n > size:
            raise ValueError(f"{region.name} has words 0 to {size - 1}, not {offset} to {offset + n - 1}")

    def _write(self, region, offset, values, signed=False):
        self._check(region, offset, len(values))
        if not len(values):
            return
        if values.dtype.kind not in "iu":
            raise ValueError(f"{region.name}: values must be integers, not {values.dtype}")
        half = 1 << self.windows[region].bits - 1
        low, high = (-half, half - 1) if signed else (0, 2 * half - 1)
        if values.min() < low or values.max() > high:
            raise ValueError(f"{region.name}: values must be {low} to {high}, not {values.min()} to {values.max()}")
        if region in DATA:
            self._require_idle(f"{region.name} cannot be written")
        self.link.write(address(region, offset), values)

    def _read(self, region, offset, n):
        self._check(region, offset, n)
        if region in DATA:
            self._require_idle(f"{region.name} cannot be read")
        return self.link.read(address(region, offset), n)

    def _read_signed(self, region, offset, n):
        drop = 32 - self.windows[region].bits
        return (self._read(region, offset, n) << np.uint32(drop)).view(np.int32) >> drop

    def _read_bricks(self, region, offset, n):
        lanes = self.config.lanes
        return self._read_signed(region, offset, n * lanes).reshape(n, lanes)
