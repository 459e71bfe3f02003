"""Settings of the HTTP endpoints."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bot.openai.settings import OpenAiSettings


def _is_address(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        raise ValueError("must be an IP address, such as 127.0.0.1 or 0.0.0.0") from None
    return host


class HttpSettings(BaseModel):
    """Health, readiness and metrics over HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether `hearth run` serves /healthz, /readyz and /metrics.")
    host: Annotated[str, AfterValidator(_is_address)] = Field(
        default="127.0.0.1",
        description="IP address to listen on; 127.0.0.1 accepts only connections from this machine.",
    )
    port: int = Field(default=8097, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names that clients may use, besides the address itself; empty on an open address: any name.",
    )
    openai: OpenAiSettings = Field(
        default_factory=OpenAiSettings, description="OpenAI-compatible endpoint for other programs."
    )
