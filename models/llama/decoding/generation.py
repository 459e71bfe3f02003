"""Generation of one reply: prefill of its prompt in chunks, then decoding up to a stop condition."""

import time
from dataclasses import dataclass, field

from models.engine import FinishReason, PromptTooLong, Sampling, Usage
from models.llama.decoding.draft_length import Drafter
from models.llama.decoding.prompt_lookup import PromptLookup
from models.llama.decoding.reply_text import Piece, ReplyText
from models.llama.decoding.sampling import DamagedWeights, Sampler
from models.llama.decoding.token_stream import TokenStream
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import LlamaContext
from models.llama.native.model import LlamaModel
from models.llama.tool_calls.rules import CallRules

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
        text: ReplyText,
        calls: CallRules | None = None,
    ) -> None:
        """`slot` holds the cached prefix of the prompt; `text` takes the reply, and limits its tokens; `calls` are the
        rules of its calls of tools.

        Raises EngineFailed for a schema that no grammar can express, before anything is computed.
        """
        self.request = request
        self.prompt = prompt
        self.slot = slot
        self._model = model
        self._text = text
        self._calls = calls
        self._sampler = Sampler(model, request.sampling, calls.grammar if calls is not None else None)
        if calls is not None and calls.forced_text:
            text.force_tokens(self._tokenize_control(calls.forced_text))
        self._reused_tokens = len(slot)
        self._started_at = time.monotonic()
        self._prefilled_at = self._started_at
        self._last_token = -1
        self._generated = 0
        self._accepted_drafts = 0
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
            self._accept_token(self._next_token(context, -1))

    def drafter(self, max_tokens: int) -> Drafter:
        """What can be drafted for the next step, up to `max_tokens`."""
        limit = min(max_tokens, self._text.left_tokens - 1)
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
            self._accept_token(self._next_token(context, first + offset))
            if self.usage is not None:
                break
        self.slot.extend(decoded[:sampled])
        if sampled < len(decoded):
            self.slot.drop_uncommitted()
        return sampled

    def _next_token(self, context: LlamaContext, index: int) -> int:
        """The next token after the logits at `index`: sampled, or one of the text that closes the thinking."""
        if (forced := self._text.next_forced()) is not None:
            return forced
        try:
            return self._sampler.sample_token(
                context,
                index,
                is_free=self._text.is_thinking,
                exempt=frozenset() if self._text.is_answering else self._model.thinking_tokens,
            )
        except DamagedWeights:
            self.slot.clear()  # its state is no more numbers than the logits
            raise

    def _accept_token(self, token: int) -> None:
        """Append a sampled token to the reply."""
        is_answering = self._text.is_answering
        if self._ends_reply(token, is_answering):
            self._finish("stop")
            return
        self._last_token = token
        self._generated += 1
        if self.prompt_lookup:
            self.prompt_lookup.observe_token(token)
        self._emit(self._text.push_token(self._bytes_of(token, is_answering), self._tokenize_control))
        self._bind_call()
        if self._text.stopped:
            self._finish("stop")
        elif self._text.is_full:
            self._finish("length")

    def _bytes_of(self, token: int, is_answering: bool) -> bytes:
        if self._calls is not None and (mark := self._calls.tokens.get(token)) is not None:
            return mark
        return self._model.answer_bytes(token) if is_answering else self._model.token_bytes(token)

    def _bind_call(self) -> None:
        """Bind a call that has just begun to the grammar of calls."""
        parser = self._text.calls
        if self._calls is None or parser is None or (begun := parser.take_trigger()) is None:
            return
        tokens = self._model.tokenize(begun.text, parse_control=False) if begun.text else []
        parser.is_bound = self._sampler.begin_grammar(self._calls.grammar_of(begun), tokens)

    def _ends_reply(self, token: int, is_answering: bool) -> bool:
        """Of messages in named channels the answer is the last, and the ends of others do not end the reply."""
        if token in self._model.channel_tokens:
            return is_answering
        return self._model.is_end_token(token)

    def _tokenize_control(self, text: str) -> list[int]:
        return self._model.tokenize(text, parse_control=True)

    def _emit(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self.request.stream.put_text(piece)

    def _finish(self, reason: FinishReason) -> None:
        self._emit(self._text.flush(is_whole=reason == "stop"))
        if reason == "stop" and self._text.calls is not None and self._text.calls.call_count:
            reason = "tool_calls"
        self.usage = Usage(
            prompt_tokens=len(self.prompt.tokens),
            prefilled_tokens=len(self.prompt.tokens) - self._reused_tokens,
            reused_tokens=self._reused_tokens,
            generated_tokens=self._generated,
            accepted_draft_tokens=self._accepted_drafts,
            thinking_tokens=self._text.thinking_tokens,
            prefill_s=self._prefilled_at - self._started_at,
            decode_s=time.monotonic() - self._prefilled_at,
            finish=reason,
        )

    def free(self) -> None:
        """Free the llama.cpp samplers of the reply."""
        self._sampler.free()


def answer_token_limit(prompt_tokens: int, context_tokens: int, max_tokens: int) -> int:
    """Maximum number of tokens of the reply. Raises PromptTooLong when that is too few to be useful."""
    limit = context_tokens - min(MIN_ANSWER_TOKENS, max_tokens)
    if prompt_tokens > limit:
        raise PromptTooLong(prompt_tokens, limit)
    return min(max_tokens, context_tokens - prompt_tokens)
