"""The engine port: the interface of every language model that Hearth uses, and the errors it raises."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from models.tool_calls import Toolbox, ToolCall, ToolCallPiece

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]
ReasoningEffort = Literal["none", "low", "medium", "high"]

STATELESS_PREFIX = "stateless:"
"""Prefix of keys that identify an API caller, not a conversation. Each call brings its whole history, so an engine may
keep several states for such a key and reuse the one that is a prefix of the prompt, but never one of another key. The
prefix alone stands for all API callers when states are dropped."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a prompt. An assistant's may have `calls`; a tool's is the result of the call `call_id`."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of the model, in the order that keeps its prefix stable from turn to turn.

    `system` and `history` stay the same until the next turn is added, so an engine may cache their state.
    `tail` holds the passages and the question, changes each turn and is never part of a later history.
    With a `tail_call_id` the tail is the result of that call of a tool, and the question is in the history.
    `reasoning_effort` is for models that think before they answer; None: as the engine's settings say.
    `toolbox` holds the tools that may be called. `reply_start` is the beginning of the answer, which the model
    continues; it is not repeated in the stream.
    """

    system: str
    history: tuple[Turn, ...]
    tail: str
    reasoning_effort: ReasoningEffort | None = None
    toolbox: Toolbox | None = None
    tail_call_id: str = ""
    reply_start: str = ""

    def turns(self) -> tuple[Turn, ...]:
        """The whole prompt as turns: system, history, and the tail as the last turn."""
        head = (Turn("system", self.system),) if self.system else ()
        tail = Turn("tool", self.tail, call_id=self.tail_call_id) if self.tail_call_id else Turn("user", self.tail)
        return (*head, *self.history, tail)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters and stop conditions. `seed=None` draws a new seed for each answer."""

    temperature: float = 0.3
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.05
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of tokens, by their ids in the model's vocabulary."""


@dataclass(frozen=True, slots=True)
class ThinkingText:
    """A piece of a model's thinking, streamed apart from the answer and never part of it.

    It is no `str`, so that text of an answer cannot be mistaken for it, nor it for an answer.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts and times of one answer, in seconds; `prompt_tokens == prefilled_tokens + reused_tokens`.

    `accepted_draft_tokens` is the number of generated tokens that were accepted from a draft (speculative decoding),
    `thinking_tokens` the number of generated tokens that are thinking; `max_tokens` does not count those.
    """

    prompt_tokens: int
    prefilled_tokens: int
    reused_tokens: int
    generated_tokens: int
    prefill_s: float
    decode_s: float
    finish: FinishReason
    accepted_draft_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second of decoding, 0.0 when nothing was decoded."""
        return self.generated_tokens / self.decode_s if self.decode_s > 0 else 0.0


StreamItem = str | ThinkingText | ToolCallPiece | Usage


@dataclass(frozen=True, slots=True)
class EngineReport:
    """How a model runs, for the admin. Zero or empty stands for what the engine does not have or not know.

    `kv_bytes` is the size of the KV cache, `kv_used_bytes` what is in use of it. Of `all_threads`, `threads` compute
    now: other programs may have the cores of the rest. `chunk_tokens` and `replies_together` are those of the last
    steps. `draft_gain` is the measured speed of speculative decoding over plain decoding, and `draft_tokens` the
    longest draft; `template` tells where the chat template is from, `build` the library's version.
    """

    gpu_layers: int = 0
    all_layers: int = 0
    kv_bytes: int = 0
    kv_used_bytes: int = 0
    chunk_tokens: int = 0
    replies_together: int = 0
    threads: int = 0
    all_threads: int = 0
    flash_attention: bool = False
    draft_tokens: int = 0
    draft_gain: float = 0.0
    is_deterministic: bool = False
    template: str = ""
    build: str = ""


class Engine(Protocol):
    """A language model that answers `capacity` prompts at the same time."""

    @property
    def name(self) -> str:
        """The model's name, for people."""
        ...

    @property
    def capacity(self) -> int:
        """Answers that may stream at the same time; the core's queue admits no more."""
        ...

    @property
    def context_tokens(self) -> int:
        """Context size of one answer in tokens: prompt and generated text together."""
        ...

    def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Answer the prompt: pieces of thinking, if the model thinks, of text, and of calls of the prompt's tools, as
        they are generated, then exactly one `Usage` as the last item. Thinking that never ends is the text of an answer
        that would be empty otherwise. After calls the usage's `finish` is "tool_calls".

        `key` names the conversation whose state may be cached; it is opaque. Closing the iterator or cancelling the
        task that reads it stops the model within one step. Stop strings are never part of the pieces.

        Raises PromptTooLong and SchemaRefused before anything is generated, EngineFailed when the model cannot answer.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, without the chat template; callable from any thread."""
        ...

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        """Prefill `system` and `history` of a prompt while idle; returns when done, or interrupted by a request."""
        ...

    async def drop_state(self, key: str) -> int:
        """Drop all cached state of a conversation, also of prompts being answered, in memory and on disk; returns the
        number of bytes dropped. Works after the engine was closed, too.

        Raises EngineFailed when some of it may remain.
        """
        ...

    def estimate(self) -> float:
        """Seconds a new prompt would wait for its first token if it were admitted now."""
        ...

    @property
    def interruption(self) -> str | None:
        """Why no prompt is answered at the moment, as a sentence; None while they are."""
        ...

    def report(self) -> "EngineReport":
        """How the model runs, for the admin; callable from any thread."""
        ...

    async def wait_failed(self) -> str:
        """Wait until the model can answer no more although it was not closed; returns a sentence about the cause."""
        ...

    async def close(self) -> None:
        """Stop the model and free its memory; running streams end with EngineFailed."""
        ...


@dataclass(eq=False)
class EngineFailed(Exception):
    """The model could not answer; `reason` is a sentence for the log and the admin."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class SchemaRefused(EngineFailed):
    """The JSON schema of a `Sampling` cannot be followed; `reason` says why."""


@dataclass(eq=False)
class PromptTooLong(Exception):
    """The prompt leaves no room for an answer; both figures are tokens."""

    user_facing = True
    prompt_tokens: int
    limit_tokens: int

    def __str__(self) -> str:
        return f"The prompt has {self.prompt_tokens} tokens, and the model takes {self.limit_tokens}."


@dataclass(eq=False)
class ModelUnusable(Exception):
    """A model cannot be loaded; `reason` names the file and the remedy."""

    user_facing = True
    reason: str
    path: str = field(default="")

    def __str__(self) -> str:
        return self.reason
