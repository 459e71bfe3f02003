"""Models of a few thousand random weights, written as GGUF: they answer nonsense, but in a millisecond a token.

One has attention alone, one sliding windows, one recurrent layers. Their greedy answers are chaotic, so a token of
another conversation, or one in the wrong place, shows at once.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy
from numpy.typing import NDArray

Kind = Literal["attention", "window", "recurrent"]

_EMBEDDING, _LAYERS, _HEADS, _INNER, _STATE, _KERNEL, _RANK = 64, 2, 2, 128, 8, 4, 4
_WINDOW = 32
_MARKS = ("<|im_start|>", "<|im_end|>")
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NORMS = {
    "attention": ("attn_norm", "ffn_norm"),
    "window": ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"),
}
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # llama_token_type
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9  # GGUF value types
_ALIGNMENT = 32

_Value = int | float | str | Sequence[str] | Sequence[int]
_Tensors = dict[str, NDArray[numpy.float32]]


def write_tiny_model(
    path: Path,
    kind: Kind,
    seed: int = 1,
    context_tokens: int = 1024,
    *,
    pre: str = "default",
    user_defined: Sequence[str] = (),
    chat_template: str = _CHATML,
) -> Path:
    """Write a model; the same seed gives the same file.

    `pre` names its rule for splitting text into words; `user_defined` are further tokens, or delimiters of turns, whose
    type is user-defined.
    """
    random = numpy.random.default_rng(seed)
    tokens = [*_byte_letters(), *(token for token in user_defined if token not in _MARKS), *_MARKS]
    tensors = _recurrent(random) if kind == "recurrent" else _attention(random, _NORMS[kind])
    # Gemma adds its tokens with eight times the weight: here the layers must decide, not the last token.
    tensors["token_embd.weight"] = _weights(random, len(tokens), _EMBEDDING) * numpy.float32(
        0.05 if kind == "window" else 1.0
    )
    if kind != "window":  # Gemma has one matrix for both ends
        tensors["output.weight"] = _weights(random, len(tokens), _EMBEDDING)
    tensors["output_norm.weight"] = numpy.ones(_EMBEDDING, numpy.float32)
    header = _header(kind, tokens, context_tokens)
    header["tokenizer.ggml.pre"] = pre
    header["tokenizer.ggml.token_type"] = [_type_of(token, user_defined) for token in tokens]
    header["tokenizer.chat_template"] = chat_template
    path.write_bytes(_file(header, tensors))
    return path


def _type_of(token: str, user_defined: Sequence[str]) -> int:
    if token in user_defined:
        return _USER_DEFINED
    return _CONTROL if token in _MARKS else _NORMAL


def _header(kind: Kind, tokens: Sequence[str], context_tokens: int) -> dict[str, _Value]:
    architecture = {"attention": "llama", "window": "gemma2", "recurrent": "mamba"}[kind]
    shape: dict[str, _Value] = {
        "context_length": context_tokens,
        "embedding_length": _EMBEDDING,
        "block_count": _LAYERS,
        "feed_forward_length": _INNER,
        "attention.head_count": _HEADS,
        "attention.head_count_kv": _HEADS // 2,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    if kind == "window":
        shape |= {"attention.sliding_window": _WINDOW}
        shape |= {"attention.key_length": _EMBEDDING // _HEADS, "attention.value_length": _EMBEDDING // _HEADS}
    if kind == "recurrent":
        sizes = {"conv_kernel": _KERNEL, "inner_size": _INNER, "state_size": _STATE, "time_step_rank": _RANK}
        shape |= {f"ssm.{name}": size for name, size in sizes.items()}
    return {
        "general.architecture": architecture,
        "general.name": f"tiny {kind}",
        **{f"{architecture}.{name}": value for name, value in shape.items()},
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": len(tokens) - 2,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
    }


def _attention(random: numpy.random.Generator, norms: Sequence[str]) -> _Tensors:
    tensors: _Tensors = {}
    for layer in range(_LAYERS):
        shapes = {"attn_q": (_EMBEDDING, _EMBEDDING), "attn_output": (_EMBEDDING, _EMBEDDING)}
        shapes |= {"attn_k": (_EMBEDDING // 2, _EMBEDDING), "attn_v": (_EMBEDDING // 2, _EMBEDDING)}
        shapes |= {"ffn_gate": (_INNER, _EMBEDDING), "ffn_up": (_INNER, _EMBEDDING), "ffn_down": (_EMBEDDING, _INNER)}
        tensors |= {f"blk.{layer}.{name}.weight": _weights(random, *shape) for name, shape in shapes.items()}
        for name in norms:
            tensors[f"blk.{layer}.{name}.weight"] = numpy.ones(_EMBEDDING, numpy.float32)
    return tensors


def _recurrent(random: numpy.random.Generator) -> _Tensors:
    tensors: _Tensors = {}
    for layer in range(_LAYERS):
        shapes = {"ssm_in": (2 * _INNER, _EMBEDDING), "ssm_conv1d": (_INNER, _KERNEL), "ssm_dt": (_INNER, _RANK)}
        shapes |= {"ssm_x": (_RANK + 2 * _STATE, _INNER), "ssm_out": (_EMBEDDING, _INNER)}
        tensors |= {f"blk.{layer}.{name}.weight": _weights(random, *shape) for name, shape in shapes.items()}
        tensors[f"blk.{layer}.attn_norm.weight"] = numpy.ones(_EMBEDDING, numpy.float32)
        tensors[f"blk.{layer}.ssm_conv1d.bias"] = numpy.zeros(_INNER, numpy.float32)
        tensors[f"blk.{layer}.ssm_dt.bias"] = numpy.zeros(_INNER, numpy.float32)
        tensors[f"blk.{layer}.ssm_a"] = numpy.full((_INNER, _STATE), -0.02, numpy.float32)
        tensors[f"blk.{layer}.ssm_d"] = numpy.ones(_INNER, numpy.float32)
    return tensors


def _weights(random: numpy.random.Generator, *shape: int) -> NDArray[numpy.float32]:
    return random.normal(0.0, 2.0 / shape[-1] ** 0.5, shape).astype(numpy.float32)


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in a vocabulary of byte pairs (GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte if byte in shown else 256 + hidden.index(byte)) for byte in range(256)]


def _file(header: Mapping[str, _Value], tensors: Mapping[str, NDArray[numpy.float32]]) -> bytes:
    start = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(header))
    start += b"".join(_text(key) + _value(value) for key, value in header.items())
    data = b""
    for name, tensor in tensors.items():
        sizes = struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape))
        start += _text(name) + sizes + struct.pack("<IQ", 0, len(data))
        data += _padded(tensor.tobytes())
    return _padded(start) + data


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


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
