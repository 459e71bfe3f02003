"""Whether a model fits into this machine's memory, and how much of it onto the GPU."""

from dataclasses import dataclass
from pathlib import Path

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader, NotGguf, read_header
from models.llama.plan.hardware import GpuMemory, total_memory_bytes
from models.llama.settings import LlamaSettings

# Left free on the GPU for the desktop and for what the driver takes as the context grows.
_GPU_RESERVE_BYTES = 512 << 20
# More people hardly ask at once. On two cores four replies together write 1.5 times the text of one, eight hardly more,
# but none of eight waits for another's end.
_MAX_PARALLEL = 8
# The KV cache of all replies takes no more of the memory than this, for so many of them: the house needs the rest.
_FEW, _KV_SHARE_OF_FEW, _KV_SHARE = 4, 0.2, 0.1


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a model would run: the context of each of its `parallel` together, the layers on the GPU, and the memory it
    needs beside the GPU's.
    """

    context_tokens: int
    gpu_layers: int
    needed_bytes: int
    gpu_bytes: int
    parallel: int = 1


def read_model_header(path: Path) -> GgufHeader:
    """The header of a model file. Raises ModelUnusable with a sentence when it is missing, unreadable or damaged."""
    try:
        return read_header(path)
    except FileNotFoundError as error:
        raise ModelUnusable(
            f"The model file {path} does not exist. Correct its path, or get it with `hearth models get`.", str(path)
        ) from error
    except NotGguf as error:
        raise ModelUnusable(f"The model file {path} {error.reason}. Get it again.", str(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnusable(f"The model file {path} cannot be read: {reason}.", str(path)) from error


def plan_memory(
    header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory, memory_bytes: int | None = None
) -> MemoryPlan:
    """Decide the context, the replies together and the layers on the GPU; the memory needed follows from that.

    `memory_bytes` is what the machine has in all (this one's unless given), so that the number of replies, and with it
    the form of what was parked, stays the same from start to start.
    """
    context = min(settings.context_tokens, header.trained_context or settings.context_tokens)
    if settings.parallel != "auto":
        return _plan_for(header, settings, gpu, context, settings.parallel)
    memory = total_memory_bytes() if memory_bytes is None else memory_bytes
    fits = [_plan_for(header, settings, gpu, context, count) for count in range(_MAX_PARALLEL, 0, -1)]
    return next((fit for fit in fits if _is_kv_cache_affordable(fit, header, settings, memory)), fits[-1])


def _is_kv_cache_affordable(fit: MemoryPlan, header: GgufHeader, settings: LlamaSettings, memory_bytes: int) -> bool:
    if fit.gpu_layers > header.layers:
        return True  # wholly on the GPU
    kv_bytes = fit.parallel * header.kv_bytes(fit.context_tokens, settings.kv_cache_type)
    return kv_bytes <= memory_bytes * (_KV_SHARE_OF_FEW if fit.parallel <= _FEW else _KV_SHARE)


def _plan_for(header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory, context: int, replies: int) -> MemoryPlan:
    kv_bytes = replies * header.kv_bytes(context, settings.kv_cache_type)
    compute_bytes = header.compute_bytes(settings.batch_tokens, context)
    # llama.cpp counts the output as one layer more.
    all_layers = header.layers + 1
    layer_bytes = max(1, (header.weights_bytes + kv_bytes) // all_layers)
    if gpu.total_bytes == 0:
        layers = 0
    elif settings.gpu_layers == "auto":
        layers = max(0, min(all_layers, (gpu.free_bytes - compute_bytes - _GPU_RESERVE_BYTES) // layer_bytes))
    else:
        layers = min(all_layers, settings.gpu_layers) if settings.gpu_layers >= 0 else all_layers
    gpu_bytes = layers * layer_bytes + (compute_bytes if layers else 0)
    needed_bytes = (all_layers - layers) * layer_bytes + compute_bytes
    return MemoryPlan(
        context_tokens=context,
        gpu_layers=layers,
        needed_bytes=needed_bytes,
        gpu_bytes=gpu_bytes,
        parallel=replies,
    )


def require_memory(path: Path, fit: MemoryPlan, free_bytes: int) -> None:
    """Raise ModelUnusable when the model needs more memory than is free."""
    if fit.needed_bytes > free_bytes:
        raise ModelUnusable(
            f"{path.name} needs {_gigabytes(fit.needed_bytes)} of memory with a context of "
            f"{fit.context_tokens} tokens, and {_gigabytes(free_bytes)} is free. "
            "Choose a smaller model, a smaller context_tokens, or kv_cache_type q8_0; `hearth doctor` shows the"
            " figures.",
            str(path),
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
