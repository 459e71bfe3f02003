"""ONNX files made in the test: a cross-encoder that counts the words which question and passage have in common."""

import struct
from collections.abc import Sequence
from pathlib import Path

_INT64, _FLOAT, _INT_ATTRIBUTE = 7, 1, 2


def write_cross_encoder(files: Path, folder: Path, name: str = "model.onnx") -> Path:
    """A folder like a downloaded cross-encoder, with the tokenizer of `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"):
        (folder / file).write_bytes((files / file).read_bytes())
    (folder / name).write_bytes(cross_encoder())
    return folder


def cross_encoder() -> bytes:
    """A model whose score is the number of pairs of equal tokens, without each token's own and without padding."""
    nodes = [
        _node("Unsqueeze", ["input_ids", "two"], "column"),
        _node("Unsqueeze", ["input_ids", "one"], "row"),
        _node("Equal", ["column", "row"], "same"),
        _node("Cast", ["same"], "pairs", to=_FLOAT),
        _node("Cast", ["attention_mask"], "mask", to=_FLOAT),
        _node("Unsqueeze", ["mask", "two"], "mask_column"),
        _node("Unsqueeze", ["mask", "one"], "mask_row"),
        _node("Mul", ["pairs", "mask_column"], "half_masked"),
        _node("Mul", ["half_masked", "mask_row"], "masked"),
        _node("ReduceSum", ["masked", "both"], "count", keepdims=0),
        _node("ReduceSum", ["mask", "one"], "length", keepdims=0),
        _node("Sub", ["count", "length"], "others"),
        _node("Unsqueeze", ["others", "one"], "logits"),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"words_in_common")
    graph += b"".join(_field(5, _axes(name, axes)) for name, axes in (("one", [1]), ("two", [2]), ("both", [1, 2])))
    graph += b"".join(_field(11, _value(name, _INT64, ["batch", "tokens"])) for name in ("input_ids", "attention_mask"))
    graph += _field(12, _value("logits", _FLOAT, ["batch", "score"]))
    return _number(1, 8) + _field(8, _number(2, 13)) + _field(7, graph)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    written = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    written += _field(4, kind.encode())
    for name, value in attributes.items():
        written += _field(5, _field(1, name.encode()) + _number(3, value) + _number(20, _INT_ATTRIBUTE))
    return written


def _axes(name: str, axes: Sequence[int]) -> bytes:
    raw = struct.pack(f"<{len(axes)}q", *axes)
    return _number(1, len(axes)) + _number(2, _INT64) + _field(8, name.encode()) + _field(9, raw)


def _value(name: str, kind: int, dimensions: Sequence[str]) -> bytes:
    shape = b"".join(_field(1, _field(2, dimension.encode())) for dimension in dimensions)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
