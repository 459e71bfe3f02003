"""Requests of /v1/completions and /v1/fim/completions, which continue a text or fill one in, and their responses."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.api_completions import CompletionResult
from bot.openai.errors import RequestError
from bot.openai.requests import AnswerRequest, parse_body
from bot.openai.responses import CompletionObjects, Json, WholeAnswer, finish_reason, usage_object
from models.engine import RawPrompt, Sampling


class TextCompletionRequest(AnswerRequest):
    """A request to continue a text or, with a suffix, to fill in what is between both."""

    input_field = "prompt"

    prompt: str | list[Any]
    suffix: str = ""
    echo: bool = False

    def to_prompt(self) -> RawPrompt:
        """The prompt. Raises RequestError for tokens, and for several texts."""
        return RawPrompt(self._text(), self.suffix or None)

    def to_objects(self, model: str) -> CompletionObjects:
        """The builder of the response objects."""
        return TextObjects(model, echoed=self._text() if self.echo else "")

    def _text(self) -> str:
        texts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if not all(isinstance(text, str) for text in texts):
            raise RequestError(400, "Only text is continued here, no tokens: send a string.", "prompt")
        if len(texts) != 1:
            raise RequestError(400, "One text is continued for each request: send one string.", "prompt")
        return str(texts[0])

    def to_sampling(self, defaults: Sampling, max_tokens: int) -> Sampling:
        """The sampling of the text, as `AnswerRequest` has it."""
        # A penalty that suits answers harms code, whose brackets and indents repeat.
        return super().to_sampling(replace(defaults, repeat_penalty=1.0), max_tokens)

    def _unsupported(self) -> Sequence[tuple[str, bool, str]]:
        has_schema = self.response_format is not None and self.response_format.type != "text"
        return (
            *super()._unsupported(),
            ("response_format", has_schema, "A continued text follows no schema: leave response_format out."),
        )


class FillInRequest(TextCompletionRequest):
    """A request to fill in what is between a prompt and a suffix, as Mistral's API has it: the answer is a message."""

    def to_prompt(self) -> RawPrompt:
        """The prompt; without a suffix, the text ends after what is filled in. Raises RequestError."""
        return RawPrompt(self._text(), self.suffix)

    def to_objects(self, model: str) -> CompletionObjects:
        """The builder of the response objects."""
        return CompletionObjects(model)

    def _unsupported(self) -> Sequence[tuple[str, bool, str]]:
        return (*super()._unsupported(), ("echo", self.echo, "A message has no echo: leave echo out."))


def parse_text_request(body: bytes) -> TextCompletionRequest:
    """Parse a request to continue a text. Raises RequestError, naming the faulty field."""
    return parse_body(TextCompletionRequest, body)


def parse_fill_in_request(body: bytes) -> FillInRequest:
    """Parse a request to fill in a text. Raises RequestError, naming the faulty field."""
    return parse_body(FillInRequest, body)


@dataclass(frozen=True, slots=True)
class TextObjects(CompletionObjects):
    """Builds the response objects of a continued text. `echoed` is the prompt, where it is wanted in front."""

    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    echoed: str = ""

    def full_completion(self, answer: WholeAnswer) -> Json:
        """The whole text as one object."""
        choice = _choice(self.echoed + answer.text, finish_reason(answer.result))
        return self._object("text_completion", [choice]) | {"usage": usage_object(answer.result.usage)}

    def chunk_object(self, delta: Json, finish: str | None = None) -> Json:
        """A streamed piece of the text; the first one, which tells the role of messages, has what is echoed."""
        text = self.echoed if "role" in delta else delta.get("content", "")
        return self._object("text_completion", [_choice(text, finish)])

    def usage_chunk(self, result: CompletionResult) -> Json:
        """The token usage, after the last piece."""
        return self._object("text_completion", []) | {"usage": usage_object(result.usage)}


def _choice(text: str, finish: str | None) -> Json:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
