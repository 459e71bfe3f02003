"""Loading a GGUF model and making its context, with a sentence for everything that can be wrong."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader
from models.llama.loading.batch_invariance import proven_cuts, proven_guesses, proven_together
from models.llama.native.context import Context, threads
from models.llama.native.libllama import errors_noted, ggml_library, library
from models.llama.native.model import Model
from models.llama.plan.hardware import free_memory_bytes, gpu_memory
from models.llama.plan.memory_plan import Fit, inspect, plan, require_memory
from models.llama.plan.prefill_chunks import LEAST_CHUNK_TOKENS, Grid, grid_for_processor
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 22
_LOAD_MODE_NONE, _LOAD_MODE_MMAP = 0, 1


class LoadCancelled(Exception):
    """Nobody waits for the model any more."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to answer. `grid` cuts its prompts, unless they may be `cut_anywhere`;
    `guesses` is how many tokens may be guessed at once, `together` for how many replies one may be computed;
    `fingerprint` names the model and what else shapes a parked state.
    """

    header: GgufHeader
    fit: Fit
    model: Model
    context: Context
    grid: Grid
    guesses: int
    cut_anywhere: bool
    together: int
    fingerprint: bytes


def load(path: Path, settings: LlamaSettings, go_on: Callable[[float], bool]) -> Loaded:
    """Load a model; `go_on` is called with the part that is loaded, 0 to 1, and stops the loading by False.

    Raises ModelUnusable, or LoadCancelled after `go_on` returned False.
    """
    header = inspect(path)
    gpu = gpu_memory(ggml_library())
    fit = plan(header, settings, gpu)
    free_bytes = free_memory_bytes()
    if fit.needed_bytes > free_bytes and settings.replies == "auto":
        fit = plan(header, settings.model_copy(update={"replies": 1}), gpu)
    require_memory(path, fit, free_bytes)
    if fit.context_tokens < settings.context_tokens:
        _log.warning("%s was trained for %d tokens of context: using that.", path.name, fit.context_tokens)
    model = _load_model(path, settings, fit, go_on)
    try:
        context = Context(model, settings, fit)
    except ModelUnusable:
        model.free()
        raise
    on_processor = fit.gpu_layers == 0
    return Loaded(
        header,
        fit,
        model,
        context,
        _grid(header, settings, fit, model),
        proven_guesses(context, header, model.vocabulary) if settings.speculation and on_processor else 0,
        on_processor and proven_cuts(context, header, model.vocabulary),
        proven_together(context, header) if on_processor else context.sequences,
        _fingerprint(context, path),
    )


def _grid(header: GgufHeader, settings: LlamaSettings, fit: Fit, model: Model) -> Grid:
    most = min(settings.batch_tokens, fit.context_tokens) - 2 * LEAST_CHUNK_TOKENS
    if fit.gpu_layers > header.layers:
        # A GPU computes a whole batch well within any gap that people notice.
        return Grid(most, float("inf"))
    return grid_for_processor(
        settings.longest_gap_s, threads(settings), model.parameters, header.layers * header.embedding, most
    )


def _fingerprint(context: Context, path: Path) -> bytes:
    """16 bytes that differ when the weights, the program that computes, or the form of its states differ."""
    digest = xxhash.xxh3_128(repr((version("llama-cpp-python"), context.form)).encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _load_model(path: Path, settings: LlamaSettings, fit: Fit, go_on: Callable[[float], bool]) -> Model:
    llama_cpp = library()
    cancelled = False

    def progress(part: float, _: object) -> bool:
        nonlocal cancelled
        cancelled = not go_on(part)
        return not cancelled

    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = fit.gpu_layers
    params.load_mode = _LOAD_MODE_MMAP if settings.mmap else _LOAD_MODE_NONE
    params.use_extra_bufts = not _has_amx(llama_cpp)
    params.progress_callback = llama_cpp.llama_progress_callback(progress)
    with errors_noted() as errors:
        handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if cancelled:
        raise LoadCancelled
    if not handle:
        reason = errors[0] if errors else "it gave no reason"
        raise ModelUnusable(f"The model file {path} cannot be loaded; llama.cpp says: {reason}", str(path))
    return Model(llama_cpp, handle, path, settings.mmap)


def _has_amx(llama_cpp: Any) -> bool:
    """Whether llama.cpp was compiled with Intel's AMX, whose kernels GCC 12 miscompiles: it drops the stores of the
    tile configuration (its `_tile_loadconfig` declares 8 of the 64 bytes as input), and the first prompt ends the
    process. Which compiler made a library cannot be seen, so its special weight layouts, AMX among them, stay off.
    """
    return b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info()
