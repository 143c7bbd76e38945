"""Runs Python elsewhere than in the sources, as whoever has installed the package would."""

import os
import subprocess
import sys


def call(command, cwd, python=sys.executable, **environment):
    """Run Python with the arguments ``command``, without a path to the sources."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    return subprocess.run([python, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)
