"""Memory plan of a model: context, parallel replies, GPU layers, and the memory they need."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader, NotGguf, read_header
from models.llama.plan.hardware import GpuMemory, total_memory_bytes
from models.llama.settings import LlamaSettings

# Left free on each GPU for the desktop and for what the driver takes as the context grows.
_GPU_RESERVE_BYTES = 512 << 20
# More simultaneous users are rare, and with eight no request waits for another to end.
_MAX_PARALLEL = 8
# Share of the memory for the KV cache of all replies, with up to so many replies and with more: the other services of
# the home server need the rest.
_FEW_REPLIES, _KV_SHARE_OF_FEW, _KV_SHARE = 4, 0.2, 0.1


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Configuration of a model run: the context of each of its `parallel` replies, the layers on the GPU, and the bytes
    needed in main memory and on the GPU; `kv_bytes` of them are the KV cache of all replies. `all_layers` counts the
    output as one more layer, as llama.cpp does.
    """

    context_tokens: int
    gpu_layers: int
    needed_bytes: int
    gpu_bytes: int
    parallel: int = 1
    all_layers: int = 0
    kv_bytes: int = 0
    experts_in_main_memory: bool = False

    @property
    def is_on_gpu(self) -> bool:
        """Whether the whole model is on the GPU."""
        return self.gpu_layers >= self.all_layers > 0 and not self.experts_in_main_memory

    @property
    def is_partly_on_gpu(self) -> bool:
        """Whether some of the model is on the GPU, and some is not."""
        return self.gpu_layers > 0 and not self.is_on_gpu


def read_model_header(path: Path) -> GgufHeader:
    """The header of a model file. Raises ModelUnusable with a sentence when it is missing, unreadable or damaged."""
    try:
        return read_header(path)
    except FileNotFoundError as error:
        raise ModelUnusable(
            f"The model file {error.filename or path} does not exist. Correct its path, or get it with `hearth models"
            " get`.",
            str(path),
        ) from error
    except NotGguf as error:
        raise ModelUnusable(f"The model file {path} {error.reason}. Get it again.", str(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnusable(f"The model file {path} cannot be read: {reason}.", str(path)) from error


def plan_memory(
    header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory, memory_bytes: int | None = None
) -> MemoryPlan:
    """Choose the layers on the GPU, the context and the parallel replies, and compute the memory they need.

    As much of the model as one reply allows goes to the GPU; further replies never take a layer away.

    `memory_bytes` is the total memory of the machine (of this one unless given), not the free memory, so that the
    number of replies, and with it the layout of snapshots, stays the same from start to start.
    """
    planner = _Planner(header, settings, gpu)
    if settings.parallel != "auto":
        return planner.plan(settings.parallel)
    memory = total_memory_bytes() if memory_bytes is None else memory_bytes
    one = planner.plan(1)
    larger = (planner.plan(count) for count in range(_MAX_PARALLEL, 1, -1))
    return next((plan for plan in larger if planner.is_affordable(plan, one, memory)), one)


def plan_within(
    header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory, free_bytes: int, memory_bytes: int | None = None
) -> MemoryPlan:
    """As `plan_memory`, but with as many replies as fit into the free memory, if their number is not set.

    The plan may need more than is free all the same: `require_memory` tells.
    """
    plan = plan_memory(header, settings, gpu, memory_bytes)
    while plan.needed_bytes > free_bytes and settings.parallel == "auto" and plan.parallel > 1:
        plan = _Planner(header, settings, gpu).plan(plan.parallel - 1)
    return plan


def smaller_plans(
    plan: MemoryPlan, header: GgufHeader, settings: LlamaSettings, gpu: GpuMemory
) -> Iterator[MemoryPlan]:
    """Plans to try after an allocation has failed, each smaller than the last: fewer replies, then fewer layers on the
    GPU; only where these are not set in the config.
    """
    planner, parallel, layers = _Planner(header, settings, gpu), plan.parallel, plan.gpu_layers
    while settings.parallel == "auto" and parallel > 1:
        parallel //= 2
        yield planner.plan_layers(parallel, layers, experts_in_main_memory=plan.experts_in_main_memory)
    while settings.gpu_layers == "auto" and layers > 0:
        layers = layers * 3 // 4
        yield planner.plan_layers(parallel, layers, experts_in_main_memory=plan.experts_in_main_memory)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans for one model on one machine."""

    header: GgufHeader
    settings: LlamaSettings
    gpu: GpuMemory

    def plan(self, parallel: int) -> MemoryPlan:
        """The plan for so many replies: as much as possible on the GPU, or as many layers as the settings say."""
        all_layers = self.header.layers + 1
        if self.gpu.total_bytes == 0:
            return self.plan_layers(parallel, 0)
        if self.settings.gpu_layers != "auto":
            asked = self.settings.gpu_layers if self.settings.gpu_layers >= 0 else all_layers
            return self.plan_layers(parallel, min(all_layers, asked))
        free_bytes = self.gpu.free_bytes - self.gpu.cards * _GPU_RESERVE_BYTES
        whole = self.plan_layers(parallel, all_layers)
        if whole.gpu_bytes <= free_bytes:
            return whole
        # The experts of a mixture are most of its weights, and of each token only few are read.
        without_experts = self.plan_layers(parallel, all_layers, experts_in_main_memory=True)
        if self.header.expert_bytes > 0 and without_experts.gpu_bytes <= free_bytes:
            return without_experts
        layers = (free_bytes - self._compute_bytes) // self._layer_bytes(parallel)
        return self.plan_layers(parallel, max(0, min(all_layers, layers)))

    def plan_layers(self, parallel: int, layers: int, *, experts_in_main_memory: bool = False) -> MemoryPlan:
        """The plan with so many layers on the GPU."""
        all_layers, expert_bytes = self.header.layers + 1, self.header.expert_bytes if experts_in_main_memory else 0
        layer_bytes = self._layer_bytes(parallel, expert_bytes)
        gpu_bytes = layers * layer_bytes + (self._compute_bytes if layers else 0)
        needed_bytes = (all_layers - layers) * layer_bytes + expert_bytes + self._compute_bytes
        return MemoryPlan(
            context_tokens=self._context_tokens,
            gpu_layers=layers,
            needed_bytes=needed_bytes + (gpu_bytes if self.gpu.is_shared else 0),
            gpu_bytes=gpu_bytes,
            parallel=parallel,
            all_layers=all_layers,
            kv_bytes=self._kv_bytes(parallel),
            experts_in_main_memory=experts_in_main_memory,
        )

    def is_affordable(self, plan: MemoryPlan, one: MemoryPlan, memory_bytes: int) -> bool:
        """Whether the replies of `plan` leave the layers of `one` on the GPU, and enough main memory to the house."""
        if plan.gpu_layers < one.gpu_layers or plan.experts_in_main_memory != one.experts_in_main_memory:
            return False
        in_main_memory = plan.kv_bytes * (plan.all_layers - plan.gpu_layers) // plan.all_layers
        return in_main_memory <= memory_bytes * (_KV_SHARE_OF_FEW if plan.parallel <= _FEW_REPLIES else _KV_SHARE)

    @property
    def _context_tokens(self) -> int:
        return min(self.settings.context_tokens, self.header.trained_context or self.settings.context_tokens)

    @property
    def _compute_bytes(self) -> int:
        return self.header.compute_bytes(self.settings.batch_tokens, self._context_tokens)

    def _kv_bytes(self, parallel: int) -> int:
        header, settings, tokens = self.header, self.settings, self._context_tokens
        if settings.deterministic:  # which keeps windows in full
            return parallel * header.kv_bytes(tokens, settings.kv_cache_type)
        return parallel * header.reply_kv_bytes(tokens, settings.kv_cache_type, settings.batch_tokens)

    def _layer_bytes(self, parallel: int, expert_bytes: int = 0) -> int:
        """Bytes of a layer, the output counted as one: its weights, but for experts elsewhere, and its KV cache."""
        stored_bytes = self.header.weights_bytes - expert_bytes + self._kv_bytes(parallel)
        return max(1, stored_bytes // (self.header.layers + 1))


def require_memory(path: Path, plan: MemoryPlan, free_bytes: int) -> None:
    """Raise ModelUnusable when the model needs more memory than is free."""
    if plan.needed_bytes > free_bytes:
        raise ModelUnusable(
            f"{path.name} needs {_gigabytes(plan.needed_bytes)} of memory with a context of "
            f"{plan.context_tokens} tokens, and {_gigabytes(free_bytes)} is free. "
            "Choose a smaller model, a smaller context_tokens, or kv_cache_type q8_0; `hearth doctor` shows the"
            " figures. If more is free than can be seen here, set model.llama.check_memory to false.",
            str(path),
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
