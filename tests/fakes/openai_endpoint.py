"""The endpoint for other programs, over HTTP on loopback, with the real core behind it and a scripted engine."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import openai

from bot.config.http_settings import HttpSettings
from bot.core.api_completions import CompletionService
from bot.core.retrieval_prompt import RetrievalPromptBuilder
from bot.core.settings import CoreSettings
from bot.openai.endpoint import OpenAiEndpoint
from bot.openai.keys import ApiKeys
from bot.server.http import HttpServer
from bot.server.metrics import Metrics
from knowledge.embedding import HashingEmbedder
from models.engine import Sampling
from tests.fakes.core import Core

KEYS = {"editor": "sesame-editor", "phone": "sesame-phone"}
HOUSE = Sampling(temperature=0.3, max_tokens=64)


@dataclass(frozen=True)
class Serving:
    """The endpoint being served."""

    core: Core
    url: str
    clients: dict[str, openai.AsyncOpenAI] = field(default_factory=dict)

    def client(self, program: str = "editor") -> openai.AsyncOpenAI:
        """The official client with a program's key; it is closed with the endpoint."""
        return self.client_with(KEYS[program])

    def client_with(self, key: str) -> openai.AsyncOpenAI:
        """The official client with any key."""
        if key not in self.clients:
            self.clients[key] = openai.AsyncOpenAI(base_url=self.url + "/v1", api_key=key, max_retries=0)
        return self.clients[key]


@asynccontextmanager
async def serving(core: Core, opened: bool = True, **settings: object) -> AsyncIterator[Serving]:
    """Serve a running core to the programs of `KEYS`."""
    variables = {name: f"KEY_{name.upper()}" for name in KEYS}
    http = HttpSettings.model_validate({"port": 0, "openai": {"enabled": True, "keys": variables, **settings}})
    environment = {variables[name]: key for name, key in KEYS.items()}
    endpoint = OpenAiEndpoint(http.openai, ApiKeys.from_environment(http.openai.keys, environment))
    prompt_builder = RetrievalPromptBuilder(core.engine, core.library, CoreSettings(), core.observer)
    if opened:
        service = CompletionService(core.engine, core.queue, prompt_builder, core.observer, 5.0)
        endpoint.open(service, HOUSE, HashingEmbedder(64))
    server = HttpServer(http, Metrics(), _nothing_missing, endpoint)
    await server.start()
    at_work = Serving(core, f"http://127.0.0.1:{server.port}")
    try:
        yield at_work
    finally:
        for client in at_work.clients.values():
            await client.close()
        await server.close()


async def _nothing_missing() -> Sequence[str]:
    return []
