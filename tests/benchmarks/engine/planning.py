"""Layers on the card with `parallel: auto`, over what one reply gets: models and cards that people have."""

from dataclasses import replace
from pathlib import Path

from models.gguf_header import GgufHeader
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import plan_memory
from models.llama.settings import LlamaSettings
from tests.benchmarks.figures import Samples

GIGABYTE = 10**9
FREE_SHARE = 0.96
# Bytes of the files; layers, KV heads, head lengths and vocabularies of the models' published configurations.
CASES = (
    # gigabytes of the file, layers, KV heads, length of a head, vocabulary, gigabytes of the card
    (5.03, 36, 8, 128, 151_936, 8),  # Qwen3-8B Q4_K_M
    (2.50, 36, 8, 128, 151_936, 6),  # Qwen3-4B Q4_K_M
    (2.50, 36, 8, 128, 151_936, 8),
    (4.92, 32, 8, 128, 128_256, 8),  # Llama-3.1-8B Q4_K_M
    (2.49, 34, 4, 256, 262_144, 6),  # Gemma-3-4B Q4_K_M
    (11.6, 24, 8, 64, 201_088, 16),  # gpt-oss-20b MXFP4
    (9.00, 40, 8, 128, 151_936, 12),  # Qwen3-14B Q4_K_M
)
_HEADER = GgufHeader("llama", "", 0, 0, 0, 4096, 32, 0, 32_768, 0, frozenset())


def measure(folder: Path) -> Samples:
    """The ratio of each case."""
    del folder
    return {"layers_over_those_of_one_reply": [_ratio(*case) for case in CASES]}


def _ratio(gigabytes: float, layers: int, kv_heads: int, head: int, vocabulary: int, card: int) -> float:
    header = replace(
        _HEADER,
        weights_bytes=int(gigabytes * GIGABYTE),
        layers=layers,
        kv_width=layers * kv_heads * 2 * head,
        vocabulary_size=vocabulary,
    )
    gpu = GpuMemory(int(FREE_SHARE * card * GIGABYTE), card * GIGABYTE)
    auto, one = (
        plan_memory(header, settings, gpu, 32 * GIGABYTE) for settings in (LlamaSettings(), LlamaSettings(parallel=1))
    )
    return auto.gpu_layers / one.gpu_layers
