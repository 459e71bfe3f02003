"""Response objects in OpenAI's format."""

import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core.api_completions import CompletionResult
from bot.core.messages import Source
from models.engine import Usage

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": waiting\n\n"
_in_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class CompletionObjects:
    """Builds the response objects of one answer, with their shared id, model and time."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def full_completion(self, text: str, result: CompletionResult, thinking: str = "") -> Json:
        """The whole answer as one object, the thinking before it apart."""
        message = {"role": "assistant", "content": text}
        choice = {
            "index": 0,
            "message": message | ({"reasoning_content": thinking} if thinking else {}),
            "logprobs": None,
            "finish_reason": finish_reason(result),
        }
        return self._object("chat.completion", [choice]) | {"usage": usage_object(result.usage)} | source_fields(result)

    def chunk_object(self, delta: Json, finish: str | None = None) -> Json:
        """A streamed piece of the answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

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
        return self._prefix + _in_json(text).encode() + self._suffix


def sse_event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + _in_json(data).encode() + b"\n\n"


def model_object(name: str, context_tokens: int = 0) -> Json:
    """One model; its context, in tokens, under the names that clients of llama.cpp's server and of vLLM read."""
    model = {"id": name, "object": "model", "created": 0, "owned_by": "hearth"}
    if not context_tokens:
        return model
    return model | {"context_length": context_tokens, "max_model_len": context_tokens}


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
    """The lines below the text for people: notes, then numbered sources."""
    lines = [f"[{source.number}] {' › '.join((source.document, *source.place.heading))}" for source in result.sources]
    return "".join(f"\n\n{part}" for part in (*result.notes, "\n".join(lines)) if part)


def strip_footer(text: str) -> str:
    """An answer from a client's history without the sources that `footer` added."""
    return _SOURCES.sub("", text)
