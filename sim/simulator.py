"""A generated core in simulation, as a link for the driver."""

import ctypes
import functools
import os
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import follow, is_regular, open_output, writing
from gradgate.host.link import DeviceTimeout
from gradgate.sim import build, generated

WORDS = np.ctypeslib.ndpointer(np.uint32, flags="C_CONTIGUOUS")
NOTHING = np.empty(0, np.uint32)

#: C functions: result, arguments after the model.
FUNCTIONS = {
    "gg_destroy": (None,),
    "gg_close": (None,),
    "gg_wave_error": (c_int,),
    "gg_record": (None, c_int),
    "gg_reset": (None, c_uint64),
    "gg_step": (c_uint64, c_uint64),
    "gg_run": (c_uint64, c_uint64, WORDS, WORDS, c_uint64),
    "gg_write": (c_uint64, WORDS, WORDS, c_uint64, c_uint64),
    "gg_write_block": (c_uint64, c_uint32, WORDS, c_uint64, c_uint64),
    "gg_read": (c_uint64, c_uint32, c_uint64, WORDS, c_uint64),
    "gg_busy": (c_int,),
    "gg_error": (c_int,),
    "gg_finished": (c_int,),
    "gg_cycles": (c_uint64,),
    "gg_memories": (c_uint32,),
    "gg_memory": (c_char_p, c_uint32, POINTER(c_void_p), POINTER(c_uint32), POINTER(c_uint32), POINTER(c_uint32)),
}

ANSWER_LIMIT = 10_000  #: cycles a bus transfer may take
CHUNK = 1 << 20  #: cycles of one call into the model, so that Control-C works


class SimulationError(RuntimeError):
    """An assertion of the gateware failed; the simulation is over."""


class _Model:
    """A model in memory; freed when neither a simulator nor a view of one of its memories needs it any more."""

    def __init__(self, path, wave_file, seed, stall):
        library = ctypes.CDLL(str(path))
        library.gg_create.restype = c_void_p
        library.gg_create.argtypes = [c_int, c_uint64, c_uint32]
        pointer = library.gg_create(wave_file, seed, stall)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, [c_void_p, *arguments]
            setattr(self, name.removeprefix("gg_"), functools.partial(function, pointer))
        weakref.finalize(self, library.gg_destroy, pointer)


class Simulator:
    """A core in simulation: an implementation of :class:`gradgate.host.link.Link`, and access to its insides.

    Parameters
    ----------
    config : configuration of the core
    trace : path of a wave file to write, ending in ``.vcd`` or ``.fst``; the simulation is then several times slower. It is written as
        the simulation goes on; a VCD file may be a pipe or a device
    stall : chance (0 to 0.95) of an idle cycle before a bus transfer; request signals are random in idle cycles
    seed : of the random stalls
    verilog : simulate this text, a module ``gradgate`` with the core's ports, instead of the core of ``config``

    A new simulator has been reset. As a context manager it is closed at the end. Raises
    :class:`gradgate.sim.toolchain.ToolError` when it cannot be built. It, and later all that clocks the core or closes it, raises
    :class:`ConfigError` when the wave file cannot be written.
    """

    def __init__(self, config, *, trace=None, stall=0.0, seed=0, verilog=None):
        if not 0 <= stall <= 0.95:
            raise ValueError(f"stall must be 0 to 0.95, not {stall!r}")
        kind = Path(trace).suffix.removeprefix(".") if trace is not None else None
        if trace is not None and kind not in build.TRACES:
            raise ConfigError(f"trace must be a path that ends in .vcd or .fst, not {str(trace)!r}")
        if kind == "fst":
            with writing(trace):
                if not is_regular(*follow(trace)):
                    raise ConfigError(f"cannot write {trace}: waves in FST format need a regular file; those in VCD do not")
        self.config, self._trace = config, trace
        path = build.library(generated.core(config) if verilog is None else verilog, kind)
        self._model = _Model(path, open_output(trace) if trace is not None else -1, seed, round(1000 * stall))
        self._memories = self._find_memories()
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.close()
        except ConfigError:
            if kind is None:  # otherwise what came first is said
                raise

    def close(self) -> None:
        """Finish the wave file and end the simulation. Views of memories stay readable."""
        if self._model is not None:
            model, self._model = self._model, None
            model.close()
            self._check_wave(model)

    @property
    def model(self) -> _Model:
        """The model; raises :class:`ValueError` after :meth:`close`."""
        if self._model is None:
            raise ValueError("the simulator is closed")
        return self._model

    @property
    def cycles(self) -> int:
        """Clock cycles since the simulator was made."""
        return self.model.cycles()

    @property
    def busy(self) -> bool:
        """The core's output of that name."""
        return bool(self.model.busy())

    @property
    def error(self) -> bool:
        """The core's output of that name."""
        return bool(self.model.error())

    def reset(self, cycles: int = 4) -> None:
        """Hold the core in reset for ``cycles`` clock cycles. Memories keep their contents."""
        self.model.reset(cycles)
        self._check()

    def record(self, on: bool) -> None:
        """Whether the following cycles go to the wave file; they do at first. Nothing happens without ``trace``."""
        self.model.record(on)

    def step(self, cycles: int = 1) -> None:
        """Clock the core, with no bus request."""
        while cycles > 0:
            cycles -= self.model.step(min(cycles, CHUNK))
            self._check()

    def run(self, max_cycles: int, words=NOTHING, watched=()) -> int:
        """Clock the core until it is not busy; returns the cycles this took.

        It pauses, too, in the cycle in which one of ``words[watched]`` changes: a :meth:`memory` of 32-bit words, and numbers of some
        of them. Raises :class:`DeviceTimeout` when the core is still busy after ``max_cycles``.
        """
        passed, watched = 0, _words(watched)
        before = words[watched]
        while self.busy and passed < max_cycles and np.array_equal(words[watched], before):
            passed += self.model.run(min(max_cycles - passed, CHUNK), words, watched, len(watched))
            self._check()
        if self.busy and np.array_equal(words[watched], before):
            raise DeviceTimeout(f"still busy after {max_cycles} cycles")
        return passed

    def write(self, address: int, words) -> None:
        """Write ``words`` (integers, taken modulo ``2**32``, shape ``(n,)``) to consecutive addresses."""
        data = _words(words)
        done = self.model.write_block(address, data, len(data), ANSWER_LIMIT)
        self._check_bus(done, len(data), lambda: address + done)

    def write_at(self, addresses, words) -> None:
        """Write ``words[i]`` to ``addresses[i]``, in this order; both of shape ``(n,)``."""
        where, data = _words(addresses), _words(words)
        if where.shape != data.shape:
            raise ValueError(f"addresses and words must be as many, not {len(where)} and {len(data)}")
        done = self.model.write(where, data, len(data), ANSWER_LIMIT)
        self._check_bus(done, len(data), lambda: int(where[done]))

    def read(self, address: int, n: int) -> np.ndarray:
        """Words at ``n`` consecutive addresses: uint32, shape ``(n,)``."""
        data = np.zeros(n, np.uint32)
        done = self.model.read(address, n, data, ANSWER_LIMIT)
        self._check_bus(done, n, lambda: address + done)
        return data

    def memories(self) -> dict:
        """``{path: (words, bits of a word)}`` of every memory in the design."""
        return {path: (depth, bits) for path, (_, depth, bits, _) in self._memories.items()}

    def memory(self, path: str) -> np.ndarray:
        """View of a memory of the design: what is written to it is in the memory at once.

        ``path`` names it as the Verilog hierarchy does, without the top module (``"row.mem0.mem"``); a last ``.mem``
        may be left out. The view has shape ``(words,)`` and type uint8, uint16, uint32 or uint64, the first that is
        wide enough; for words of more than 64 bits shape ``(words, parts)`` and type uint32, lowest part first. Unused
        upper bits are 0 and must stay so. Raises :class:`KeyError` when there is no such memory.

        A core may do a bus write some cycles after it has accepted it: :meth:`step` before looking for it in a view.
        """
        entry = self._memories.get(path) or self._memories.get(f"{path}.mem")
        if entry is None:
            raise KeyError(f"no memory {path!r}; there are: {', '.join(self._memories)}")
        data, depth, _, size = entry
        buffer = (ctypes.c_char * (depth * size)).from_address(data)
        buffer.model = self.model  # lives as long as the view
        if size <= 8:
            return np.frombuffer(buffer, np.dtype(f"u{size}"))
        return np.frombuffer(buffer, np.uint32).reshape(depth, size // 4)

    def _find_memories(self):
        result = {}
        for index in range(self.model.memories()):
            data, depth, bits, size = c_void_p(), c_uint32(), c_uint32(), c_uint32()
            name = self.model.memory(index, byref(data), byref(depth), byref(bits), byref(size)).decode()
            name = name.removeprefix("TOP.").removeprefix("gradgate.")
            result[name] = data.value, depth.value, bits.value, size.value
        return result

    def _check_wave(self, model):
        number = model.wave_error()
        if number:
            with writing(self._trace):
                raise OSError(number, os.strerror(number))

    def _check(self):
        if self.model.finished():
            self._check_wave(self.model)
            raise SimulationError(f"an assertion of the gateware failed in cycle {self.cycles}; its message is on "
                                  "standard output")

    def _check_bus(self, done, n, where):
        self._check()
        if done != n:
            raise DeviceTimeout(f"no answer at address {where():#08x} in {ANSWER_LIMIT} cycles")


def _words(values) -> np.ndarray:
    """``values`` modulo ``2**32`` as the C side wants them."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or array.size and array.dtype.kind not in "iu":
        raise ValueError(f"words must be a list of integers, not {array.dtype} of shape {array.shape}")
    return np.ascontiguousarray(array.astype(np.uint32))
