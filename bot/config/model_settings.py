"""Settings of the language model: which engine runs it, and how its next word is chosen."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.echo import EchoSettings
from models.engine import Sampling
from models.llama.settings import LlamaSettings


class SamplingSettings(BaseModel):
    """How the next token is chosen, and when an answer ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.3, ge=0, le=5, description="0: always the likeliest token; more: more varied.")
    top_p: float = Field(default=0.95, gt=0, le=1, description="Choose among the likeliest tokens up to this share.")
    top_k: int = Field(default=40, ge=0, description="Choose among so many of the likeliest tokens; 0: all.")
    min_p: float = Field(default=0.05, ge=0, le=1, description="Leave out tokens below this share of the likeliest.")
    repeat_penalty: float = Field(default=1.05, ge=0.5, le=2, description="Above 1, repetition becomes less likely.")
    seed: int | None = Field(
        default=None, ge=0, le=2**32 - 2, description="The same seed, the same choices; none: a new one."
    )
    max_tokens: int = Field(default=512, ge=1, description="Tokens an answer may have; longer ones are cut short.")
    stop: tuple[str, ...] = Field(default=(), description="Strings that end an answer; they are not shown.")

    def to_sampling(self) -> Sampling:
        """The same as the engine's port takes it."""
        return Sampling(**self.model_dump())


class ModelSettings(BaseModel):
    """The language model and how it answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["llama", "echo"] = Field(
        default="llama", description="llama runs a GGUF model; echo needs none and repeats the question."
    )
    llama: LlamaSettings = Field(default_factory=LlamaSettings, description="How a GGUF model runs on this machine.")
    echo: EchoSettings = Field(default_factory=EchoSettings, description="How the echo engine behaves.")
    sampling: SamplingSettings = Field(
        default_factory=SamplingSettings, description="How the next token is chosen, and when an answer ends."
    )
