"""Deterministic engines: what is proven at load, and what is refused."""

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from models.engine import ModelUnusable
from models.llama.engine import LlamaEngine
from models.llama.loading import kernel_equivalence
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import Kind, write_tiny_model

_F32 = 0
_IS_PATCHED_X86 = "+hearth" in version("llama-cpp-python") and platform.machine() == "x86_64"


@pytest.mark.parametrize("kind", ["attention", "window", "recurrent"])
async def test_eight_replies_are_proven_to_be_computed_together_as_each_alone(tmp_path: Path, kind: Kind) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", kind)
    engine = await LlamaEngine.load(path, LlamaSettings(context_tokens=256, threads=1, parallel=8, deterministic=True))
    limits = engine._loaded.limits
    await engine.close()
    assert limits.deterministic
    # The stock build computes floats of several tokens otherwise than those of one, and then each reply by itself.
    equal = kernel_equivalence.max_equal_batch({_F32, kernel_equivalence.CACHE_TYPE}, 8)
    assert equal == 8 or not _IS_PATCHED_X86
    assert limits.max_decode_batch == kernel_equivalence.max_equal_batch({_F32}, 8)
    assert limits.max_shared_draft_tokens == 0
    assert (limits.max_draft_tokens > 0) == (kind != "recurrent" and equal > 1)


@pytest.mark.parametrize("ggml_type", [2, 12, 13, 14])  # Q4_0, Q4_K, Q5_K, Q6_K
def test_weights_in_the_layout_of_their_file_are_computed_together_as_one_by_one(ggml_type: int) -> None:
    llama_library()
    # From 8 tokens on llama.cpp has other kernels for K-quants.
    assert kernel_equivalence.max_equal_batch({ggml_type}, 7) == 7


async def test_a_fast_engine_proves_nothing_and_a_refused_one_loads_nothing(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention")
    fast = await LlamaEngine.load(path, LlamaSettings(context_tokens=256, threads=1))
    assert not fast._loaded.limits.deterministic
    await fast.close()
    refused = LlamaSettings(context_tokens=256, deterministic=True, kv_cache_type="q8_0")
    with pytest.raises(ModelUnusable, match="kv_cache_type to f16"):
        await LlamaEngine.load(path, refused)
