"""Settings of the language model: which engine runs it, and how its next word is chosen."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.echo import EchoSettings
from models.engine import Sampling
from models.llama.settings import LlamaSettings


class SamplingSettings(BaseModel):
    """How the next token is chosen, and when an answer ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(
        default=0.3, ge=0, le=5, description="0 always picks the most likely token; higher values vary more."
    )
    top_p: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Sample from the most likely tokens whose probabilities add up to this value.",
    )
    top_k: int = Field(default=40, ge=0, description="Sample from this many of the most likely tokens; 0: all.")
    min_p: float = Field(
        default=0.05, ge=0, le=1, description="Drop tokens less likely than this fraction of the most likely one."
    )
    repeat_penalty: float = Field(default=1.05, ge=0.5, le=2, description="Values above 1 make repetition less likely.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**32 - 2,
        description="Random seed, for reproducible answers; none: a new one for each answer.",
    )
    max_tokens: int = Field(default=512, ge=1, description="Longest answer, in tokens; longer ones are cut off.")
    stop: tuple[str, ...] = Field(default=(), description="Stop strings: each ends the answer and is not shown.")

    def to_sampling(self) -> Sampling:
        """The same as the engine's port takes it."""
        return Sampling(**self.model_dump())


class ModelSettings(BaseModel):
    """The language model and how it answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["llama", "echo"] = Field(
        default="llama", description="llama runs a GGUF model; echo needs no model and repeats the question."
    )
    llama: LlamaSettings = Field(default_factory=LlamaSettings, description="How a GGUF model runs on this machine.")
    echo: EchoSettings = Field(default_factory=EchoSettings, description="Settings of the echo engine.")
    sampling: SamplingSettings = Field(
        default_factory=SamplingSettings, description="Sampling, and the end of an answer."
    )
