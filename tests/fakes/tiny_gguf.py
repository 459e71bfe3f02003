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

from tests.fakes.gguf_encoding import encode_text, encode_value, pad
from tests.fakes.tiny_vocabulary import Value, Vocabulary, byte_pairs

Kind = Literal["attention", "window", "recurrent"]

_EMBEDDING, _LAYERS, _HEADS, _INNER, _STATE, _KERNEL, _RANK = 64, 2, 2, 128, 8, 4, 4
_WINDOW = 32
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NORMS = {
    "attention": ("attn_norm", "ffn_norm"),
    "window": ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"),
}

_Tensors = dict[str, NDArray[numpy.float32]]


def write_tiny_model(
    path: Path,
    kind: Kind,
    seed: int = 1,
    context_tokens: int = 1024,
    *,
    pre: str = "default",
    user_defined: Sequence[str] = (),
    chat_template: str | None = _CHATML,
    vocabulary: Vocabulary | None = None,
    damaged: bool = False,
) -> Path:
    """Write a model; the same seed gives the same file.

    `pre` and `user_defined` are those of `byte_pairs`, unless another `vocabulary` is given. The weights of a `damaged`
    model are no numbers.
    """
    random = numpy.random.default_rng(seed)
    vocabulary = vocabulary or byte_pairs(pre, user_defined)
    tokens = vocabulary.tokens
    tensors = _recurrent(random) if kind == "recurrent" else _attention(random, _NORMS[kind])
    # Gemma adds its tokens with eight times the weight: here the layers must decide, not the last token.
    tensors["token_embd.weight"] = _weights(random, len(tokens), _EMBEDDING) * numpy.float32(
        0.05 if kind == "window" else 1.0
    )
    if kind != "window":  # Gemma has one matrix for both ends
        tensors["output.weight"] = _weights(random, len(tokens), _EMBEDDING)
    tensors["output_norm.weight"] = numpy.ones(_EMBEDDING, numpy.float32)
    if damaged:
        tensors["output_norm.weight"].fill(numpy.nan)
    header = _header(kind, context_tokens) | vocabulary.header()
    if chat_template is not None:
        header["tokenizer.chat_template"] = chat_template
    path.write_bytes(_file(header, tensors))
    return path


def _header(kind: Kind, context_tokens: int) -> dict[str, Value]:
    architecture = {"attention": "llama", "window": "gemma2", "recurrent": "mamba"}[kind]
    shape: dict[str, Value] = {
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


def _file(header: Mapping[str, Value], tensors: Mapping[str, NDArray[numpy.float32]]) -> bytes:
    start = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(header))
    start += b"".join(encode_text(key) + encode_value(value) for key, value in header.items())
    data = b""
    for name, tensor in tensors.items():
        sizes = struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape))
        start += encode_text(name) + sizes + struct.pack("<IQ", 0, len(data))
        data += pad(tensor.tobytes())
    return pad(start) + data
