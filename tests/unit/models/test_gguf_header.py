import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.gguf_header import GgufHeader, NotGguf, read_header


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _entry(key: str, kind: int, data: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + data


def _number(key: str, value: int) -> bytes:
    return _entry(key, 4, struct.pack("<I", value))


def _numbers(key: str, values: list[int]) -> bytes:
    return _entry(key, 9, struct.pack("<IQ", 5, len(values)) + struct.pack(f"<{len(values)}i", *values))


_ENTRIES = [
    _entry("general.architecture", 8, _text("llama")),
    _entry("general.name", 8, _text("Tiny")),
    _number("llama.block_count", 2),
    _number("llama.embedding_length", 64),
    _number("llama.context_length", 512),
    _number("llama.attention.head_count", 4),
    _number("llama.attention.head_count_kv", 2),
    _entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + _text("a") + _text("b") + _text("c")),
]

_TWICE = struct.pack("<IQ", 8, 2) + _text("a") + _text("a")


def _file(entries: list[bytes], data_bytes: int = 4 * 64 * 3, version: int = 3) -> bytes:
    tensor = _text("token_embd.weight") + struct.pack("<I", 2) + struct.pack("<QQ", 64, 3) + struct.pack("<IQ", 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(entries)) + b"".join(entries) + tensor
    return head + bytes(-len(head) % 32) + bytes(data_bytes)


def _read(tmp_path: Path, content: bytes) -> GgufHeader:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    return read_header(path)


def test_a_header_tells_what_the_model_is_and_the_memory_it_needs(tmp_path: Path) -> None:
    header = _read(tmp_path, _file(_ENTRIES))
    assert (header.architecture, header.name, header.layers, header.embedding_length) == ("llama", "Tiny", 2, 64)
    assert (header.trained_context, header.vocabulary_size, header.weights_bytes) == (512, 3, 768)
    # 2 layers x 2 heads x (16 of K + 16 of V) x 2 bytes
    assert header.kv_bytes(100, "f16") == 2 * 2 * 32 * 2 * 100
    assert header.kv_bytes(100, "q8_0") == 2 * 2 * 32 * 34 / 32 * 100
    assert header.memory_bytes(100, "f16") > header.weights_bytes + header.kv_bytes(100, "f16")


def test_layers_may_differ_in_their_heads(tmp_path: Path) -> None:
    entries = [*_ENTRIES[:6], _numbers("llama.attention.head_count_kv", [2, 0])]
    assert _read(tmp_path, _file(entries)).kv_bytes(1, "f16") == 2 * 32 * 2


@pytest.mark.parametrize(("pattern", "layers"), [([1, 0], 1), ([0, 0], 0), (None, 0)])
def test_a_file_tells_which_layers_have_a_window(tmp_path: Path, pattern: list[int] | None, layers: int) -> None:
    entries = [*_ENTRIES, _number("llama.attention.sliding_window", 32)]
    if pattern is not None:
        entries.append(_numbers("llama.attention.sliding_window_pattern", pattern))
    header = _read(tmp_path, _file(entries))
    assert header.window_tokens == 32
    assert header.window_kv_width == layers * header.kv_width // 2


@pytest.mark.parametrize(("heads", "window_heads"), [(None, 1), ([2, 0], 2), ([0, 2], 0)])
def test_each_so_manieth_layer_may_be_without_a_window(
    tmp_path: Path, heads: list[int] | None, window_heads: int
) -> None:
    entries = [*_ENTRIES[:6], _number("llama.attention.head_count_kv", 1), _ENTRIES[7]]
    if heads is not None:
        entries[6] = _numbers("llama.attention.head_count_kv", heads)
    windows = [
        _number(f"llama.attention.sliding_window{suffix}", value) for suffix, value in (("", 32), ("_pattern", 2))
    ]
    assert _read(tmp_path, _file([*entries, *windows])).window_kv_width == window_heads * 32


@pytest.mark.parametrize("suffix", ["", "_pattern"])
def test_a_header_that_says_billions_of_layers_is_read_at_once(tmp_path: Path, suffix: str) -> None:
    entries = [
        _number("llama.block_count", (1 << 32) - 1) if index == 2 else each for index, each in enumerate(_ENTRIES)
    ]
    header = _read(tmp_path, _file([*entries, _number(f"llama.attention.sliding_window{suffix}", 6)]))
    assert header.kv_width == ((1 << 32) - 1) * 2 * 32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off"),
        (b"GG", "cut off"),
        (b"PK\x03\x04 something else", "not a GGUF"),
        (_file(_ENTRIES, version=9), "version 9"),
        (_file(_ENTRIES)[:200], "cut off"),
        (_file(_ENTRIES, data_bytes=700), "should have"),
        (_file(_ENTRIES[1:]), "architecture"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no weights"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1), "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 1 << 62), "damaged"),
        (_file([*_ENTRIES, _entry("x", 9, struct.pack("<IQ", 8, 1 << 23))]), "damaged|cut off"),
        (_file([*_ENTRIES, _entry("x", 77, b"")]), "damaged"),
        (_file([*_ENTRIES[:-1], _entry("tokenizer.ggml.tokens", 9, _TWICE)]), "vocabulary"),
        (_file([*_ENTRIES[:-1], _number("tokenizer.ggml.tokens", 3)]), "vocabulary"),
        (_file([*_ENTRIES, _number("general.alignment", 0)]), "damaged"),
    ],
)
def test_a_file_that_is_no_whole_gguf_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(NotGguf, match=reason):
        _read(tmp_path, content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(4, 300))
def test_damage_anywhere_is_told_or_harmless(tmp_path: Path, noise: bytes, place: int) -> None:
    content = bytearray(_file(_ENTRIES))
    content[place : place + len(noise)] = noise
    try:
        _read(tmp_path, bytes(content))
    except NotGguf as error:
        assert str(error)
