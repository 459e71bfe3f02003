"""Marks that a chat template writes around turns, also where they are no tokens of the vocabulary."""

import re
from collections.abc import Sequence

from models.llama.kv_cache.jinja_template import TEMPLATE_ERRORS, Render

_TRIAL = (("system", "Instruct-0"), ("user", "Ask-1"), ("assistant", "Reply-2"), ("user", "Ask-3"))
_BRACKETED = re.compile(r"<+[^<>\s]{1,60}>+|\[[^\[\]\s]{2,40}\]|<\|[^|<>]{1,60}\|>")
# `USER:`, `### Instruction:`, `GPT4 Correct User:`: a role in words, as older models have it, in front of what is said.
_LABEL = re.compile(r"(?:\A|[\n>\]])[ \t]*((?:#+ ?)?[^\W\d_][\w ]{1,30}[:：])(?:\s|<[^<>]*>|\[[^\[\]]*\])*\Z")


class RoleLabels:
    """Finds the labels of roles that are words, and puts a space in front of their colon."""

    def __init__(self, labels: Sequence[str]) -> None:
        alternatives = "|".join(re.escape(label[:-1]) for label in sorted(labels, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<!\w)({alternatives})(?=[:：])") if labels else None

    def break_up(self, text: str) -> str:
        """The text without a label that a model could take for the beginning of a turn."""
        return self._pattern.sub(r"\1 ", text) if self._pattern else text


def find_template_marks(render: Render, takes_system: bool) -> tuple[list[str], RoleLabels]:
    """The marks in brackets that a template writes around turns, and its labels of roles."""
    turns = _TRIAL if takes_system else _TRIAL[1:]
    try:
        text = render([{"role": role, "content": content} for role, content in turns], False, None)
    except TEMPLATE_ERRORS:
        text = render([{"role": "user", "content": _TRIAL[1][1]}], False, None)
    skeleton = re.split("|".join(content for _, content in _TRIAL), text)
    marks = {mark for piece in skeleton for mark in _BRACKETED.findall(piece)}
    labels = {label for piece in skeleton for label in _LABEL.findall(piece)}
    return sorted(marks), RoleLabels(sorted(labels))
