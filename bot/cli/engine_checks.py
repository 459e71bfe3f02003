"""Check of `hearth doctor` on the engine: how the model would run on this machine."""

from collections.abc import Iterator
from pathlib import Path

from adapters.platform import Check
from bot.cli.terminal.output import format_size
from bot.config.schema import Config
from models.engine import ModelUnusable
from models.gguf_header import GgufHeader
from models.llama.engine_report import build_version
from models.llama.loading.compute_limits import require_provable
from models.llama.native.context import thread_count
from models.llama.native.libllama import ggml_library
from models.llama.plan.hardware import free_memory_bytes, gpu_memory
from models.llama.plan.memory_plan import MemoryPlan, plan_within, read_model_header
from models.llama.settings import LlamaSettings
from models.weights import cached_path


def check_engine(config: Config) -> Iterator[Check]:
    """How the model would run; a problem when its settings cannot be followed with this model here.

    The weights are not read. Nothing for a model that is missing or damaged, which other checks tell.
    """
    path = cached_path(config.weights.chat, config.model_cache_folder)
    if config.model.engine != "llama" or path is None:
        return
    try:
        header = read_model_header(path)
    except ModelUnusable:
        return
    yield _check_model(path, header, config.model.llama)


def _check_model(path: Path, header: GgufHeader, settings: LlamaSettings) -> Check:
    plan = plan_within(header, settings, gpu_memory(ggml_library()), free_memory_bytes())
    figures = {
        "gpu_layers": plan.gpu_layers,
        "all_layers": plan.all_layers,
        "kv_bytes": plan.kv_bytes,
        "parallel": plan.parallel,
        "threads": thread_count(settings),
    }
    try:
        require_provable(path, header, settings, plan)
    except ModelUnusable as error:
        return Check("engine", "problem", str(error), figures)
    return Check("engine", "ok", " ".join(_sentences(settings, plan)), figures)


def _sentences(settings: LlamaSettings, plan: MemoryPlan) -> Iterator[str]:
    yield f"{plan.gpu_layers} of {plan.all_layers} layers on the graphics card, {plan.parallel} answers at a time."
    yield f"KV cache: {format_size(plan.kv_bytes)} at most, as {settings.kv_cache_type}."
    yield f"Threads: {thread_count(settings)}. Flash attention: {settings.flash_attention}."
    yield f"Speculative decoding: {'where it pays' if settings.speculation else 'off'}."
    yield "Answers are " + ("deterministic." if settings.deterministic else "fast, not deterministic.")
    yield f"Built: {build_version()}."
