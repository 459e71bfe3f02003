"""Settings of the OpenAI-compatible endpoint."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OpenAiSettings(BaseModel):
    """An OpenAI-compatible endpoint: other programs of the house share the one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` serves /v1/models and /v1/chat/completions.")
    keys: Mapping[str, str] = Field(
        default_factory=dict,
        description="API keys: a name for each program, and the environment variable that holds its key. The"
        " name is a reader of collections, as `api:NAME`.",
    )
    open_requests_per_key: int = Field(
        4, ge=1, description="Most requests that one key may have open at the same time."
    )
    priority: Literal["below_people", "equal"] = Field(
        "below_people",
        description="below_people: requests wait until no question from a chat is queued; equal: they queue like"
        " questions.",
    )
    max_tokens: int = Field(2048, ge=1, description="Longest answer, in tokens, even if a request asks for more.")
    body_bytes: int = Field(4_000_000, ge=1000, description="Largest request, in bytes.")

    kv_cache_on_disk: bool = Field(
        False,
        description="Keep the KV cache of requests across restarts, on disk; it holds their text. false: in memory"
        " only.",
    )

    @model_validator(mode="after")
    def _require_keys(self) -> "OpenAiSettings":
        if self.enabled and not self.keys:
            raise ValueError("keys must name at least one program, such as `editor: HEARTH_KEY_EDITOR`")
        return self
