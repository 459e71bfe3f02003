"""Prompt templates as Markdown files, and their rendering."""

from functools import cache
from importlib.resources import files
from string import Template


@cache
def _template(name: str) -> Template:
    return Template(files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip())


def render_prompt(name: str, /, **values: str) -> str:
    """The prompt `name`.md with its `$placeholders` replaced once: values are never treated as templates.

    Raises KeyError when a placeholder has no value.
    """
    return _template(name).substitute(values).strip()
