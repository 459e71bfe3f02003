"""Settings of the in-process engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from models.gguf_header import KvType

# llama.cpp supports 256 sequences; a home needs fewer.
_MAX_VALUES = {"parallel": 64, "kv_cache_memory_bytes": 1 << 50, "threads": 512}
_SET_BY_ENGINE = frozenset(
    {"messages", "tools", "bos_token", "eos_token", "add_generation_prompt", "raise_exception", "strftime_now"}
)


def _as_file(value: Any) -> Any:
    """The path of a file for what reads like one; names of families have no slash and no such ending."""
    is_file = isinstance(value, str) and ("/" in value or value.endswith((".jinja", ".jinja2", ".txt")))
    return Path(value) if is_file else value


class LlamaSettings(BaseModel):
    """Settings for running a GGUF model; the defaults adapt to the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_tokens: int = Field(
        default=8192,
        ge=256,
        le=1 << 20,
        description="Context size in tokens, prompt and answer together; at most what the model was trained for.",
    )
    gpu_layers: Literal["auto"] | int = Field(
        default="auto", description="Layers to offload to the GPU; auto: as many as fit into its free memory."
    )
    threads: Literal["auto"] | int = Field(
        default="auto", description="Compute threads; auto: one for each fast physical core available to this process."
    )
    flash_attention: Literal["auto", "on", "off"] = Field(
        default="auto", description="Flash attention; auto: on with a GPU or a quantised KV cache, off otherwise."
    )
    kv_cache_type: KvType = Field(
        default="f16", description="Data type of the KV cache; q8_0 halves its memory, q4_0 quarters it."
    )
    mmap: bool = Field(
        default=False,
        description="Map the model file into memory instead of reading it: slower, but the system can reclaim"
        " the memory.",
    )
    batch_tokens: int = Field(
        default=256,
        ge=32,
        le=4096,
        description="Prompt tokens computed in one batch; smaller batches need less memory.",
    )
    check_memory: bool = Field(
        default=True, description="Refuse to load a model that needs more memory than is free, instead of trying."
    )
    parallel: Literal["auto"] | int = Field(
        default="auto", description="Answers generated in parallel; auto: as many as memory and hardware allow."
    )
    max_decode_pause_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="Longest pause, in seconds, of running answers while the prompt of a new question is computed.",
    )
    kv_cache_memory_bytes: Literal["auto"] | int = Field(
        default="auto", description="Memory for the KV cache of idle conversations; auto: a tenth of the free memory."
    )
    kv_cache_disk_bytes: int = Field(
        default=4_000_000_000,
        ge=0,
        description="Disk space for the KV cache of idle conversations, kept across restarts; 0: none.",
    )
    speculation: bool = Field(
        default=True,
        description="Speculative decoding by prompt lookup, where it is measured to be faster.",
    )
    deterministic: bool = Field(
        default=False,
        description="Give the same greedy answer bit for bit whatever else is computed. Slower, and only on the"
        " processor, for weights for which it is proven when the model is loaded.",
    )
    thinking: bool = Field(
        default=False,
        description="Let reasoning models think before they answer; chats never show the thinking.",
    )
    thinking_tokens: int = Field(
        default=1024,
        ge=1,
        le=1 << 20,
        description="Longest thinking, in tokens that do not count as the answer's; then it is closed, and the answer"
        " follows. A quarter of it for models whose thinking cannot be turned off.",
    )
    chat_template: Annotated[str | Path, BeforeValidator(_as_file)] = Field(
        default="auto",
        description="The chat template: a file NAME.jinja, or a family that llama.cpp knows, such as chatml, llama3 or"
        " gemma; auto: the one in the model file.",
    )
    template_arguments: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Further variables of the chat template, by name, as the model's page describes them.",
    )

    @field_validator("parallel", "kv_cache_memory_bytes", "threads")
    @classmethod
    def _within_range(cls, value: Literal["auto"] | int, info: ValidationInfo) -> Literal["auto"] | int:
        minimum = 0 if info.field_name == "kv_cache_memory_bytes" else 1
        if value != "auto" and not minimum <= value <= _MAX_VALUES[str(info.field_name)]:
            raise ValueError(f"must be auto, or from {minimum} to {_MAX_VALUES[str(info.field_name)]}")
        return value

    @field_validator("template_arguments")
    @classmethod
    def _are_arguments(cls, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in arguments:
            if not name.isidentifier():
                raise ValueError(f"{name[:40]!r} is no name of a variable")
            if name in _SET_BY_ENGINE:
                raise ValueError(f"{name} is set by the engine itself")
        return arguments

    @model_validator(mode="after")
    def _a_batch_holds_a_token_of_each_reply(self) -> "LlamaSettings":
        if self.parallel != "auto" and self.parallel > self.batch_tokens:
            raise ValueError(f"parallel {self.parallel} needs batch_tokens of at least {self.parallel}")
        return self

    @model_validator(mode="after")
    def _quantised_cache_needs_flash_attention(self) -> "LlamaSettings":
        if self.kv_cache_type != "f16" and self.flash_attention == "off":
            raise ValueError(f"kv_cache_type {self.kv_cache_type} needs flash_attention on or auto")
        return self
