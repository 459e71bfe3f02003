"""One answer being made: its prompt computed in chunks, then token by token, until something ends it."""

import time
from dataclasses import dataclass

from models.detokenize import Utf8Pieces
from models.engine import FinishReason, PromptTooLong, Sampling, Usage
from models.llama.cancelling import CancelFlag
from models.llama.context import Context
from models.llama.model import Model
from models.llama.outbox import Outbox
from models.llama.sampling import Sampler
from models.llama.sequence import CachedSequence, chunks
from models.llama.template import Rendered
from models.stop import StopStrings
from models.thinking import Thinking

# Room that a prompt must leave, unless the answer may not even be that long.
LEAST_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody waits for."""

    key: str
    sampling: Sampling
    outbox: Outbox
    flag: CancelFlag


class Generation:
    """Advances by `step`, each one call of llama_decode, so that a worker can look around in between."""

    def __init__(self, ask: Ask, rendered: Rendered, model: Model, context: Context, sequence: CachedSequence) -> None:
        """Raises PromptTooLong or EngineFailed; nothing is computed then."""
        prompt = rendered.tokens
        self._ask = ask
        self._model = model
        self._context = context
        self._sequence = sequence
        self._room = _room(len(prompt), context.size_tokens, ask.sampling.max_tokens)
        self._text = _Text(rendered.text, ask.sampling)
        self._sampler = Sampler(model, ask.sampling)
        self._started = time.monotonic()
        self._prompt_tokens = len(prompt)
        self._reused = sequence.take_over(ask.key, prompt)
        self._chunks = chunks(prompt, self._reused, context.batch_tokens)
        self._last: int | None = None
        self._generated = 0
        self._prefilled_at = self._started
        self.usage: Usage | None = None

    def step(self) -> None:
        """Compute the next chunk of the prompt, or the next token; `usage` is set when the answer is complete.

        Raises Cancelled, DecodeFailed, or EngineFailed.
        """
        if self._last is not None:
            self._sequence.extend([self._last])
            self._choose()
            return
        if (chunk := next(self._chunks, None)) is not None:
            self._sequence.extend(chunk)
        if len(self._sequence) >= self._prompt_tokens:
            self._prefilled_at = time.monotonic()
            self._choose()

    def _choose(self) -> None:
        token = self._sampler.choose(self._context)
        if self._model.is_end(token):
            self._finish("stop")
            return
        self._last = token
        self._generated += 1
        self._show(self._text.push(self._model.piece(token)))
        if self._text.stopped:
            self._finish("stop")
        elif self._generated >= self._room:
            self._finish("length")

    def _show(self, piece: str) -> None:
        if piece:
            self._ask.outbox.put(piece)

    def _finish(self, reason: FinishReason) -> None:
        self._show(self._text.finish())
        self.usage = Usage(
            prompt_tokens=self._prompt_tokens,
            prefilled_tokens=self._prompt_tokens - self._reused,
            reused_tokens=self._reused,
            generated_tokens=self._generated,
            prefill_s=self._prefilled_at - self._started,
            decode_s=time.monotonic() - self._prefilled_at,
            finish=reason,
        )

    def free(self) -> None:
        """Give back what the answer held in llama.cpp beside its tokens."""
        self._sampler.free()


class _Text:
    """From the bytes of tokens to the text people see: whole characters, no thinking, nothing from a stop string on."""

    def __init__(self, prompt: str, sampling: Sampling) -> None:
        self._utf8 = Utf8Pieces()
        self._thinking = Thinking(prompt[-64:])
        self._stops = StopStrings(sampling.stop)

    @property
    def stopped(self) -> bool:
        return self._stops.stopped

    def push(self, data: bytes) -> str:
        return self._stops.push(self._thinking.push(self._utf8.push(data)))

    def finish(self) -> str:
        text = self._stops.push(self._thinking.push(self._utf8.finish()) + self._thinking.finish())
        return text + self._stops.finish()


def _room(prompt_tokens: int, context_tokens: int, max_tokens: int) -> int:
    """How many tokens the answer may have; PromptTooLong when that is too few to be of use."""
    limit = context_tokens - min(LEAST_ANSWER_TOKENS, max_tokens)
    if prompt_tokens > limit:
        raise PromptTooLong(prompt_tokens, limit)
    return min(max_tokens, context_tokens - prompt_tokens)
