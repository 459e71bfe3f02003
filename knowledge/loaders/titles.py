"""Titles of documents from their headings."""

from knowledge.headings import find_headings


def first_heading(text: str, deepest: int = 6) -> str:
    """The first heading of the highest level present, down to `deepest`, without markup; empty without one."""
    headings = [heading for heading in find_headings(text) if heading.level <= deepest]
    return min(headings, key=lambda heading: heading.level).text if headings else ""
