"""The figures of boards that are kept, and the page that is written from them."""

from pathlib import Path

from gradgate.arch.files import write_files
from gradgate.cli.output import read_json

RESULTS = Path("results/board")
DEMO = Path("results/demo/result.json")
PAGE = Path("docs/boards.md")
IMAGES = Path("docs/images")
PUBLISHED = Path("docs/published.toml")


def picture(name: str) -> Path:
    """The picture of a placement."""
    return IMAGES / f"placement_{name}.png"


def targets() -> tuple:
    """Files like those that a run with ``--docs`` writes, for the check that it can."""
    return RESULTS / "x.json", IMAGES / "x.png"


def kept_figures(directory: Path) -> list:
    """The figures of all designs in ``directory``. Raises :class:`~gradgate.arch.checks.ConfigError` for a broken file."""
    return [read_json(path, "config", "synthesised", "tools", "date") for path in sorted(directory.glob("*.json"))]


def write_page() -> Path:
    """Write docs/boards.md from all figures that are kept. Raises :class:`~gradgate.arch.checks.ConfigError` for a broken file."""
    from gradgate.report import boards as board_page
    from gradgate.report import published

    found = kept_figures(RESULTS)
    demo = read_json(DEMO, "config") if DEMO.is_file() else None
    others = published.load(PUBLISHED if PUBLISHED.is_file() else None)
    pictures = [picture(path.stem).name for path in sorted(RESULTS.glob("*.json")) if picture(path.stem).is_file()]
    return write_files(PAGE.parent, {PAGE.name: board_page.page(found, demo, pictures, others)})[0]
