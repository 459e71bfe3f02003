"""The objects that OpenAI's clients expect, made from an answer."""

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
    """What all objects about one answer share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def full_completion(self, text: str, completed: CompletionResult) -> Json:
        """The answer in one object."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": None,
            "finish_reason": finish_reason(completed),
        }
        return (
            self._object("chat.completion", [choice])
            | {"usage": usage_object(completed.usage)}
            | source_fields(completed)
        )

    def chunk_object(self, delta: Json, finish: str | None = None) -> Json:
        """A piece of the answer as it comes."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

    def final_chunk(self, completed: CompletionResult) -> Json:
        """The piece that says how it ended, and what it rests on."""
        return self.chunk_object({}, finish_reason(completed)) | source_fields(completed)

    def usage_chunk(self, completed: CompletionResult) -> Json:
        """What it cost, after the last piece."""
        return self._object("chat.completion.chunk", []) | {"usage": usage_object(completed.usage)}

    def _object(self, kind: str, choices: Sequence[Json]) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": list(choices)}


class ChunkEncoder:
    """The events of an answer's text: all but the text itself is made once, for they come with every token."""

    def __init__(self, answer: CompletionObjects) -> None:
        self._before, _, self._behind = sse_event(answer.chunk_object({"content": ""})).rpartition(b'""')

    def encode_chunk(self, text: str) -> bytes:
        """A piece of the text as it comes."""
        return self._before + _in_json(text).encode() + self._behind


def sse_event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + _in_json(data).encode() + b"\n\n"


def model_list(names: Sequence[str]) -> Json:
    """The list of models."""
    return {"object": "list", "data": [model_object(name) for name in names]}


def model_object(name: str) -> Json:
    """One model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "hearth"}


def finish_reason(completed: CompletionResult) -> str:
    """Why the answer ended, in OpenAI's words, which are the engine's."""
    return completed.usage.finish if completed.usage else "stop"


def usage_object(usage: Usage | None) -> Json:
    """The tokens of an answer; `cached_tokens` are those that were not read anew."""
    prompt, made, reused = (usage.prompt_tokens, usage.generated_tokens, usage.reused_tokens) if usage else (0, 0, 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": reused},
    }


def source_fields(completed: CompletionResult) -> Json:
    """What an answer from the documents rests on, beside what OpenAI's clients know."""
    return {"sources": [_source(source) for source in completed.sources]} if completed.sources else {}


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


def footer(completed: CompletionResult) -> str:
    """What stands below the text for people: notes, and the sources in compact numbered lines."""
    lines = [
        f"[{source.number}] {' › '.join((source.document, *source.place.heading))}" for source in completed.sources
    ]
    return "".join(f"\n\n{part}" for part in (*completed.notes, "\n".join(lines)) if part)


def strip_footer(text: str) -> str:
    """An answer that a program sends back, without the sources that `footer` put below it."""
    return _SOURCES.sub("", text)
