"""Builds the configured reranker."""

from collections.abc import Mapping
from pathlib import Path

from knowledge.reranking.cross_encoder import CrossEncoderReranker
from knowledge.reranking.order import Reranking
from knowledge.reranking.rerank_server import ServerReranker
from knowledge.reranking.reranker import RerankingFailed
from knowledge.reranking.settings import RerankingSettings


def build_reranking(
    settings: RerankingSettings, model_folder: Path | None, cache: Path, environment: Mapping[str, str]
) -> Reranking | None:
    """The configured reranker; None when there is none. No model is loaded and no server asked yet.

    Raises RerankingFailed when the environment lacks the server's key.
    """
    match settings.kind:
        case "none":
            return None
        case "fastembed":
            return Reranking(CrossEncoderReranker(settings, model_folder, cache), settings)
        case "server":
            return Reranking(build_server(settings, environment), settings)


def build_server(settings: RerankingSettings, environment: Mapping[str, str]) -> ServerReranker:
    """The client of the configured server. Raises RerankingFailed when the environment lacks its key."""
    return ServerReranker(settings, _api_key(settings, environment))


def _api_key(settings: RerankingSettings, environment: Mapping[str, str]) -> str:
    if settings.api_key_env is None:
        return ""
    if not (key := environment.get(settings.api_key_env, "")):
        raise RerankingFailed(
            f"knowledge.reranking.api_key_env names {settings.api_key_env}, and the environment has no such variable."
        )
    return key
