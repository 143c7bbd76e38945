"""One block of a network, as compiler and golden model see it."""

from dataclasses import dataclass

INPUT = "input"  #: the tensor of images


def positions(size: int, kernel: int, stride: int, padding: int) -> int:
    """Positions of a window along an axis of ``size`` pixels with ``padding`` at either end."""
    return (size + 2 * padding - kernel) // stride + 1


@dataclass(frozen=True, kw_only=True)
class Block:
    """One layer, its residual, activation and pooling. Sizes in pixels and channels.

    Order: convolution (or average), ``+ add``, ReLU, max-pooling. Weights have shape ``(cout, kh, kw, cin)``; a bias belongs to
    every output channel. ``k`` counts the inputs of one output in the order (kernel row, kernel column, input channel), the bias
    last. In a depthwise convolution every output channel has one input, the channel of the same number, and weights
    ``(cout, kh, kw, 1)``. An average has no weights; its window and stride are equal, and its window has a power of two of pixels.
    """

    name: str
    height: int
    width: int
    cin: int
    cout: int
    kh: int
    kw: int
    stride: int
    padding: int
    kind: str = "conv"  #: conv, depthwise or average
    source: str = INPUT  #: tensor it reads: ``input`` or ``{block}.out``
    add: str | None = None  #: tensor added to its output, before the ReLU
    relu: bool = False
    pool: bool = False
    input_relu: bool = False  #: the source comes out of a ReLU, so that a zero input has a zero gradient

    @property
    def weighted(self) -> bool:
        """The block has weights."""
        return self.kind != "average"

    @property
    def inputs(self) -> int:
        """Input channels of one output."""
        return 1 if self.kind == "depthwise" else self.cin

    @property
    def mean_shift(self) -> int:
        """An average's right shift: binary logarithm of its window's pixels."""
        return (self.kh * self.kw).bit_length() - 1

    @property
    def out_height(self) -> int:
        """Rows of the convolution's output, before pooling."""
        return positions(self.height, self.kh, self.stride, self.padding)

    @property
    def out_width(self) -> int:
        """Columns of the convolution's output, before pooling."""
        return positions(self.width, self.kw, self.stride, self.padding)

    @property
    def final_shape(self) -> tuple:
        """``(height, width, channels)`` of the block's output, after pooling."""
        shrink = 2 if self.pool else 1
        return self.out_height // shrink, self.out_width // shrink, self.cout

    @property
    def k(self) -> int:
        """Inputs of one output, without the bias."""
        return self.kh * self.kw * self.inputs

    @property
    def macs(self) -> int:
        """Multiplications of one pass over one image, padding not counted, bias included; 0 for an average."""
        if not self.weighted:
            return 0

        def taps(size, kernel, out):
            starts = (o * self.stride - self.padding for o in range(out))
            return sum(min(s + kernel, size) - max(s, 0) for s in starts)
        taps_all = taps(self.height, self.kh, self.out_height) * taps(self.width, self.kw, self.out_width)
        return self.cout * (taps_all * self.inputs + self.out_height * self.out_width)
