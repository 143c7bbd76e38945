"""What package indexes show of this project, made when it is built: README.md with links that work there, and the project's URLs.

An index has none of the files that README.md links to. With an address in pyproject.toml the links lead there. Without one they become
plain text, and pictures their titles. Everything else about the package is in pyproject.toml.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def readme(text: str, repository: str) -> str:
    """``text``, Markdown, without relative links: they lead to ``repository``, or are gone when it is empty."""
    def link(match):
        picture, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        if not repository:
            return f"*{words}*" if picture else f"{words} (`{target}`)"
        return f"{picture}[{words}]({repository}/{'raw' if picture else 'blob'}/HEAD/{target})"
    return re.sub(r"(!?)\[([^]]*)\]\(([^)\s]+)\)", link, text)


def urls(repository: str) -> dict:
    """Names and addresses of the project's pages; none without ``repository``."""
    pages = {"Repository": "", "Documentation": "/blob/HEAD/docs/index.md", "Changelog": "/blob/HEAD/CHANGELOG.md", "Issues": "/issues"}
    return {name: repository + path for name, path in pages.items()} if repository else {}


if __name__ == "__main__":
    address = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["gradgate"]["repository"]
    setup(long_description=readme((HERE / "README.md").read_text(encoding="utf-8"), address),
          long_description_content_type="text/markdown", project_urls=urls(address))
