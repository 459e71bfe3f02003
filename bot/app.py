"""The composition root: the only place that builds things, and opens and closes everything."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from bot.server.folder_lock import FolderLock
from bot.server.metrics import Metrics
from bot.server.readiness import Readiness
from bot.startup_progress import ReportStartup, StartupProgress, ignore_progress
from knowledge.embedding import Embedder, build_embedder
from knowledge.folder_watch import FolderWatch
from knowledge.library import Library
from knowledge.reader import DocumentReader
from knowledge.reading.reader import ProcessReader
from knowledge.reranking.build import build_reranking
from knowledge.reranking.order import Reranking
from models.engine import Engine, EngineFailed
from models.weights import FetchProgress, fetch_weights_folder
from models.weights_sources import WeightsSource

if TYPE_CHECKING:
    from bot.server.web_service import WebService


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
    missing: list[str]
    folder_watch: FolderWatch | None

    async def run(self, *adapters: Adapter) -> None:
        """Run the adapters until cancelled. One that dies ends all of them, loudly, and so does a model that dies.

        Raises EngineFailed for the model, in an ExceptionGroup.
        """
        self.stats.set_adapters(adapters)
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._watch_engine())]
            if self.folder_watch is not None:
                watching.append(group.create_task(self.folder_watch.run()))
            running = [group.create_task(each.run(self.inbox), name=each.platform) for each in adapters]
            if running:
                await asyncio.wait(running)
            for task in watching:
                task.cancel()

    async def _watch_engine(self) -> None:
        # The process ends rather than stay up without a model: what supervises it starts it again.
        reason = await self.engine.wait_failed()
        self.missing.append(reason)
        raise EngineFailed(reason)


@asynccontextmanager
async def open_app(
    config: Config, *, serve_http: bool = False, on_progress: ReportStartup = ignore_progress, work: str = ""
) -> AsyncIterator[App]:
    """Build everything, and close it all in the opposite order. `work`: what this process does, if that ends by itself.

    Raises FolderInUse, FolderUnusable, HttpUnavailable, ApiKeyMissing, WeightsUnavailable, ModelUnusable,
    EmbeddingFailed, RerankingFailed and the database errors of `knowledge.sqlite`, each with a sentence for the admin.
    """
    async with AsyncExitStack() as stack:
        lock = FolderLock(config.data_folder, work)
        lock.acquire()
        stack.callback(lock.release)
        metrics = Metrics()
        missing = ["The language model is not loaded yet.", "The documents' index is not open yet."]
        readiness = Readiness(missing)
        served = serve_http and config.http.enabled
        web = await _serve_web(stack, config, metrics, readiness) if served else None
        history = await History.open(config.data_folder / "history.sqlite3")
        stack.push_async_callback(history.close)
        engine = await open_engine(config, on_progress)
        stack.push_async_callback(engine.close)
        readiness.engine = engine
        missing.pop(0)
        await _forget_the_rest(stack, Forgetter(history, engine), config.history.keep_days)
        queue = FairQueue(engine.capacity, config.core.open_questions_per_person)
        # Two readers, so that a file sent with a question need not wait for a slow document; a reader that has
        # nothing to read starts no process.
        reader, attachments = (ProcessReader(config.knowledge.reading) for _ in range(2))
        stack.push_async_callback(reader.close)
        stack.push_async_callback(attachments.close)
        library, embedder = await _open_library(stack, config, reader, queue, metrics=metrics, on_progress=on_progress)
        missing.clear()
        if web is not None and web.endpoint is not None:
            service = _completion_service(config, engine, library, queue, metrics)
            web.endpoint.open(service, config.model.sampling.to_sampling(), embedder)
            stack.callback(web.endpoint.close)
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
        watched = config.knowledge.watch and not work
        folder_watch = FolderWatch(library, config.knowledge, config.data_folder) if watched else None
        port = web.port if web else None
        yield App(config, inbox, library, engine, history, stats, port, missing, folder_watch)


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


def _completion_service(
    config: Config, engine: Engine, library: Library, queue: FairQueue, metrics: Metrics
) -> CompletionService:
    prompt_builder = RetrievalPromptBuilder(engine, library, config.core, metrics)
    return CompletionService(engine, queue, prompt_builder, metrics, config.core.generation_stall_timeout_s)


async def _serve_web(stack: AsyncExitStack, config: Config, metrics: Metrics, readiness: Readiness) -> "WebService":
    from bot.server.web_service import serve_web

    return await stack.enter_async_context(serve_web(config.http, metrics, readiness, os.environ))


async def _open_library(
    stack: AsyncExitStack,
    config: Config,
    reader: DocumentReader,
    queue: FairQueue,
    *,
    metrics: Metrics,
    on_progress: ReportStartup,
) -> tuple[Library, Embedder]:
    on_progress(StartupProgress("opening", "index"))
    embedder = await open_embedder(config, on_progress)
    library = await Library.open(
        config.knowledge,
        embedder,
        reader,
        config.data_folder,
        is_model_busy=lambda: queue.running_count > 0,
        reranking=await open_reranking(config, on_progress),
        on_indexed=metrics.index_changed,
    )
    stack.push_async_callback(library.close)
    return library, embedder


async def open_embedder(config: Config, on_progress: ReportStartup) -> Embedder:
    """The configured embedder, its files fetched. Raises WeightsUnavailable."""
    folder = await _fetch_folder(config.embedding_weights, config, on_progress)
    return build_embedder(config.knowledge.embedding, folder, _fastembed_cache(config))


async def open_reranking(config: Config, on_progress: ReportStartup) -> Reranking | None:
    """The configured reranker, loaded; None without one. Raises WeightsUnavailable and RerankingFailed."""
    folder = await _fetch_folder(config.reranking_weights, config, on_progress)
    reranking = build_reranking(config.knowledge.reranking, folder, _fastembed_cache(config), os.environ)
    if reranking is not None:
        on_progress(StartupProgress("loading", config.knowledge.reranking.model))
        await reranking.prepare()
    return reranking


async def _fetch_folder(sources: tuple[WeightsSource, ...], config: Config, on_progress: ReportStartup) -> Path | None:
    def on_fetched(progress: FetchProgress) -> None:
        on_progress(StartupProgress("fetching", progress.file, progress.done_bytes, progress.total_bytes))

    return await fetch_weights_folder(sources, config.model_cache_folder, on_fetched) if sources else None


def _fastembed_cache(config: Config) -> Path:
    return config.model_cache_folder / "embedders"
