"""The documents: links lead somewhere, and the files they name are in the tree."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"(?ms)^ *```.*?^ *```$")
TOP = ("bot/", "adapters/", "knowledge/", "models/", "deploy/", "tests/", "docs/")
SOURCE = re.compile(r"[\w./-]+\.(?:py|sql|cmake|c|txt)")
FILES = [str(path) for top in TOP for path in (ROOT / top).rglob("*.*") if "__pycache__" not in path.parts]
ELSEWHERE = {"bot.py", "models.py", "adapters.py", "knowledge.py"}
"""Names that the files of a reader's own bot must not have."""
NOT_CHOSEN = {"bot/server/daemon.py"}
"""A path that the glossary compares with the chosen one."""


def links(page: Path) -> Iterator[str]:
    """The links of a page to other files, without code blocks."""
    for target in LINK.findall(CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", CODE_BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_dead(page: Path, link: str) -> bool:
    """Whether a link of a page leads nowhere."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def named_sources(page: Path) -> Iterator[str]:
    """The source files and folders that a page names in backquotes."""
    for name in re.findall(r"`([^`\s]+)`", CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        path = name.partition("::")[0]  # behind it, the name of a test
        if (path.startswith(TOP) or SOURCE.fullmatch(path)) and not re.search(r"[*<>{}…:]|NNNN", path):
            yield path


def is_in_the_tree(name: str) -> bool:
    """Whether a path, or the end of one, is in the tree."""
    return (ROOT / name).exists() if name.startswith(TOP) else any(path.endswith(f"/{name}") for path in FILES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if is_dead(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_that_a_page_names_is_in_the_tree(page: Path) -> None:
    names = set(named_sources(page)) - ELSEWHERE - NOT_CHOSEN
    assert sorted(name for name in names if not is_in_the_tree(name)) == []


def test_every_page_of_docs_is_linked_from_another() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    folders = {path for path in linked if path.is_dir()}
    lost = [page for page in PAGES if page.parent != ROOT and page not in linked and page.parent not in folders]
    assert [str(page.relative_to(ROOT)) for page in lost] == []


def test_a_dead_link_and_a_dead_anchor_are_found() -> None:
    page = ROOT / "README.md"
    assert is_dead(page, "docs/nowhere.md")
    assert is_dead(page, "docs/discord.md#nowhere")
    assert not is_dead(page, "docs/discord.md#what-it-answers")
