"""The HTTP side of a running Hearth: its server, and /v1 for other programs.

A module of its own, imported only where HTTP is served: its library takes 15 MB and a tenth of a second.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.config.http_settings import HttpSettings
from bot.openai.endpoint import OpenAiEndpoint
from bot.openai.keys import ApiKeys
from bot.server.http import HttpServer
from bot.server.metrics import Metrics, sample_loop_lag
from bot.server.readiness import Readiness


@dataclass(frozen=True)
class WebService:
    """The port in use, and the endpoint for other programs; None when the config disables it."""

    port: int
    endpoint: OpenAiEndpoint | None


@asynccontextmanager
async def serve_web(
    settings: HttpSettings, metrics: Metrics, readiness: Readiness, environment: Mapping[str, str]
) -> AsyncIterator[WebService]:
    """Serve for as long as the context lasts. `readiness` tells /readyz what is missing.

    Raises HttpUnavailable and ApiKeyMissing.
    """

    async def reasons() -> Sequence[str]:
        return readiness.reasons()

    keys = settings.openai.keys
    endpoint = (
        OpenAiEndpoint(settings.openai, ApiKeys.from_environment(keys, environment))
        if settings.openai.enabled
        else None
    )
    server = HttpServer(settings, metrics, reasons, endpoint)
    await server.start()
    sampling = asyncio.create_task(sample_loop_lag(metrics))
    try:
        yield WebService(server.port, endpoint)
    finally:
        sampling.cancel()
        await server.close()
