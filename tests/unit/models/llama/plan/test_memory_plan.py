from dataclasses import replace
from pathlib import Path

import pytest

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import (
    plan_memory,
    plan_within,
    read_model_header,
    require_memory,
    smaller_plans,
)
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


def _shape(weights_gb: float, layers: int, kv_heads: int, head: int, *, vocabulary: int = 151_936) -> GgufHeader:
    return replace(
        _HEADER,
        weights_bytes=int(weights_gb * _GB),
        layers=layers,
        kv_width=layers * kv_heads * 2 * head,
        vocabulary_size=vocabulary,
    )


# Sizes of the files; layers, KV heads and head lengths of the models' published configurations.
_QWEN3_8B, _QWEN3_4B, _QWEN3_14B = (_shape(size, layers, 8, 128) for size, layers in ((5.03, 36), (2.5, 36), (9.0, 40)))
_LLAMA3_8B = _shape(4.92, 32, 8, 128, vocabulary=128_256)
_GEMMA3_4B = replace(_shape(2.49, 34, 4, 256, vocabulary=262_144), window_tokens=1024, window_kv_width=29 * 4 * 2 * 256)
_GPT_OSS_20B = replace(_shape(11.6, 24, 8, 64, vocabulary=201_088), window_tokens=128, window_kv_width=12 * 8 * 2 * 64)


@pytest.mark.parametrize(
    ("header", "card_gb"),
    [
        (_QWEN3_8B, 8),
        (_QWEN3_4B, 6),
        (_QWEN3_4B, 8),
        (_LLAMA3_8B, 8),
        (_GEMMA3_4B, 6),
        (_GPT_OSS_20B, 16),
        (_QWEN3_14B, 12),
    ],
)
def test_further_replies_take_no_layer_off_the_card(header: GgufHeader, card_gb: int) -> None:
    gpu = GpuMemory(int(0.96 * card_gb * _GB), card_gb * _GB)
    one = plan_memory(header, LlamaSettings(parallel=1), gpu, 32 * _GB)
    auto = plan_memory(header, LlamaSettings(), gpu, 32 * _GB)
    assert one.is_on_gpu
    assert auto.gpu_layers == one.gpu_layers == header.layers + 1
    assert auto.gpu_bytes <= gpu.free_bytes


def test_a_model_partly_on_the_card_keeps_its_layers_there_too() -> None:
    gpu = GpuMemory(4 * _GB, 4 * _GB)
    one, auto = (plan_memory(_QWEN3_8B, settings, gpu, 32 * _GB) for settings in (_settings(), LlamaSettings()))
    assert one.is_partly_on_gpu
    assert auto.gpu_layers == one.gpu_layers


def test_each_card_keeps_a_reserve() -> None:
    one, two = (plan_memory(_QWEN3_8B, _settings(), GpuMemory(6 * _GB, 8 * _GB, cards)) for cards in (1, 2))
    assert one.gpu_layers > two.gpu_layers


def test_a_gpu_that_shares_the_main_memory_takes_it_from_there() -> None:
    apart, shared = (
        plan_memory(_QWEN3_4B, _settings(), GpuMemory(12 * _GB, 16 * _GB, is_shared=is_shared))
        for is_shared in (False, True)
    )
    assert apart.is_on_gpu
    assert shared.is_on_gpu
    assert shared.needed_bytes == apart.needed_bytes + apart.gpu_bytes


def test_experts_stay_in_main_memory_where_everything_else_fits_on_the_card() -> None:
    mixture = replace(_shape(18.6, 48, 4, 128), expert_bytes=17 * _GB)
    small = plan_memory(mixture, LlamaSettings(), GpuMemory(8 * _GB, 8 * _GB), 32 * _GB)
    assert small.experts_in_main_memory
    assert small.is_partly_on_gpu
    assert small.gpu_layers == 49
    assert small.gpu_bytes < 8 * _GB
    assert small.needed_bytes > 17 * _GB
    large = plan_memory(mixture, LlamaSettings(), GpuMemory(32 * _GB, 32 * _GB), 32 * _GB)
    assert large.is_on_gpu
    assert not plan_memory(_QWEN3_8B, LlamaSettings(), GpuMemory(4 * _GB, 4 * _GB)).experts_in_main_memory


def test_with_little_free_memory_as_many_replies_run_as_fit() -> None:
    planned = plan_memory(_HEADER, LlamaSettings(), GpuMemory(), 64 * _GB)
    assert planned.parallel == 5
    tight = plan_within(_HEADER, LlamaSettings(), GpuMemory(), planned.needed_bytes - 2 * _GB, 64 * _GB)
    assert 1 < tight.parallel < 5
    none = plan_within(_HEADER, LlamaSettings(), GpuMemory(), _GB, 64 * _GB)
    assert none.parallel == 1
    assert plan_within(_HEADER, _settings(parallel=3), GpuMemory(), _GB).parallel == 3


def test_after_a_failed_allocation_fewer_replies_are_tried_and_then_fewer_layers() -> None:
    gpu = GpuMemory(24 * _GB, 24 * _GB)
    plan = plan_memory(_HEADER, LlamaSettings(), gpu, 64 * _GB)
    tried = list(smaller_plans(plan, _HEADER, LlamaSettings(), gpu))
    assert [each.parallel for each in tried[:3]] == [4, 2, 1]
    assert {each.gpu_layers for each in tried[:3]} == {plan.gpu_layers}
    assert [each.gpu_layers for each in tried[2:]] == sorted((each.gpu_layers for each in tried[2:]), reverse=True)
    assert tried[-1].gpu_layers == 0
    assert len(tried) < 20
    assert list(smaller_plans(plan, _HEADER, _settings(parallel=8, gpu_layers=37), gpu)) == []


def test_threads_and_batches_have_bounds() -> None:
    for impossible in ({"threads": 0}, {"threads": 5000}, {"parallel": 64, "batch_tokens": 32}):
        with pytest.raises(ValueError, match=r"threads|batch_tokens of at least 64"):
            LlamaSettings.model_validate(impossible)


# The shape of Gemma 3 12B: each sixth of its layers attends to everything, the others to 1,024 tokens.
_WINDOWS = replace(
    _HEADER,
    architecture="gemma3",
    weights_bytes=7 * _GB,
    layers=48,
    kv_width=48 * 8 * 512,
    window_tokens=1024,
    window_kv_width=40 * 8 * 512,
)


def test_of_a_sliding_window_only_its_tokens_and_a_batch_need_memory() -> None:
    assert _WINDOWS.kv_bytes(8192, "f16") == pytest.approx(3.22 * _GB, rel=0.01)
    assert _WINDOWS.reply_kv_bytes(8192, "f16", 256) == pytest.approx(0.96 * _GB, rel=0.01)
    assert _WINDOWS.reply_kv_bytes(1000, "f16", 256) == _WINDOWS.kv_bytes(1000, "f16")
    assert _HEADER.reply_kv_bytes(8192, "f16", 256) == _HEADER.kv_bytes(8192, "f16")
    fast, full = (plan_memory(_WINDOWS, _settings(deterministic=each), GpuMemory()) for each in (False, True))
    assert full.needed_bytes - fast.needed_bytes == pytest.approx(2.26 * _GB, rel=0.01)
    assert (fast.kv_bytes, full.kv_bytes) == (_WINDOWS.reply_kv_bytes(8192, "f16", 256), _WINDOWS.kv_bytes(8192, "f16"))
