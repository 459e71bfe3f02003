"""Settings of reranking: which model, how many candidates, and how long a question may wait for it."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class RerankingSettings(BaseModel):
    """An optional model that orders the candidates of a search again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none", "fastembed", "server"] = Field(
        default="none",
        description="fastembed runs an ONNX cross-encoder in this process; server asks a /v1/rerank endpoint; none: the"
        " fused order stands.",
    )
    model: str = Field(
        default="BAAI/bge-reranker-v2-m3-int8",
        description="Name of the reranker, for fastembed or the server; `hearth models recommend` lists some.",
    )
    model_file: str | None = Field(
        default=None, description="ONNX file of a local reranker; none: the only one among its files."
    )
    url: str = Field(default="", description="Address of the rerank endpoint, such as http://gpu.lan:8081/v1/rerank.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the server's key; none: it asks for none."
    )
    candidates: int = Field(default=50, ge=2, le=100, description="Candidates that are reranked, the best first.")
    time_limit_s: float = Field(
        default=2.0, gt=0, le=15, description="How long a question waits for the reranker; then the fused order stands."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s@]+", url):
            raise ValueError(
                "must be an http or https address without user name and password; a key is for `api_key_env`"
            )
        return url

    @model_validator(mode="after")
    def _require_url(self) -> "RerankingSettings":
        if self.kind == "server" and not self.url:
            raise ValueError("kind `server` needs the address of the endpoint in `url`")
        return self
