"""One answer being made: its prompt computed in chunks, then token by token, until something ends it."""

import time
from dataclasses import dataclass, field

from models.detokenize import Utf8Pieces
from models.engine import FinishReason, PromptTooLong, Sampling, Usage
from models.llama.decoding.prompt_lookup import Guesser
from models.llama.decoding.sampling import Sampler
from models.llama.decoding.token_stream import Outbox
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import ReadPrompt
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import Context
from models.llama.native.model import Model
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
    asked_at: float = field(default_factory=time.monotonic)


class Generation:
    """An answer in a slot. Somebody else decides when it goes on; `usage` is set when it is complete."""

    def __init__(
        self,
        ask: Ask,
        prompt: ReadPrompt,
        slot: Slot,
        *,
        model: Model,
        room_tokens: int,
    ) -> None:
        """`slot` holds the part of the prompt that is known; the answer may have `room_tokens`.

        Raises EngineFailed for a schema no grammar can express; nothing is computed then.
        """
        self.ask = ask
        self.prompt = prompt
        self.slot = slot
        self._model = model
        self._text = _Text(prompt.ending, ask.sampling)
        self._sampler = Sampler(model, ask.sampling)
        self._reused = len(slot)
        self._started = time.monotonic()
        self._prefilled_at = self._started
        self._last = -1
        self._generated = 0
        self._guessed = 0
        self._room = room_tokens
        self.guesser: Guesser | None = None
        self.usage: Usage | None = None

    @property
    def prefilling(self) -> bool:
        """Whether part of the prompt is still to be computed."""
        return len(self.slot) < len(self.prompt.tokens)

    @property
    def left_to_read(self) -> int:
        """Tokens of the prompt still to be computed."""
        return len(self.prompt.tokens) - len(self.slot)

    def read(self, context: Context, end: int) -> None:
        """Compute the prompt up to `end`; behind all of it the first token is chosen.

        Raises Cancelled, DecodeFailed, EngineFailed.
        """
        self.slot.prefill(self.prompt.tokens[len(self.slot) : end])
        if not self.prefilling:
            self._prefilled_at = time.monotonic()
            self._accept(self._sampler.choose(context, -1))

    def to_decode(self, most_guessed: int) -> list[int]:
        """The tokens to compute next: the one chosen last, and up to `most_guessed` that may follow it."""
        most = min(most_guessed, self._room - self._generated - 1)
        guess = self.guesser.guess(most) if self.guesser and most > 0 else []
        return [self._last, *guess]

    def read_decoded(self, context: Context, decoded: list[int], first: int) -> int:
        """Choose what follows the decoded tokens, whose logits begin at `first`, as far as the guesses among them are
        right; the number of tokens chosen. Raises EngineFailed.
        """
        held = 0
        for offset, token in enumerate(decoded):
            if offset > 0 and token != self._last:
                break
            held += 1
            self._guessed += offset > 0
            self._accept(self._sampler.choose(context, first + offset))
            if self.usage is not None:
                break
        self.slot.extend(decoded[:held])
        if held < len(decoded):
            self.slot.repair()
        return held

    def _accept(self, token: int) -> None:
        """Take a token as the next one."""
        if self._model.is_end(token):
            self._finish("stop")
            return
        self._last = token
        self._generated += 1
        if self.guesser:
            self.guesser.saw(token)
        self._show(self._text.push(self._model.piece(token)))
        if self._text.stopped:
            self._finish("stop")
        elif self._generated >= self._room:
            self._finish("length")

    def _show(self, piece: str) -> None:
        if piece:
            self.ask.outbox.put(piece)

    def _finish(self, reason: FinishReason) -> None:
        self._show(self._text.finish())
        self.usage = Usage(
            prompt_tokens=len(self.prompt.tokens),
            prefilled_tokens=len(self.prompt.tokens) - self._reused,
            reused_tokens=self._reused,
            generated_tokens=self._generated,
            guessed_tokens=self._guessed,
            prefill_s=self._prefilled_at - self._started,
            decode_s=time.monotonic() - self._prefilled_at,
            finish=reason,
        )

    def free(self) -> None:
        """Give back what the answer held in llama.cpp beside its tokens."""
        self._sampler.free()


class _Text:
    """From the bytes of tokens to the text people see: whole characters, no thinking, nothing from a stop string on."""

    def __init__(self, prompt_end: str, sampling: Sampling) -> None:
        self._utf8 = Utf8Pieces()
        self._thinking = Thinking(prompt_end)
        self._stops = StopStrings(sampling.stop)

    @property
    def stopped(self) -> bool:
        return self._stops.stopped

    def push(self, data: bytes) -> str:
        return self._stops.push(self._thinking.push(self._utf8.push(data)))

    def finish(self) -> str:
        text = self._stops.push(self._thinking.push(self._utf8.finish()) + self._thinking.finish())
        return text + self._stops.finish()


def room(prompt_tokens: int, context_tokens: int, max_tokens: int) -> int:
    """How many tokens the answer may have; PromptTooLong when that is too few to be of use."""
    limit = context_tokens - min(LEAST_ANSWER_TOKENS, max_tokens)
    if prompt_tokens > limit:
        raise PromptTooLong(prompt_tokens, limit)
    return min(max_tokens, context_tokens - prompt_tokens)
