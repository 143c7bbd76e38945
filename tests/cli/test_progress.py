"""What a long command says while it runs, and what it leaves when it is interrupted."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.cli import progress
from gradgate.report import training as report
from gradgate.report.plots import png
from gradgate.training.datasets import digits
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

TRAIN = ("import sys; from gradgate.cli import progress; progress.PERIOD_S = {period}; from gradgate.cli.main import main; "
         "main(sys.argv[1:], prog_name='gradgate')")
LONG = ["train", "--config", "tiny", "--backend", "golden", "--epochs", "1000"]


def start(*arguments, period=10.0, **given):
    """The command line in a process of its own, with so many seconds between two lines."""
    return subprocess.Popen([sys.executable, "-c", TRAIN.format(period=period), *map(str, arguments)], text=True, **given)


def lines_until(stream, text):
    """Lines of ``stream`` up to the first that has ``text`` in it."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} never came: {lines}")


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(interrupt, tmp_path):
    """Without a terminal there is a line now and then. Control-C, and SIGTERM, end the run: what was measured is written and said."""
    with start(*LONG, "--out", tmp_path / "out", "--json", tmp_path / "figures.json", period=0.2,
               stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        said = lines_until(run.stderr, "of 359000 steps, loss ")
        run.send_signal(interrupt)
        out, errors = run.communicate(timeout=60)
    assert run.returncode == 128 + interrupt, errors
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["interrupted"] and figures["steps"] == len(figures["losses"]) > 0 and len(figures["accuracy_per_epoch"]) >= 1
    assert f"INTERRUPTED        after step {figures['steps']} of 359000; all figures are of the steps until then\n" in out
    assert errors.splitlines()[-1] == f"gradgate: interrupted after step {figures['steps']} of 359000" and "Traceback" not in errors
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.txt", "result.json", "training.png"]
    assert all("steps" in line and line.endswith(" s\n") for line in said[1:]), said


def test_interrupted_before_the_first_step(tmp_path):
    """Nothing was measured, so nothing is written; one line, no traceback."""
    with start("train", "--config", "tiny", "--json", tmp_path / "figures.json", period=0.1, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
               env={**os.environ, "GRADGATE_BUILD": str(tmp_path / "build"), "YOSYS": sleeping(tmp_path)}) as run:
        lines_until(run.stderr, "0 steps, ")
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "") and errors.splitlines()[-1] == "gradgate: interrupted" and "Traceback" not in errors
    assert not (tmp_path / "figures.json").exists()


def sleeping(directory):
    """A program that does nothing for a minute."""
    path = directory / "yosys"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    return str(path)


def test_result_of_an_interrupted_run():
    """It is the result of a run that was to have so many steps, although a thread has done one more."""
    def stop(done, total, loss):
        if done == 20:
            time.sleep(0.1)  # time for the thread
            raise KeyboardInterrupt

    def schedule(steps):
        return Schedule(network=Network.load("digits"), config=Config.load("tiny"), batch=4, lr_shifts=(4,), max_steps=steps,
                        backend="golden")
    cut, whole = Trainer(schedule(None), digits(0), stop), Trainer(schedule(20), digits(0))
    one, two = cut.run(), whole.run()
    assert one.interrupted and not two.interrupted
    assert (one.losses, one.accuracy, one.float32_accuracy) == (two.losses, two.accuracy, two.float32_accuracy)
    assert all((a == b).all() for a, b in zip(cut.golden.masters, whole.golden.masters))


def test_bar_and_messages_do_not_share_a_line():
    """In a terminal, a message that is written while a bar is shown has a line of its own."""
    code = ("import logging, time; from gradgate.cli.progress import Messages, Progress, say\n"
            "logging.basicConfig(format='%(message)s', handlers=[Messages()], level=logging.INFO)\n"
            "with Progress('steps', 10) as show:\n"
            "    for done in range(10):\n"
            "        show(done, note='loss')\n"
            "        time.sleep(0.15)\n"
            "        if done == 4: logging.info('a message'); say('another')\n")
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stderr=follower, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"}) as run:
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            text += part
            if not part:
                break
    os.close(leader)
    assert run.returncode == 0
    shown = text.decode()
    lines = [line.split("\x1b[2K")[-1].strip() for line in shown.replace("\r", "\n").split("\n")]
    assert "a message" in lines and "another" in lines, shown
    assert any("steps" in line and "/10" in line for line in lines)


def test_plot_of_the_golden_backend(monkeypatch):
    """Without cycles there is no panel for them; epochs are whole numbers."""
    schedule = Schedule(network=Network.load("digits"), config=Config.load("tiny"), batch=4, lr_shifts=(4, 4), max_steps=400,
                        backend="golden")
    result = Trainer(schedule, digits(0)).run()
    figures = []
    monkeypatch.setattr(report, "png", lambda figure: figures.append(figure) or png(figure))
    assert report.plot(result).startswith(b"\x89PNG")
    axes = figures[0].axes
    assert [axis.get_title() for axis in axes] == ["loss", "test accuracy"]
    ticks = axes[1].get_xticks()
    assert len(ticks) and (ticks == np.rint(ticks)).all()
    result.train.rtl_cycles = {"FW": 1000, "loss": 7}
    report.plot(result)
    assert [axis.get_title() for axis in figures[1].axes] == ["loss", "test accuracy", "RTL cycles of a step"]


def test_line():
    show = progress.Progress("steps", 445)
    show(120, note="loss 0.531")
    assert show.line() == "120 of 445 steps, loss 0.531, 0 s"
    assert progress.Progress("networks").line() == "0 networks, 0 s"
