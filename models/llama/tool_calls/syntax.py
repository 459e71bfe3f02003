"""The ways in which models write calls of tools, and the one that a chat template names."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.thinking_marks import CHANNEL, MESSAGE

NAME = "NAME"
"""Stands for the tool's name in the parts of a `CallSyntax`."""

_JSON_HEAD = ("{", '"name"', ":", f'"{NAME}"', ",", '"arguments"', ":")


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """How a model writes calls: `opening first CALL (between CALL)* last`, a call being `head ARGUMENTS tail`, with
    white space wherever two parts meet.

    Without an `opening` calls stand at the beginning of the reply alone. `between` is None for models that write one
    call at a time. `arguments` says whether these are one JSON object, or XML-like parameters.
    """

    name: str
    opening: str
    head: Sequence[str]
    tail: Sequence[str]
    first: str = ""
    between: str | None = None
    last: str = ""
    arguments: str = "json"
    is_inline: bool = False
    """Whether the opening counts in the middle of a line, too."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts that may be control tokens of the vocabulary, and are read as text within a call."""
        return (self.opening, self.first, self.between or "", self.last, *self.head, *self.tail)

    def head_of(self, tool: str) -> str:
        """What precedes the arguments of a call, without white space."""
        return "".join(part.replace(NAME, tool) for part in self.head)


HERMES = CallSyntax("hermes", "<tool_call>", _JSON_HEAD, ("}", "</tool_call>"), between="<tool_call>")
"""Qwen 2.5 and 3, Hermes, Granite 4, and every model whose template knows no tools."""

XML = CallSyntax(
    "xml",
    "<tool_call>",
    (f"<function={NAME}>",),
    ("</function>", "</tool_call>"),
    between="<tool_call>",
    arguments="xml",
)
"""Qwen3-Coder, Qwen 3.5."""

LLAMA = CallSyntax("llama", "", ("{", '"name"', ":", f'"{NAME}"', ",", '"parameters"', ":"), ("}",))
MISTRAL_LIST = CallSyntax(
    "mistral-list", "[TOOL_CALLS]", _JSON_HEAD, ("}",), first="[", between=",", last="]", is_inline=True
)
MISTRAL = CallSyntax("mistral", "[TOOL_CALLS]", (NAME, "[ARGS]"), (), between="[TOOL_CALLS]", is_inline=True)
GRANITE = CallSyntax("granite", "<|tool_call|>", _JSON_HEAD, ("}",), first="[", between=",", last="]")
DEEPSEEK = CallSyntax(
    "deepseek",
    "<｜tool▁calls▁begin｜>",
    (f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{NAME}", "```json"),
    ("```", "<｜tool▁call▁end｜>"),
    between="",
    last="<｜tool▁calls▁end｜>",
    is_inline=True,
)
HARMONY = CallSyntax("harmony", f"{CHANNEL}commentary to=functions.", (NAME, "<|constrain|>json", MESSAGE), ())
"""gpt-oss. The header of a call is read by `ThinkingFilter`, as those of other channels are."""


_SIGNS: Sequence[tuple[Sequence[str], CallSyntax]] = (
    (("<tool_call>", "<function="), XML),
    (("<tool_call>",), HERMES),
    (("[TOOL_CALLS]", "[ARGS]"), MISTRAL),
    (("[TOOL_CALLS]",), MISTRAL_LIST),
    ((CHANNEL, "functions"), HARMONY),
    (('"name": function name',), LLAMA),
    ((GRANITE.opening,), GRANITE),
    ((DEEPSEEK.opening, "```json"), DEEPSEEK),
)


def find_syntax(template: str) -> CallSyntax | None:
    """The syntax that a template shows; None when none of these is in it."""
    return next((syntax for signs, syntax in _SIGNS if all(sign in template for sign in signs)), None)
