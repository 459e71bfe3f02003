"""Answers of /v1/responses: the response object, and the events that lead to it."""

import secrets
import time
from typing import Any, Literal

from bot.core.api_completions import CompletionItem, CompletionResult
from bot.openai.errors import RequestError
from bot.openai.responses import WholeAnswer, footer, in_json, source_fields, usage_object
from models.engine import ThinkingText
from models.tool_calls import ToolCallPiece

Json = dict[str, Any]
_Kind = Literal["reasoning", "message", "function_call"]
_PREFIXES = {"reasoning": "rs", "message": "msg", "function_call": "fc"}


class ResponseWriter:
    """Writes one response: its output items one after the other, each with the events of its parts."""

    def __init__(self, described: Json, *, has_footer: bool) -> None:
        """`described` are the fields that say what was asked; `has_footer`: sources stand below the text."""
        self._base = {
            "id": f"resp_{secrets.token_hex(16)}",
            "object": "response",
            "created_at": int(time.time()),
            "error": None,
            "incomplete_details": None,
            **described,
        }
        self._has_footer = has_footer
        self._output: list[Json] = []
        self._kind: _Kind | None = None
        self._text = ""
        self._number = 0

    def full_response(self, answer: WholeAnswer) -> Json:
        """The whole answer as one object."""
        if answer.thinking:
            self._take_text("reasoning", answer.thinking)
        if answer.text or not answer.calls:
            self._take_text("message", answer.text)
        for index, call in enumerate(answer.calls):
            self._take_call(ToolCallPiece(index, call.arguments, call.id, call.name))
        self.encode(answer.result)
        return self._whole(answer.result)

    def begin(self) -> bytes:
        """The events before the first piece."""
        started = {**self._base, "status": "in_progress", "output": [], "usage": None}
        return self._event("response.created", response=started) + self._event("response.in_progress", response=started)

    def encode(self, item: CompletionItem) -> bytes:
        """The events of a piece, or of the end."""
        if isinstance(item, str):
            return self._take_text("message", item)
        if isinstance(item, ThinkingText):
            return self._take_text("reasoning", item.text)
        if isinstance(item, ToolCallPiece):
            return self._take_call(item)
        text = footer(item) if self._has_footer else ""
        events = self._take_text("message", text) if text or not self._output else b""
        events += self._end_item()
        whole = self._whole(item)
        return events + self._event(f"response.{whole['status']}", response=whole)

    def fail(self, error: RequestError) -> bytes:
        """The events of a failure after the beginning."""
        failed = {
            **self._base,
            "status": "failed",
            "error": {"code": "server_error", "message": error.sentence},
            "output": self._output,
            "usage": None,
        }
        return self._event("response.failed", response=failed)

    def _whole(self, result: CompletionResult) -> Json:
        is_cut = result.usage is not None and result.usage.finish == "length"
        counts = usage_object(result.usage)
        usage = {
            "input_tokens": counts["prompt_tokens"],
            "input_tokens_details": {**counts["prompt_tokens_details"], "cache_write_tokens": 0},
            "output_tokens": counts["completion_tokens"],
            "output_tokens_details": counts["completion_tokens_details"],
            "total_tokens": counts["total_tokens"],
        }
        return {
            **self._base,
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": self._output,
            "usage": usage,
            **source_fields(result),
        }

    def _take_text(self, kind: Literal["reasoning", "message"], text: str) -> bytes:
        events = b""
        if self._kind != kind:
            events = self._end_item() + self._begin_item(kind, _text_item(kind))
            events += self._event("response.content_part.added", **self._place(), part=_text_part(kind, ""))
        self._text += text
        if not text:
            return events
        if kind == "reasoning":
            return events + self._event("response.reasoning_text.delta", **self._place(), delta=text)
        return events + self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _take_call(self, piece: ToolCallPiece) -> bytes:
        events = b""
        if piece.id:
            item = {"call_id": piece.id, "name": piece.name, "arguments": ""}
            events = self._end_item() + self._begin_item("function_call", item)
        self._text += piece.arguments
        if not piece.arguments:
            return events
        place = self._item_place()
        return events + self._event("response.function_call_arguments.delta", **place, delta=piece.arguments)

    def _begin_item(self, kind: _Kind, fields: Json) -> bytes:
        item_id = f"{_PREFIXES[kind]}_{secrets.token_hex(16)}"
        self._kind, self._text = kind, ""
        self._output.append({"id": item_id, "type": kind, "status": "in_progress", **fields})
        index = len(self._output) - 1
        return self._event("response.output_item.added", output_index=index, item=self._output[-1])

    def _end_item(self) -> bytes:
        if self._kind is None:
            return b""
        kind, self._kind = self._kind, None
        events = b""
        if kind == "function_call":
            name = self._output[-1]["name"]
            done = "response.function_call_arguments.done"
            events = self._event(done, **self._item_place(), name=name, arguments=self._text)
            fields: Json = {"arguments": self._text}
        else:
            part = _text_part(kind, self._text)
            if kind == "reasoning":
                events = self._event("response.reasoning_text.done", **self._place(), text=self._text)
            else:
                events = self._event("response.output_text.done", **self._place(), text=self._text, logprobs=[])
            events += self._event("response.content_part.done", **self._place(), part=part)
            fields = {"content": [part]}
        self._output[-1] = {**self._output[-1], **fields, "status": "completed"}
        index = len(self._output) - 1
        return events + self._event("response.output_item.done", output_index=index, item=self._output[-1])

    def _item_place(self) -> Json:
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _place(self) -> Json:
        return {**self._item_place(), "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {in_json(data)}\n\n".encode()


def _text_item(kind: Literal["reasoning", "message"]) -> Json:
    return {"role": "assistant", "content": []} if kind == "message" else {"summary": [], "content": []}


def _text_part(kind: Literal["reasoning", "message"], text: str) -> Json:
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
