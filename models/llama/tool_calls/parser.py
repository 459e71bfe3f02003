"""Finds calls of tools in the text of a reply, while it is written."""

import json
import re
import secrets
import string
from dataclasses import dataclass
from typing import Any, Literal

from models.llama.grammar.schema_keywords import types_of
from models.llama.tool_calls.arguments import JsonObjectEnd
from models.llama.tool_calls.grammar import called_tools, parameters_of
from models.llama.tool_calls.syntax import HARMONY, CallSyntax
from models.thinking import possible_start
from models.thinking_marks import MESSAGE
from models.tool_calls import Tool, Toolbox, ToolCallPiece

_Phase = Literal["text", "head", "arguments", "tail"]
Piece = str | ToolCallPiece

_SPACE = " \n\r\t"
_ID_CHARACTERS = string.ascii_letters + string.digits
_FUNCTION_END = "</function>"
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>(.*?)</parameter>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CallTrigger:
    """A call that has begun: its text after the opening, or, where the tool is known, its arguments so far."""

    text: str
    tool: Tool | None


class CallParser:
    """Separates the calls in a reply from its text. What only looks like a call, or breaks off, stays text.

    Once the reply is bound by a grammar (`is_bound`), arguments are passed on as they come; otherwise a call is held
    until it is whole, and is checked.
    """

    def __init__(self, toolbox: Toolbox, syntax: CallSyntax, *, is_bound: bool = False) -> None:
        """`is_bound`: whether a grammar binds the reply from its beginning."""
        self._syntax = syntax
        self._tools = {tool.name: tool for tool in called_tools(toolbox)}
        self._phase: _Phase = "text"
        self._held = ""
        self._shown = ""  # the end of what was shown as text
        self._fences = 0
        self._call_text = ""  # of a call, from its opening on
        self._arguments = ""
        self._passed = -1  # characters of the arguments; -1 before the call was passed on at all
        self._tool: Tool | None = None
        self._end = JsonObjectEnd()
        self._triggered = False
        self._index = 0
        self._is_first = True
        self.is_bound = is_bound

    @property
    def call_count(self) -> int:
        """The number of whole calls."""
        return self._index

    @property
    def is_in_call(self) -> bool:
        """Whether a call has begun and is not whole."""
        return self._phase in ("head", "arguments")

    def take_trigger(self) -> CallTrigger | None:
        """Once, when a call has begun that no grammar binds yet."""
        if self._triggered or self.is_bound or not self.is_in_call:
            return None
        self._triggered = True
        return CallTrigger(self._arguments + self._held, self._tool)

    def push_text(self, text: str) -> list[Piece]:
        """The text and the pieces of calls that are certain now."""
        self._held += text
        return self._advance(is_ending=False)

    def flush(self) -> list[Piece]:
        """The rest, for the end of the reply: what looked like a call and broke off is text, unless it was bound."""
        pieces = self._advance(is_ending=True)
        if self.is_in_call and not self.is_bound:
            pieces.append(self._call_text + self._held)
        elif self._phase == "text" and not self.is_bound:
            pieces.append(self._held)
        self._held = ""
        return [piece for piece in pieces if piece]

    def _advance(self, *, is_ending: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while True:
            before = (self._phase, self._held)
            match self._phase:
                case "text":
                    pieces += self._read_text(is_ending)
                case "head":
                    pieces += self._read_head(is_ending)
                case "arguments":
                    pieces += self._read_arguments()
                case "tail":
                    self._read_tail()
            if before == (self._phase, self._held):
                return [piece for piece in pieces if piece]

    def _read_text(self, is_ending: bool) -> list[Piece]:
        opening = self._syntax.opening
        if not opening:
            return self._read_beginning(is_ending)
        start = self._held.find(opening)
        while start >= 0 and not self._may_open(self._held[:start]):
            start = self._held.find(opening, start + 1)
        if start >= 0:
            text = self._show(self._held[:start])
            shown = text.rstrip(_SPACE)
            self._call_text = text[len(shown) :] + opening
            self._held, self._phase = self._held[start + len(opening) :], "head"
            return [shown]
        kept = 0 if is_ending and not self.is_bound else _held_back(self._held, opening)
        text, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return [self._show(text)] if text else []

    def _read_beginning(self, is_ending: bool) -> list[Piece]:
        """Without an opening, a reply that begins with the head of a call is one."""
        compact = "".join(self._held.split())
        head = self._syntax.head_of("")
        start = head[: head.index('""') + 1]
        if self._is_first and compact.startswith(start):
            self._call_text, self._phase = "", "head"
        elif is_ending or not self._is_first or not start.startswith(compact):
            self._is_first = False
            text, self._held = self._held, ""
            return [text]
        return []

    def _may_open(self, before: str) -> bool:
        """Whether a call may begin here: not in code, and for most models at the beginning of a line only."""
        said = self._shown + before
        if (self._fences + before.count("```")) % 2 or said.rstrip(_SPACE)[-1:] == "`":
            return False
        return self._syntax.is_inline or not said.rpartition("\n")[2].strip()

    def _show(self, text: str) -> str:
        self._fences += text.count("```")
        self._shown = (self._shown + text)[-200:]
        return text

    def _read_head(self, is_ending: bool) -> list[Piece]:
        """Find the tool whose call begins; without one the call is text."""
        prefixes = ("", self._syntax.first) if self._is_first else ("",)
        heads = {prefix + self._syntax.head_of(name): tool for name, tool in self._tools.items() for prefix in prefixes}
        end, found = _match_head(self._held, heads)
        if found is not None:
            self._is_first = False
            self._tool, self._phase = found, "arguments"
            self._call_text, self._held = self._call_text + self._held[:end], self._held[end:]
            self._arguments, self._passed, self._end = "", -1, JsonObjectEnd()
            return [self._pass_on()] if self.is_bound else []
        if end < 0 or is_ending:
            return self._give_up()
        return []

    def _give_up(self) -> list[Piece]:
        text, self._call_text, self._phase = self._call_text + self._held, "", "text"
        if self._syntax is HARMONY:  # a header is nothing to read
            text = text.rpartition(MESSAGE)[2]
        self._held, self._tool, self._is_first = "", None, False
        return [self._show(text)]

    def _read_arguments(self) -> list[Piece]:
        assert self._tool is not None
        if self._syntax.arguments == "xml":
            return self._read_parameters()
        length = self._end.find(self._held)
        taken, self._held = self._held[:length], self._held[length:]
        self._call_text += taken
        taken = taken if self._arguments else taken.lstrip(_SPACE)
        self._arguments += taken
        if self._end.is_broken:
            return self._give_up() if not self.is_bound else []
        if self._end.is_found:
            return self._finish_call()
        return [self._pass_on()] if self.is_bound and taken else []

    def _pass_on(self) -> ToolCallPiece:
        """What has not been passed on of the arguments; the first time with an id and the name."""
        assert self._tool is not None
        is_first, start = self._passed < 0, max(0, self._passed)
        self._passed = len(self._arguments)
        id_, name = (_new_id(), self._tool.name) if is_first else ("", "")
        return ToolCallPiece(self._index, self._arguments[start:], id_, name)

    def _read_parameters(self) -> list[Piece]:
        end = self._held.find(_FUNCTION_END)
        if end < 0:
            return []
        assert self._tool is not None
        arguments = json.dumps(_decode_parameters(self._held[:end], parameters_of(self._tool)), ensure_ascii=False)
        self._call_text, self._held = self._call_text + self._held[:end], self._held[end:]
        self._arguments = arguments
        return self._finish_call()

    def _finish_call(self) -> list[Piece]:
        if not self.is_bound and not _is_object(self._arguments):
            return self._give_up()
        piece = self._pass_on()
        self._index += 1
        self._tool, self._phase, self._call_text = None, "tail", ""
        return [piece]

    def _read_tail(self) -> None:
        """Skip what ends a call and begins the next one; nothing else counts after a call."""
        text = self._held.lstrip(_SPACE)
        if not text:
            self._held = ""
            return
        syntax = self._syntax
        heads = {syntax.head_of(name): tool for name, tool in self._tools.items()}
        if _match_head(text, heads)[1] is not None and syntax.between is not None:
            self._held, self._phase, self._call_text = text, "head", ""
            return
        for part in filter(None, (*syntax.tail, syntax.between, syntax.last)):
            if text.startswith(part):
                self._held = text[len(part) :]
                return


def _held_back(text: str, opening: str) -> int:
    """The length of the longest end of a text that could become the opening, with the white space in front of it."""
    return len(text) - len(text[: possible_start(text, (opening,))].rstrip(_SPACE))


def _match_head(text: str, heads: dict[str, Tool]) -> tuple[int, Tool | None]:
    """The end of the head that a text begins with, white space aside, and its tool; -1 when it can begin with none,
    0 when it is too short to tell.
    """
    compact = ""
    for position, character in enumerate(text):
        if character in _SPACE:
            continue
        compact += character
        if (tool := heads.get(compact)) is not None:
            return position + 1, tool
        if not any(head.startswith(compact) for head in heads):
            return -1, None
    return 0, None


def _decode_parameters(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Parameters as values: text where the schema allows text, otherwise JSON."""
    properties = schema.get("properties")
    return {
        name: _decode(value, properties.get(name) if isinstance(properties, dict) else None)
        for name, value in _PARAMETER.findall(text)
    }


def _decode(value: str, schema: object) -> Any:
    text = value.removeprefix("\n").removesuffix("\n")
    if not isinstance(schema, dict) or "string" in types_of(schema) or not types_of(schema):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _new_id() -> str:
    """Nine letters and digits: the form that Mistral's templates demand, and others take."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))
