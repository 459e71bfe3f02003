from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader, read_header
from models.llama.loading.compute_limits import require_provable
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model

_CPU = MemoryPlan(context_tokens=1024, gpu_layers=0, needed_bytes=1, gpu_bytes=0)
_Q1_0_TYPE = 41


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    return read_header(write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", "attention"))


@pytest.mark.parametrize(
    ("settings", "changes", "gpu_layers", "way_out"),
    [
        ({}, {}, 1, "gpu_layers to 0"),
        ({"kv_cache_type": "q8_0"}, {}, 0, "kv_cache_type to f16"),
        ({"flash_attention": "on"}, {}, 0, "flash_attention to off"),
        ({}, {"weight_types": frozenset({0, 12, _Q1_0_TYPE})}, 0, "number 41 in"),
    ],
)
def test_what_cannot_be_proven_is_refused_with_the_way_out(
    header: GgufHeader, settings: dict[str, Any], changes: dict[str, Any], gpu_layers: int, way_out: str
) -> None:
    model, plan = replace(header, **changes), replace(_CPU, gpu_layers=gpu_layers)
    with pytest.raises(ModelUnusable) as refused:
        require_provable(Path("my.gguf"), model, LlamaSettings(deterministic=True, **settings), plan)
    assert way_out in str(refused.value)
    assert "my.gguf" in str(refused.value)
    assert "deterministic to false" in str(refused.value)
    require_provable(Path("my.gguf"), model, LlamaSettings(**settings), plan)


def test_formats_that_people_use_can_be_tried(header: GgufHeader) -> None:
    types = frozenset({0, 1, 2, 3, 8, 12, 13, 14, 39})
    require_provable(Path("my.gguf"), replace(header, weight_types=types), LlamaSettings(deterministic=True), _CPU)
