"""Response objects in OpenAI's format."""

import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.api_completions import CompletionItem, CompletionResult
from bot.core.messages import Source
from bot.openai.errors import RequestError
from models.engine import ThinkingText, Usage
from models.tool_calls import ToolCall, ToolCallPiece

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
in_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass
class WholeAnswer:
    """An answer, collected from its pieces."""

    text: str = ""
    thinking: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    result: CompletionResult = field(default_factory=CompletionResult)

    def add(self, item: CompletionItem) -> None:
        """Add a piece, or the end."""
        if isinstance(item, CompletionResult):
            self.result = item
        elif isinstance(item, ThinkingText):
            self.thinking += item.text
        elif isinstance(item, str):
            self.text += item
        elif item.id:
            self.calls.append(ToolCall(item.id, item.name, item.arguments))
        else:
            call = self.calls[item.index]
            self.calls[item.index] = replace(call, arguments=call.arguments + item.arguments)


@dataclass(frozen=True, slots=True)
class CompletionObjects:
    """Builds the response objects of one answer, with their shared id, model and time."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def full_completion(self, answer: WholeAnswer) -> Json:
        """The whole answer as one object, the thinking before it apart."""
        result, calls = answer.result, [call_object(call) for call in answer.calls]
        message: Json = {"role": "assistant", "content": answer.text if answer.text or not calls else None}
        choice = {
            "index": 0,
            "message": message
            | ({"reasoning_content": answer.thinking} if answer.thinking else {})
            | ({"tool_calls": calls} if calls else {}),
            "logprobs": None,
            "finish_reason": finish_reason(result),
        }
        return self._object("chat.completion", [choice]) | {"usage": usage_object(result.usage)} | source_fields(result)

    def chunk_object(self, delta: Json, finish: str | None = None) -> Json:
        """A streamed piece of the answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

    def call_chunk(self, piece: ToolCallPiece) -> Json:
        """A streamed piece of a call."""
        begun = {"id": piece.id, "type": "function"} if piece.id else {}
        function = {"name": piece.name} if piece.id else {}
        call = {"index": piece.index, **begun, "function": {**function, "arguments": piece.arguments}}
        return self.chunk_object({"tool_calls": [call]})

    def final_chunk(self, result: CompletionResult) -> Json:
        """The last piece: finish reason and sources."""
        return self.chunk_object({}, finish_reason(result)) | source_fields(result)

    def usage_chunk(self, result: CompletionResult) -> Json:
        """The token usage, after the last piece."""
        return self._object("chat.completion.chunk", []) | {"usage": usage_object(result.usage)}

    def _object(self, kind: str, choices: Sequence[Json]) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": list(choices)}


class ChunkEncoder:
    """Encodes pieces of text as events; everything around the text is encoded once, not for every token."""

    def __init__(self, answer: CompletionObjects) -> None:
        self._prefix, _, self._suffix = sse_event(answer.chunk_object({"content": ""})).rpartition(b'""')

    def encode_chunk(self, text: str) -> bytes:
        """A piece of text as an event."""
        return self._prefix + in_json(text).encode() + self._suffix


class ChatEvents:
    """One answer as the events of a chat completion."""

    def __init__(self, objects: CompletionObjects, *, has_footer: bool, has_usage: bool) -> None:
        """`has_footer`: sources stand below the text; `has_usage`: the token usage is the last event."""
        self._objects = objects
        self._pieces = ChunkEncoder(objects)
        self._has_footer, self._has_usage = has_footer, has_usage

    def begin(self) -> bytes:
        """The event that names the role."""
        return sse_event(self._objects.chunk_object({"role": "assistant", "content": ""}))

    def encode(self, item: CompletionItem) -> bytes:
        """The events of a piece, or of the end."""
        if isinstance(item, str):
            return self._pieces.encode_chunk(item)
        if isinstance(item, ThinkingText):
            return sse_event(self._objects.chunk_object({"reasoning_content": item.text}))
        if isinstance(item, ToolCallPiece):
            return sse_event(self._objects.call_chunk(item))
        text = footer(item) if self._has_footer else ""
        events = [self._pieces.encode_chunk(text)] if text else []
        events.append(sse_event(self._objects.final_chunk(item)))
        if self._has_usage:
            events.append(sse_event(self._objects.usage_chunk(item)))
        return b"".join([*events, DONE])

    def fail(self, error: RequestError) -> bytes:
        """The error as an event."""
        return sse_event(error.error_body())


def sse_event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + in_json(data).encode() + b"\n\n"


def model_object(name: str, context_tokens: int = 0) -> Json:
    """One model; its context, in tokens, under the names that clients of llama.cpp's server and of vLLM read."""
    model = {"id": name, "object": "model", "created": 0, "owned_by": "hearth"}
    if not context_tokens:
        return model
    return model | {"context_length": context_tokens, "max_model_len": context_tokens}


def call_object(call: ToolCall) -> Json:
    """A whole call."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def finish_reason(result: CompletionResult) -> str:
    """The finish reason; OpenAI and the engine use the same words."""
    return result.usage.finish if result.usage else "stop"


def usage_object(usage: Usage | None) -> Json:
    """The token counts of an answer; `cached_tokens` were reused from the KV cache, and `reasoning_tokens`, a part of
    `completion_tokens`, are thinking.
    """
    prompt, generated, reused, thinking = (
        (usage.prompt_tokens, usage.generated_tokens, usage.reused_tokens, usage.thinking_tokens)
        if usage
        else (0, 0, 0, 0)
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": reused},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }


def source_fields(result: CompletionResult) -> Json:
    """The sources of an answer, a field that OpenAI's format does not have."""
    return {"sources": [_source(source) for source in result.sources]} if result.sources else {}


def _source(source: Source) -> Json:
    place = source.place
    return {
        "number": source.number,
        "collection": source.collection,
        "document": source.document,
        "title": source.title,
        "headings": list(place.heading),
        "page": place.page,
        "row": place.row,
        "text": source.text,
    }


_SOURCES = re.compile(r"\n\n(?:\[\d+\] [^\n]+(?:\n|\Z))+\Z")


def footer(result: CompletionResult) -> str:
    """The lines below the text for people: notes, then numbered sources; none below calls."""
    if finish_reason(result) == "tool_calls":
        return ""
    lines = [f"[{source.number}] {' › '.join((source.document, *source.place.heading))}" for source in result.sources]
    return "".join(f"\n\n{part}" for part in (*result.notes, "\n".join(lines)) if part)


def strip_footer(text: str) -> str:
    """An answer from a client's history without the sources that `footer` added."""
    return _SOURCES.sub("", text)
