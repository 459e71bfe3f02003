import pytest

from models.gguf_header import GgufHeader
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import plan_memory
from models.llama.settings import LlamaSettings
from models.recommended import KNOWN_MODELS, KnownModel, recommend_model

_GB = 10**9


@pytest.mark.parametrize(
    ("memory", "gpu", "title", "on_gpu"),
    [
        (1, 0, "Qwen3 1.7B", False),
        (8, 0, "Qwen3 1.7B", False),
        (16, 0, "Qwen3 4B", False),
        (32, 0, "Qwen3 4B", False),
        (64, 0, "Qwen3 30B-A3B", False),
        (16, 4, "Qwen3 4B", False),
        (4, 4, "Qwen3 1.7B", True),
        (16, 6, "Qwen3 4B", True),
        (16, 8, "Qwen3 8B", True),
        (32, 12, "Qwen3 14B", True),
        (32, 24, "Qwen3 30B-A3B", True),
    ],
)
def test_a_machine_gets_the_largest_model_it_runs_well(memory: int, gpu: int, title: str, on_gpu: bool) -> None:
    recommendation = recommend_model(memory * _GB, gpu * _GB)
    assert (recommendation.model.title, recommendation.on_gpu) == (title, on_gpu)


def test_more_memory_never_gives_a_smaller_model() -> None:
    sizes = [recommend_model(memory * _GB).model.size_bytes for memory in range(1, 129)]
    assert sizes == sorted(sizes)


def test_known_models_stand_from_small_to_large_with_their_own_files() -> None:
    assert [model.size_bytes for model in KNOWN_MODELS] == sorted(model.size_bytes for model in KNOWN_MODELS)
    assert len({model.weights for model in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert all(model.memory_bytes > model.size_bytes for model in KNOWN_MODELS)


# Layers, heads and embedding of the models' published configurations.
_SHAPES = [(28, 16, 2048), (36, 32, 2560), (36, 32, 4096), (40, 40, 5120), (48, 32, 2048)]


@pytest.mark.parametrize(("model", "shape"), list(zip(KNOWN_MODELS, _SHAPES, strict=True)))
def test_a_model_that_is_recommended_for_a_card_is_wholly_put_on_it(
    model: KnownModel, shape: tuple[int, int, int]
) -> None:
    layers, heads, embedding = shape
    header = GgufHeader(
        architecture="qwen3",
        name=model.title,
        size_bytes=model.size_bytes,
        weights_bytes=model.size_bytes,
        layers=layers,
        embedding_length=embedding,
        heads=heads,
        vocabulary_size=151_936,
        trained_context=32_768,
        kv_width=model.kv_width,
        weight_types=frozenset(),
    )
    smallest = GpuMemory(model.memory_bytes, model.memory_bytes)
    assert plan_memory(header, LlamaSettings(), smallest, 32 * _GB).is_on_gpu
