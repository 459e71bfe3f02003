"""Tools, calls and their results as a chat template takes them, or in words for a template that takes none."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from models.engine import Turn
from models.llama.kv_cache.jinja_template import TEMPLATE_ERRORS, Message, Render
from models.llama.tool_calls.syntax import HERMES, CallSyntax, find_syntax
from models.tool_calls import Tool, Toolbox, ToolCall

Escape = Callable[[str], str]

_PROBE = Tool("probe_tool", "Look at PROBE-PURPOSE.", '{"type":"object","properties":{"where":{"type":"string"}}}')
_ID_CHARACTERS = 9
_INSTRUCTIONS = """You may call functions. They are, each as JSON between <tools> and </tools>:
<tools>
{tools}
</tools>

To call one, write its name and its arguments as JSON, and nothing after it:
<tool_call>
{{"name": NAME, "arguments": {{...}}}}
</tool_call>"""


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How a template takes tools: whether it renders them itself, calls with their arguments as objects or as JSON
    text, and the syntax in which its model writes calls.
    """

    is_rendered: bool
    syntax: CallSyntax
    arguments: Literal["object", "text"] = "object"


IN_WORDS = ToolForm(is_rendered=False, syntax=HERMES)
"""For templates that know no tools: they stand in the system turn, and results in turns of the user."""


def find_tool_form(template: str, render: Render) -> ToolForm:
    """How a template takes tools, tried on a conversation with a call."""
    syntax = find_syntax(template)
    if syntax is None:
        return IN_WORDS
    call = ToolCall("123456789", _PROBE.name, '{"where": "PROBE-PLACE"}')
    turns = [Turn("user", "A"), Turn("assistant", "", (call,)), Turn("tool", "PROBE-RESULT", call_id=call.id)]
    for arguments in ("object", "text"):
        form = ToolForm(True, syntax, arguments)
        messages = [message_of(turn, form, turns, str) for turn in turns]
        try:
            text = render(messages, False, None, tool_objects((_PROBE,), str))
        except TEMPLATE_ERRORS:
            continue
        if all(part in text for part in ("PROBE-PURPOSE", "PROBE-PLACE", "PROBE-RESULT")) and '\\\\"' not in text:
            return form
    return IN_WORDS


def tool_objects(tools: Sequence[Tool], escape: Escape) -> list[Message]:
    """Tools in OpenAI's format, their texts escaped."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": escape(tool.description),
                "parameters": _escaped(json.loads(tool.parameters), escape),
            },
        }
        for tool in tools
    ]


def instructions_of(toolbox: Toolbox, escape: Escape) -> str:
    """The tools in words, for the system turn."""
    tools = (json.dumps(each["function"], ensure_ascii=False) for each in tool_objects(toolbox.tools, escape))
    return _INSTRUCTIONS.format(tools="\n".join(tools))


def message_of(turn: Turn, form: ToolForm, turns: Sequence[Turn], escape: Escape) -> Message:
    """A turn of an assistant with calls, or of a tool, as a message."""
    content = escape(turn.text)
    if turn.role == "tool":
        if not form.is_rendered:
            return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
        name = _called_name(turn.call_id, turns)
        return {"role": "tool", "content": content, "tool_call_id": _short_id(turn.call_id), "name": name}
    if not form.is_rendered:
        calls = (_call_in_words(call, escape) for call in turn.calls)
        return {"role": turn.role, "content": "\n".join(filter(None, (content, *calls)))}
    return {
        "role": turn.role,
        "content": content,
        "tool_calls": [_call_object(each, form, escape) for each in turn.calls],
    }


def _call_object(call: ToolCall, form: ToolForm, escape: Escape) -> Message:
    arguments = _escaped(_arguments_of(call), escape)
    return {
        "type": "function",
        "id": _short_id(call.id),
        "function": {
            "name": escape(call.name),
            "arguments": arguments if form.arguments == "object" else json.dumps(arguments, ensure_ascii=False),
        },
    }


def _call_in_words(call: ToolCall, escape: Escape) -> str:
    whole = {"name": escape(call.name), "arguments": _escaped(_arguments_of(call), escape)}
    return f"<tool_call>\n{json.dumps(whole, ensure_ascii=False)}\n</tool_call>"


def _arguments_of(call: ToolCall) -> Any:
    """The arguments as a value; a text that is no JSON, as a client may bring it, as the only one."""
    try:
        value = json.loads(call.arguments or "{}")
    except ValueError:
        value = {"text": call.arguments}
    return value if isinstance(value, Mapping) else {"value": value}


def _called_name(call_id: str, turns: Sequence[Turn]) -> str:
    return next((call.name for turn in turns for call in turn.calls if call.id == call_id), "")


def _short_id(call_id: str) -> str:
    """An id of nine letters and digits, as the templates of Mistral demand; ids come from clients."""
    if len(call_id) == _ID_CHARACTERS and call_id.isascii() and call_id.isalnum():
        return call_id
    return blake2b(call_id.encode(), digest_size=8).hexdigest()[:_ID_CHARACTERS]


def _escaped(value: Any, escape: Escape) -> Any:
    """A JSON value with all its texts escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {escape(str(name)): _escaped(each, escape) for name, each in value.items()}
    return [_escaped(each, escape) for each in value] if isinstance(value, list) else value
