"""One answer being made: its prompt computed in chunks, then token by token, until something ends it."""

import time
from dataclasses import dataclass, field

from models.detokenize import Utf8Decoder
from models.engine import FinishReason, PromptTooLong, Sampling, Usage
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

# Room that a prompt must leave, unless the answer may not even be that long.
MIN_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What somebody waits for."""

    key: str
    sampling: Sampling
    stream: TokenStream
    cancel_flag: CancelFlag
    submitted_at: float = field(default_factory=time.monotonic)


class Generation:
    """An answer in a slot. Somebody else decides when it goes on; `usage` is set when it is complete."""

    def __init__(
        self,
        ask: GenerationRequest,
        prompt: TokenizedPrompt,
        slot: Slot,
        *,
        model: LlamaModel,
        room_tokens: int,
    ) -> None:
        """`slot` holds the part of the prompt that is known; the answer may have `room_tokens`.

        Raises EngineFailed for a schema no grammar can express; nothing is computed then.
        """
        self.request = ask
        self.prompt = prompt
        self.slot = slot
        self._model = model
        self._text = _TextFilter(prompt.text_end, ask.sampling)
        self._sampler = Sampler(model, ask.sampling)
        self._reused = len(slot)
        self._started = time.monotonic()
        self._prefilled_at = self._started
        self._last = -1
        self._generated = 0
        self._accepted_drafts = 0
        self._max_tokens = room_tokens
        self.prompt_lookup: PromptLookup | None = None
        self.usage: Usage | None = None

    @property
    def prefilling(self) -> bool:
        """Whether part of the prompt is still to be computed."""
        return len(self.slot) < len(self.prompt.tokens)

    @property
    def prompt_tokens_left(self) -> int:
        """Tokens of the prompt still to be computed."""
        return len(self.prompt.tokens) - len(self.slot)

    def prefill_to(self, context: LlamaContext, end: int) -> None:
        """Compute the prompt up to `end`; behind all of it the first token is chosen.

        Raises Cancelled, DecodeFailed, EngineFailed.
        """
        self.slot.prefill(self.prompt.tokens[len(self.slot) : end])
        if not self.prefilling:
            self._prefilled_at = time.monotonic()
            self._accept_token(self._sampler.sample_token(context, -1))

    def next_tokens(self, most_guessed: int) -> list[int]:
        """The tokens to compute next: the one chosen last, and up to `most_guessed` that may follow it."""
        most = min(most_guessed, self._max_tokens - self._generated - 1)
        guess = self.prompt_lookup.draft_tokens(most) if self.prompt_lookup and most > 0 else []
        return [self._last, *guess]

    def sample_decoded(self, context: LlamaContext, decoded: list[int], first: int) -> int:
        """Choose what follows the decoded tokens, whose logits begin at `first`, as far as the guesses among them are
        right; the number of tokens chosen. Raises EngineFailed.
        """
        held = 0
        for offset, token in enumerate(decoded):
            if offset > 0 and token != self._last:
                break
            held += 1
            self._accepted_drafts += offset > 0
            self._accept_token(self._sampler.sample_token(context, first + offset))
            if self.usage is not None:
                break
        self.slot.extend(decoded[:held])
        if held < len(decoded):
            self.slot.drop_uncommitted()
        return held

    def _accept_token(self, token: int) -> None:
        """Take a token as the next one."""
        if self._model.is_end_token(token):
            self._finish("stop")
            return
        self._last = token
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
            prefilled_tokens=len(self.prompt.tokens) - self._reused,
            reused_tokens=self._reused,
            generated_tokens=self._generated,
            accepted_draft_tokens=self._accepted_drafts,
            prefill_s=self._prefilled_at - self._started,
            decode_s=time.monotonic() - self._prefilled_at,
            finish=reason,
        )

    def free(self) -> None:
        """Give back what the answer held in llama.cpp beside its tokens."""
        self._sampler.free()


class _TextFilter:
    """From the bytes of tokens to the text people see: whole characters, no thinking, nothing from a stop string on."""

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
    """How many tokens the answer may have; PromptTooLong when that is too few to be of use."""
    limit = context_tokens - min(MIN_ANSWER_TOKENS, max_tokens)
    if prompt_tokens > limit:
        raise PromptTooLong(prompt_tokens, limit)
    return min(max_tokens, context_tokens - prompt_tokens)
