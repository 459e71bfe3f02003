"""Generation of one reply: prefill of its prompt in chunks, then decoding up to a stop condition."""

import time
from dataclasses import dataclass, field

from models.detokenize import Utf8Decoder
from models.engine import FinishReason, PromptTooLong, Sampling, Usage
from models.llama.decoding.draft_length import Drafter
from models.llama.decoding.prompt_lookup import PromptLookup
from models.llama.decoding.sampling import Sampler
from models.llama.decoding.token_stream import TokenStream
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import LlamaContext
from models.llama.native.model import LlamaModel
from models.stop import StopStrings
from models.thinking import ThinkingFilter

# Tokens that a prompt must leave for the reply, unless the reply is limited to fewer.
MIN_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One request for a reply: cache key, sampling parameters, output stream and cancel flag.

    `submitted_at` is in seconds of `time.monotonic`.
    """

    key: str
    sampling: Sampling
    stream: TokenStream
    cancel_flag: CancelFlag
    submitted_at: float = field(default_factory=time.monotonic)


class Generation:
    """A reply in a slot, advanced step by step by the scheduler; `usage` is set when it is complete."""

    def __init__(
        self,
        request: GenerationRequest,
        prompt: TokenizedPrompt,
        slot: Slot,
        *,
        model: LlamaModel,
        max_tokens: int,
    ) -> None:
        """`slot` holds the cached prefix of the prompt; the reply may have up to `max_tokens` tokens.

        Raises EngineFailed for a schema that no grammar can express, before anything is computed.
        """
        self.request = request
        self.prompt = prompt
        self.slot = slot
        self._model = model
        self._text = _TextFilter(prompt.text_end, request.sampling)
        self._sampler = Sampler(model, request.sampling)
        self._reused_tokens = len(slot)
        self._started_at = time.monotonic()
        self._prefilled_at = self._started_at
        self._last_token = -1
        self._generated = 0
        self._accepted_drafts = 0
        self._max_tokens = max_tokens
        self._draft: list[int] = []
        self.prompt_lookup: PromptLookup | None = None
        self.usage: Usage | None = None

    @property
    def prefilling(self) -> bool:
        """Whether part of the prompt is still to be computed."""
        return len(self.slot) < len(self.prompt.tokens)

    def prefill_to(self, context: LlamaContext, end: int) -> None:
        """Compute the prompt up to `end`; at the end of the prompt the first token is sampled.

        Raises DecodeAborted, DecodeFailed, EngineFailed.
        """
        self.slot.prefill(self.prompt.tokens[len(self.slot) : end])
        if not self.prefilling:
            self._prefilled_at = time.monotonic()
            self._accept_token(self._sampler.sample_token(context, -1))

    def drafter(self, max_tokens: int) -> Drafter:
        """What can be drafted for the next step, up to `max_tokens`."""
        limit = min(max_tokens, self._max_tokens - self._generated - 1)
        self._draft = self.prompt_lookup.draft_tokens(limit) if self.prompt_lookup and limit > 0 else []
        if self.prompt_lookup is None or not self._draft:
            return Drafter()
        return Drafter(len(self._draft), self.prompt_lookup.acceptance_rate)

    def next_tokens(self, drafted: int) -> list[int]:
        """The tokens to decode next: the newest one, and the first `drafted` of those that `drafter` found."""
        return [self._last_token, *self._draft[:drafted]]

    def sample_decoded(self, context: LlamaContext, decoded: list[int], first: int) -> int:
        """Sample after each decoded token, whose logits begin at index `first`, up to the first rejected draft token.

        Returns the number of tokens sampled. Raises EngineFailed.
        """
        sampled = 0
        for offset, token in enumerate(decoded):
            if offset > 0 and token != self._last_token:
                break
            sampled += 1
            self._accepted_drafts += offset > 0
            self._accept_token(self._sampler.sample_token(context, first + offset))
            if self.usage is not None:
                break
        self.slot.extend(decoded[:sampled])
        if sampled < len(decoded):
            self.slot.drop_uncommitted()
        return sampled

    def _accept_token(self, token: int) -> None:
        """Append a sampled token to the reply."""
        if self._model.is_end_token(token):
            self._finish("stop")
            return
        self._last_token = token
        self._generated += 1
        if self.prompt_lookup:
            self.prompt_lookup.observe_token(token)
        self._emit_text(self._text.push_bytes(self._model.token_bytes(token)))
        if self._text.stopped:
            self._finish("stop")
        elif self._generated >= self._max_tokens:
            self._finish("length")

    def _emit_text(self, piece: str) -> None:
        if piece:
            self.request.stream.put_text(piece)

    def _finish(self, reason: FinishReason) -> None:
        self._emit_text(self._text.flush())
        self.usage = Usage(
            prompt_tokens=len(self.prompt.tokens),
            prefilled_tokens=len(self.prompt.tokens) - self._reused_tokens,
            reused_tokens=self._reused_tokens,
            generated_tokens=self._generated,
            accepted_draft_tokens=self._accepted_drafts,
            prefill_s=self._prefilled_at - self._started_at,
            decode_s=time.monotonic() - self._prefilled_at,
            finish=reason,
        )

    def free(self) -> None:
        """Free the llama.cpp samplers of the reply."""
        self._sampler.free()


class _TextFilter:
    """Decodes token bytes to visible text: whole characters, no thinking, nothing from a stop string on."""

    def __init__(self, prompt_end: str, sampling: Sampling) -> None:
        self._utf8 = Utf8Decoder()
        self._thinking = ThinkingFilter(prompt_end)
        self._stops = StopStrings(sampling.stop)

    @property
    def stopped(self) -> bool:
        return self._stops.stopped

    def push_bytes(self, data: bytes) -> str:
        return self._stops.push_text(self._thinking.push_text(self._utf8.push_bytes(data)))

    def flush(self) -> str:
        text = self._stops.push_text(self._thinking.push_text(self._utf8.flush()) + self._thinking.flush())
        return text + self._stops.flush()


def answer_token_limit(prompt_tokens: int, context_tokens: int, max_tokens: int) -> int:
    """Maximum number of tokens of the reply. Raises PromptTooLong when that is too few to be useful."""
    limit = context_tokens - min(MIN_ANSWER_TOKENS, max_tokens)
    if prompt_tokens > limit:
        raise PromptTooLong(prompt_tokens, limit)
    return min(max_tokens, context_tokens - prompt_tokens)
