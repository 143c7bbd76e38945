"""How a pass is cut into tiles: input bricks (K), target bricks (N) and positions (M)."""

from dataclasses import dataclass

from gradgate.compiler.fit import DoesNotFit, Shortage


@dataclass(frozen=True, kw_only=True)
class Span:
    """``count`` things from ``first`` on."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """One after the last."""
        return self.first + self.count


def split(total: int, most: int) -> list:
    """Cut ``total`` into the fewest spans of at most ``most``, as equal as possible."""
    parts = -(-total // most)
    sizes = [total // parts + (i < total % parts) for i in range(parts)]
    return [Span(first=sum(sizes[:i]), count=size) for i, size in enumerate(sizes)]


def cut(config, where: str, *, taps: int, channels: int, bias: bool, targets: int, bank: int, positions: int) -> tuple:
    """K and N spans, in bricks, of a pass.

    taps, channels : window pixels and channels of the list operand, ``bias`` one entry more; targets : bricks of targets;
    bank : words a lane's bank holds; positions : sums that must fit for one target brick (0: none are kept).
    A tile of k entries and n target bricks takes k * n bank words, and every lane at most ``config.targets`` targets.
    """
    def entries(bricks):
        return taps * min(bricks * config.lanes, channels) + bias

    fits = [b for b in range(1, config.bricks(channels) + 1) if entries(b) <= min(config.list_entries, bank)]
    if not fits:
        most = min(config.list_entries, bank)
        raise DoesNotFit([Shortage(memory=f"{where}: bank of a PE", field="bank_words", needs=entries(1), has=most,
                                   reason=f"{taps} pixels of {min(config.lanes, channels)} channels{' and a bias' * bias} need")])
    inputs = split(config.bricks(channels), fits[-1])
    most = min(bank // entries(inputs[0].count), config.targets, targets)
    if positions:
        if positions > config.psum_words:
            raise DoesNotFit([Shortage(memory=f"{where}: sums memory", field="psum_words", needs=positions, has=config.psum_words,
                                       reason="one step of positions needs")])
        most = min(most, config.psum_words // positions)
    return inputs, split(targets, most)


def position_tiles(config, *, slots: int, rows: int, columns: int, targets: int, step: int = 1) -> list:
    """(slot span, row span) tiles whose sums fit the sums memory; ``step`` rows are kept together.

    Some rows of as many images as possible, instead of as many rows of few images: what is active in one image is less so in others,
    so lanes, and rows of the array, have more equal work.
    """
    lines = config.psum_words // (columns * targets * step)
    if lines < slots:
        return [(span, Span(first=row, count=step)) for row in range(0, rows, step) for span in split(slots, lines)]
    groups = split(rows // step, min(rows // step, lines // slots))
    return [(Span(first=0, count=slots), Span(first=g.first * step, count=g.count * step)) for g in groups]
