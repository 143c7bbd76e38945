"""What others report and what was aimed at, next to what came out."""

from dataclasses import dataclass

PAPER_BP, PAPER_TOTAL = (1.69, 5.43), (1.68, 3.30)  #: arXiv 2109.07710: ranges over its five networks
TENSORDASH = 1.95  #: MICRO 2020: training, average of its networks
FIVE = ("vgg16", "resnet18", "googlenet", "densenet121", "mobilenet_v1")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure to reach, what was reached, and a figure that bounds it, if there is one."""

    what: str
    wanted: float
    got: float
    bound: float | None = None

    @property
    def met(self) -> bool:
        """It was reached."""
        return self.got >= self.wanted

    def text(self) -> str:
        """One line of a table: what, wanted, got, met or missed and by how much."""
        verdict = "met" if self.met else f"missed by {100 * (1 - self.got / self.wanted):.1f} %"
        if not self.met and self.bound is not None and self.bound < self.wanted:
            verdict += f"; zeros allow {self.bound:.2f} at most"
        return f"| {self.what} | {self.wanted:.2f} | {self.got:.3f} | {verdict} |"


def goals(found) -> list:
    """The goals that the networks and configurations of a study allow to judge; on ``paper`` if it was computed."""
    config = found.machines[-1].config
    figures = {m.network: m.figures() for m in found.machines if m.config == config}
    result = []

    def goal(what, wanted, name, key, bound=None):
        if name in figures:
            one = figures[name]
            result.append(Goal(what=f"{what}, `{config}`", wanted=wanted, got=one[key], bound=one[bound] if bound else None))
    goal("efficiency of RUN cycles, vgg16", 0.92, "vgg16", "efficiency")
    goal("efficiency of RUN cycles, resnet18", 0.90, "resnet18", "efficiency")
    if all(name in figures for name in FIVE):
        mean = sum(figures[name]["efficiency"] for name in FIVE) / len(FIVE)
        result.append(Goal(what=f"efficiency of RUN cycles, mean of five, `{config}`", wanted=0.85, got=mean))
    if config == "paper":
        goal("efficiency with LOAD, CLEAR, POST, UPDATE, and a port of 512 bits behind, vgg16", 0.85, "vgg16", "efficiency_port")
        goal("efficiency with them, LOADs and port overlapping, vgg16", 0.85, "vgg16", "efficiency_port_overlap")
    goal("forward + backpropagation against dense, vgg16 without BatchNorm", 3.3, "vgg16", "speedup_total", "ideal_total")
    for name in figures:
        goal(f"backpropagation against dense, {name}", 1.69, name, "speedup_bp", "ideal_bp")
    return result
