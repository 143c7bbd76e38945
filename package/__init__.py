"""gradgate: a generator of FPGA accelerators that train neural networks.

What a program of one's own needs can be imported from here; everything else is in the modules below. Nothing is imported before it is
asked for, so that ``import gradgate`` takes no time.
"""

import importlib

__version__ = "0.1.0"

#: The module of each name.
_MODULES = {
    "Config": "arch.config",
    "ConfigError": "arch.checks",
    "DeviceError": "host.driver",
    "Driver": "host.driver",
    "GoldenModel": "golden.model",
    "Network": "arch.network",
    "PRESETS": "arch.config",
    "SerialLink": "host.serial",
    "SimulationError": "sim.simulator",
    "Simulator": "sim.simulator",
    "ToolError": "sim.toolchain",
    "compile_step": "compiler.compile",
    "digits": "training.datasets",
    "gather_block": "arch.weights",
    "generate": "hw.generate",
    "place_block": "arch.weights",
    "quantise": "training.datasets",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str):
    """Import ``name`` when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
