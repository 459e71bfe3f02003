"""Slices of a model that people run: three layers with the shapes of Qwen3-4B, random weights, in Q4_K_M and Q8_0.

llama.cpp's own quantisation makes the files, so that kernels and layouts are those of real downloads, and nothing has
to be fetched. What a step costs is that of three of 36 layers; the vocabulary is so small that it has a tenth of the
weights, as in the whole model. Answers are nonsense, which no figure minds.
"""

import ctypes
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import numpy
from numpy.typing import NDArray

from bot.config.schema import Config
from models.llama.native.libllama import llama_library
from tests.benchmarks.harness import tell
from tests.fakes.gguf_encoding import ALIGNMENT, encode_text, encode_value
from tests.fakes.tiny_vocabulary import Value, byte_letters

Quantisation = Literal["Q4_K_M", "Q8_0"]

LAYERS, EMBEDDING, FEED_FORWARD, HEADS, KV_HEADS, HEAD = 3, 2560, 9728, 32, 8, 128
VOCABULARY, CONTEXT_TOKENS = 13_312, 16_384
_FILE_TYPES: Mapping[Quantisation, int] = {"Q4_K_M": 15, "Q8_0": 7}  # llama_ftype
_VERSION = 1
"""Part of the file names: raise it when what is written changes."""
_F32, _F16 = 0, 1  # ggml_type
_NORMAL, _CONTROL = 1, 3  # llama_token_type
_MARKS = ("<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


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
    start += b"".join(encode_text(key) + encode_value(value) for key, value in header.items())
    offset = 0
    for name, shape in shapes.items():
        kind = _F32 if len(shape) == 1 else _F16
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        start += encode_text(name) + sizes + struct.pack("<IQ", kind, offset)
        offset += _padded_size(numpy.prod(shape) * (4 if kind == _F32 else 2))
    partial = path.with_suffix(".writing")
    with partial.open("wb") as file:
        file.write(start + bytes(-len(start) % ALIGNMENT))
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


def _header() -> Mapping[str, Value]:
    tokens = [*byte_letters(), *(f"word{number}" for number in range(VOCABULARY - 256 - len(_MARKS))), *_MARKS]
    shape: Mapping[str, Value] = {
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


def _write_tensor(file: BinaryIO, tensor: NDArray[numpy.generic]) -> None:
    file.write(tensor.tobytes())
    file.write(bytes(-tensor.nbytes % ALIGNMENT))


def _padded_size(size: int) -> int:
    return int(size) + -int(size) % ALIGNMENT
