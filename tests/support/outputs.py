"""Writing an output as commands do."""

import os

import pytest

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import require_writable, write_files

ROOT = os.geteuid() == 0


def write(path, content="new"):
    """Check, then write."""
    require_writable(path)
    return write_files(path.parent, {path.name: content})


def refused(path, content="new"):
    """The message, the same before and after the work."""
    with pytest.raises(ConfigError) as before:
        require_writable(path)
    with pytest.raises(ConfigError) as after:
        write_files(path.parent, {path.name: content})
    assert str(before.value) == str(after.value) and "\n" not in str(before.value)
    return str(before.value)
