"""Recorded zeros: which words of X and dY were not zero while a network was trained.

A file ``recorded/NETWORK.npz`` holds ``meta``, a JSON text, and for each recorded step S the arrays ``xS`` and ``dyS``: masks of the
layers one after the other, in the order of :func:`gradgate.bench.recording.networks.layers`, each packed to bits in the order image,
channel, row, column (neighbours in a channel are alike, which compresses well) and filled up to whole bytes. ``dyS`` leaves out the
layers whose gradient is dense.
"""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import write_files
from gradgate.bench.recording.networks import NETWORKS, Layer, layers

#: Keys of the metadata. ``points`` are tables of ``step`` (the training step whose passes were recorded, counted from 1), ``loss`` (of
#: its batch), ``accuracy`` (of held-out images after it, 0..1) and ``density``, which gives for each layer the parts of X and of dY,
#: over the whole batch, that are not zero. ``images`` of the batch have masks.
META_KEYS = ("network", "side", "classes", "dataset", "seed", "batch", "images", "rate", "momentum", "held_out", "torch", "points")


@dataclass(frozen=True)
class LayerMasks:
    """True where a word is not zero: ``x`` of shape (images, height, width, cin), ``dy`` (images, out_height, out_width, cout)."""

    x: np.ndarray
    dy: np.ndarray


class Recording:
    """The masks of one network. ``meta`` holds :data:`META_KEYS`; ``layers`` is the table at the recorded resolution."""

    def __init__(self, meta: dict):
        """An empty recording. Raises :class:`ConfigError` where a key of ``meta`` is missing or the network is unknown."""
        missing = [key for key in META_KEYS if key not in meta]
        if missing:
            raise ConfigError(f"the recording's metadata lacks {missing[0]!r}")
        self.meta = meta
        self.layers = layers(meta["network"], meta["side"], meta["classes"])
        self._table = {layer.name: layer for layer in self.layers}
        self._bits = {}  # (step, layer, "x" or "dy"): packed bits

    @property
    def points(self) -> list:
        """The recorded steps, ascending."""
        return [point["step"] for point in self.meta["points"]]

    def layer(self, name: str, point: int) -> LayerMasks:
        """The masks of layer ``name`` at step ``point``. Raises :class:`ConfigError` where either is not recorded."""
        layer = self._find(name, point)
        return LayerMasks(*(self._unpack(layer, point, what) for what in ("x", "dy")))

    def density(self, name: str, point: int) -> tuple:
        """Parts of X and of dY that are not zero, over the whole batch of step ``point``, 0..1. Errors: as :meth:`layer`."""
        self._find(name, point)
        return tuple(self.meta["points"][self.points.index(point)]["density"][name])

    def add(self, name: str, point: int, masks: LayerMasks) -> None:
        """Keep ``masks``. Raises :class:`ConfigError` where the shapes are not those of the table."""
        layer = self._find(name, point)
        for what, mask in (("x", masks.x), ("dy", masks.dy)):
            shape = self._shape(layer, what)
            wanted = (shape[0], *shape[2:], shape[1])
            if mask.shape != wanted:
                raise ConfigError(f"the mask {what} of layer {name!r} must have shape {wanted}, not {mask.shape}")
            if what == "x" or not layer.dense_gradient:
                self._bits[point, name, what] = np.packbits(np.asarray(mask, dtype=bool).transpose(0, 3, 1, 2))

    def save(self, path: Path) -> None:
        """Write the file ``path``, whole or not at all. Raises :class:`ConfigError` where masks have not been added."""
        arrays = {"meta": np.frombuffer(json.dumps(self.meta).encode(), dtype=np.uint8)}
        for point in self.points:
            for what in ("x", "dy"):
                keys = [(point, layer.name, what) for layer in self._stored(what)]
                missing = [name for _, name, _ in keys if (point, name, what) not in self._bits]
                if missing:
                    raise ConfigError(f"layer {missing[0]!r} has no mask {what} at step {point}")
                arrays[f"{what}{point}"] = np.concatenate([np.empty(0, np.uint8), *(self._bits[key] for key in keys)])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_files(path.parent, {path.name: buffer.getvalue()})

    @classmethod
    def load(cls, network: str) -> "Recording":
        """The recording that comes with the package. Raises :class:`ConfigError` where there is none of ``network``."""
        if network not in NETWORKS:
            raise ConfigError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
        return cls.read(Path(str(resources.files("gradgate.bench"))) / "recorded" / f"{network}.npz")

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """The recording in the file ``path``. Raises :class:`ConfigError` where it is not there or cannot be used."""
        if not path.is_file():
            raise ConfigError(f"there is no recording {path}; `gradgate record` makes one")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:  # of bytes: no file stays open after an error
                arrays = dict(file)
            recording = cls(json.loads(bytes(arrays["meta"])))
            recording._split(arrays)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            raise ConfigError(f"{path} is not a recording, or is damaged") from None
        return recording

    def _split(self, arrays: dict) -> None:
        """Cut the arrays of a file into masks."""
        for point in self.points:
            for what in ("x", "dy"):
                blob, start = arrays[f"{what}{point}"], 0
                for layer in self._stored(what):
                    end = start + (int(np.prod(self._shape(layer, what))) + 7) // 8
                    self._bits[point, layer.name, what] = blob[start:end]
                    start = end
                if start != len(blob):
                    raise ConfigError(f"masks {what} of step {point} take {len(blob)} bytes, not {start}")

    def _stored(self, what: str) -> list:
        """The layers whose mask ``what`` is in the file."""
        return [layer for layer in self.layers if what == "x" or not layer.dense_gradient]

    def _shape(self, layer: Layer, what: str) -> tuple:
        """Shape of a mask in the order of the file: image, channel, row, column."""
        images = self.meta["images"]
        return (images, layer.cin, layer.height, layer.width) if what == "x" else (images, layer.cout, layer.out_height, layer.out_width)

    def _find(self, name: str, point: int) -> Layer:
        """The layer's table entry; :class:`ConfigError` where layer or point is not recorded."""
        if name not in self._table:
            raise ConfigError(f"network {self.meta['network']} has no layer {name!r}; the first is {self.layers[0].name!r}")
        if point not in self.points:
            raise ConfigError(f"network {self.meta['network']} is recorded at steps {', '.join(map(str, self.points))}, not {point!r}")
        return self._table[name]

    def _unpack(self, layer: Layer, point: int, what: str) -> np.ndarray:
        """One mask, images first and channels last."""
        shape = self._shape(layer, what)
        if what == "dy" and layer.dense_gradient:
            return np.ones((shape[0], *shape[2:], shape[1]), dtype=bool)
        if (point, layer.name, what) not in self._bits:
            raise ConfigError(f"layer {layer.name!r} has no mask {what} at step {point}")
        bits = np.unpackbits(self._bits[point, layer.name, what], count=int(np.prod(shape)))
        return bits.reshape(shape).transpose(0, 2, 3, 1).astype(bool)
