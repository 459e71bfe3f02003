"""Recommended models, and the choice of one for a machine."""

from dataclasses import dataclass

from models.weights_sources import HubSource

_CONTEXT_TOKENS = 8192
_F16_BYTES = 2
# Compute buffers and what the memory plan leaves free on a card, on top of weights and KV cache.
_OVERHEAD_BYTES = 930_000_000
# The other services of the home server need memory too: on the CPU a model gets half of it.
_CPU_MEMORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model on the hub. `kv_width`: values of K and V of one token; `active_parameters` decides its speed."""

    title: str
    weights: HubSource
    size_bytes: int
    kv_width: int
    active_parameters: int
    licence: str = "Apache-2.0"

    @property
    def memory_bytes(self) -> int:
        """Bytes needed with a context of 8,192 tokens."""
        return self.size_bytes + _F16_BYTES * self.kv_width * _CONTEXT_TOKENS + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The model for a machine, and whether it runs on the GPU."""

    model: KnownModel
    on_gpu: bool


def _qwen3(size: str, quantisation: str, sha256: str | None = None) -> HubSource:
    file = f"Qwen3-{size}-{quantisation}.gguf"
    return HubSource(repository=f"Qwen/Qwen3-{size}-GGUF", file=file, sha256=sha256)


# Sizes are those of the files; layers, KV heads and head length (128) those of the models' published configurations.
# All speak English and French among a hundred languages, and can answer without thinking first.
KNOWN_MODELS = (
    KnownModel("Qwen3 1.7B", _qwen3("1.7B", "Q8_0"), 1_834_426_016, 28 * 8 * 256, 1_700_000_000),
    KnownModel(
        "Qwen3 4B",
        _qwen3("4B", "Q4_K_M", "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5"),
        2_497_280_256,
        36 * 8 * 256,
        4_000_000_000,
    ),
    KnownModel(
        "Qwen3 8B",
        _qwen3("8B", "Q4_K_M", "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785"),
        5_027_783_488,
        36 * 8 * 256,
        8_200_000_000,
    ),
    KnownModel(
        "Qwen3 14B",
        _qwen3("14B", "Q4_K_M", "500a8806e85ee9c83f3ae08420295592451379b4f8cf2d0f41c15dffeb6b81f0"),
        9_001_752_960,
        40 * 8 * 256,
        14_800_000_000,
    ),
    KnownModel("Qwen3 30B-A3B", _qwen3("30B-A3B", "Q4_K_M"), 18_556_686_912, 48 * 4 * 256, 3_300_000_000),
)
"""In order of size, the smallest first."""

# A CPU reads about 20 to 40 GB/s from memory, and each token reads all active weights once: above this many
# parameters (at 4 bits) text is generated more slowly than people read.
_MAX_ACTIVE_PARAMETERS_ON_CPU = 5_000_000_000


def recommend_model(memory_bytes: int, gpu_memory_bytes: int = 0) -> Recommendation:
    """The largest model that fits entirely into GPU memory; if none does, the largest that the CPU runs at reading
    speed in half of the memory; the smallest of all when nothing fits.
    """
    on_gpu = [model for model in KNOWN_MODELS if model.memory_bytes <= gpu_memory_bytes]
    fast_enough = [model for model in KNOWN_MODELS if model.active_parameters <= _MAX_ACTIVE_PARAMETERS_ON_CPU]
    fitting = [model for model in fast_enough if model.memory_bytes <= memory_bytes * _CPU_MEMORY_SHARE]
    if on_gpu and (not fitting or on_gpu[-1].size_bytes >= _worthwhile_size_bytes(fitting[-1])):
        return Recommendation(on_gpu[-1], on_gpu=True)
    return Recommendation(fitting[-1] if fitting else KNOWN_MODELS[0], on_gpu=False)


def _worthwhile_size_bytes(on_cpu: KnownModel) -> int:
    """Smallest size worth running on the GPU: a tiny model there is no gain over a decent one on the CPU."""
    return min(on_cpu.size_bytes, KNOWN_MODELS[1].size_bytes)
