"""Loading of a GGUF model and its context, with an error sentence for everything that can be wrong."""

import ctypes
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from models.engine import ModelUnusable, Turn
from models.gguf_header import GgufHeader
from models.gguf_split import part_paths
from models.llama.decoding.generation import MIN_ANSWER_TOKENS
from models.llama.decoding.reply_text import ThinkingHabits
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.loading.compute_limits import ComputeLimits, fast_limits, proven_limits, require_provable
from models.llama.native.context import LlamaContext, thread_count
from models.llama.native.expert_placement import expert_overrides
from models.llama.native.libllama import (
    AllocationFailed,
    capture_errors,
    ggml_library,
    llama_library,
    model_unusable,
)
from models.llama.native.model import LlamaModel
from models.llama.plan.hardware import free_memory_bytes, gpu_memory
from models.llama.plan.memory_plan import (
    MemoryPlan,
    plan_within,
    read_model_header,
    require_memory,
    smaller_plans,
)
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS, PrefillPlan, cpu_prefill_plan
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
# Fewer hold no prompt with an answer in any template.
_MIN_CONTEXT_TOKENS = MIN_ANSWER_TOKENS + 4
_CHUNK_BYTES = 1 << 22
_LOAD_MODE_NONE, _LOAD_MODE_MMAP = 0, 1


class LoadCancelled(Exception):
    """The load was cancelled."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready for use.

    `prefill_plan` has the grid of its prompts' chunks and their costs, `limits` what may be computed together.
    `fingerprint` identifies the model and everything else that affects a saved state. `template` renders
    its prompts, and its replies think by their `habits`.
    """

    header: GgufHeader
    memory_plan: MemoryPlan
    model: LlamaModel
    context: LlamaContext
    prefill_plan: PrefillPlan
    limits: ComputeLimits
    fingerprint: bytes
    template: ChatTemplate
    habits: ThinkingHabits


def load_model(path: Path, settings: LlamaSettings, should_continue: Callable[[float], bool]) -> LoadedModel:
    """Load a model; `should_continue` is called with the fraction loaded, 0 to 1, and cancels by returning False.

    Raises ModelUnusable, or LoadCancelled after `should_continue` returned False.
    """
    header = read_model_header(path)
    gpu = gpu_memory(ggml_library())
    free_bytes = free_memory_bytes()
    memory_plan = plan_within(header, settings, gpu, free_bytes)
    if settings.check_memory:
        require_memory(path, memory_plan, free_bytes)
    require_provable(path, header, settings, memory_plan)
    if memory_plan.context_tokens < settings.context_tokens:
        _log.warning("%s was trained for %d tokens of context: using that.", path.name, memory_plan.context_tokens)
    _require_context(path, memory_plan.context_tokens, _MIN_CONTEXT_TOKENS)
    plans = [memory_plan, *smaller_plans(memory_plan, header, settings, gpu)]
    # Beside the load, which reads the same files: hashing them takes half as long as reading.
    with ThreadPoolExecutor(1, "fingerprint") as executor:
        weights_digest = executor.submit(_hash_files, path)
        memory_plan, opened = _open_first(path, settings, plans, should_continue)
    model, template, context = opened
    return LoadedModel(
        header,
        memory_plan,
        model,
        context,
        _prefill_plan(header, settings, memory_plan, model),
        proven_limits(context, header, settings, model.vocabulary_size)
        if settings.deterministic
        else fast_limits(context, settings),
        _state_fingerprint(context, weights_digest.result()),
        template,
        ThinkingHabits(model.thinking_marks, settings.thinking_tokens, settings.thinking, template.may_think_silently),
    )


def _require_context(path: Path, context_tokens: int, needed_tokens: int) -> None:
    """Raise ModelUnusable when no prompt would fit, with room for an answer."""
    if context_tokens < needed_tokens:
        raise ModelUnusable(
            f"The model file {path} was trained for a context of {context_tokens} tokens, which is too short for a"
            f" question and an answer: they need {needed_tokens}. Use another model.",
            str(path),
        )


def _prefill_plan(
    header: GgufHeader, settings: LlamaSettings, memory_plan: MemoryPlan, model: LlamaModel
) -> PrefillPlan:
    max_tokens = min(settings.batch_tokens, memory_plan.context_tokens) - 2 * MIN_CHUNK_TOKENS
    if memory_plan.is_on_gpu:
        # A GPU computes a whole batch well within any pause that people notice.
        return PrefillPlan(max_tokens, float("inf"))
    return cpu_prefill_plan(
        settings.max_decode_pause_s,
        thread_count(settings),
        model.parameter_count,
        header.layers * header.embedding_length,
        max_tokens,
    )


def _state_fingerprint(context: LlamaContext, weights_digest: bytes) -> bytes:
    """16 bytes that differ when the weights, the version of llama-cpp-python or the layout of states differ."""
    parts = (version("llama-cpp-python"), context.state_layout, weights_digest)
    return xxhash.xxh3_128(repr(parts).encode()).digest()


def _hash_files(path: Path) -> bytes:
    """16 bytes that differ when a model's files differ."""
    digest = xxhash.xxh3_128()
    for part in part_paths(path):
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.digest()


def _open_first(
    path: Path, settings: LlamaSettings, plans: list[MemoryPlan], should_continue: Callable[[float], bool]
) -> tuple[MemoryPlan, "_Opened"]:
    """The first of the plans for which there is memory, opened. Raises as `load_model`."""
    for plan, smaller in pairwise(plans):
        try:
            return plan, _open(path, settings, plan, should_continue)
        except AllocationFailed as error:
            _log.warning(
                "%s Trying %d answers at a time with %d of %d layers on the graphics card.",
                error,
                smaller.parallel,
                smaller.gpu_layers,
                smaller.all_layers,
            )
    return plans[-1], _open(path, settings, plans[-1], should_continue)


class _Opened(NamedTuple):
    """A model in memory."""

    model: LlamaModel
    template: ChatTemplate
    context: LlamaContext


def _open(path: Path, settings: LlamaSettings, plan: MemoryPlan, should_continue: Callable[[float], bool]) -> _Opened:
    model = _load_weights(path, settings, plan, should_continue)
    try:
        template = ChatTemplate(model, settings)
        prompt_tokens = len(template.render_turns([Turn("user", "?")]).tokens)
        _require_context(path, plan.context_tokens, prompt_tokens + MIN_ANSWER_TOKENS)
        return _Opened(model, template, LlamaContext(model, settings, plan))
    except ModelUnusable:
        model.free()
        raise


def _load_weights(
    path: Path, settings: LlamaSettings, memory_plan: MemoryPlan, should_continue: Callable[[float], bool]
) -> LlamaModel:
    llama_cpp = llama_library()
    cancelled = False

    def progress(fraction: float, _: object) -> bool:
        nonlocal cancelled
        cancelled = not should_continue(fraction)
        return not cancelled

    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = memory_plan.gpu_layers
    overrides = expert_overrides() if memory_plan.experts_in_main_memory else None
    params.tensor_buft_overrides = ctypes.addressof(overrides) if overrides else None
    params.load_mode = _LOAD_MODE_MMAP if settings.mmap else _LOAD_MODE_NONE
    # Repacked weights have kernels whose results depend on the number of tokens.
    params.use_extra_bufts = not (settings.deterministic or _has_amx(llama_cpp))
    params.progress_callback = llama_cpp.llama_progress_callback(progress)
    with capture_errors() as errors:
        handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if cancelled:
        raise LoadCancelled
    if not handle:
        raise model_unusable(f"The model file {path} cannot be loaded", errors, str(path))
    return LlamaModel(llama_cpp, handle, path, settings.mmap)


def _has_amx(llama_cpp: Any) -> bool:
    """Whether llama.cpp was compiled with Intel's AMX, whose kernels GCC 12 miscompiles: it drops the stores of the
    tile configuration (its `_tile_loadconfig` declares 8 of the 64 bytes as input), and the first prompt kills the
    process. A library does not reveal its compiler, so its special weight layouts, AMX among them, stay off.
    """
    return b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info()
