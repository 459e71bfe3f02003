"""The composition root: the only place that builds things, and opens and closes everything."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.config.schema import Config
from bot.core.answer import Answerer
from bot.core.api_completions import CompletionService
from bot.core.attachments import AttachmentReader
from bot.core.commands import Commands
from bot.core.dispatch import Dispatcher
from bot.core.forgetting import Forgetter
from bot.core.history import History
from bot.core.ports import Adapter
from bot.core.queue import FairQueue
from bot.core.retrieval_prompt import RetrievalPromptBuilder
from bot.core.stats import Stats
from bot.engines import open_engine
from bot.openai.endpoint import OpenAiEndpoint
from bot.openai.keys import ApiKeys
from bot.server.folder_lock import FolderLock
from bot.server.http import HttpServer
from bot.server.metrics import Metrics, sample_loop_lag
from bot.startup_progress import ReportStartup, StartupProgress, ignore_progress
from knowledge.embedding import Embedder, build_embedder
from knowledge.library import Library
from knowledge.reader import DocumentReader
from knowledge.reading.reader import ProcessReader
from models.engine import Engine
from models.weights import FetchProgress, fetch_weights_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class App:
    """The parts of a running Hearth that the program's commands use."""

    config: Config
    inbox: Dispatcher
    library: Library
    engine: Engine
    history: History
    stats: Stats
    http_port: int | None

    async def run(self, *adapters: Adapter) -> None:
        """Run the adapters until cancelled. One that dies ends all of them, loudly."""
        self.stats.set_adapters(adapters)
        async with asyncio.TaskGroup() as group:
            for adapter in adapters:
                group.create_task(adapter.run(self.inbox), name=adapter.platform)


@asynccontextmanager
async def open_app(
    config: Config, *, serve_http: bool = False, on_progress: ReportStartup = ignore_progress
) -> AsyncIterator[App]:
    """Build everything, and close it all in the opposite order.

    Raises FolderInUse, FolderUnusable, HttpUnavailable, ApiKeyMissing, WeightsUnavailable, ModelUnusable,
    EmbeddingFailed and the database errors of `knowledge.sqlite`, each with a sentence for the admin.
    """
    async with AsyncExitStack() as stack:
        lock = FolderLock(config.data_folder)
        lock.acquire()
        stack.callback(lock.release)
        metrics = Metrics()
        missing = ["The language model is not loaded yet.", "The documents' index is not open yet."]
        served = serve_http and config.http.enabled
        endpoint = _endpoint(config) if served else None
        port = await _http(stack, config, metrics, missing, endpoint) if served else None
        history = await History.open(config.data_folder / "history.sqlite3")
        stack.push_async_callback(history.close)
        engine = await open_engine(config, on_progress)
        stack.push_async_callback(engine.close)
        missing.pop(0)
        await _forget_the_rest(stack, Forgetter(history, engine), config.history.keep_days)
        queue = FairQueue(engine.capacity, config.core.open_questions_per_person)
        # Two readers, so that a file sent with a question need not wait for a slow document; a reader that has
        # nothing to read starts no process.
        reader, attachments = (ProcessReader(config.knowledge.reading) for _ in range(2))
        stack.push_async_callback(reader.close)
        stack.push_async_callback(attachments.close)
        on_progress(StartupProgress("opening", "index"))
        embedder = await _embedder(config, on_progress)
        library = await Library.open(
            config.knowledge, embedder, reader, config.data_folder, is_model_busy=lambda: queue.running_count > 0
        )
        stack.push_async_callback(library.close)
        missing.clear()
        if endpoint is not None:
            endpoint.open(
                _completion_service(config, engine, library, queue, metrics), config.model.sampling.to_sampling()
            )
            stack.callback(endpoint.close)
        stats = Stats(library, engine, history, queue)
        inbox = _dispatcher(
            config,
            engine=engine,
            library=library,
            history=history,
            queue=queue,
            metrics=metrics,
            stats=stats,
            attachments=attachments,
        )
        stack.push_async_callback(inbox.close)
        yield App(config, inbox, library, engine, history, stats, port)


def _dispatcher(
    config: Config,
    *,
    engine: Engine,
    library: Library,
    history: History,
    queue: FairQueue,
    metrics: Metrics,
    stats: Stats,
    attachments: DocumentReader,
) -> Dispatcher:
    answerer = Answerer(
        engine=engine,
        library=library,
        history=history,
        queue=queue,
        settings=config.core,
        sampling=config.model.sampling.to_sampling(),
        observer=metrics,
    )
    return Dispatcher(
        settings=config.core,
        history=history,
        queue=queue,
        answerer=answerer,
        attachments=AttachmentReader(attachments),
        observer=metrics,
        commands=lambda stopper: Commands(
            library=library,
            engine=engine,
            history=history,
            stats=stats,
            stopper=stopper,
            prefix=config.core.command_prefix,
        ),
    )


async def _forget_the_rest(stack: AsyncExitStack, forgetter: Forgetter, keep_days: int | None) -> None:
    """Drop the states that an earlier process has forgotten, and begin to delete what grows too old."""
    await forgetter.drop_noted_states()
    if keep_days is not None:
        expiring = asyncio.create_task(forgetter.keep_expiring(keep_days))
        stack.push_async_callback(asyncio.wait, {expiring})
        stack.callback(expiring.cancel)


def _endpoint(config: Config) -> OpenAiEndpoint | None:
    settings = config.http.openai
    return OpenAiEndpoint(settings, ApiKeys.from_environment(settings.keys, os.environ)) if settings.enabled else None


def _completion_service(
    config: Config, engine: Engine, library: Library, queue: FairQueue, metrics: Metrics
) -> CompletionService:
    prompt_builder = RetrievalPromptBuilder(engine, library, config.core, metrics)
    return CompletionService(engine, queue, prompt_builder, metrics, config.core.generation_stall_timeout_s)


async def _http(
    stack: AsyncExitStack,
    config: Config,
    metrics: Metrics,
    missing: Sequence[str],
    endpoint: OpenAiEndpoint | None,
) -> int:
    async def readiness() -> Sequence[str]:
        return missing

    server = HttpServer(config.http, metrics, readiness, endpoint)
    await server.start()
    stack.push_async_callback(server.close)
    sampling = asyncio.create_task(sample_loop_lag(metrics))
    stack.callback(sampling.cancel)
    return server.port


async def _embedder(config: Config, on_progress: ReportStartup) -> Embedder:
    def on_fetched(progress: FetchProgress) -> None:
        on_progress(StartupProgress("fetching", progress.file, progress.done_bytes, progress.total_bytes))

    folder: Path | None = None
    if config.embedding_weights:
        folder = await fetch_weights_folder(config.embedding_weights, config.model_cache_folder, on_fetched)
    return build_embedder(config.knowledge.embedding, folder, config.model_cache_folder / "embedders")
