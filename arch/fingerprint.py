"""A number that tells cores apart: what a driver must know of the core that answers."""

import json
from dataclasses import asdict
from zlib import crc32

from gradgate.arch import commands
from gradgate.arch.config import Config


def fingerprint(config: Config) -> int:
    """32 bits that follow from ``config``, except its name, and from the layout of all commands.

    A core and a program that disagree in a size, a format or a field almost certainly (all but one in ``2**32``) differ
    here. Cores that differ in nothing but the name are the same core.
    """
    sizes = {name: value for name, value in asdict(config).items() if name != "name"}
    fields = {op.name: [(name, offset, f.bits) for name, (offset, f) in commands.layout(op).items()] for op in commands.Opcode}
    return crc32(json.dumps([sizes, fields], sort_keys=True).encode())
