"""Slices of a model that people run: three layers with the shapes of Qwen3-4B, random weights, in Q4_K_M and Q8_0.

llama.cpp's own quantisation makes the files, so that kernels and layouts are those of real downloads, and nothing has
to be fetched. What a step costs is that of three of 36 layers; the vocabulary is so small that it has a tenth of the
weights, as in the whole model. Answers are nonsense, which no figure minds.
"""

import ctypes
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import numpy
from numpy.typing import NDArray

from bot.config.schema import Config
from models.llama.native.libllama import llama_library
from tests.benchmarks.harness import tell

Quantisation = Literal["Q4_K_M", "Q8_0"]

LAYERS, EMBEDDING, FEED_FORWARD, HEADS, KV_HEADS, HEAD = 3, 2560, 9728, 32, 8, 128
VOCABULARY, CONTEXT_TOKENS = 13_312, 16_384
_FILE_TYPES: Mapping[Quantisation, int] = {"Q4_K_M": 15, "Q8_0": 7}  # llama_ftype
_VERSION = 1
"""Part of the file names: raise it when what is written changes."""
_F32, _F16 = 0, 1  # ggml_type
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9  # GGUF value types
_NORMAL, _CONTROL = 1, 3  # llama_token_type
_MARKS = ("<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ALIGNMENT = 32

_Value = int | float | str | Sequence[str] | Sequence[int]


def slice_model(quantisation: Quantisation) -> Path:
    """The file of a slice, made once and kept in the usual cache."""
    folder = Config().model_cache_folder / "benchmarks"
    path = folder / f"qwen3-4b-slice-{_VERSION}-{quantisation}.gguf"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    half, partial = folder / f"qwen3-4b-slice-{_VERSION}-F16.gguf", path.with_suffix(".partial")
    tell(f"slices: making {path.name}")
    if not half.exists():
        _write(half)
    llama_cpp = llama_library()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = _FILE_TYPES[quantisation]
    if llama_cpp.llama_model_quantize(str(half).encode(), str(partial).encode(), ctypes.byref(params)):
        raise ValueError(f"llama.cpp could not quantise {half}")
    partial.rename(path)
    return path


def _write(path: Path) -> None:
    shapes = dict(_shapes())
    header = _header()
    start = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(header))
    start += b"".join(_text(key) + _value(value) for key, value in header.items())
    offset = 0
    for name, shape in shapes.items():
        kind = _F32 if len(shape) == 1 else _F16
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        start += _text(name) + sizes + struct.pack("<IQ", kind, offset)
        offset += _padded_size(numpy.prod(shape) * (4 if kind == _F32 else 2))
    partial = path.with_suffix(".writing")
    with partial.open("wb") as file:
        file.write(start + bytes(-len(start) % _ALIGNMENT))
        random = numpy.random.default_rng(1)
        for shape in shapes.values():
            _write_tensor(file, _weights(random, shape))
    partial.rename(path)


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (VOCABULARY, EMBEDDING)
    yield "output_norm.weight", (EMBEDDING,)
    for layer in range(LAYERS):
        shapes: dict[str, tuple[int, ...]] = {
            "attn_norm": (EMBEDDING,),
            "attn_q": (HEADS * HEAD, EMBEDDING),
            "attn_k": (KV_HEADS * HEAD, EMBEDDING),
            "attn_v": (KV_HEADS * HEAD, EMBEDDING),
            "attn_q_norm": (HEAD,),
            "attn_k_norm": (HEAD,),
            "attn_output": (EMBEDDING, HEADS * HEAD),
            "ffn_norm": (EMBEDDING,),
            "ffn_gate": (FEED_FORWARD, EMBEDDING),
            "ffn_up": (FEED_FORWARD, EMBEDDING),
            "ffn_down": (EMBEDDING, FEED_FORWARD),
        }
        for name, shape in shapes.items():
            yield f"blk.{layer}.{name}.weight", shape


def _weights(random: numpy.random.Generator, shape: tuple[int, ...]) -> NDArray[numpy.generic]:
    if len(shape) == 1:
        return numpy.ones(shape, numpy.float32)
    return (random.standard_normal(shape, numpy.float32) / numpy.float32(shape[-1] ** 0.5)).astype(numpy.float16)


def _header() -> Mapping[str, _Value]:
    tokens = [*_byte_letters(), *(f"word{number}" for number in range(VOCABULARY - 256 - len(_MARKS))), *_MARKS]
    shape: Mapping[str, _Value] = {
        "context_length": CONTEXT_TOKENS,
        "embedding_length": EMBEDDING,
        "block_count": LAYERS,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e6,
    }
    return {
        "general.architecture": "qwen3",
        "general.name": "Slice of Qwen3-4B's shapes",
        **{f"qwen3.{name}": value for name, value in shape.items()},
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_CONTROL if token in _MARKS else _NORMAL for token in tokens],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": len(tokens) - 2,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.chat_template": _TEMPLATE,
    }


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in a vocabulary of byte pairs (GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte if byte in shown else 256 + hidden.index(byte)) for byte in range(256)]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _value(value: _Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_text(str(each)) for each in value)
    return struct.pack(f"<IIQ{len(value)}i", _ARRAY, _INT32, len(value), *value)


def _write_tensor(file: BinaryIO, tensor: NDArray[numpy.generic]) -> None:
    file.write(tensor.tobytes())
    file.write(bytes(-tensor.nbytes % _ALIGNMENT))


def _padded_size(size: int) -> int:
    return int(size) + -int(size) % _ALIGNMENT
