"""Memory plan of a model: context, parallel replies, GPU layers, and the memory they need."""

from dataclasses import dataclass
from pathlib import Path

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader, NotGguf, read_header
from models.llama.plan.hardware import GpuMemory, total_memory_bytes
from models.llama.settings import LlamaSettings

# Left free on the GPU for the desktop and for what the driver takes as the context grows.
_GPU_RESERVE_BYTES = 512 << 20
# More simultaneous users are rare. On two cores four parallel replies generate 1.5 times the text of one, and eight
# hardly more, but with eight no request waits for another to end.
_MAX_PARALLEL = 8
# Share of the memory for the KV cache of all replies, with up to so many replies and with more: the other services of
# the home server need the rest.
_FEW_REPLIES, _KV_SHARE_OF_FEW, _KV_SHARE = 4, 0.2, 0.1


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Configuration of a model run: the context of each of its `parallel` replies, the layers on the GPU, and the bytes
    needed in main memory and on the GPU.
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
    """Choose the context, the parallel replies and the layers on the GPU, and compute the memory they need.

    `memory_bytes` is the total memory of the machine (of this one unless given), not the free memory, so that the
    number of replies, and with it the layout of snapshots, stays the same from start to start.
    """
    context_tokens = min(settings.context_tokens, header.trained_context or settings.context_tokens)
    if settings.parallel != "auto":
        return _plan_for(header, settings, gpu, context_tokens, settings.parallel)
    memory = total_memory_bytes() if memory_bytes is None else memory_bytes
    plans = [_plan_for(header, settings, gpu, context_tokens, count) for count in range(_MAX_PARALLEL, 0, -1)]
    return next((plan for plan in plans if _is_kv_cache_affordable(plan, header, settings, memory)), plans[-1])


def _is_kv_cache_affordable(plan: MemoryPlan, header: GgufHeader, settings: LlamaSettings, memory_bytes: int) -> bool:
    if plan.gpu_layers > header.layers:
        return True  # entirely on the GPU
    kv_bytes = plan.parallel * header.kv_bytes(plan.context_tokens, settings.kv_cache_type)
    return kv_bytes <= memory_bytes * (_KV_SHARE_OF_FEW if plan.parallel <= _FEW_REPLIES else _KV_SHARE)


def _plan_for(
    header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory, context_tokens: int, parallel: int
) -> MemoryPlan:
    kv_bytes = parallel * header.kv_bytes(context_tokens, settings.kv_cache_type)
    compute_bytes = header.compute_bytes(settings.batch_tokens, context_tokens)
    # llama.cpp counts the output as one more layer.
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
        context_tokens=context_tokens,
        gpu_layers=layers,
        needed_bytes=needed_bytes,
        gpu_bytes=gpu_bytes,
        parallel=parallel,
    )


def require_memory(path: Path, plan: MemoryPlan, free_bytes: int) -> None:
    """Raise ModelUnusable when the model needs more memory than is free."""
    if plan.needed_bytes > free_bytes:
        raise ModelUnusable(
            f"{path.name} needs {_gigabytes(plan.needed_bytes)} of memory with a context of "
            f"{plan.context_tokens} tokens, and {_gigabytes(free_bytes)} is free. "
            "Choose a smaller model, a smaller context_tokens, or kv_cache_type q8_0; `hearth doctor` shows the"
            " figures.",
            str(path),
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
