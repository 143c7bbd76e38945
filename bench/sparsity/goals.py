"""What others report and what was aimed at, next to what came out."""

from gradgate.training.goals import Goal

PAPER_BP, PAPER_TOTAL = (1.69, 5.43), (1.68, 3.30)  #: arXiv 2109.07710: ranges over its five networks
TENSORDASH = 1.95  #: MICRO 2020: training, average of its networks
MANY_ZEROS = 6.0  #: ideal speedup of backpropagation above which the best of the paper's networks is to be beaten
FIVE = ("vgg16", "resnet18", "googlenet", "densenet121", "mobilenet_v1")


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
        goal(f"backpropagation against dense, {name}", PAPER_BP[0], name, "speedup_bp", "ideal_bp")
    for name, one in figures.items():
        if one["ideal_bp"] > MANY_ZEROS:
            goal(f"backpropagation against dense, {name}, whose zeros allow more than {MANY_ZEROS:g}", PAPER_BP[1], name, "speedup_bp")
    return result
