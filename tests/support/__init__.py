"""What tests share: benches, models in plain Python, and how pages and commands are run."""

from pathlib import Path

SOURCES = Path(__file__).parents[2]  #: what the repository holds
TESTS = SOURCES / "tests"
SUPPORT = TESTS / "support"
DOCS = SOURCES / "docs"
