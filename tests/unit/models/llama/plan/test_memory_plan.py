from pathlib import Path

import pytest

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import plan_memory, read_model_header, require_memory
from models.llama.settings import LlamaSettings

_GB = 10**9
# The shape of an 8-billion-parameter model with 4-bit weights.
_HEADER = GgufHeader(
    architecture="llama",
    name="Eight",
    size_bytes=5 * _GB,
    weights_bytes=5 * _GB,
    layers=36,
    embedding_length=4096,
    heads=32,
    vocabulary_size=150_000,
    trained_context=32_768,
    kv_width=36 * 8 * 256,
    weight_types=frozenset(),
)


_ONE = {"parallel": 1}


def _settings(**changes: object) -> LlamaSettings:
    return LlamaSettings.model_validate({**_ONE, **changes})


def test_without_a_gpu_everything_is_in_memory() -> None:
    plan = plan_memory(_HEADER, _settings(), GpuMemory())
    assert plan.gpu_layers == 0
    assert plan.needed_bytes >= _HEADER.weights_bytes + _HEADER.kv_bytes(8192, "f16") - 36
    assert plan.context_tokens == 8192


def test_a_gpu_takes_as_many_layers_as_fit() -> None:
    whole = plan_memory(_HEADER, _settings(), GpuMemory(24 * _GB, 24 * _GB))
    part = plan_memory(_HEADER, _settings(), GpuMemory(5 * _GB, 8 * _GB))
    none = plan_memory(_HEADER, _settings(), GpuMemory(_GB // 2, 8 * _GB))
    assert whole.gpu_layers == 37
    assert 0 < part.gpu_layers < 37
    assert none.gpu_layers == 0
    assert part.gpu_bytes < 5 * _GB
    assert whole.needed_bytes < part.needed_bytes < none.needed_bytes


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (10, 10), (99, 37), (-1, 37)])
def test_a_number_of_layers_is_taken_as_it_is_as_far_as_the_model_has_them(asked: int, given: int) -> None:
    assert plan_memory(_HEADER, _settings(gpu_layers=asked), GpuMemory(24 * _GB, 24 * _GB)).gpu_layers == given


def test_the_context_is_no_longer_than_the_model_was_trained_for() -> None:
    assert plan_memory(_HEADER, _settings(context_tokens=65_536), GpuMemory()).context_tokens == 32_768


def test_a_model_too_large_for_memory_is_refused_with_both_figures_and_the_way_out() -> None:
    plan = plan_memory(_HEADER, _settings(), GpuMemory())
    require_memory(Path("eight.gguf"), plan, 16 * _GB)
    with pytest.raises(ModelUnusable, match=r"eight\.gguf needs 6\.\d GB .* 4\.0 GB is free\. .*smaller model"):
        require_memory(Path("eight.gguf"), plan, 4 * _GB)


def test_a_quantised_kv_cache_needs_less() -> None:
    plain, quantised = (plan_memory(_HEADER, _settings(kv_cache_type=kind), GpuMemory()) for kind in ("f16", "q8_0"))
    assert quantised.needed_bytes < plain.needed_bytes


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="does not exist"):
        read_model_header(tmp_path / "nothing.gguf")
    with pytest.raises(ModelUnusable, match="cannot be read"):
        read_model_header(tmp_path)


def test_quantised_values_without_flash_attention_are_refused() -> None:
    with pytest.raises(ValueError, match="flash_attention"):
        _settings(kv_cache_type="q8_0", flash_attention="off")


@pytest.mark.parametrize(("memory_gb", "parallel"), [(2, 1), (12, 1), (16, 2), (32, 4), (64, 5), (256, 8)])
def test_a_processor_writes_as_many_replies_together_as_leave_memory_for_the_house(
    memory_gb: int, parallel: int
) -> None:
    assert plan_memory(_HEADER, LlamaSettings(), GpuMemory(), memory_gb * _GB).parallel == parallel


def test_a_gpu_writes_as_many_replies_together_as_fit_beside_the_whole_model() -> None:
    roomy = plan_memory(_HEADER, LlamaSettings(), GpuMemory(24 * _GB, 24 * _GB), 16 * _GB)
    tight = plan_memory(_HEADER, LlamaSettings(), GpuMemory(11 * _GB, 12 * _GB), 16 * _GB)
    assert roomy.parallel == 8
    assert 1 < tight.parallel < 8
    assert roomy.gpu_layers == tight.gpu_layers == 37


def test_a_number_of_replies_is_taken_as_it_is_and_each_needs_its_own_context() -> None:
    one, six = (plan_memory(_HEADER, _settings(parallel=count), GpuMemory(), _GB) for count in (1, 6))
    assert six.parallel == 6
    assert six.needed_bytes - one.needed_bytes == pytest.approx(5 * _HEADER.kv_bytes(8192, "f16"), rel=0.001)


@pytest.mark.parametrize("parallel", [0, -1, 65, "many"])
def test_impossible_numbers_of_replies_are_refused(parallel: object) -> None:
    with pytest.raises(ValueError, match="parallel"):
        LlamaSettings.model_validate({"parallel": parallel})
