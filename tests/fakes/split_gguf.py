"""Splits a GGUF model into parts, as llama.cpp's gguf-split does: the metadata in the first, tensors in all of them."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

from models.gguf_split import part_names
from tests.fakes.gguf_encoding import ALIGNMENT, encode_text, pad

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT16, _INT32, _STRING, _ARRAY = 2, 5, 8, 9


@dataclass(frozen=True)
class _Whole:
    """A model taken apart: its metadata as it stands in the file, and its tensors with their information and data."""

    entry_count: int
    entries: bytes
    tensors: list[tuple[bytes, bytes]]


def split_model(path: Path, count: int) -> list[Path]:
    """Replace a model of float32 tensors by its parts; returns their paths in order."""
    whole = _take_apart(path.read_bytes())
    names = part_names(f"{path.stem}-00001-of-{count:05}.gguf")
    each = math.ceil(len(whole.tensors) / count)
    paths = []
    for number, name in enumerate(names):
        tensors = whole.tensors[number * each : (number + 1) * each]
        entries = _split_entries(number, count, len(whole.tensors))
        entry_count = 3 + (whole.entry_count if number == 0 else 0)
        entries += whole.entries if number == 0 else b""
        paths.append(path.with_name(name))
        paths[-1].write_bytes(_part(entry_count, entries, tensors))
    path.unlink()
    return paths


def _split_entries(number: int, count: int, tensors: int) -> bytes:
    return b"".join(
        (
            encode_text("split.no") + struct.pack("<IH", _UINT16, number),
            encode_text("split.count") + struct.pack("<IH", _UINT16, count),
            encode_text("split.tensors.count") + struct.pack("<Ii", _INT32, tensors),
        )
    )


def _part(entry_count: int, entries: bytes, tensors: list[tuple[bytes, bytes]]) -> bytes:
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), entry_count) + entries
    data = b""
    for information, content in tensors:
        head += information + struct.pack("<Q", len(data))
        data += pad(content)
    return pad(head) + data


def _take_apart(content: bytes) -> _Whole:
    _, _, tensor_count, entry_count = struct.unpack_from("<4sIQQ", content)
    start = position = 24
    for _ in range(entry_count):
        position = _after_text(content, position)
        position = _after_value(content, position + 4, struct.unpack_from("<I", content, position)[0])
    entries = content[start:position]
    found = []
    for _ in range(tensor_count):
        first = position
        position = _after_text(content, position)
        dimensions = struct.unpack_from("<I", content, position)[0]
        shape = struct.unpack_from(f"<{dimensions}Q", content, position + 4)
        position += 4 + 8 * dimensions + 4
        offset = struct.unpack_from("<Q", content, position)[0]
        found.append((content[first:position], offset, 4 * math.prod(shape)))
        position += 8
    data = math.ceil(position / ALIGNMENT) * ALIGNMENT
    tensors = [(information, content[data + at : data + at + size]) for information, at, size in found]
    return _Whole(entry_count, entries, tensors)


def _after_text(content: bytes, position: int) -> int:
    return position + 8 + int(struct.unpack_from("<Q", content, position)[0])


def _after_value(content: bytes, position: int, kind: int) -> int:
    if kind == _STRING:
        return _after_text(content, position)
    if kind != _ARRAY:
        return position + _SCALAR_BYTES[kind]
    element, count = struct.unpack_from("<IQ", content, position)
    position += 12
    for _ in range(count):
        position = _after_value(content, position, element)
    return position
