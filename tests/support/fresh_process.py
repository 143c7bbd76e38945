"""Verilog of a process of its own."""

import json
import os
import subprocess
import sys


def text_with_hash_seed(name_or_dict, seed, bus="native"):
    """The Verilog that a fresh process with another hash seed generates."""
    code = ("import json, sys; from gradgate.arch.config import Config; from gradgate.hw.generate import verilog; "
            "from gradgate.sim import toolchain; toolchain.use_yosys(); "
            "sys.stdout.write(verilog(Config.from_dict(json.loads(sys.argv[1])), sys.argv[2]))")
    run = subprocess.run([sys.executable, "-c", code, json.dumps(name_or_dict), bus], capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONHASHSEED": str(seed)})
    return run.stdout
