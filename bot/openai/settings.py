"""Settings of the OpenAI-compatible endpoint."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

ENVIRONMENT_NAME_ERROR = "environment_name"
"""Type of the error about a value that is no name of an environment variable. Never show such a value: it may be the
secret itself."""


def _check_environment_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        sentence = "must be the name of an environment variable that holds the key, not the key itself"
        raise PydanticCustomError(ENVIRONMENT_NAME_ERROR, sentence)
    return value


Origin = Annotated[str, Field(pattern=r"^https?://[^/\s*]+$")]
"""Scheme, host and port of a web page; a wildcard would let every page of the web in."""

EnvironmentName = Annotated[str, BeforeValidator(_check_environment_name)]


class OpenAiSettings(BaseModel):
    """An OpenAI-compatible endpoint: other programs of the house share the one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` serves /v1/models and /v1/chat/completions.")
    keys: Mapping[str, EnvironmentName] = Field(
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
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        description="Web pages that may call the endpoint from a browser, by origin, such as https://chat.example.org;"
        " none by default.",
    )
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
