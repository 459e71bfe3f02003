"""Check of `hearth doctor` on the reranker: whether its server answers in time."""

import os
import time

from adapters.platform import Check
from bot.config.schema import Config
from knowledge.reranking.build import build_server
from knowledge.reranking.reranker import RerankingFailed

_QUESTION = "Is the rerank server there?"
_TEXTS = ("Yes, it is.", "No, it is not.")


async def check_reranking(config: Config, *, offline: bool) -> Check:
    """Whether the rerank server answers; other rerankers have no more to check than their files."""
    settings = config.knowledge.reranking
    if settings.kind != "server":
        told = "is switched off" if settings.kind == "none" else f"is {settings.model}, run by fastembed"
        return Check("reranking", "ok", f"The reranker {told}.")
    if offline:
        return Check("reranking", "ok", f"The rerank server at {settings.url} was not asked.")
    began = time.monotonic()
    try:
        reranker = build_server(settings, os.environ)
        try:
            await reranker.score_passages(_QUESTION, _TEXTS)
        finally:
            await reranker.close()
    except RerankingFailed as error:
        return Check("reranking", "problem", f"{error} Until it works, the fused order stands.")
    took_s = time.monotonic() - began
    return Check("reranking", "ok", f"The rerank server at {settings.url} answers.", {"took_ms": round(took_s * 1000)})
