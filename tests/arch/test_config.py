"""A configuration is the same with sections and without, and so is the number that tells cores apart."""

import json
from dataclasses import fields
from zlib import crc32

from gradgate.arch.commands import Opcode, layout
from gradgate.arch.config import PRESETS, SECTIONS, Config
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.formats import Formats


def test_sections_and_flat_keys():
    """Both, and a mixture, are the same; every field but the name is in one section; a manifest's configuration can be read."""
    flat = {"name": "x", "rows": 3, "lanes": 4, "lists": 1, "bank_words": 64, "counters": 32, "momentum": True, "formats": {"act_frac": 9}}
    sections = {"name": "x", "array": {"rows": 3, "lanes": 4, "lists": 1}, "memories": {"bank_words": 64}, "host": {"counters": 32},
                "update": {"momentum": True}, "formats": {"act_frac": 9}}
    mixed = {"name": "x", "rows": 3, "array": {"lanes": 4, "lists": 1}, "bank_words": 64, "host": {"counters": 32}, "momentum": True,
             "formats": {"act_frac": 9}}
    one, = {Config.from_dict(table) for table in (flat, sections, mixed)}
    assert one == Config(name="x", rows=3, lanes=4, lists=1, bank_words=64, counters=32, momentum=True, formats=Formats(act_frac=9))
    keys = [key for section, keys in SECTIONS.items() if section != "formats" for key in keys]
    assert ["name", *keys, "formats"] == [f.name for f in fields(Config)]
    assert list(one.to_dict()) == ["name", *SECTIONS] and Config.from_dict(one.to_dict()) == one
    assert Config.from_dict({"preset": "tiny", "array": {"rows": 1}}) == PRESETS["tiny"].replace(rows=1)


def test_sections_are_not_in_the_fingerprint():
    """It is of the flat fields, as it was before there were sections, and of the command set."""
    fields_of = {op.name: [(name, offset, one.bits) for name, (offset, one) in layout(op).items()] for op in Opcode}
    for config in PRESETS.values():
        flat = {one.name: getattr(config, one.name) for one in fields(Config) if one.name != "name"} | {"formats": vars(config.formats)}
        assert fingerprint(config) == crc32(json.dumps([flat, fields_of], sort_keys=True).encode())
