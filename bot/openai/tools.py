"""Tools in requests: their definitions, the choice of them, and calls in messages."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from bot.openai.errors import RequestError
from models.tool_calls import Tool, Toolbox, ToolCall

MAX_TOOLS = 128
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class FunctionDefinition(BaseModel):
    """A function that the client offers."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def to_tool(self) -> Tool:
        """The function as a tool."""
        parameters = json.dumps(self.parameters or _NO_PARAMETERS, ensure_ascii=False, separators=(",", ":"))
        return Tool(self.name, self.description or "", parameters)


class ToolDefinition(BaseModel):
    """A tool of a chat completion request."""

    type: str
    function: FunctionDefinition | None = None


class FunctionCall(BaseModel):
    """The function of a call, with its arguments as JSON text."""

    name: str
    arguments: str = ""


class MessageCall(BaseModel):
    """A call in a message of the assistant."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall

    def to_call(self) -> ToolCall:
        """The call as a part of a turn."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


def require_functions(tools: Sequence[ToolDefinition]) -> list[FunctionDefinition]:
    """The functions among the tools. Raises RequestError for tools of another kind."""
    functions = []
    for number, tool in enumerate(tools):
        if tool.type != "function" or tool.function is None:
            raise refuse_kind(tool.type, number)
        functions.append(tool.function)
    return functions


def refuse_kind(kind: str, number: int) -> RequestError:
    """The error for a tool that is no function."""
    sentence = f"Tools of the kind {kind[:40]!r} are not run here: offer functions, and run them yourself."
    return RequestError(400, sentence, f"tools[{number}].type", "unsupported_parameter")


def to_toolbox(functions: Sequence[FunctionDefinition], choice: object, *, is_parallel: bool) -> Toolbox | None:
    """The tools that may be called; None for none. Raises RequestError for a faulty choice."""
    tools = tuple(function.to_tool() for function in functions)
    if len(tools) > MAX_TOOLS:
        raise RequestError(400, f"{len(tools)} tools are too many; {MAX_TOOLS} are taken.", "tools")
    if len({tool.name for tool in tools}) < len(tools):
        raise RequestError(400, "Two tools have the same name.", "tools")
    mode, names, is_only = _read_choice(choice)
    unknown = next((name for name in names if name not in {tool.name for tool in tools}), None)
    if unknown is not None or (mode == "required" and not tools):
        name = repr(unknown[:64]) if unknown is not None else "any"
        raise RequestError(400, f"The choice demands a call of {name}, and no such tool is offered.", "tool_choice")
    if mode == "none" or not tools:
        return None
    if is_only:
        return Toolbox(tools, "required", names[0], is_parallel=False)
    kept = tuple(tool for tool in tools if tool.name in names) if names else tools
    return Toolbox(kept, "required" if mode == "required" else "auto", is_parallel=is_parallel)


def _read_choice(choice: object) -> tuple[str, list[str], bool]:
    """The mode, the names of the tools that it allows (empty: all), and whether it demands the one that is named."""
    match choice:
        case None | "auto":
            return "auto", [], False
        case "none" | "required":
            return str(choice), [], False
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return "required", [name], True
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(allowed)}} | {
            "type": "allowed_tools",
            "mode": str(mode),
            "tools": list(allowed),
        } if mode in ("auto", "required"):
            return mode, [_allowed_name(each) for each in allowed], False
        case _:
            sentence = "tool_choice must be none, auto, required, the name of a function, or a list of allowed tools."
            raise RequestError(400, sentence, "tool_choice")


def _allowed_name(tool: object) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
        case _:
            raise RequestError(400, "Only functions can be allowed.", "tool_choice")
