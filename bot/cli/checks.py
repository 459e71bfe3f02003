"""Checks of `hearth doctor`, except on collections: each examines one thing and reports its state in a sentence."""

import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from adapters.local_chat import LocalChatPlatform
from adapters.platform import Check, CheckContext, Platform
from bot.cli.terminal.output import format_size
from bot.config.schema import Config
from bot.openai.keys import ApiKeyMissing, ApiKeys
from bot.platforms import PlatformRegistry, PlatformUnusable, import_reason
from bot.server.folder_lock import is_own_folder, is_private, owner_pid
from models.checksum import sha256_of
from models.engine import ModelUnusable
from models.fetch_job import FetchJob, FetchProgress
from models.gguf_split import size_of_parts
from models.llama.native.libllama import ggml_library
from models.llama.plan.hardware import free_memory_bytes, gpu_memory
from models.llama.plan.memory_plan import plan_within, read_model_header
from models.weights import cached_path
from models.weights_sources import WeightsSource

OnProgress = Callable[[FetchProgress], None]
MIN_FREE_BYTES = 1_000_000_000


def check_data_folder(config: Config) -> Check:
    """Whether the data folder is writable and has free space."""
    folder = config.data_folder
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return Check("data_folder", "problem", f"{folder} cannot be written to: {existing} does not allow it.")
    if existing == folder and not is_private(folder) and not is_own_folder(folder):
        sentence = f"{folder} holds other things, and other users can open it: name a folder of Hearth's own."
        return Check("data_folder", "problem", sentence)
    free = shutil.disk_usage(existing).free
    figures = {"free_bytes": free}
    if free < MIN_FREE_BYTES:
        return Check("data_folder", "warning", f"{folder} has only {format_size(free)} of disk left.", figures)
    return Check("data_folder", "ok", f"{folder} can be used; {format_size(free)} of disk is free.", figures)


def check_weights(config: Config, on_progress: OnProgress) -> Iterator[Check]:
    """Whether every file of the models exists and is intact. Reads each of them completely."""
    if config.model.engine == "llama":
        yield _check_file("weights.chat", config.weights.chat, config, on_progress)
    else:
        yield Check("weights.chat", "ok", "The echo engine needs no model.")
    for source in config.embedding_weights:
        yield _check_file("weights.embedding", source, config, on_progress)
    for source in config.reranking_weights:
        yield _check_file("weights.reranking", source, config, on_progress)
    if not config.embedding_weights:
        kind = config.knowledge.embedding.kind
        yield Check("weights.embedding", "ok", f"The {kind} embedder has no files of its own in the config.")


def _check_file(name: str, source: WeightsSource, config: Config, on_progress: OnProgress) -> Check:
    path = cached_path(source, config.model_cache_folder)
    if path is None:
        if source.source == "path":
            return Check(name, "problem", f"{source.path} is not on this machine: correct the path in {name}.")
        return Check(name, "problem", f"{source.name} is not on this machine: `hearth models get` fetches it.")
    figures = {"size_bytes": size_of_parts(path)}
    if source.sha256 is None:
        return Check(name, "ok", f"{path} is there; the config names no checksum.", figures)
    try:
        found = sha256_of(path, FetchJob(on_progress))
    except OSError as error:
        return Check(name, "problem", f"{path} cannot be read: {error.strerror}.", figures)
    if found != source.sha256:
        sentence = f"{path} is damaged: its SHA-256 is {found}. Delete it, and `hearth models get` fetches it again."
        return Check(name, "problem", sentence, figures)
    return Check(name, "ok", f"{path} is there and intact.", figures)


def check_memory(config: Config) -> Check:
    """Whether the model and its KV cache fit into free memory."""
    path = cached_path(config.weights.chat, config.model_cache_folder)
    if config.model.engine != "llama" or path is None:
        return Check("memory", "ok", "There is no model here to fit into memory.")
    try:
        header = read_model_header(path)
    except ModelUnusable as error:
        return Check("memory", "problem", str(error))
    free = free_memory_bytes()
    fit = plan_within(header, config.model.llama, gpu_memory(ggml_library()), free)
    figures = {"needed_bytes": fit.needed_bytes, "gpu_bytes": fit.gpu_bytes, "free_bytes": free}
    on_gpu = (
        f" and {format_size(fit.gpu_bytes)} of graphics memory for {fit.gpu_layers} of {fit.all_layers} layers"
        + (" without the experts" if fit.experts_in_main_memory else "")
        if fit.gpu_layers
        else ""
    )
    needs = (
        f"{path.name} with {fit.context_tokens} tokens of context for each of {fit.parallel} answers"
        f" needs {format_size(fit.needed_bytes)}{on_gpu}"
    )
    running = owner_pid(config.data_folder)
    if fit.needed_bytes > free and config.model.llama.check_memory and not running:
        sentence = (
            f"{needs}, and {format_size(free)} is free. Choose a smaller model or context, or kv_cache_type q8_0."
        )
        return Check("memory", "problem", sentence, figures)
    note = " (a running Hearth may hold it already)" if running else ""
    return Check("memory", "ok", f"{needs}; {format_size(free)} is free{note}.", figures)


def check_api_keys(config: Config) -> Iterator[Check]:
    """Whether the environment holds the keys of the programs that may call the endpoint."""
    openai = config.http.openai
    if not (config.http.enabled and openai.enabled):
        return
    try:
        ApiKeys.from_environment(openai.keys, os.environ)
    except ApiKeyMissing as error:
        yield Check("http.openai", "problem", f"{error} `hearth run` would not start.")
        return
    yield Check("http.openai", "ok", f"The keys of {len(openai.keys)} programs are in the environment.")


def check_http_port(config: Config) -> Check:
    """Whether the HTTP port is free, or in use by Hearth itself."""
    http = config.http
    if not http.enabled:
        return Check("http", "ok", "HTTP is switched off.")
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((http.host, http.port))
        except OSError as error:
            return _port_in_use(config, error)
    return Check("http", "ok", f"Port {http.port} on {http.host} is free.")


def _port_in_use(config: Config, error: OSError) -> Check:
    http, owner = config.http, owner_pid(config.data_folder)
    if owner:
        return Check("http", "ok", f"Port {http.port} on {http.host} is in use, and Hearth runs as process {owner}.")
    sentence = f"Port {http.port} on {http.host} cannot be used: {error.strerror}. Set another http.port."
    return Check("http", "problem", sentence)


async def check_platforms(registry: PlatformRegistry, config: Config, *, offline: bool) -> AsyncIterator[Check]:
    """The checks of all platforms, and a warning for each that cannot be imported."""
    for platform in registry.platforms:
        async for check in check_platform(platform, config, offline=offline):
            yield check
    for broken in registry.broken:
        yield Check(broken.name, "warning", broken.sentence)


async def check_platform(platform: Platform[Any], config: Config, *, offline: bool) -> AsyncIterator[Check]:
    """The checks that a platform makes when it is switched on; none for the platform of local clients."""
    if isinstance(platform, LocalChatPlatform):
        return
    settings = config.platform_settings(platform)
    if not settings.enabled:
        yield Check(platform.name, "ok", f"{platform.title} is switched off.")
    elif platform.check is None:
        yield Check(platform.name, "ok", f"{platform.title} is switched on.")
    else:
        collections = config.knowledge.collections.values()
        readers = frozenset(reader for collection in collections for reader in collection.readers)
        is_running = owner_pid(config.data_folder) != 0
        context = CheckContext(config.data_folder, offline, is_running=is_running, readers=readers)
        try:
            async for check in platform.check(settings, context):
                yield check
        except ImportError as error:
            yield Check(platform.name, "problem", str(PlatformUnusable(platform.title, import_reason(error))))


def index_exists(folder: Path) -> bool:
    """Whether an index exists."""
    return (folder / "knowledge.sqlite3").exists()
