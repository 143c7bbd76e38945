"""The serial protocol in plain Python: frames, and what a bridge must do with bytes and silences."""

ADDRESSES = 1 << 24


def frame(command, address, words=(), length=None):
    """Bytes of a frame; ``length`` where it is not that of ``words``."""
    length = len(words) if length is None else length
    return bytes([command, length]) + address.to_bytes(4, "big") + b"".join(word.to_bytes(4, "big") for word in words)


def expected(parts, read):
    """What a bridge does with ``parts``, byte strings with a silence behind each.

    ``read(address)`` is the word there after the writes so far. Returns the transfers on the bus as tuples
    ``(write, address, word)``, and the bytes of the answers.
    """
    transfers, answers = [], bytearray()
    for part in parts:
        at = 0
        while at < len(part):
            command, at = part[at], at + 1
            if command not in (1, 2, 3, 4):
                continue
            if at + 5 > len(part):
                break
            length, address, at = part[at], int.from_bytes(part[at + 1:at + 5], "big"), at + 5
            for _ in range(length):
                inside = address < ADDRESSES
                if command in (1, 3):
                    if at + 4 > len(part):
                        at = len(part)
                        break
                    word, at = int.from_bytes(part[at:at + 4], "big"), at + 4
                    if inside:
                        transfers.append((1, address, word))
                else:
                    word = read(address, transfers) if inside else 0
                    if inside:
                        transfers.append((0, address, word))
                    answers += word.to_bytes(4, "big")
                address += command in (1, 2)
    return transfers, bytes(answers)
