"""The page ``docs/sparsity.md``, from the recordings that come with the package."""

import numpy as np

from gradgate.bench.recording.files import Recording
from gradgate.bench.recording.networks import NETWORKS
from gradgate.report.tables import table

INTRODUCTION = """# Recorded sparsity

Written by `gradgate record --docs` from the files in `bench/recorded`; do not edit.

How much a core gains by skipping depends on which words are zero, and where. So the zeros of real training are recorded: for each
layer of six networks and some steps of their training, which words of its input X and of the gradient dY at its output are not zero.
`Recording.load("resnet18").layer("conv3_1a", 100)` gives the two masks ([format](../bench/recording/files.py)).

The networks are those of arXiv 2109.07710, VGG16 without and with batch normalisation. Their layers are in
[bench/recording/networks.py](../bench/recording/networks.py).

## What was trained

The networks are trained by PyTorch in float32 on the CPU, from random weights, on scikit-learn's handwritten digits: 8x8 pixels,
enlarged, rotated by up to 15 degrees, scaled and shifted, drawn in random bright colours on cloudy dark grounds, with noise, anew in
every step. The accuracy is that of 360 digits which training does not see, varied in the same way, after the
last step. *Masks*: images of a batch whose masks are kept.
"""

METHOD = """Stochastic gradient descent with momentum {momentum}, constant rate, no weight decay, no dropout. In networks without any batch
normalisation, all gradients together are scaled down to a norm of 5 where it is larger. Convolutions without one get initial weights
scaled so that every channel has mean 0 and deviation 1 over 64 images at the start; without that, GoogLeNet learned nothing in a
hundred steps. GoogLeNet has its local response normalisation and no auxiliary heads.

## Densities

The part of words that are not zero, over the whole batch of the recorded step. *X*: the inputs that come out of a ReLU, all but the
image. *X by MACs*: the same, each layer weighted by its forward multiplications at this resolution. *dY*: the gradients that have
zeros, which of VGG16 with batch normalisation are those of `fc6` and `fc7` only; *dense*: no gradient has any.
"""

MEANING = """X counts in all three passes: its zeros need no multiplication in the forward pass and for the weight gradients, and where X is
zero behind a ReLU, dX need not be computed. dY counts in the backward pass and for the weight gradients.

A gradient that counts as dense is not stored and loads as all ones. Recording fails if a convolution's has 0.1 % of zeros or more; that
of the logits, where a softmax can be sure of a class, may have 20 %.

## Limits

- The images are small and the digits simple: {side}x{side} pixels, not 224x224, ten classes, not a thousand. The last feature maps have
  {last}x{last} pixels instead of 7x7. Sparsity depends on data, rate and weights, and these are the first few hundred steps; ImageNet
  training after many epochs has another one. What is the same: the layers, and where ReLU, pooling and normalisation lie.
- `fc6` of VGG16 has as many inputs as its last feature map has words here, and the last layer of each network has {classes} outputs. All
  other channels are those of the published networks.
- Zero means exactly 0.0 in float32: what ReLU and max-pooling make. Rounding to fixed point makes small words zero as well. So a
  fixed-point machine sees these zeros and more; the recording adds none for rounding.
- Only a few images of a batch have masks (`images` in the metadata). The densities above are of the whole batch.
- One run each. The same seed gives the same files on the same machine and release of PyTorch, perhaps not on others.

## Recording again

```
pip install -e '.[record]'
gradgate record --network resnet18 --steps 300 --images 2 --out bench/recorded
gradgate record --docs
```

Steps, seed and number of images of each network are in the first table.

An index of PyTorch's CPU builds, `--extra-index-url https://download.pytorch.org/whl/cpu`, saves the download of CUDA.
"""


def densities(recording: Recording, point: int) -> tuple:
    """Mean densities of step ``point``: X, X weighted by multiplications, dY (None where no layer stores it); all 0..1."""
    inputs = [layer for layer in recording.layers if layer.relu_input]
    x = [recording.density(layer.name, point)[0] for layer in inputs]
    outputs = [layer for layer in recording.layers if not layer.dense_gradient]
    dy = [recording.density(layer.name, point)[1] for layer in outputs]
    return (np.average(x, weights=[layer.height * layer.width * layer.cin for layer in inputs]),
            np.average(x, weights=[layer.macs for layer in inputs]),
            np.average(dy, weights=[layer.out_height * layer.out_width * layer.cout for layer in outputs]) if dy else None)


def markdown() -> str:
    """The page. Raises :class:`ConfigError` where a recording is missing."""
    recordings = {name: Recording.load(name) for name in NETWORKS}
    runs, figures = [], []
    for name, recording in recordings.items():
        meta = recording.meta
        last = meta["points"][-1]
        runs.append([name, f"{meta['side']}x{meta['side']}", meta["batch"], meta["rate"], last["step"], meta["seed"], meta["images"],
                     f"{last['loss']:.2f}", f"{100 * last['accuracy']:.1f} %"])
        for point in meta["points"]:
            x, by_macs, dy = densities(recording, point["step"])
            figures.append([name, point["step"], f"{point['loss']:.2f}", f"{100 * point['accuracy']:.1f} %", f"{x:.3f}", f"{by_macs:.3f}",
                            "dense" if dy is None else f"{dy:.3f}"])
    meta = recordings["vgg16"].meta
    lines = [INTRODUCTION]
    lines += [*table(["network", "images", "batch", "rate", "steps", "seed", "masks", "loss", "accuracy"], runs), ""]
    lines += [METHOD.format(**meta)]
    lines += [*table(["network", "step", "loss", "accuracy", "X", "X by MACs", "dY"], figures), ""]
    lines += [MEANING.format(**meta, last=meta["side"] // 32)]
    return "\n".join(lines)
