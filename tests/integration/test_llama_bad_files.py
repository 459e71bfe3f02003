"""Model files that cannot be used: each gets a sentence, and the process lives on."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from models.engine import ModelUnusable
from models.llama.engine import LlamaEngine
from models.llama.native import context
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model

_Damage = Callable[[bytes], bytes]


def _flipped(content: bytes, place: int, count: int = 64) -> bytes:
    return content[:place] + bytes(byte ^ 0xFF for byte in content[place : place + count]) + content[place + count :]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"", "cut off"),
        (lambda content: b"not a model at all" * 100, "not a GGUF"),
        (lambda content: content[:4] + struct.pack("<I", 77) + content[8:], "version 77"),
        (lambda content: content[:1000], "cut off"),
        (lambda content: content[: len(content) // 2], r"should have [\d,]+ bytes and has [\d,]+"),
        (lambda content: content[:-1], "should have"),
        (lambda content: _flipped(content, 8, 16), "damaged"),
        (lambda content: _flipped(content, 24), "damaged"),
        (lambda content: content.replace(b"general.architecture", b"general.architectura", 1), "architecture"),
        (
            lambda content: content.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lloma", 1),
            "cannot be loaded.*unknown model architecture: 'lloma'",
        ),
        (
            lambda content: content.replace(b"blk.7.attn_q.weight", b"blk.7.attn_z.weight", 1),
            "cannot be loaded.*blk.7.attn_q.weight",
        ),
    ],
)
async def test_a_damaged_model_is_told(chat_model_path: Path, tmp_path: Path, damage: _Damage, reason: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(damage(chat_model_path.read_bytes()))
    with pytest.raises(ModelUnusable, match=reason) as failure:
        await LlamaEngine.load(path, LlamaSettings(context_tokens=256))
    assert str(path) in str(failure.value)


async def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="does not exist"):
        await LlamaEngine.load(tmp_path / "model.gguf")


async def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="cannot be read"):
        await LlamaEngine.load(tmp_path)


async def test_a_model_too_large_for_memory_is_refused_before_it_is_loaded(
    tmp_path: Path, chat_model_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    content = chat_model_path.read_bytes()
    key = b"llama.block_count"
    place = content.index(key) + len(key) + 4
    # A thousand billion layers would need more KV cache than any machine has.
    path.write_bytes(content[:place] + struct.pack("<I", 2**31) + content[place + 4 :])
    with pytest.raises(ModelUnusable, match=r"needs [\d.]+ GB of memory .* GB is free"):
        await LlamaEngine.load(path)


async def test_a_model_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"GGUF")
    with pytest.raises(ModelUnusable, match="cannot be read"):
        await LlamaEngine.load(tmp_path / "file" / "model.gguf")


async def test_after_a_failure_another_model_can_be_loaded(tmp_path: Path, chat_model_path: Path) -> None:
    with pytest.raises(ModelUnusable):
        await LlamaEngine.load(tmp_path / "missing.gguf")
    engine = await LlamaEngine.load(chat_model_path, LlamaSettings(context_tokens=256))
    await asyncio.wait_for(engine.close(), 60)


async def test_the_reason_why_no_context_can_be_made_is_that_of_llama_cpp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # llama.cpp refuses a quantised cache without flash attention, which the settings always combine.
    monkeypatch.setattr(context, "_flash_attention", lambda *_: 0)
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention")
    with pytest.raises(ModelUnusable, match=r"No context of 256 tokens .*llama\.cpp says: .*[Ff]lash"):
        await LlamaEngine.load(path, LlamaSettings(context_tokens=256, kv_cache_type="q8_0", parallel=1))
