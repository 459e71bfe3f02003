"""Tools that a model may call, and its calls of them, as the engine port passes them."""

from dataclasses import dataclass
from typing import Literal

ToolChoice = Literal["auto", "required"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the asking program offers. `parameters` is the JSON schema of its arguments as JSON text, so
    that tools can be compared and hashed.
    """

    name: str
    description: str = ""
    parameters: str = '{"type":"object","properties":{}}'


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a prompt, and how they may be called.

    With the choice "required" the answer is at least one call, and with `only` it is a call of the tool of that name;
    with `is_parallel` it may be several calls.
    """

    tools: tuple[Tool, ...]
    choice: ToolChoice = "auto"
    only: str = ""
    is_parallel: bool = True


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call in a conversation; `arguments` is a JSON object as text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of a call that is being written. The first piece of each `index` (0, 1, …) has its `id` and `name`; the
    `arguments` of all pieces, joined, are one JSON object.
    """

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""
