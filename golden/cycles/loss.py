"""What a LOSS command costs."""

from gradgate.arch import latency

#: class number to its exponential: memory, distance, product, exponent, mantissa, shift
EXPONENTIAL = latency.MULTIPLY + 5


def loss_cycles(config, images: int, classes: int, grad: bool) -> int:
    """Cycles from the unit's start to its done, both included.

    An image costs: the label and the logits, one a cycle; the way of the last through the memory and the comparison;
    one cycle for the prediction and one for the next image. With ``grad`` also one cycle for each exponential and the
    way of the last, and one for each division and the way of the last.
    """
    image = 1 + classes + latency.PORT + 1 + 2
    if grad:
        image += classes + EXPONENTIAL + classes + config.formats.grad_frac + 2
    return 2 + images * image
